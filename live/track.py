"""The same face from frame to frame: numbers the tracks, steadies them, carries a missed face on for a few frames."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from live.align import LEFT_EYE, RIGHT_EYE, face_from_mesh
from live.frame import Face, Floats, Image
from live.settings import setting
from live.steady import Steady

# A face that moves faster than this part of its size in one frame of 30 a second may be anywhere when it is missed.
_CALM = 0.15 * 30


@dataclass
class Tracks:
    """Remembers the faces of the frames before. Used on the engine thread only."""

    coast_ms: float = setting(
        100, "how long a missed face is swapped where it should be by now", low=0, high=150, step=10, live=True
    )
    linger_ms: float = setting(
        500, "how long a face that is not found is held to be still there", low=300, high=5000, step=50, live=True
    )
    steady: float = setting(
        1.0, "how calm the points are held; 0: just as the finder gives them", low=0, high=1, step=0.1
    )

    faces: list[Face] = field(default_factory=list, init=False)
    """What to look for in the next frame: all faces of the last one, those that are being missed among them.
    They are the steady ones: they are at least as near, and keep the finder's crop still, which calms its net."""

    _found: dict[int, _Found] = field(default_factory=dict, init=False)
    _steady: dict[int, Steady] = field(default_factory=dict, init=False)
    _next: int = field(default=1, init=False)

    def update(self, found: list[Face], position_s: float, image: Image | None = None) -> tuple[list[Face], int]:
        """Take in what the finder found; answer the faces to swap now, and how many are lost from sight.

        A missed face moves on with its last speed and is swapped there for `coast_ms`, unless it moved fast. After
        that it counts as lost until it is found again or `linger_ms` have passed. `position_s` is the frame's time.
        With the `image` that they were found in, meshes are steadied (`live/steady.py`).
        """
        gone = dict(self._found)
        for face in found:
            gone.pop(face.track, None)
        for face in found:
            if face.track not in self._found:
                face.track = self._again(face, gone)
                gone.pop(face.track, None)
        if image is not None and self.steady > 0:
            found = [self._steadied(face, position_s, image) for face in found]
        coasting = []
        for track, last in gone.items():
            if position_s < last.at_s:  # the clock went back: the face is missed since now, not forgotten
                self._found[track] = last = replace(last, at_s=position_s)
            missing_s = position_s - last.at_s
            calm = float(np.linalg.norm(last.speed)) <= _CALM * last.size
            if calm and missing_s <= self.coast_ms / 1000:
                coasting.append(last.moved_on(missing_s))
            elif missing_s >= self.linger_ms / 1000:
                del self._found[track]
                self._steady.pop(track, None)
        for face in found:
            self._found[face.track] = _Found.since(self._found.get(face.track), face, position_s)
        self.faces = found + coasting
        return self.faces, len(self._found) - len(self.faces)

    def _steadied(self, face: Face, position_s: float, image: Image) -> Face:
        if face.mesh is None:
            return face
        steady = self._steady.setdefault(face.track, Steady(self.steady))
        mesh = steady.update(image, face.mesh, position_s)
        irises = face.irises
        if irises is not None:  # they stay where they are between the lids
            moved = [(mesh - face.mesh)[list(eye), :2].mean(0) for eye in (RIGHT_EYE, LEFT_EYE)]
            irises = irises + np.pad(np.array(moved, np.float32), ((0, 0), (0, 1)))
        return replace(face_from_mesh(mesh, face.score, face.track), irises=irises)

    def _again(self, face: Face, gone: dict[int, _Found]) -> int:
        """The number for a newly detected face: that of a face that has just gone near it, else a new one."""
        middle = face.points.mean(0)
        far = {track: float(np.linalg.norm(middle - last.face.points.mean(0))) for track, last in gone.items()}
        nearest = min(far, key=far.__getitem__, default=None)
        if nearest is not None and far[nearest] < 2 * gone[nearest].size:
            return nearest
        self._next += 1
        return self._next - 1


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a face was when it was last really found, and its speed in pixels a second."""

    face: Face
    at_s: float
    speed: Floats
    size: float

    @classmethod
    def since(cls, before: _Found | None, face: Face, at_s: float) -> _Found:
        speed = np.zeros(2, np.float32)
        if before is not None and at_s > before.at_s:
            speed = (face.points.mean(0) - before.face.points.mean(0)) / np.float32(at_s - before.at_s)
        return cls(face, at_s, speed, float(np.linalg.norm(face.points.max(0) - face.points.min(0))))

    def moved_on(self, seconds: float) -> Face:
        step = self.speed * np.float32(seconds)
        mesh = None if self.face.mesh is None else self.face.mesh + np.append(step, np.float32(0))
        irises = None if self.face.irises is None else self.face.irises + np.append(step, np.float32(0))
        return replace(self.face, points=self.face.points + step, mesh=mesh, irises=irises, missed=True)
