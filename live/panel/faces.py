"""The gallery: whose face can be worn, what allows it and until when; adding one by a photo that was dropped."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2

from engines.card import ModelCard
from engines.errors import BadInput, DoppelcamError
from engines.store import name_from, user_store
from live.app import opened_finder
from live.frame import Image
from live.models import PERSONAL
from live.panel.show import Show
from live.personas import SAMPLE_PORTRAITS, choose, enrol, sample_names
from live.personas.packs import now, user_packs
from live.pictures import decoded, read_bytes

MOST_PHOTO = 16 << 20  # bytes of a photo that is dropped
_THUMB_PX = 192


@dataclass
class Gallery:
    """Faces by what `--face` takes; `named`: files of the command line and of presets. Every method may be called on
    any thread and may take long."""

    named: Callable[[], list[str]]
    _photo: tuple[str, enrol.Photos] | None = field(default=None, init=False)  # dropped, and not kept yet
    _thumbs: dict[str, tuple[object, bytes]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def faces(self) -> list[dict[str, Any]]:
        """Yours first, then the samples; each as JSON: what it is, what allows it, until when, why not."""
        found = [self._kept(name) for name in user_packs().names()]
        store = user_store()
        for name in store.names():
            card = store.card(name)
            if card.facts.get("kind") == "trained" and not any(face["id"] == name for face in found):
                found.append(_model(name, card))
        known = {"", "sample", *(face["id"] for face in found)}
        for own in dict.fromkeys(self.named()):
            if own not in known and os.path.exists(os.path.expanduser(own.rpartition("#")[0] or own)):
                title = own.rpartition("/")[2]
                found.append(_face(own, title, "from the command line or a preset", "unverified", picture=False))
        return found + [_face(f"sample:{name}", name, "a synthetic person", "synthetic") for name in sample_names()]

    def demand(self, face: str) -> str:
        """What `--face` takes for this face. Raises BadInput where it is none of those above."""
        offered = [one["id"] for one in self.faces()]
        if face not in offered:
            raise BadInput("there is no such face here", hint=f"choose one of: {', '.join(offered)}")
        return face

    def thumb(self, face: str) -> bytes | None:
        """A small square JPEG of this face; None where there is none."""
        kind, _, name = face.partition(":")
        if kind == "sample" and name in sample_names():
            path = SAMPLE_PORTRAITS / f"{name}.jpg"
            return self._thumb(face, 0, lambda: read_bytes(path))
        packs = user_packs()
        if face not in packs.names():
            return None
        stamp = packs.path(face).stat().st_mtime_ns
        return self._thumb(face, stamp, lambda: next(iter(packs.open(face).photos), b""))

    def drop(self, data: bytes, name: str) -> dict[str, Any]:
        """Look at a photo (the bytes of a JPEG, PNG, WebP or BMP file); it waits in memory until it is kept.

        Raises BadInput: no picture, too large, no face, several.
        """
        with opened_finder() as finder:
            photos = enrol.take_bytes([(name, data)], finder)
        with self._lock:
            self._photo = secrets.token_urlsafe(8), photos
            return {"photo": self._photo[0], "name": name_from(name.rpartition(".")[0] or name)}

    def keep(self, wish: dict[str, str], show: Show) -> dict[str, Any]:
        """Keep the photo that was dropped: {photo, name, how, until, consent}. `how` is self, consented (with the
        text of the consent file), synthetic or unverified. Raises BadInput.
        """
        texts = {key: wish.get(key, "") for key in ("photo", "name", "how", "until", "consent")}
        with self._lock:
            if self._photo is None or self._photo[0] != texts["photo"]:
                raise BadInput("the photo is not here any more", hint="drop it again")
            photos = self._photo[1]
        packs, name, how = user_packs(), texts["name"].strip(), texts["how"]
        enrol.demand_new(name, packs)
        ends = enrol.last_day(texts["until"]) if texts["until"] else None
        if how == "self":
            record = show.challenge(photos)
            pack = enrol.store(packs, name, photos, "self", record, ends)
        elif how == "consented":
            given = enrol.demand_consent(texts["consent"].encode(), "the consent", packs, photos)
            pack = enrol.store(packs, name, photos, "consented", enrol.how_signed(given), ends, given)
        elif how == "synthetic":
            pack = enrol.store(packs, name, photos, "synthetic", enrol.DECLARED, ends)
        elif how == "unverified":
            pack = enrol.store(packs, name, photos, "unverified", enrol.UNKNOWN, ends)
        else:
            raise BadInput("how did this person agree?", hint="self, consented, synthetic or unverified")
        with self._lock:
            self._photo = None
        return self._kept(pack.name)

    def remove(self, name: str) -> None:
        """Delete one of the kept faces. Raises BadInput."""
        user_packs().remove(name)

    def _kept(self, name: str) -> dict[str, Any]:
        packs = user_packs()
        try:
            pack = packs.open(name)
            gone = packs.is_withdrawn(pack)
        except DoppelcamError as error:
            return _face(name, name, "", "unverified", picture=False, why_not=error.message, removable=True)
        why = "the consent was withdrawn" if gone else pack.why_not(now())
        what = f"the model {pack.model}" if pack.model else "your photo" if len(pack.photos) == 1 else "your photos"
        return _face(
            name, name, what, pack.disclosure, picture=bool(pack.photos), why_not=why, removable=True,
            how=pack.how, until=f"{pack.expires:%Y-%m-%d}", days=max(0, (pack.expires - now()).days),
        )  # fmt: skip

    def _thumb(self, face: str, stamp: object, read: Any) -> bytes | None:
        held = self._thumbs.get(face)
        if held is None or held[0] != stamp:
            image = decoded(read())  # shipped, or written by doppelcam and signed
            if image is None:
                return None
            held = self._thumbs[face] = stamp, _square(image)
        return held[1]


def _model(name: str, card: ModelCard) -> dict[str, Any]:
    """A trained model of no face of the user's; a personal engine has the consent of the face that it was taught."""
    if card.family != PERSONAL:
        return _face(name, name, "a trained model", "unverified", picture=False)
    try:
        return _face(name, name, "a personal engine", choose(name).disclosure, picture=False)
    except DoppelcamError as error:
        return _face(name, name, "a personal engine", "unverified", picture=False, why_not=error.message)


def _face(
    id: str, name: str, what: str, disclosure: str, *, picture: bool = True, why_not: str = "", **more: Any
) -> dict[str, Any]:
    return {"id": id, "name": name, "what": what, "disclosure": disclosure, "picture": picture, "why_not": why_not,
            "removable": False, "how": "", "until": "", "days": None, **more}  # fmt: skip


def _square(image: Image) -> bytes:
    """The upper middle of a portrait, where its face is, as a small JPEG."""
    height, width = image.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, min((height - side) // 4, height - side)
    small = cv2.resize(
        image[top : top + side, left : left + side], (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA
    )
    done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert done, "a picture can be made a JPEG"
    return data.tobytes()
