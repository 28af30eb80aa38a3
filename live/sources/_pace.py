"""Shows the frames of a recording when they are due."""

from __future__ import annotations

import time

from live.trace import clock


class Pace:
    """Waits for each frame's time. The first frame is due at once; after a long pause it goes on from there."""

    def __init__(self) -> None:
        self._start_ns: int | None = None

    def wait(self, position_s: float) -> int:
        """Sleep until this position's time; the clock time at which the frame was due."""
        now = clock()
        if self._start_ns is None or now - self._start_ns - position_s * 1e9 > 1e9:
            self._start_ns = now - int(position_s * 1e9)
        due = self._start_ns + int(position_s * 1e9)
        if due > now:
            time.sleep((due - now) / 1e9)
        return due
