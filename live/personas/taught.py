"""The face that a personal engine was taught: its pictures, who allowed it, and whether it may still be worn.

An engine has no consent of its own. What its card says in taught: face is one of

    {"sample": NAME}                                 a face that comes with doppelcam
    {"pack": NAME, "photos": [SHA256, ...]}          one of the user's faces, as it was then
    {"portraits": [FILE, ...], "sha256": [...]}      pictures in the engine's folder: nobody's consent is known
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.card import ModelCard, is_plain_name
from engines.errors import BadInput, ModelError
from engines.plain_file import read_plain
from live.frame import Disclosure, View
from live.parts import Finder
from live.personas.allowed import Allowed, views_of
from live.personas.packs import user_packs
from live.personas.portraits import MOST_VIEWS, sample_names, sample_view, straightest_first, view_of
from live.pictures import MOST_BYTES, picture_of

PERSONAL = "personal"
"""The family on the card of an engine that `doppelcam teach` made."""

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
    face = taught.get("face") if isinstance(taught, dict) else None
    match face:
        case {"sample": str(name)} if name in sample_names():
            return TaughtFace("synthetic", lambda finder: (sample_view(name, finder),))
        case {"pack": str(name), "photos": list(digests)}:
            return _packed(card, name, digests)
        case {"portraits": list(files), "sha256": list(digests)} if _fit(files, digests):
            pictures = [_portrait(card, file, digest) for file, digest in zip(files, digests, strict=True)]
            return TaughtFace("unverified", lambda finder: _views(card, pictures, finder))
    raise ModelError(
        f"the card of model {card.name!r} does not say whose face it was taught (facts: taught: face)", hint=_AGAIN
    )


def _packed(card: ModelCard, name: str, digests: list[Any]) -> TaughtFace:
    packs = user_packs()
    if name not in packs.names():
        raise BadInput(
            f"{card.name!r} was taught the face {name!r}, which is not there any more",
            hint=f"add that face again and teach again, or doppelcam models remove {card.name}",
        )
    pack = packs.open(name)
    if sorted(hashlib.sha256(photo).hexdigest() for photo in pack.photos) != sorted(map(str, digests)):
        raise BadInput(f"{card.name!r} was taught another face {name!r} than the one that is there now", hint=_AGAIN)
    allowed = Allowed(packs, pack)
    return TaughtFace(
        pack.disclosure, lambda finder: views_of(pack, finder), pack.scope, allowed, f"doppelcam faces show {name}"
    )


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
