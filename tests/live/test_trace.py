"""Histogram and Ledger: what was measured is what is reported, in constant memory."""

from __future__ import annotations

import json
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.trace import STATIONS, Histogram, Ledger, Trace

MS = 1_000_000


class FakeClock:
    def __init__(self):
        self.now = 5_000 * MS

    def __call__(self):
        return self.now

    def ms(self, ms):
        self.now += round(ms * MS)
        return self.now


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def ledger(clock):
    made = Ledger(clock)
    made.add_sink("file")
    return made


def filled(values):
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


@given(st.lists(st.floats(0, 1990), min_size=1, max_size=200), st.sampled_from([1, 50, 95, 99]))
def test_percentiles_are_numpys_within_a_bin(values, percent):
    ours = filled(values).percentile(percent)
    low, high = (np.percentile(values, percent, method=method) for method in ("lower", "higher"))
    assert low - Histogram.BIN_MS <= ours <= high + Histogram.BIN_MS


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=100))
def test_percentiles_grow_and_end_at_the_maximum(values):
    report = filled(values).report()
    assert report["p50"] <= report["p95"] <= report["p99"] <= report["max"]
    assert report["max"] == pytest.approx(max(values), abs=0.01)
    assert report["count"] == len(values)


@given(st.lists(st.floats(0, 1990), min_size=1, max_size=200), st.floats(0, 1990))
def test_share_below_is_right_within_a_bin(values, limit):
    share = filled(values).share_below(limit)
    array = np.array(values)
    assert 100 * (array <= limit - Histogram.BIN_MS).mean() - 1e-6 <= share
    assert share <= 100 * (array <= limit + Histogram.BIN_MS).mean() + 1e-6


