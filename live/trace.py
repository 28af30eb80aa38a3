"""Stamps on each frame, the Ledger that sums them, and the clock that both read."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

Clock = Callable[[], int]
"""Nanoseconds that only grow. On Linux `perf_counter_ns` is CLOCK_MONOTONIC, as in V4L2's capture times."""

clock: Clock = time.perf_counter_ns

# The stations of a frame, in order; the time of a step is the time since the station before.
STATIONS = ("captured", "taken", "found", "swapped", "blended", "marked", "shown")
STEPS = {"taken": "wait", "found": "find", "swapped": "swap", "blended": "blend", "marked": "mark", "shown": "show"}
_DELAY_FRAMES = 60


class Histogram:
    """Milliseconds counted in bins of 0.05 ms up to 2 s: percentiles of an endless run in constant memory."""

    BIN_MS = 0.05
    BINS = 40_000

    def __init__(self) -> None:
        self._bins = np.zeros(self.BINS, np.int64)
        self.count = 0
        self.max_ms = 0.0

    def add(self, ms: float) -> None:
        self._bins[min(max(int(ms / self.BIN_MS), 0), self.BINS - 1)] += 1
        self.count += 1
        self.max_ms = max(self.max_ms, ms)

    def percentile(self, percent: float) -> float:
        """The middle of the bin in which the percentile lies; 0.0 when nothing was counted."""
        if self.count == 0:
            return 0.0
        rank = max(1, int(np.ceil(self.count * percent / 100)))
        index = int(np.searchsorted(np.cumsum(self._bins), rank))
        return self.max_ms if index >= self.BINS - 1 else min((index + 0.5) * self.BIN_MS, self.max_ms)

    def share_below(self, ms: float) -> float:
        """Percent of the counted values that are at most `ms`."""
        if self.count == 0:
            return 100.0
        return 100.0 * float(self._bins[: int(ms / self.BIN_MS) + 1].sum()) / self.count

    def report(self) -> dict[str, float]:
        parts = {f"p{p}": round(self.percentile(p), 2) for p in (50, 95, 99)}
        return {**parts, "max": round(self.max_ms, 2), "count": self.count}


class Trace:
    """When one frame, by its number, passed each station, in clock nanoseconds; what was spared in it."""

    __slots__ = ("number", "spare", "stamps")

    def __init__(self, captured_ns: int, number: int = 0) -> None:
        self.stamps = {"captured": captured_ns}
        self.number = number
        self.spare = 0

    def stamp(self, station: str, now_ns: int) -> None:
        self.stamps[station] = now_ns


