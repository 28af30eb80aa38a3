"""Loads with given costs, as the field knows them, and simulated parts that take just so long: for `bench overload`.

The pictures are tiny and their face is a square, so that all that is measured is the loop: who waits for whom, which
frames are dropped, and how old a frame is when a sink has it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from live.frame import Captured, Face, Format, Image, Patch, Persona, SafeFrame, View
from live.guard import Guard
from live.loop import Loop, LoopSettings
from live.parts import Finder, Parts
from live.trace import Clock, Ledger, clock
from live.track import Tracks

Work = Callable[[float], None]
"""Takes so many seconds: by sleeping, by spinning, or on a test's own clock."""

_SIDE = 32
_FACE = slice(8, 24)
_SLACK, _OVERHEAD_MS = 1.1, 4.0


@dataclass(frozen=True)
class Situation:
    """What each step costs in ms. `jitter_ms`: the swap takes so much more or less, evenly spread, the finder a third
    of that; `spike_ms`: what every twentieth swap takes more. `drawn`: the swap is drawn, on the pixels thread.
    """

    name: str
    camera: float
    find: float = 0.0
    swap: float = 0.0
    blend: float = 0.0
    sinks: tuple[float, ...] = (0.0,)
    read: float = 0.0
    jitter_ms: float = 0.0
    spike_ms: float = 0.0
    drawn: bool = False

    @property
    def period_ms(self) -> float:
        """Between two pictures that come in."""
        return max(1000 / self.camera, self.read)

    @property
    def resources(self) -> list[float]:
        """How long each thread works on a frame."""
        if self.drawn:
            return [self.find, self.swap + self.blend]
        return [self.find, self.swap, self.blend]

    def work_ms(self, sink: int = 0) -> float:
        """All steps of a frame up to this sink."""
        return self.read + self.find + self.swap + self.blend + self.sinks[sink]

    def allowed_fps(self, sink: int = 0) -> float:
        """What the slowest thread on the way to this sink allows."""
        slowest = max(self.period_ms, self.sinks[sink], *self.resources)
        spike = max(slowest, self.swap + self.spike_ms)  # nothing is shown while one lasts
        return 1000 / (slowest + (spike - slowest) / 20)

    def bound_ms(self, sink: int = 0) -> float:
        """What the median age may be: hardly more than the work, and half a period wherever one is slower than what
        comes to it, since what it takes then is anything from new to one period old.
        """
        wait, period = 0.0, 1000 / self.camera
        for slowest in (self.read, max(self.resources), self.sinks[sink]):
            if slowest > period:
                wait += period / 2
                period = slowest
        return _SLACK * self.work_ms(sink) + _OVERHEAD_MS + wait


SITUATIONS = (
    Situation("light: find 10, swap 10", 30, find=10, swap=10),
    Situation("find 20, swap 40", 30, find=20, swap=40),
    Situation("find 20, swap 80", 30, find=20, swap=80),
    Situation("one step of 60", 30, swap=60),
    Situation("67 in six steps, slowest 40", 30, find=14, swap=40, blend=10, sinks=(3,)),
    Situation("94 in six steps, slowest 60", 30, find=20, swap=60, blend=11, sinks=(3,)),
    Situation("swap 100 +/- 40", 30, swap=100, jitter_ms=40),
    Situation("find 20 +/- 5, swap 40 +/- 15", 30, find=20, swap=40, jitter_ms=15),
    Situation("camera 60: find 5, swap 8", 60, find=5, swap=8, blend=2),
    Situation("camera 60: find 20, swap 40", 60, find=20, swap=40),
    Situation("slow blend: find 10, blend 45", 30, find=10, blend=45),
    Situation("drawn: find 8, swap 6", 30, find=8, swap=6, blend=1, drawn=True),
    Situation("drawn: find 10, swap 50", 30, find=10, swap=50, blend=5, drawn=True),
    Situation("slow source: read 50", 30, read=50, find=10, swap=10),
    Situation("slow sink of two: 80", 30, find=10, swap=10, sinks=(1, 80)),
    Situation("spikes: every 20th swap 150", 30, find=5, swap=10, spike_ms=140),
)


@dataclass
class Shown:
    """What a sink saw: how many frames, how old (ms), and how many came after a newer one."""

    ages_ms: list[float] = field(default_factory=list)
    out_of_order: int = 0


