"""One frame after the other on one thread: what each step costs by itself, and which whole pictures it allocates."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from live.intake import Intake
from live.loop import Loop
from live.mailbox import Closed
from live.spans import Spans
from live.steps import Steps
from live.trace import Ledger, clock

_WARM_UP, _COUNTED = 30, 12


@dataclass(frozen=True)
class Cost:
    """Of one step: processor time on all threads (mean, ms), time (median, ms), whole pictures allocated at once."""

    cpu_ms: float
    wall_ms: float
    pictures: float


def costs(loop: Loop, frames: int, tell: Callable[[int], None]) -> dict[str, Cost]:
    """Open the parts of this loop, put `frames` frames through its steps and close them. Raises what they raise.

    Only frames with a swapped face count. Allocations are counted in a few more frames, since counting slows things
    down: those that Python, NumPy and OpenCV make, not those inside of decoders, encoders and runtimes.
    """
    parts, guard, ledger, meter = loop.parts, loop.guard, Ledger(), _Meter()
    intake = Intake(parts, ledger, meter)
    steps = Steps(parts, guard, loop.tracks, loop.roles, ledger, meter, 1, clock)
    sinks = parts.sinks.values()
    cv2.setNumThreads(1)  # as the loop has it
    try:
        intake.open()
        assert intake.format is not None, "an opened source has a format"
        parts.finder.open()
        loop.roles.open(parts.finder)
        steps.worn = parts.persona(parts.finder)
        steps.put_on(parts.swapper, steps.worn)
        parts.blender.open()
        guard.open(intake.format, ledger, parts.marks)
        for sink in sinks:
            sink.open(intake.format)
        meter.picture_bytes = intake.format.width * intake.format.height * 3
        for number in range(frames + _COUNTED):
            tell(number)
            meter.begin(number >= _WARM_UP, number >= frames)
            try:
                frame = intake.read()
            except Closed:
                break
            assert frame is not None, "a file has all its pictures"
            for step in (steps.find, steps.swap, steps.blend, steps.mark):
                step(frame)
            with meter("guard"):
                shown = guard.judge(frame)
            with meter("write"):
                for sink in sinks:
                    sink.write(shown)
            if frame.faces and shown.state == "live":
                meter.keep()
        return meter.costs()
    finally:
        opened = (steps, guard, loop.roles, parts.source, parts.finder, parts.swapper, parts.blender)
        closes = (part.close for part in opened)
        for close in (*closes, *(sink.close for sink in sinks)):
            close()


class _Meter(Spans):
    """Spans that are summed up, instead of kept, for the frames that count."""

    def __init__(self) -> None:
        super().__init__()
        self.picture_bytes = 1
        self._cpu: dict[str, list[float]] = {}
        self._wall: dict[str, list[float]] = {}
        self._pictures: dict[str, list[float]] = {}
        self._now: dict[str, tuple[float, float, float]] = {}
        self._counts = self._allocations = False

    def begin(self, counts: bool, allocations: bool) -> None:
        """The next frame begins; does it count, and are allocations counted in it?"""
        self._now, self._counts, self._allocations = {}, counts, allocations
        if allocations and not tracemalloc.is_tracing():
            tracemalloc.start()

    @contextmanager
    def __call__(self, name: str, frame: int = 0) -> Iterator[None]:  # noqa: ARG002
        before = 0
        if self._allocations:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        peak = tracemalloc.get_traced_memory()[1] if self._allocations else 0
        self._now[name] = cpu * 1e3, wall * 1e3, max(0, peak - before) / self.picture_bytes

    def keep(self) -> None:
        """The frame was as expected: take its figures in."""
        if not self._counts:
            return
        for step, (cpu, wall, pictures) in self._now.items():
            if self._allocations:
                self._pictures.setdefault(step, []).append(pictures)
            else:
                self._cpu.setdefault(step, []).append(cpu)
                self._wall.setdefault(step, []).append(wall)

    def costs(self) -> dict[str, Cost]:
        tracemalloc.stop()
        return {
            step: Cost(
                float(np.mean(cpu)), float(np.median(self._wall[step])), float(np.median(self._pictures.get(step, [0])))
            )
            for step, cpu in self._cpu.items()
        }
