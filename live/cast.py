"""Who wears which face: each face in the picture gets a role, and each role a swapper; strangers are veiled.

A role is given by where somebody sits, by size, or by a picture of the wearer and a recogniser. Once given it stays
with the face for as long as it is followed, so that two who cross, or somebody who walks past in front, exchange
nothing. Who is not in the cast is a stranger. Without a recogniser nothing here knows people: a mesh's shape is no
identity. Whoever takes the wearer's place for long enough gets the wearer's role.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from engines.engine import Engine
from engines.errors import BadInput, EngineError
from live.abreast import begun
from live.frame import STRANGER, Face, Floats, Image, Patch, Persona
from live.parts import Finder, Swapper
from live.personas import open_persona
from live.recogniser import Recogniser, recogniser_card, unit
from live.settings import setting
from live.veil import veil

PLACES = ("largest", "left", "right", "everyone")
_NEAR, _ALIKE = 1.0, 1.34  # sizes that a face may have moved, and grown or shrunk by, since it was seen last
_AGAIN_S = 2.0  # after so long a face is looked at again by the recogniser
_UNSURE_S = 0.5  # ... one that is not known yet
_LOST = 0.1  # by so much less likeness is a role taken away than it is given for
_SMALL_PX, _TURNED = 40, 40  # faces that are smaller, or further turned in degrees, are not recognised


def split_who(spec: str) -> tuple[str, str]:
    """`left=aunt.jpg` as ("left", "aunt.jpg"); "" for a face that is given to nobody by name. Raises BadInput.

    WHO is one of PLACES or a picture of the wearer.
    """
    if "=" not in spec or Path(spec).expanduser().exists():
        return "", spec
    parts = spec.split("=")
    for k in range(1, len(parts)):
        who, face = "=".join(parts[:k]), "=".join(parts[k:])
        if face and (who in PLACES or Path(who).expanduser().is_file()):
            return who, face
    raise BadInput(
        f"--face {spec}: who is {parts[0]!r}?",
        hint=f"WHO=FACE: WHO is {', '.join(PLACES)}, or a picture of the one who wears it",
    )


@dataclass
class _Holder:
    """Who has a role: its track, and where it was seen last, how large and when."""

    track: int
    middle: Floats
    size: float
    at_s: float

    def is_like(self, face: Face, at_s: float) -> bool:
        """Could this be the same head, now?"""
        size = _size(face)
        grown = max(size, self.size) / max(min(size, self.size), 1e-3)
        near = _NEAR * self.size * (1 + min(abs(at_s - self.at_s), 2.0))
        return grown < _ALIKE and float(np.linalg.norm(face.points.mean(0) - self.middle)) < near


@dataclass
class _Likeness:
    """How much a tracked face looks like each wearer's picture: cosines by role, and when it was looked at."""

    to: dict[int, float]
    at_s: float


