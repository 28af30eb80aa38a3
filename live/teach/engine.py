"""Step 5: what stands on a personal engine's card: whose face it is, who taught it, how the wearer looked then."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import cv2
import numpy as np

from engines.errors import BadInput
from export.teach.pairs import Pairs
from live.fit.known import known_of
from live.frame import Floats, Image, Persona, View
from live.models import open_card
from live.parts import Finder
from live.personas import choose
from live.personas.packs import fingerprint_of, user_packs
from live.personas.portraits import path_of, split_number
from live.teach.pieces import Pieces
from live.teach.workshop import Workshop

_ROOM = 2.2  # a portrait's side, in sizes of its face
_SAME_POSE = 15.0  # degrees: people's heads are not built alike
_STRAIGHT = (0.0, -9.0)  # degrees of yaw and pitch: so a straight face's mesh lies


def settled(spec: str) -> str:
    """--face as it is remembered: paths are made absolute."""
    path, number = split_number(spec)
    if not os.path.exists(path):
        return spec
    return str(path.absolute()) + (f"#{number}" if number is not None else "")


def whose(spec: str, persona: Persona, finder: Finder) -> tuple[dict[str, Any], list[bytes]]:
    """The fact `face` for the card, and the PNG files that belong into the model folder: none for a face that came
    with doppelcam, or is one of the gallery, which passes its consent on. `finder` is an opened one. Raises BadInput.
    """
    kind, _, _ = spec.partition(":")
    if kind == "sample":
        return {"sample": persona.name}, []
    packs = user_packs()
    if not os.path.exists(path_of(spec)) and spec in packs.names():
        pack = packs.open(spec)
        photos = [_sha256(photo) for photo in pack.photos]
        return {"pack": spec, "photos": photos, **({"print": pack.model_print} if pack.model else {})}, []
    if persona.model is not None:
        return {"print": fingerprint_of(persona.model)}, []
    pictures = [_png(_cut_out(view, finder)) for view in persona.views]
    names = [f"portrait{number}.png" for number in range(1, len(pictures) + 1)]
    return {"portraits": names, "sha256": [_sha256(picture) for picture in pictures]}, pictures


def demand_allowed(workshop: Workshop) -> None:
    """Raise BadInput where its face may not be worn (any more)."""
    choose(workshop.face)


def keep_portraits(pieces: Pieces, pictures: list[bytes]) -> None:
    """Raises BadInput."""
    pieces.clear()
    if pictures:
        pieces.add(**{f"p{k}": np.frombuffer(picture, np.uint8) for k, picture in enumerate(pictures)})


def portraits(pieces: Pieces) -> list[bytes]:
    """What `keep_portraits` kept. Raises BadInput."""
    return [piece[f"p{k}"].tobytes() for piece in pieces for k in range(len(piece))]


def facts_of(workshop: Workshop, face: dict[str, Any], looks: Floats) -> dict[str, Any]:
    """The fact `taught` for the card, of all lessons, gone ones too. `looks`: the wearer's in those that are here."""
    old = workshop.learnt
    rows = np.array(old["known"]["rows"], np.float32) if old else looks[:0]
    teachers = [footage.targets["teacher"] for footage in workshop.footage]
    mine = [workshop.footage[number] for number in workshop.numbers("")]
    return {
        "teacher": teachers[-1],
        **({"model": workshop.model} if workshop.model else {}),
        "frames": sum(one.targets["pairs"] for one in mine) + int(old.get("frames", 0)),
        "seconds": round(sum(one.faces["seconds"] for one in mine) + float(old.get("seconds", 0)), 1),
        "face": face,
        "known": known_of(np.concatenate([rows, looks])),
    }


def shared(looks: Floats, persona: Floats) -> Floats:
    """Those of the wearer's looks [n, 6] whose pose the persona had too, nearly: nobody showed them in others."""
    apart = np.abs(looks[:, None, :2] - persona[None, :: max(1, len(persona) // 500), :2]).max(2).min(1)
    near = apart <= _SAME_POSE
    return looks[near] if near.any() else looks


def face_of(workshop: Workshop, lessons: Pairs, looks: Floats) -> tuple[dict[str, Any], list[bytes]]:
    """The fact `face` for the card, and the PNG files that belong into the model folder, by `workshop.taught`.

    A trained model has no portrait: the teacher's straightest picture becomes one.
    """
    if "print" not in workshop.taught:
        return workshop.taught, portraits(workshop.portraits)
    straight = int(np.abs(looks[:, :2] - _STRAIGHT).sum(1).argmin())
    picture = _png(lessons.targets[straight])
    return {**workshop.taught, "portraits": ["portrait1.png"], "sha256": [_sha256(picture)]}, [picture]


def licence_of(workshop: Workshop) -> str:
    """What one may do with the engine: as with the teacher's model; "": it had none."""
    card = open_card(workshop.model) if workshop.model else choose(workshop.face).model
    return f"as its teacher's, {card.name}: {card.licence}" if card is not None else ""


def _cut_out(view: View, finder: Finder) -> Image:
    """The head alone, out of a picture that may show others too."""
    x0, y0, x1, y1 = view.face.box
    half = _ROOM * max(x1 - x0, y1 - y0) / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    height, width = view.image.shape[:2]
    left, top = max(0, round(x - half)), max(0, round(y - half))
    cut = view.image[top : min(height, round(y + half)), left : min(width, round(x + half))]
    if len(finder.find(np.ascontiguousarray(cut), [])) != 1:
        raise BadInput(
            "the face cannot be told from others beside it in its portrait",
            hint="cut the one face out, with some room around it, into a picture of its own",
        )
    return cut


def _png(image: Image) -> bytes:
    done, data = cv2.imencode(".png", image)
    assert done, "a decoded picture can be written"
    return data.tobytes()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
