"""The gate before the sinks: no frame with a bare face passes it. What is not known to be safe becomes a cover."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np

from live import frame as values
from live.align import CORE
from live.cover import draw_cover
from live.frame import Face, Format, Frame, Image, Patch, SafeFrame, State
from live.settings import setting
from live.trace import Ledger, Trace

STARTING = "starting"
ENDED = "stopped"
NO_FACE = "no face in sight"
LOST = "looking for the face"
NOT_COVERED = "the new face does not cover the old one"


@dataclass
class Guard:
    """Decides for each frame: live, the last live frame again, or a cover. `judge` and `stand_in` may be called
    from different threads.
    """

    on_no_face: str = setting(
        "cover",
        "what to show while there is no face: a cover, the last swapped picture, or the bare camera picture",
        choices=("cover", "hold", "show"),
    )
    hold_ms: float = setting(
        300, "how long the last swapped picture stays when a face is missed", low=0, high=2000, step=50
    )

    _ledger: Ledger | None = field(default=None, init=False)
    _format: Format | None = field(default=None, init=False)
    _covers: dict[str, Image] = field(default_factory=dict, init=False)
    _last: SafeFrame | None = field(default=None, init=False)
    _empty_since: float | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def open(self, format: Format, ledger: Ledger) -> None:
        """Set the size of the covers and where decisions are counted."""
        self._format, self._ledger = format, ledger
        self._covers.clear()
        self._last = self._empty_since = None

    def judge(self, frame: Frame) -> SafeFrame:
        """What to show for this frame. The frame's image is taken over: nobody may write to it again."""
        with self._lock:
            if frame.trouble is not None or frame.faces or frame.lost:
                self._empty_since = None
            if frame.trouble is not None:
                return self._cover(frame.trouble, frame.position_s)
            if frame.faces and not frame.lost:
                if frame.safe and len(frame.patches) == len(frame.faces):
                    self._last = self._mint(frame.image, "live", frame.position_s, frame.trace)
                    return self._last
                return self._cover(NOT_COVERED, frame.position_s)
            if frame.lost:
                return self._hold(frame.position_s, self.hold_ms, LOST)
            if self._empty_since is None:
                self._empty_since = frame.position_s
            if self.on_no_face == "show" and (frame.position_s - self._empty_since) * 1000 >= self.hold_ms:
                return self._mint(frame.image, "bare", frame.position_s, frame.trace)
            forever = self.on_no_face == "hold"
            return self._hold(frame.position_s, float("inf") if forever else self.hold_ms, NO_FACE)

    def stand_in(self, reason: str, position_s: float | None = None) -> SafeFrame:
        """A cover for when there is no frame to judge: before the first one, camera gone, engine stalled."""
        with self._lock:
            return self._cover(reason, position_s)

    def _hold(self, position_s: float, hold_ms: float, reason: str) -> SafeFrame:
        last = self._last
        if last is not None and last.position_s is not None:
            age_ms = (position_s - last.position_s) * 1000
            if 0 <= age_ms <= hold_ms:
                return self._mint(last.image, "hold", position_s, None)
        return self._cover(reason, position_s)

    def _cover(self, reason: str, position_s: float | None) -> SafeFrame:
        assert self._format is not None and self._ledger is not None, "open() comes first"
        if reason not in self._covers:
            self._covers[reason] = draw_cover(self._format.width, self._format.height, reason)
        self._ledger.cover(reason)
        return self._mint(self._covers[reason], "cover", position_s, None)

    def _mint(self, image: Image, state: State, position_s: float | None, trace: Trace | None) -> SafeFrame:
        if self._ledger is not None and state != "cover":
            self._ledger.count({"hold": "held"}.get(state, state))
        return SafeFrame(values._GUARDS_KEY, image, state, position_s, trace)


def covers_face(face: Face, patch: Patch, image: Image) -> bool:
    """Does the patch replace the face in this picture?

    True when the patch is well formed and its alpha is above one half at three quarters of the face's core points
    that lie inside the picture. Points that the patch says are hidden behind something need no new face, but a third
    of all must be covered even so: a patch that calls the whole face hidden is not believed.
    """
    height, width = image.shape[:2]
    rows, columns = patch.alpha.shape[:2]
    if (
        patch.pixels.shape != (rows, columns, 3)
        or patch.alpha.shape != (rows, columns)
        or patch.pixels.dtype != np.uint8
        or patch.alpha.dtype != np.uint8
        or (patch.hidden is not None and (patch.hidden.shape != (rows, columns) or patch.hidden.dtype != np.uint8))
        or not (0 <= patch.x <= width - columns and 0 <= patch.y <= height - rows)
    ):
        return False
    core = face.mesh[list(CORE), :2] if face.mesh is not None else face.points[2:3]
    if not np.isfinite(core).all():
        return False
    x, y = np.rint(core).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x[inside] - patch.x, y[inside] - patch.y
    hit = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    x, y = x[hit], y[hit]
    covers = patch.alpha[y, x] > 127
    excused = 0 if patch.hidden is None else int((~covers & (patch.hidden[y, x] > 127)).sum())
    covered, needed = int(covers.sum()), int(inside.sum())
    return covered * 4 >= 3 * (needed - excused) and covered * 3 >= needed
