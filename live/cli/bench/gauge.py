"""What the machine says about a run: processor time of each thread, memory, and a yardstick to compare machines by."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import cv2
import numpy as np
import psutil

_PIECES = 15


@dataclass
class Gauge:
    """Processor time and memory between `start` and `read`, the last of which counts."""

    _process: psutil.Process = field(default_factory=psutil.Process)
    _cpu_s: float = 0.0
    _wall_s: float = 0.0
    _threads: dict[int, float] = field(default_factory=dict)
    rss_start_mb: float = 0.0
    rss_end_mb: float = 0.0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    threads_s: dict[str, float] = field(default_factory=dict)

    def start(self) -> None:
        self._cpu_s, self._wall_s = time.process_time(), time.perf_counter()
        self._threads = self._by_thread()
        self.rss_start_mb = self._process.memory_info().rss / 1e6

    def read(self) -> None:
        """Threads are named as the loop names them; "others" are those of libraries (decoders, OpenCV, runtimes)."""
        self.cpu_s, self.wall_s = time.process_time() - self._cpu_s, time.perf_counter() - self._wall_s
        self.rss_end_mb = self._process.memory_info().rss / 1e6
        names = {t.native_id: t.name.removeprefix("doppelcam-") for t in threading.enumerate()}
        spent: dict[str, float] = {}
        for number, seconds in self._by_thread().items():
            name = names.get(number, "others")
            spent[name] = spent.get(name, 0.0) + seconds - self._threads.get(number, 0.0)
        self.threads_s = spent

    def _by_thread(self) -> dict[int, float]:
        return {thread.id: thread.user_time + thread.system_time for thread in self._process.threads()}


def yardstick_ms() -> float:
    """How long one core takes for a fixed piece of work (a blur of a 720p picture, a product of matrices); median."""
    picture = np.random.default_rng(1).integers(0, 255, (720, 1280, 3), np.uint8)
    matrix = picture[:, :720, 0].astype(np.float32)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        times = []
        for _ in range(_PIECES):
            began = time.thread_time_ns()
            cv2.GaussianBlur(picture, (9, 9), 2.0)
            cv2.gemm(matrix, matrix, 1.0, None, 0.0)  # type: ignore[call-overload]
            times.append((time.thread_time_ns() - began) / 1e6)
        return float(np.median(times))
    finally:
        cv2.setNumThreads(threads)