@dataclass
class _Camera:
    """Source: a picture every period, the newest one when it is asked late, as a driver with one buffer gives it."""

    situation: Situation
    work: Work
    clock: Clock
    _start: int = field(default=0, init=False)
    _number: int = field(default=0, init=False)

    def open(self) -> Format:
        self._start, self._number = self.clock(), 0
        return Format(_SIDE, _SIDE, self.situation.camera)

    def read(self) -> Captured:
        period = 1e9 / self.situation.camera
        now = self.clock()
        self._number = max(self._number + 1, int((now - self._start) / period))
        due = self._start + int(self._number * period)
        if due > now:
            self.work(-(due - now) / 1e9)
        self.work(self.situation.read / 1e3)
        return Captured(np.full((_SIDE, _SIDE, 3), 90, np.uint8), due, self._number / self.situation.camera)

    def close(self) -> None: ...


@dataclass
class _Finder:
    cost: Callable[[], float]
    work: Work

    def open(self) -> None: ...

    def find(self, image: Image, previous: list[Face]) -> list[Face]:  # noqa: ARG002
        self.work(self.cost())
        low, high = _FACE.start, _FACE.stop - 1
        points = np.array([[low, low], [high, low], [(low + high) / 2] * 2, [low, high], [high, high]], np.float32)
        return [Face(points, None, 1.0, track=1)]

    def close(self) -> None: ...


@dataclass
class _NetSwapper:
    drawn: ClassVar[bool] = False
    wears_model: ClassVar[bool] = False
    needs_mesh: ClassVar[bool] = False

    cost: Callable[[], float]
    work: Work

    def open(self) -> None: ...

    def wear(self, persona: Persona) -> None: ...

    def swap(self, image: Image, face: Face) -> Patch:  # noqa: ARG002
        self.work(self.cost())
        return Patch(np.zeros((16, 16, 3), np.uint8), np.full((16, 16), 255, np.uint8), _FACE.start, _FACE.start)

    def close(self) -> None: ...


class _DrawnSwapper(_NetSwapper):
    drawn: ClassVar[bool] = True


@dataclass
class _Blender:
    cost: Callable[[], float]
    work: Work

    def open(self) -> None: ...

    def blend(self, image: Image, face: Face, patch: Patch) -> None:  # noqa: ARG002
        image[_FACE, _FACE] = patch.pixels
        self.work(self.cost())

    def close(self) -> None: ...


@dataclass
class _Sink:
    outgoing: ClassVar[bool] = False

    cost: float
    work: Work
    clock: Clock
    shown: Shown
    _last_s: float = field(default=-1.0, init=False)

    def open(self, format: Format) -> None: ...

    def write(self, frame: SafeFrame) -> None:
        self.work(self.cost)
        if frame.trace is None or frame.position_s is None:
            return
        self.shown.ages_ms.append((self.clock() - frame.trace.stamps["captured"]) / 1e6)
        self.shown.out_of_order += frame.position_s <= self._last_s
        self._last_s = frame.position_s

    def close(self) -> None: ...


def make(situation: Situation, work: Work, now: Clock = clock) -> tuple[Loop, list[Shown]]:
    """The real loop with parts that cost what the situation says, and what its sinks see."""
    rng = random.Random(7)
    frames = 0

    def swap_s() -> float:
        nonlocal frames
        frames += 1
        more = rng.uniform(-1, 1) * situation.jitter_ms + (situation.spike_ms if frames % 20 == 0 else 0)
        return max(0.0, situation.swap + more) / 1e3

    def find_s() -> float:
        return max(0.0, situation.find + rng.uniform(-1, 1) * (situation.jitter_ms / 3 if situation.find else 0)) / 1e3

    shown = [Shown() for _ in situation.sinks]
    parts = Parts(
        source=_Camera(situation, work, now),
        finder=_Finder(find_s, work),
        swapper=(_DrawnSwapper if situation.drawn else _NetSwapper)(swap_s, work),
        blender=_Blender(lambda: situation.blend / 1e3, work),
        sinks={
            f"sink {k}": _Sink(cost / 1e3, work, now, seen)
            for k, (cost, seen) in enumerate(zip(situation.sinks, shown, strict=True))
        },
        persona=_nobody,
    )
    return Loop(parts, Guard(), Tracks(), LoopSettings(), ledger=Ledger(now), clock=now), shown


def _nobody(finder: Finder) -> Persona:  # noqa: ARG001
    face = Face(np.zeros((5, 2), np.float32), None, 1.0)
    return Persona("nobody", (View(np.zeros((4, 4, 3), np.uint8), face),))


def sleep(seconds: float) -> None:
    """Work that leaves the processor free, as a net on a GPU does. Less than 0: waiting, not work."""
    if seconds:
        time.sleep(abs(seconds))


def spin(seconds: float) -> None:
    """Work that keeps one core busy, without the GIL, as a net on the CPU does."""
    if seconds < 0:
        time.sleep(-seconds)
        return
    import zlib

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        zlib.crc32(_BLOCK)


_BLOCK = bytes(200_000)