def test_an_empty_histogram():
    assert Histogram().report() == {"p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0, "count": 0}
    assert Histogram().share_below(10) == 100.0


def test_values_beyond_the_bins_are_counted_as_the_maximum():
    histogram = filled([5000.0, 9000.0])
    assert histogram.percentile(99) == 9000.0


def test_values_below_zero_do_not_wrap_around():
    assert filled([-5.0, 1.0, 1.0]).percentile(50) == pytest.approx(1.0, abs=Histogram.BIN_MS)
    assert filled([-5.0]).percentile(50) <= Histogram.BIN_MS


def swapped(clock, *steps_ms):
    """A trace that was captured now and took these times from station to station."""
    trace = Trace(clock())
    for station, ms in zip(STATIONS[1:], steps_ms, strict=False):
        trace.stamp(station, clock.ms(ms))
    return trace


def test_the_time_of_a_step_is_the_time_since_the_station_before(ledger, clock):
    ledger.processed(swapped(clock, 1, 2, 4, 8, 16))
    steps = ledger.report()["steps_ms"]
    maxima = {name: step["max"] for name, step in steps.items()}
    assert maxima == {"wait": 1, "find": 2, "swap": 4, "blend": 8, "mark": 16}


def test_a_frame_that_failed_half_way_counts_only_the_steps_it_made(ledger, clock):
    ledger.processed(swapped(clock, 1, 2))
    report = ledger.report()
    assert {name: step["count"] for name, step in report["steps_ms"].items()} == {
        "wait": 1,
        "find": 1,
        "swap": 0,
        "blend": 0,
        "mark": 0,
    }
    assert report["frames"]["processed"] == 1


def test_counts_end_where_they_belong(ledger):
    for what, n in {"captured": 9, "live": 5, "held": 1, "bare": 2, "failed": 3, "dropped_entrance": 4}.items():
        ledger.count(what, n)
    ledger.count("source_lost")
    for _ in range(2):
        ledger.cover("starting")
    ledger.error("it broke")
    ledger.dropped("file")
    report = ledger.report()
    frames = report["frames"]
    assert (frames["in"], frames["live"], frames["held"], frames["bare"], frames["failed"]) == (9, 5, 1, 2, 3)
    assert report["dropped"] == {"entrance": 4, "file": 1}
    assert report["sinks"]["file"]["dropped"] == 1
    assert (report["covers"], report["errors"], report["source_lost"]) == ({"starting": 2}, {"it broke": 1}, 1)


def test_age_is_from_the_light_to_the_sink(ledger, clock):
    trace = Trace(clock())
    clock.ms(42)
    ledger.shown("file", trace)
    report = ledger.report()
    assert report["age_ms"]["max"] == report["sinks"]["file"]["age_ms"]["max"] == 42
    assert report["sinks"]["file"]["shown"] == 1


def test_covers_and_held_frames_have_no_age(ledger):
    ledger.shown("file", None)
    report = ledger.report()
    assert report["sinks"]["file"]["shown"] == 1
    assert report["age_ms"]["count"] == 0
    assert report["first_live_after_s"] is None


def test_ages_are_kept_for_each_sink(ledger, clock):
    ledger.add_sink("window")
    trace = Trace(clock())
    clock.ms(10)
    ledger.shown("window", trace)
    clock.ms(20)
    ledger.shown("file", trace)
    sinks = ledger.report()["sinks"]
    assert (sinks["window"]["age_ms"]["max"], sinks["file"]["age_ms"]["max"]) == (10, 30)


def test_frames_later_than_two_periods_are_counted(ledger, clock):
    ledger.period_ms = 40.0
    for age in (10, 39, 79, 81, 500):
        trace = Trace(clock())
        clock.ms(age)
        ledger.shown("file", trace)
    report = ledger.report()
    assert report["late_by_2_periods"] == 2
    assert report["percent_in_time"] == 40.0
    assert report["period_ms"] == 40.0


def test_seconds_and_rate_begin_with_the_first_picture(ledger, clock):
    clock.ms(7000)
    ledger.count("captured")
    for _ in range(50):
        ledger.processed(Trace(clock()))
    clock.ms(2000)
    report = ledger.report()
    assert report["seconds"] == 2.0
    assert report["frames"]["per_second"] == 25.0


def test_the_wait_for_the_first_live_picture_is_told(ledger, clock):
    clock.ms(1500)
    ledger.shown("file", Trace(clock()))
    clock.ms(1500)
    ledger.shown("file", Trace(clock()))
    assert ledger.report()["first_live_after_s"] == 1.5


def run_for(ledger, clock, seconds, age_ms, fps=25):
    for _ in range(seconds * fps):
        ledger.count("captured")
        ledger.shown("file", Trace(clock() - round(age_ms * MS)))
        clock.ms(1000 / fps)


def test_status_tells_the_last_two_seconds(ledger, clock):
    run_for(ledger, clock, 4, 300)
    run_for(ledger, clock, 2, 50)
    ledger.cover("x")
    ledger.count("dropped_entrance", 3)
    status = ledger.status()
    assert status["fps"] == pytest.approx(25, abs=1)
    assert status["age_p95"] == pytest.approx(50, abs=1)
    assert (status["dropped"], status["covers"]) == (3, 1)


def test_status_counts_each_picture_once_whatever_the_number_of_sinks(ledger, clock):
    ledger.add_sink("window")
    for _ in range(100):
        ledger.count("captured")
        for sink in ("file", "window"):
            ledger.shown(sink, Trace(clock()))
        clock.ms(40)
    assert ledger.status()["fps"] == pytest.approx(25, abs=1)


def test_status_falls_to_zero_when_nothing_comes(ledger, clock):
    run_for(ledger, clock, 3, 50)
    clock.ms(2500)
    assert ledger.status()["fps"] == 0.0


def test_status_before_anything_happened(ledger):
    assert ledger.status() == {
        "fps": 0.0,
        "age_p50": 0.0,
        "age_p95": 0.0,
        "sound_delay": 0.0,
        "dropped": 0,
        "covers": 0,
    }


def test_the_sound_delay_is_the_smoothed_age_at_the_first_sink_that_shows_at_once(clock):
    ledger = Ledger(clock)
    ledger.add_sink("file", timed=True)
    ledger.add_sink("camera")
    ledger.add_sink("window")
    assert ledger.sound_delay_ms == 0.0
    for _ in range(600):
        for sink, age_ms in (("file", 900), ("camera", 40), ("window", 70)):
            ledger.shown(sink, Trace(clock() - age_ms * MS))
        clock.ms(33)
    assert ledger.sound_delay_ms == ledger.status()["sound_delay"] == pytest.approx(40)
    ledger.shown("camera", Trace(clock() - 1900 * MS))  # one late picture is no reason to shift the sound
    assert 40 < ledger.sound_delay_ms < 41
    ledger.shown("camera", None)
    assert ledger.report()["sound_delay_ms"] == pytest.approx(ledger.sound_delay_ms, abs=0.1)


def test_report_can_be_written_as_json(ledger, clock):
    run_for(ledger, clock, 1, 90)
    ledger.processed(swapped(clock, 1, 2, 4, 8))
    ledger.cover("starting")
    report = ledger.report()
    assert json.loads(json.dumps(report)) == report


def test_an_empty_report_can_be_written_as_json(clock):
    report = Ledger(clock).report()
    assert json.loads(json.dumps(report)) == report


def test_memory_does_not_grow_with_the_run(ledger, clock):
    run_for(ledger, clock, 20, 50)
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    run_for(ledger, clock, 200, 50)
    after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    grown = sum(entry.size_diff for entry in after.compare_to(before, "filename") if "trace.py" in str(entry.traceback))
    assert grown < 40_000
    assert ledger.report()["sinks"]["file"]["shown"] == 220 * 25


def test_counts_from_many_threads_add_up(ledger, clock):
    def work():
        for _ in range(300):
            ledger.count("captured")
            ledger.shown("file", Trace(clock()))
            ledger.processed(Trace(clock()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = ledger.report()
    assert report["frames"]["in"] == report["frames"]["processed"] == report["sinks"]["file"]["shown"] == 1200