@dataclass
class Roles:
    """Gives each face its role. Used on the engine thread only; `whos` are the roles, one for each persona."""

    strangers: str = setting(
        "blur",
        "faces of people who are not in the cast: blur them, swap them too (with the first face), or leave them as "
        "they are, for all to see",
        choices=("blur", "swap", "leave"),
    )
    patience_s: float = setting(
        3.0, "how long a role waits for who had it, before somebody else may get it", low=0, high=600, step=0.5
    )
    likeness: float = setting(
        0.35,
        "how much (cosine) a face must look like the wearer's picture, where one is given",
        low=0,
        high=1,
        step=0.01,
    )
    recogniser: str = setting("", "which ArcFace knows the wearers; empty: the one that is installed")
    engine: str = setting("auto", "what runs the recogniser: auto, or RUNTIME[:DEVICE][:PRECISION]")
    fallback: bool = setting(False, "where that engine is not to be had, take the best other one")

    whos: tuple[str, ...] = field(default=("everyone",), init=False)
    _wearers: dict[int, Floats] = field(default_factory=dict, init=False)
    _net: Recogniser | None = field(default=None, init=False)
    _holders: dict[int, _Holder] = field(default_factory=dict, init=False)
    _likeness: dict[int, _Likeness] = field(default_factory=dict, init=False)

    def open(self, finder: Finder) -> None:
        """Looks at the wearers' pictures, if any. Raises NotAvailable without a recogniser, BadInput, ModelError."""
        pictures = {role: who for role, who in enumerate(self.whos) if who not in PLACES}
        if not pictures or self._net is not None:
            return
        self._net = Recogniser(recogniser_card(self.recogniser), self.engine, fallback=self.fallback)
        for role, who in pictures.items():
            wearer = open_persona(who, finder)
            if not wearer.views:
                raise BadInput(f"{who} is a trained model, no picture of a wearer")
            self._wearers[role] = unit(self._net.vector(wearer.image, wearer.face.points))

    @property
    def engines(self) -> list[Engine]:
        return [] if self._net is None else [self._net.engine]

    def close(self) -> None:
        if self._net is not None:
            self._net.close()
        self._net = None

    def cast(self, faces: list[Face], image: Image, at_s: float) -> list[Face]:
        """The faces with their roles; without the strangers, if they are to be left as they are.

        `at_s` is the frame's time. Each role but "everyone" is given to one face at most.
        """
        if self.whos == ("everyone",):
            return faces
        self._recognise(faces, image, at_s)
        free = {role: who for role, who in enumerate(self.whos) if who != "everyone"}
        rest = []
        for face in faces:
            role = next((role for role, h in self._holders.items() if h.track == face.track and role in free), None)
            if role is not None and self._stays(role, face, at_s):
                self._give(role, face, at_s)
                del free[role]
            else:
                rest.append(face)
        for role in sorted(free, key=lambda role: role not in self._wearers):  # who is known comes first
            best = self._best(role, rest, faces, image.shape[1], at_s)
            if best is not None:
                self._give(role, best, at_s)
                rest = [face for face in rest if face is not best]
        others = self.whos.index("everyone") if "everyone" in self.whos else 0 if self.strangers == "swap" else STRANGER
        for face in rest:
            face.role = others
        return [face for face in faces if face.role != STRANGER or self.strangers != "leave"]

    def _give(self, role: int, face: Face, at_s: float) -> None:
        face.role = role
        if not face.missed:
            self._holders[role] = _Holder(face.track, face.points.mean(0), _size(face), at_s)

    def _stays(self, role: int, face: Face, at_s: float) -> bool:
        """Whether who has this role keeps it: still the same head, as far as can be told."""
        if role in self._wearers:
            seen = self._likeness.get(face.track)
            return seen is None or seen.to[role] >= self.likeness - _LOST
        return face.missed or self._holders[role].is_like(face, at_s)

    def _best(self, role: int, rest: list[Face], faces: list[Face], width: int, at_s: float) -> Face | None:
        """Who of the rest gets this role now, if anybody."""
        rest = [face for face in rest if not face.missed]
        if role in self._wearers:
            likes = [(self._likeness[face.track].to[role], face) for face in rest if face.track in self._likeness]
            most = max(likes, key=lambda one: one[0], default=None)
            return most[1] if most is not None and most[0] >= self.likeness else None
        holder = self._holders.get(role)
        if holder is not None and 0 <= at_s - holder.at_s < self.patience_s:
            back = [face for face in rest if holder.is_like(face, at_s)]
            return min(back, key=lambda face: float(np.linalg.norm(face.points.mean(0) - holder.middle)), default=None)
        if self.whos[role] == "largest":
            return max(rest, key=_size, default=None)
        order = sorted(faces, key=lambda face: float(face.points[:, 0].mean()))
        if len(order) == 1:
            side = "left" if order[0].points[:, 0].mean() < width / 2 else "right"
            return order[0] if rest and side == self.whos[role] else None
        end = order[:1] if self.whos[role] == "left" else order[-1:]
        return next((face for face in end if any(face is one for one in rest)), None)

    def _recognise(self, faces: list[Face], image: Image, at_s: float) -> None:
        """Look at one face a frame at most: the one that was not looked at for longest."""
        if self._net is None:
            return
        self._likeness = {face.track: self._likeness[face.track] for face in faces if face.track in self._likeness}

        def waits_s(face: Face) -> float:
            seen = self._likeness.get(face.track)
            if seen is None:
                return float("inf")
            sure = max(seen.to.values()) >= self.likeness
            return abs(at_s - seen.at_s) - (_AGAIN_S if sure else _UNSURE_S)

        due = [
            face for face in faces
            if not face.missed and _size(face) >= _SMALL_PX / 2 and abs(face.pose[0]) < _TURNED and waits_s(face) > 0
        ]  # fmt: skip
        if not due:
            return
        face = max(due, key=waits_s)
        try:
            vector = unit(self._net.vector(image, face.points))
        except EngineError:
            return  # who is not recognised stays who they are
        now = {role: float(vector @ wearer) for role, wearer in self._wearers.items()}
        before = self._likeness.get(face.track)
        if before is not None:
            now = {role: (value + before.to[role]) / 2 for role, value in now.items()}
        self._likeness[face.track] = _Likeness(now, at_s)


