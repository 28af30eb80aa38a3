"""The same face from frame to frame: numbers the tracks, carries a missed face on for a few frames."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from live.frame import Face, Floats
from live.settings import setting


@dataclass
class Tracks:
    """Remembers the faces of the frames before. Used on the engine thread only."""

    coast_frames: int = setting(3, "frames for which a missed face is swapped where it should be", low=0, high=15)
    linger_ms: float = setting(
        500, "how long a face that is not found is held to be still there", low=0, high=5000, step=50
    )

    faces: list[Face] = field(default_factory=list, init=False)
    """What to look for in the next frame: all faces of the last one, and those that are being missed."""

    _speeds: dict[int, Floats] = field(default_factory=dict, init=False)
    _missing: dict[int, tuple[Face, float]] = field(default_factory=dict, init=False)
    _next: int = field(default=1, init=False)

    def update(self, found: list[Face], position_s: float) -> tuple[list[Face], int]:
        """Take in what the finder found; answer the faces to swap now, and how many are lost from sight.

        A missed face moves on with its last speed and is swapped there for `coast_frames`; after that it counts
        as lost until `linger_ms` have passed or it is found again.
        """
        before = {face.track: face for face in self.faces}
        for face in found:
            if face.track not in before:
                face.track = self._again(face)
                before.pop(face.track, None)
            elif before[face.track].missed == 0:
                self._speeds[face.track] = face.points.mean(0) - before[face.track].points.mean(0)
            self._missing.pop(face.track, None)
        seen = {face.track for face in found}
        coasting = []
        for track, face in before.items():
            if track in seen:
                continue
            if face.missed < self.coast_frames:
                coasting.append(self._carry_on(face))
            else:
                self._missing.setdefault(track, (face, position_s))
        linger_s = self.linger_ms / 1000
        self._missing = {t: (f, s) for t, (f, s) in self._missing.items() if 0 <= position_s - s < linger_s}
        self.faces = found + coasting
        self._speeds = {t: v for t, v in self._speeds.items() if t in {f.track for f in self.faces}}
        return self.faces, len(self._missing)

    def _again(self, face: Face) -> int:
        """The number for a newly detected face: that of a missing face near it, else a new one."""
        candidates = {f.track: f for f, _ in self._missing.values()} | {f.track: f for f in self.faces if f.missed}
        for track, old in candidates.items():
            size = np.linalg.norm(old.points.max(0) - old.points.min(0))
            if np.linalg.norm(face.points.mean(0) - old.points.mean(0)) < 2 * size:
                return track
        self._next += 1
        return self._next - 1

    def _carry_on(self, face: Face) -> Face:
        step = self._speeds.get(face.track)
        if step is None:
            return replace(face, missed=face.missed + 1)
        step = step * 0.7**face.missed  # a face that is missed is often one that stops or turns
        mesh = None if face.mesh is None else face.mesh + np.append(step, np.float32(0))
        return replace(face, points=face.points + step, mesh=mesh, missed=face.missed + 1)
