"""What each thread did from when to when, frame by frame: for `--trace`, which Perfetto shows, and for benches.

Nothing is kept unless it was asked for, and then the newest spans only, so that a long run takes no more memory.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from live.trace import Clock, clock

_MOST = 400_000  # about half an hour at 30 frames a second


@dataclass(frozen=True, slots=True)
class Span:
    """One thread at one thing: times on the clock, and how long the processor worked on it. `frame` 0: no frame's."""

    thread: str
    name: str
    began_ns: int
    ended_ns: int
    cpu_ns: int
    frame: int

    @property
    def ms(self) -> float:
        return (self.ended_ns - self.began_ns) / 1e6


class Spans:
    """Collects spans from all threads. Off (the default of the loop) it costs next to nothing."""

    def __init__(self, on: bool = True, clock: Clock = clock) -> None:
        self.on = on
        self._clock = clock
        self._kept: deque[Span] = deque(maxlen=_MOST)

    def __iter__(self) -> Iterator[Span]:
        """Those so far, in the order in which they ended."""
        return iter(list(self._kept))

    def clear(self) -> None:
        self._kept.clear()

    @contextmanager
    def __call__(self, name: str, frame: int = 0) -> Iterator[None]:
        """What runs inside is a span of the calling thread."""
        if not self.on:
            yield
            return
        cpu_ns, began_ns = time.thread_time_ns(), self._clock()
        try:
            yield
        finally:
            ended_ns = self._clock()
            thread = threading.current_thread().name.removeprefix("doppelcam-")
            self._kept.append(Span(thread, name, began_ns, ended_ns, time.thread_time_ns() - cpu_ns, frame))


def chrome_trace(spans: Iterable[Span]) -> dict[str, Any]:
    """The spans in Chrome's Trace Event Format, which ui.perfetto.dev and chrome://tracing open.

    One lane a thread ("X": complete events, in microseconds), and arrows ("s", "t", "f": flow events) that follow each
    frame from lane to lane.
    """
    spans = sorted(spans, key=lambda span: (span.began_ns, -span.ended_ns))
    start = min((span.began_ns for span in spans), default=0)
    lanes = {name: n for n, name in enumerate(dict.fromkeys(span.thread for span in spans), 1)}
    pid = os.getpid()
    events: list[dict[str, Any]] = [_name(pid, 0, "process_name", "doppelcam")]
    for name, tid in lanes.items():
        events += [_name(pid, tid, "thread_name", name)]
        events += [{"name": "thread_sort_index", "ph": "M", "pid": pid, "tid": tid, "args": {"sort_index": tid}}]
    last: dict[int, tuple[str, int]] = {}  # of each frame: the thread that had it last, and its flow event
    for span in spans:
        at = {"pid": pid, "tid": lanes[span.thread], "ts": (span.began_ns - start) / 1e3}
        args = {"frame": span.frame, "cpu_ms": round(span.cpu_ns / 1e6, 3)}
        events.append({"name": span.name, "cat": "step", "ph": "X", **at, "dur": span.ms * 1e3, "args": args})
        if span.frame and last.get(span.frame, ("", 0))[0] != span.thread:
            kind = "t" if span.frame in last else "s"
            last[span.frame] = span.thread, len(events)
            events.append({"name": "frame", "cat": "frame", "ph": kind, "id": span.frame, **at})
    for _, index in last.values():
        if events[index]["ph"] == "t":
            events[index] |= {"ph": "f", "bp": "e"}  # bound to the span that encloses it, not to the next
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _name(pid: int, tid: int, what: str, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}