@dataclass
class Cast:
    """Swapper made of swappers, one for each role; strangers, and faces that theirs cannot draw, are veiled."""

    swappers: list[Swapper]
    _spare: int = field(default=0, init=False, repr=False)

    wears_model: ClassVar[bool] = False
    needs_mesh: ClassVar[bool] = False

    @property
    def spare(self) -> int:
        return self._spare

    @spare.setter
    def spare(self, level: int) -> None:
        self._spare = level
        for swapper in self.swappers:
            if hasattr(swapper, "spare"):
                swapper.spare = level

    @property
    def extra_ms(self) -> float:
        return sum(getattr(swapper, "extra_ms", 0.0) for swapper in self.swappers)

    @property
    def wants_irises(self) -> bool:
        return any(getattr(swapper, "wants_irises", True) for swapper in self.swappers)

    @property
    def stood_in(self) -> bool:
        return any(getattr(swapper, "stood_in", False) for swapper in self.swappers)

    @property
    def drawn(self) -> bool:
        return all(swapper.drawn for swapper in self.swappers)

    @property
    def engines(self) -> list[Engine]:
        return [engine for swapper in self.swappers for engine in getattr(swapper, "engines", ())]

    def open(self) -> None:
        for swapper in self.swappers:
            swapper.open()

    def close(self) -> None:
        for swapper in self.swappers:
            swapper.close()

    def wear(self, persona: Persona) -> None:
        for swapper, one in zip(self.swappers, (persona, *persona.others), strict=True):
            swapper.wear(one)

    def catch_up(self) -> None:
        for swapper in self.swappers:
            if hasattr(swapper, "catch_up"):
                swapper.catch_up()

    def swap(self, image: Image, face: Face) -> Patch:
        return self.begin(image, face)()

    def begin(self, image: Image, face: Face) -> Callable[[], Patch]:
        swapper = None if face.role == STRANGER else self.swappers[face.role]
        if swapper is None or (swapper.needs_mesh and face.mesh is None):
            return partial(veil, image, face)
        return begun(swapper, image, face)


def _size(face: Face) -> float:
    """The diagonal of the five points: it shrinks less than the eyes' distance when a head turns."""
    return float(np.linalg.norm(face.points.max(0) - face.points.min(0)))


def each_of(swapper: Swapper) -> list[Swapper]:
    """The swappers that draw: those of a cast, or this one."""
    return swapper.swappers if isinstance(swapper, Cast) else [swapper]