class Ledger:
    """Sums up what happened to all frames. Every method may be called from any thread."""

    def __init__(self, clock: Clock = clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.period_ms = 1000 / 30
        self._sinks: dict[str, Counter[str]] = {}
        self._delays: dict[str, float] = {}  # of each sink that shows at once
        self._engines: dict[str, dict[str, str]] = {}
        self._marks: dict[str, Any] = {}
        self.restart()

    def restart(self) -> None:
        """Forget all figures so far, as a bench does when things have warmed up; frames that are inside count on."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        self._counts: Counter[str] = Counter()
        self._covers: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._steps = {name: Histogram() for name in STEPS.values() if name != "show"}
        self._ages: dict[str, Histogram] = {sink: Histogram() for sink in self._sinks}
        self._sinks = {sink: Counter() for sink in self._sinks}
        self._age = Histogram()
        self._late = 0
        self._delays = dict.fromkeys(self._delays, 0.0)
        self._began_ns: int | None = None
        self._first_live_ns: int | None = None
        self._made_ns = self._clock()
        self._recent: list[tuple[int, str, float]] = []

    def count(self, what: str, n: int = 1) -> None:
        """Count frames: captured, dropped_entrance, processed, live, held, bare, failed, stood_in (for
        a personal engine), engine_lost, source_lost.
        """
        with self._lock:
            if what == "captured" and self._began_ns is None:
                self._began_ns = self._clock()
            self._counts[what] += n

    def cover(self, reason: str) -> None:
        with self._lock:
            self._covers[reason] += 1

    def error(self, line: str) -> None:
        """Count an error by its one-line description (never holds picture data or file contents)."""
        with self._lock:
            self._errors[line] += 1

    def engines_of(self, part: object) -> None:
        """Note what the models of an opened part run on."""
        for engine in getattr(part, "engines", ()):
            self.engine(engine.model, str(engine.variant), engine.fallback)

    def engine(self, model: str, runs_on: str, fallback: str) -> None:
        """Note what a model runs on, and why that is not what was asked for, if so."""
        with self._lock:
            self._engines[model] = {"runs_on": runs_on, **({"fallback": fallback} if fallback else {})}

    def marks(self, names: list[str], session: int, reason: str) -> None:
        """Note the marks in the pictures, the session's number, and why there is no label, where that was asked for."""
        with self._lock:
            self._marks = {"in_picture": names, "session": f"{session:06x}", "reason": reason}

    def processed(self, trace: Trace) -> None:
        """A frame left the pixels stage: add up its steps."""
        with self._lock:
            self._counts["processed"] += 1
            before = trace.stamps["captured"]
            for station in STATIONS[1:-1]:
                now = trace.stamps.get(station)
                if now is None:
                    return
                self._steps[STEPS[station]].add((now - before) / 1e6)
                before = now

    def add_sink(self, sink: str, *, timed: bool = False) -> None:
        """`timed`: pictures go there with their times, so that its age says nothing about when they are seen."""
        with self._lock:
            if not timed:
                self._delays[sink] = 0.0
            self._sinks[sink] = Counter()
            self._ages[sink] = Histogram()

    def dropped(self, sink: str) -> None:
        with self._lock:
            self._sinks[sink]["dropped"] += 1

    def shown(self, sink: str, trace: Trace | None) -> None:
        """A sink finished writing a frame. `trace` is None for covers and held frames, which have no age."""
        now = self._clock()
        with self._lock:
            self._sinks[sink]["shown"] += 1
            if trace is None:
                return
            if self._first_live_ns is None:
                self._first_live_ns = now
            age_ms = (now - trace.stamps["captured"]) / 1e6
            self._ages[sink].add(age_ms)
            self._age.add(age_ms)
            if sink in self._delays:
                shown = min(self._ages[sink].count, _DELAY_FRAMES)
                step = (age_ms - self._delays[sink]) / shown
                # Once it is known, a late frame now and then shifts the sound by no more than this.
                self._delays[sink] += step if shown < _DELAY_FRAMES else min(max(step, -0.5), 0.5)
            self._late += age_ms > 2 * self.period_ms
            self._recent.append((now, sink, age_ms))
            if len(self._recent) > 240:
                del self._recent[:120]

    @property
    def sound_delay_ms(self) -> float:
        """How much later than the sound the picture is seen: the smoothed age at the first sink that shows at once."""
        with self._lock:
            return next(iter(self._delays.values()), 0.0)

    def status(self, only: str = "") -> dict[str, float]:
        """The last two seconds for a status line: fps and age in ms of swapped frames, drops and covers so far.

        fps and age are those of all sinks together, or of `only` one.
        """
        now = self._clock()
        with self._lock:
            ages = [age for then, sink, age in self._recent if now - then < 2_000_000_000 and only in ("", sink)]
            span_s = min(2.0, (now - (self._began_ns or now)) / 1e9) or 1.0
            return {
                "fps": len(ages) / span_s / (1 if only else max(1, len(self._sinks))),
                "age_p50": float(np.percentile(ages, 50)) if ages else 0.0,
                "sound_delay": next(iter(self._delays.values()), 0.0),
                "age_p95": float(np.percentile(ages, 95)) if ages else 0.0,
                "dropped": self._dropped(),
                "covers": sum(self._covers.values()),
            }

    def _dropped(self) -> int:
        return self._counts["dropped_entrance"] + sum(c["dropped"] for c in self._sinks.values())

    def notes(self) -> dict[str, Any]:
        """What the report has besides figures: covers and errors by their words, what every model runs on."""
        with self._lock:
            return self._notes()

    def _notes(self) -> dict[str, Any]:
        return {
            "covers": dict(self._covers),
            "errors": dict(self._errors),
            "engines": {model: dict(facts) for model, facts in self._engines.items()},
        }

    def report(self) -> dict[str, Any]:
        """Everything as one JSON-able tree; ages and steps in ms."""
        with self._lock:
            seconds = (self._clock() - (self._began_ns or self._made_ns)) / 1e9
            count = self._counts
            return {
                "seconds": round(seconds, 3),
                "frames": {
                    "in": count["captured"],
                    "processed": count["processed"],
                    "live": count["live"],
                    "held": count["held"],
                    "bare": count["bare"],
                    "failed": count["failed"],
                    "stood_in": count["stood_in"],
                    "per_second": round(count["processed"] / seconds, 2) if seconds > 0 else 0.0,
                },
                "dropped": {
                    "entrance": count["dropped_entrance"],
                    **{sink: c["dropped"] for sink, c in self._sinks.items()},
                },
                "source_lost": count["source_lost"],
                "engine_lost": count["engine_lost"],
                "age_ms": self._age.report(),
                "sound_delay_ms": round(next(iter(self._delays.values()), 0.0), 1),
                "late_by_2_periods": int(self._late),
                "percent_in_time": round(self._age.share_below(self.period_ms), 2),
                "period_ms": round(self.period_ms, 3),
                "steps_ms": {name: h.report() for name, h in self._steps.items()},
                "sinks": {
                    sink: {"shown": c["shown"], "dropped": c["dropped"], "age_ms": self._ages[sink].report()}
                    for sink, c in self._sinks.items()
                },
                "first_live_after_s": (
                    None if self._first_live_ns is None else round((self._first_live_ns - self._made_ns) / 1e9, 3)
                ),
                **self._notes(),
                "marks": dict(self._marks),
            }
