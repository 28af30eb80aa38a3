"""The last seconds of a microphone with the time of each sample, and a playhead that follows a time without clicks.

Sound cards, graphs and the system's clock do not run at quite the same speed. `Line` finds out the speed by a
delay-locked loop (F. Adriaensen, "Using a DLL to filter time", 2005).
"""

from __future__ import annotations

import threading

import numpy as np

from live.sound import Samples

_BANDWIDTH_HZ = 0.1
_LOST_S = 0.02
_MOST_OFF = 0.001  # no sound card's clock is further off


class Line:
    """Sample numbers against clock time. `observe` may be called with times that jitter by milliseconds."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._index: float | None = None
        self._ns = 0.0
        self._began_ns = 0.0
        self._ns_each = 1e9 / rate

    @property
    def known(self) -> bool:
        return self._index is not None

    def observe(self, index: int, ns: int) -> None:
        """Sample `index` was, or will be, there at `ns`."""
        if self._index is None or abs(ns - self.time_at(index)) > _LOST_S * 1e9:  # begin, or begin again after a gap
            self._index, self._ns, self._began_ns, self._ns_each = index, float(ns), float(ns), 1e9 / self.rate
            return
        step = index - self._index
        if step <= 0:
            return
        seconds = step / self.rate
        since_s = max((ns - self._began_ns) / 1e9, seconds)
        omega = min(2 * np.pi * max(_BANDWIDTH_HZ, 0.5 / since_s) * seconds, 0.5)  # fast at first
        error = ns - self.time_at(index)
        self._ns = self.time_at(index) + np.sqrt(2) * omega * error
        self._index = index
        nominal = 1e9 / self.rate
        each = self._ns_each + omega * omega * error / step
        self._ns_each = min(max(each, nominal * (1 - _MOST_OFF)), nominal * (1 + _MOST_OFF))

    def time_at(self, index: float) -> float:
        """Clock ns."""
        assert self._index is not None, "observe() comes first"
        return self._ns + (index - self._index) * self._ns_each

    def index_at(self, ns: float) -> float:
        assert self._index is not None, "observe() comes first"
        return self._index + (ns - self._ns) / self._ns_each


class Tape:
    """A ring of the last `seconds`. One thread writes, others read."""

    def __init__(self, rate: int, channels: int, seconds: float = 10.0) -> None:
        self.rate, self.channels = rate, channels
        self._ring = np.zeros((int(rate * seconds), channels), np.float32)
        self._lock = threading.Lock()
        self._line = Line(rate)
        self._end = 0

    @property
    def end(self) -> int:
        """The number of the first sample that is not there yet."""
        return self._end

    def write(self, samples: Samples, end_ns: int) -> None:
        """Add samples f32 [n, channels], the last of which was caught at `end_ns`."""
        with self._lock:
            missing = self._line.index_at(end_ns) - self._end - len(samples) if self._line.known else 0.0
            if missing > _LOST_S * self.rate:  # the graph had no time for us: silence in its place
                self._append(np.zeros((min(round(missing), len(self._ring)), self.channels), np.float32))
            self._append(samples)
            self._line.observe(self._end, end_ns)

    def _append(self, samples: Samples) -> None:
        samples = samples[-len(self._ring) :]
        self._ring[(self._end + np.arange(len(samples))) % len(self._ring)] = samples
        self._end += len(samples)

    def index_at(self, ns: float) -> float | None:
        """Which sample was caught then, also between two and beyond both ends; None before the first."""
        with self._lock:
            return self._line.index_at(ns) if self._line.known else None

    def time_at(self, index: float) -> float | None:
        with self._lock:
            return self._line.time_at(index) if self._line.known else None

    def read(self, places: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Samples:
        """The sound at these places (f64 [n]), by cubic interpolation (Catmull and Rom); silence beyond."""
        whole = np.floor(places).astype(np.int64)
        t = (places - whole).astype(np.float32)[:, None]
        with self._lock:
            size = len(self._ring)
            low = max(self._end - size, 0)
            a, b, c, d = (
                self._ring[(whole + k) % size] * ((whole + k >= low) & (whole + k < self._end))[:, None]
                for k in (-1, 0, 1, 2)
            )
        bend = a * -0.5 + b * 1.5 - c * 1.5 + d * 0.5
        slope = a - b * 2.5 + c * 2 - d * 0.5
        sound: Samples = ((bend * t + slope) * t + (c - a) * 0.5) * t + b
        return sound.astype(np.float32, copy=False)


class Head:
    """Reads a tape at a place that moves. It is late or early by little: it plays up to 0.5 % faster or slower until it
    is there. By much: it fades over to the right place.
    """

    MOST = 0.005
    JUMP_S = 0.03
    FADE_S = 0.01

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._at: float | None = None

    def read(self, count: int, wanted: float) -> Samples:
        """`count` samples, the first of which should be the tape's sample `wanted`."""
        rate, at = self._tape.rate, self._at
        steps = np.arange(count, dtype=np.float64)
        if at is None:
            self._at = wanted + count
            return self._tape.read(wanted + steps)
        error_s = (wanted - at) / rate
        if abs(error_s) > self.JUMP_S:
            self._at = wanted + count
            part = np.clip(steps / (self.FADE_S * rate), 0, 1).astype(np.float32)[:, None]
            return self._tape.read(at + steps) * (1 - part) + self._tape.read(wanted + steps) * part
        speed = 1 + min(max(error_s, -self.MOST), self.MOST)
        self._at = at + speed * count
        return self._tape.read(at + speed * steps)
