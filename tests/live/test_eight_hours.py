"""A working day of live video, simulated: memory stays flat, nothing drifts."""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np
import pytest

from live.cli.bench.situations import Situation, make
from live.trace import STATIONS, Ledger, Trace
from tests.virtual_time import World

MS = 1_000_000
HOUR = 3600 * 30  # frames


def traced_kb(*files):
    """What is allocated by lines of these files."""
    statistics = tracemalloc.take_snapshot().statistics("filename")
    return sum(s.size for s in statistics if s.traceback[0].filename.endswith(files)) / 1e3


def size_of(thing):
    """Bytes of a value and all that is in it."""
    inside = thing.values() if isinstance(thing, dict) else thing if isinstance(thing, (list, tuple)) else ()
    if hasattr(thing, "__dict__") and not callable(thing):
        inside = vars(thing).values()
    own = thing.nbytes if isinstance(thing, np.ndarray) else sys.getsizeof(thing)
    return own + sum(map(size_of, inside))


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_ledger_of_eight_hours_takes_as_much_memory_as_that_of_one():
    now = [0]
    ledger = Ledger(lambda: now[0])
    for sink in ("virtual", "file"):
        ledger.add_sink(sink)
    sizes, reports = [], []
    for number in range(8 * HOUR):
        now[0] = number * 33 * MS
        ledger.count("captured")
        trace = Trace(now[0], number)
        for n, station in enumerate(STATIONS[1:-1], 1):
            trace.stamp(station, now[0] + 3 * n * MS)
        ledger.processed(trace)
        now[0] += 15 * MS
        ledger.shown("virtual", trace)
        if number % 3 == 0:
            ledger.shown("file", trace)
        if number % HOUR == HOUR - 1:
            ledger.status()
            sizes.append(size_of(vars(ledger)))
            reports.append(ledger.report())
    assert max(sizes) - min(sizes) < 20_000, sizes
    assert reports[-1]["frames"]["in"] == 8 * HOUR
    assert {report["age_ms"]["p99"] for report in reports} == {reports[0]["age_ms"]["p99"]}


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_loop_neither_grows_nor_drifts(monkeypatch):
    """Twenty minutes of the real loop that cannot keep up, on a clock of its own."""
    world = World().install(monkeypatch)
    minutes, kilobytes = 20, []
    loop, (shown,) = make(Situation("", 30, find=12, swap=40, blend=5, jitter_ms=6), world.work, world.clock)

    def status():
        if world.now_ns / 6e10 > len(kilobytes) + 1:
            kilobytes.append(
                traced_kb("loop.py", "mailbox.py", "pace.py", "outlets.py", "stage.py", "trace.py", "guard.py")
            )

    tracemalloc.start()
    try:
        loop.run(seconds=60 * minutes, status=status)
    finally:
        tracemalloc.stop()
    assert max(kilobytes[2:]) - min(kilobytes[2:]) < 60, kilobytes
    each = [float(np.median(part)) for part in np.array_split(np.array(shown.ages_ms), minutes)]
    assert max(each[1:]) - min(each[1:]) < 4, each
    assert shown.out_of_order == 0
