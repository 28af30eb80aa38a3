"""When a free engine takes the next frame: just in time for those after it, and no stale one that is nearly replaced.

Threads that work one after the other are a chain. Whatever the first one does too early only waits, and grows old,
before the slowest; so it starts as late as it can without making anybody wait (just in time), on the newest picture
there is by then. And where the next picture comes within a small part of the slowest step, it is waited for: it costs
hardly a frame and saves a camera period of age. Both are decided from how long the steps took lately.

Where a thread cannot keep up with the camera, optional work is spared, step by step; it comes back when there is room.
What takes long, but only in some frames, is done in none that would be late by it.

Nothing here sleeps or reads a clock: times are given, so that tests run on any clock.
"""

from __future__ import annotations

import threading

_LATELY = 0.2  # the part of a new figure in a mean
_STRAY_PARTS = 0.5  # so many mean deviations early: more would make frames wait, less would make threads wait for one
_EARLY_NS = 1_000_000  # and what waking up takes
_WAIT_PART = 0.04  # the part of the slowest step that may be spent on waiting for a fresher picture
_FULL, _ROOM = 0.95, 0.7  # parts of the camera's period: a thread that works longer is too slow, one below has room
_SPARE_NS = 1_000_000_000  # between two changes of what is spared
MOST_SPARED = 3
_GAP = 4  # a picture that comes later than so many periods after the last says nothing about the period


class Usual:
    """The mean of a few figures lately, and their mean deviation from it."""

    def __init__(self) -> None:
        self.mean = self.stray = 0.0
        self._count = 0

    def add(self, value: float) -> None:
        part = max(_LATELY, 1 / (self._count + 1))
        self._count += 1
        if self._count > 1:
            self.stray += (abs(value - self.mean) - self.stray) * part
        self.mean += (value - self.mean) * part


class Pace:
    """Watches a chain of `threads`, 0 the first, each of which works on one frame at a time, in order.

    Every method may be called from any thread; times are nanoseconds of one clock.
    """

    def __init__(self, threads: int) -> None:
        self._lock = threading.Lock()
        self._steps = [Usual() for _ in range(threads)]
        self._began: list[int | None] = [None] * threads
        self._waiting = [0] * threads  # frames that lie before each thread, the first one's apart
        self._period = Usual()
        self._arrived_ns: int | None = None
        self._spared, self._spared_ns = 0, 0

    def arrived(self, now_ns: int) -> None:
        """A picture came in."""
        with self._lock:
            if self._arrived_ns is not None:
                gap = now_ns - self._arrived_ns
                if self._period.mean == 0 or gap < _GAP * self._period.mean:
                    self._period.add(gap)
            self._arrived_ns = now_ns

    def begin(self, thread: int, now_ns: int) -> None:
        """A thread starts on its next frame."""
        with self._lock:
            self._began[thread] = now_ns
            if thread:
                self._waiting[thread] -= 1

    def end(self, thread: int, now_ns: int) -> None:
        """It has done its part, and hands the frame on."""
        with self._lock:
            began = self._began[thread]
            assert began is not None, "begin() comes first"
            self._steps[thread].add(now_ns - began)
            self._began[thread] = None
            if thread + 1 < len(self._steps):
                self._waiting[thread + 1] += 1

    def hold_ns(self, now_ns: int) -> int:
        """How long the first thread, free now, had better wait before it takes the newest picture; 0: take it."""
        with self._lock:
            start = max(now_ns, self._just_in_time(now_ns))
            next_ns = self._next_picture()
            spend = _WAIT_PART * max(step.mean for step in self._steps)
            if next_ns is not None and start < next_ns <= start + spend:
                start = next_ns
            return max(0, int(start) - now_ns)

    def rest_ns(self) -> int:
        """How long the threads after the first one work on a frame."""
        with self._lock:
            return int(sum(step.mean for step in self._steps[1:]))

    def spare(self, thread: int, now_ns: int, extra_ns: int = 0) -> int:
        """How much optional work this thread shall leave out now: 0 nothing, up to MOST_SPARED.

        Not 0 either where it would be late with `extra_ns` more, which optional work takes in a single frame.
        """
        with self._lock:
            step = self._steps[thread]
            load = step.mean / self._period.mean if self._period.mean else 0.0
            change = (load > _FULL) - (load < _ROOM)
            if change and now_ns - self._spared_ns >= _SPARE_NS:
                self._spared = min(max(self._spared + change, 0), MOST_SPARED)
                self._spared_ns = now_ns
            late = step.mean + step.stray + extra_ns > _FULL * self._period.mean
            return max(self._spared, 1 if extra_ns and late else 0)

    def _just_in_time(self, now_ns: int) -> float:
        """The latest start with which no thread further on waits for the frame."""
        latest = float(now_ns)
        ahead, stray = self._steps[0].mean, self._steps[0].stray
        for thread, free in enumerate(self._free_at(now_ns)[1:], 1):
            early = _EARLY_NS + _STRAY_PARTS * (stray + self._steps[thread].stray)
            latest = max(latest, free - ahead - min(early, ahead))  # if it is free sooner, that costs `ahead` at most
            ahead += self._steps[thread].mean
        return latest

    def _free_at(self, now_ns: int) -> list[float]:
        """When each thread will be done with all the frames that are inside now."""
        free = [float(now_ns)] * len(self._steps)
        for at in range(len(self._steps) - 1, -1, -1):  # the frames further on are the older ones
            began = self._began[at]
            if began is not None:
                free[at] = max(now_ns, began + self._steps[at].mean)
                self._pass_on(free, at + 1, free[at])
            for _ in range(self._waiting[at]):
                self._pass_on(free, at, now_ns)
        return free

    def _pass_on(self, free: list[float], thread: int, ready: float) -> None:
        """Let a frame that is `ready` go through this thread and the following ones."""
        for k in range(thread, len(free)):
            ready = free[k] = max(ready, free[k]) + self._steps[k].mean

    def _next_picture(self) -> float | None:
        """When the next picture will have come."""
        if self._arrived_ns is None or self._period.mean == 0:
            return None
        return self._arrived_ns + self._period.mean + self._period.stray
