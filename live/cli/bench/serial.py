"""One frame after the other on one thread: what each step costs by itself, and which whole pictures it allocates."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from live.frame import Frame
from live.guard import Guard, covers_face
from live.parts import EndOfSource, Parts
from live.trace import Ledger, Trace
from live.track import Tracks

_WARM_UP, _COUNTED = 30, 12


@dataclass(frozen=True)
class Cost:
    """Of one step: processor time on all threads (mean, ms), time (median, ms), whole pictures allocated at once."""

    cpu_ms: float
    wall_ms: float
    pictures: float


def costs(parts: Parts, guard: Guard, tracks: Tracks, frames: int, tell: Callable[[int], None]) -> dict[str, Cost]:
    """Open the parts, put `frames` frames through them and close them again. Raises what they raise.

    Only frames with a swapped face count. Allocations are counted in a few more frames, since counting slows things
    down: those that Python, NumPy and OpenCV make, not those inside of decoders, encoders and runtimes.
    """
    finder, swapper, blender, source, sinks = (
        parts.finder, parts.swapper, parts.blender, parts.source, parts.sinks.values(),
    )  # fmt: skip
    cv2.setNumThreads(1)  # as the loop has it
    try:
        format = source.open()
        finder.open()
        persona = parts.persona(finder)
        swapper.open()
        swapper.wear(persona)
        blender.open()
        guard.open(format, Ledger(), parts.marks)
        guard.wear(persona)
        for sink in sinks:
            sink.open(format)
        meter = _Meter(format.width * format.height * 3)
        for number in range(frames + _COUNTED):
            tell(number)
            meter.begin(number >= _WARM_UP, number >= frames)
            with meter("read"):
                try:
                    captured = source.read()
                except EndOfSource:
                    break
            frame = Frame(number, captured.image, captured.position_s, Trace(captured.captured_ns))
            with meter("find"):
                found = finder.find(frame.image, tracks.faces)
            with meter("track"):
                frame.faces, frame.lost = tracks.update(found, frame.position_s, frame.image)
            with meter("swap"):
                frame.patches = [swapper.swap(frame.image, face) for face in frame.faces]
            with meter("blend"):
                pairs = list(zip(frame.faces, frame.patches, strict=True))
                frame.safe = all(covers_face(face, patch, frame.image) for face, patch in pairs)
                for face, patch in pairs:
                    blender.blend(frame.image, face, patch)
            with meter("mark"):
                guard.mark(frame)
            with meter("guard"):
                shown = guard.judge(frame)
            with meter("write"):
                for sink in sinks:
                    sink.write(shown)
            if frame.faces and shown.state == "live":
                meter.keep()
        return meter.costs()
    finally:
        for close in (
            guard.close,
            source.close,
            finder.close,
            swapper.close,
            blender.close,
            *(sink.close for sink in sinks),
        ):
            close()


class _Meter:
    def __init__(self, picture_bytes: int) -> None:
        self._picture_bytes = picture_bytes
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
    def __call__(self, step: str) -> Iterator[None]:
        before = 0
        if self._allocations:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        peak = tracemalloc.get_traced_memory()[1] if self._allocations else 0
        self._now[step] = cpu * 1e3, wall * 1e3, max(0, peak - before) / self._picture_bytes

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
