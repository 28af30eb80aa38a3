"""Spans: who did what when; and their form for Chrome and Perfetto."""

from __future__ import annotations

import json
import threading
from itertools import pairwise

import pytest

from live.loop import Loop
from live.spans import Span, Spans, chrome_trace
from tests.doubles import NumberedCamera, make_loop


def test_nothing_is_kept_unless_it_was_asked_for():
    spans = Spans(on=False)
    with spans("find", 1):
        pass
    assert list(spans) == []


def test_a_span_has_its_thread_its_times_and_its_frame_even_when_it_fails():
    times = iter([10, 30])
    spans = Spans(clock=lambda: next(times))

    def fail():
        with pytest.raises(ValueError, match="broken"), spans("find", 7):
            raise ValueError("broken")

    thread = threading.Thread(target=fail, name="doppelcam-engine")
    thread.start()
    thread.join()
    (span,) = spans
    assert (span.thread, span.name, span.began_ns, span.ended_ns, span.frame) == ("engine", "find", 10, 30, 7)
    assert span.ms == 20e-6


def test_the_newest_are_kept(monkeypatch):
    monkeypatch.setattr("live.spans._MOST", 3)
    spans = Spans()
    for number in range(10):
        with spans("x", number):
            pass
    assert [span.frame for span in spans] == [7, 8, 9]
    spans.clear()
    assert list(spans) == []


@pytest.fixture(scope="module")
def events():
    loop = make_loop(NumberedCamera(20))
    spans = Spans()
    Loop(loop.parts, loop.guard, loop.tracks, loop.settings, lossless=True, spans=spans).run()
    tree = chrome_trace(spans)
    assert tree["displayTimeUnit"] == "ms"
    return json.loads(json.dumps(tree))["traceEvents"]


def test_the_trace_has_a_named_lane_for_each_thread(events):
    lanes = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert sorted(lanes.values()) == ["camera", "engine", "pixels", "sink witness", "swap"]
    assert len({e["pid"] for e in events}) == 1
    steps = {(lanes[e["tid"]], e["name"]) for e in events if e["ph"] == "X"}
    assert steps == {
        ("camera", "read"), ("engine", "find"), ("engine", "track"), ("swap", "swap"),
        ("pixels", "blend"), ("pixels", "mark"),
        ("sink witness", "write"),
    }  # fmt: skip


def test_complete_events_say_when_and_how_long_in_microseconds(events):
    complete = [e for e in events if e["ph"] == "X"]
    assert min(e["ts"] for e in complete) == 0
    assert all(e["dur"] >= 0 and e["args"]["cpu_ms"] >= 0 for e in complete)
    assert [e["args"]["frame"] for e in complete if e["name"] == "write"] == list(range(1, 21))


def test_spans_of_one_lane_never_overlap(events):
    for tid in {e["tid"] for e in events}:
        spans = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e["ph"] == "X" and e["tid"] == tid)
        assert all(end <= begin + 1e-3 for (_, end), (begin, _) in pairwise(spans))


def test_arrows_follow_each_frame_from_lane_to_lane_inside_a_span(events):
    for number in range(1, 21):
        flow = [e for e in events if e["name"] == "frame" and e["id"] == number]
        assert [e["ph"] for e in flow] == ["s", "t", "t", "t", "f"]
        assert flow[-1]["bp"] == "e"
        for arrow in flow:
            assert any(
                e["ph"] == "X" and e["tid"] == arrow["tid"] and e["ts"] <= arrow["ts"] <= e["ts"] + e["dur"]
                for e in events
            )


def test_a_span_without_a_frame_has_no_arrow():
    events = chrome_trace([Span("sink", "write", 5, 9, 1, 0)])["traceEvents"]
    assert [e["ph"] for e in events] == ["M", "M", "M", "X"]
    assert chrome_trace([])["traceEvents"][0]["name"] == "process_name"
