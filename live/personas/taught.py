"""The face that a personal engine was taught: its pictures, who allowed it, and whether it may still be worn.

An engine has no consent of its own. What its card says in taught: face is one of

    {"sample": NAME}                                 a face that comes with doppelcam
    {"pack": NAME, "photos": [SHA256, ...]}          one of the user's faces, as it was then
    {"portraits": [FILE, ...], "sha256": [...]}      pictures in the engine's folder: nobody's consent is known

A card can claim anything. What was taught by this user on this machine bears a mark that only this user's key makes
(taught: mark, by `mark_own`); without it an engine is worn as one whose consent is unknown, whatever its card says.

A face of the user's that stands for a trained model has no photos of its own, but its fingerprint as "print", and
"portraits" and "sha256" beside it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engines.card import CARD_FILE, ModelCard, is_plain_name, read_card
from engines.errors import BadInput, ModelError
from engines.plain_file import read_plain
from live.frame import Disclosure, View
from live.parts import Finder
from live.personas.allowed import Allowed, views_of
from live.personas.packs import user_packs
from live.personas.portraits import MOST_VIEWS, sample_names, sample_view, straightest_first, view_of
from live.pictures import MOST_BYTES, picture_of
from live.sealed import own_mark

_AGAIN = "teach it again: doppelcam teach"


@dataclass(frozen=True, slots=True)
class TaughtFace:
    """`views` finds the face in its pictures, straightest first. `scope`: as in personas.Choice; `why_not`: as in
    Persona; `hint`: what to do where it is not "".
    """

    disclosure: Disclosure
    views: Callable[[Finder], tuple[View, ...]]
    scope: tuple[str, ...] | None = None
    why_not: Callable[[], str] = lambda: ""
    hint: str = _AGAIN


def taught_face(card: ModelCard) -> TaughtFace:
    """The face behind this personal engine. Raises BadInput: it is gone or another; ModelError: a broken card."""
    taught = card.facts.get("taught")
    face: Any = taught.get("face") if isinstance(taught, dict) else None
    match face:
        case {"sample": str(name)} if name in sample_names():
            found = TaughtFace("synthetic", lambda finder: (sample_view(name, finder),))
        case {"pack": str(name), "photos": list()}:
            found = _packed(card, name, dict(face))
        case {"portraits": _, "sha256": _}:
            return TaughtFace("unverified", _portraits(card, dict(face)))
        case _:
            raise _unsaid(card)
    return found if _is_own(card, dict(face)) else replace(found, disclosure="unverified")


def mark_own(folder: Path) -> ModelCard:
    """Write into the card in `folder`, which was just made, that this user taught it. Raises BadInput and OSError."""
    card = read_card(folder)
    path = folder / CARD_FILE
    tree = json.loads(path.read_text(encoding="utf-8"))
    tree["facts"]["taught"]["mark"] = own_mark(_marked(card, tree["facts"]["taught"]["face"]), make=True)
    path.write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")
    return read_card(folder)


def _is_own(card: ModelCard, face: dict[str, Any]) -> bool:
    mark = own_mark(_marked(card, face))
    return bool(mark) and hmac.compare_digest(mark, str(card.facts["taught"].get("mark", "")))


def _marked(card: ModelCard, face: dict[str, Any]) -> bytes:
    """What a mark is made of: the files, and whose face it is."""
    return json.dumps([sorted(card.sha256.items()), face], sort_keys=True).encode()


def _unsaid(card: ModelCard) -> ModelError:
    return ModelError(
        f"the card of model {card.name!r} does not say whose face it was taught (facts: taught: face)", hint=_AGAIN
    )


def _packed(card: ModelCard, name: str, face: dict[str, Any]) -> TaughtFace:
    packs = user_packs()
    if name not in packs.names():
        raise BadInput(
            f"{card.name!r} was taught the face {name!r}, which is not there any more",
            hint=f"add that face again and teach again, or doppelcam models remove {card.name}",
        )
    pack = packs.open(name)
    photos = sorted(hashlib.sha256(photo).hexdigest() for photo in pack.photos)
    if photos != sorted(map(str, face["photos"])) or pack.model_print != face.get("print", ""):
        raise BadInput(f"{card.name!r} was taught another face {name!r} than the one that is there now", hint=_AGAIN)
    allowed = Allowed(packs, pack)
    views = _portraits(card, face) if not photos else lambda finder: views_of(pack, finder)
    return TaughtFace(pack.disclosure, views, pack.scope, allowed, f"doppelcam faces show {name}")


def _portraits(card: ModelCard, face: dict[str, Any]) -> Callable[[Finder], tuple[View, ...]]:
    """What finds the face in the pictures in the engine's folder. Raises ModelError."""
    files, digests = face.get("portraits"), face.get("sha256")
    if not isinstance(files, list) or not isinstance(digests, list) or not _fit(files, digests):
        raise _unsaid(card)
    pictures = [_portrait(card, file, digest) for file, digest in zip(files, digests, strict=True)]
    return lambda finder: _views(card, pictures, finder)


def _fit(files: list[Any], digests: list[Any]) -> bool:
    texts = all(isinstance(one, str) for one in (*files, *digests))
    return texts and 1 <= len(files) <= MOST_VIEWS and len(files) == len(digests) and all(map(is_plain_name, files))


def _portrait(card: ModelCard, file: str, digest: str) -> bytes:
    data = read_plain(Path(card.folder) / file, MOST_BYTES)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ModelError(f"{file} of model {card.name!r} is not the picture that it was taught from", hint=_AGAIN)
    return data


def _views(card: ModelCard, pictures: list[bytes], finder: Finder) -> tuple[View, ...]:
    names = [f"portrait {number} of {card.name!r}" for number in range(1, len(pictures) + 1)]
    return straightest_first(
        view_of(picture_of(data, name), name, None, finder) for data, name in zip(pictures, names, strict=True)
    )
