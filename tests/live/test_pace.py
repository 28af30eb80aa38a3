"""The loop's shape under every load of `bench overload`, on a clock of its own; and the decisions behind it."""

from __future__ import annotations

import pytest

from live.cli.bench.overload import judge
from live.cli.bench.situations import SITUATIONS, Situation, make
from live.pace import Pace, Usual
from tests.virtual_time import World

MS = 1_000_000


def play(situation, monkeypatch, seconds=60):
    """One minute of the real loop in about half a second: what each sink saw, and the ledger's report."""
    world = World().install(monkeypatch)
    loop, shown = make(situation, world.work, world.clock)
    loop.run(seconds=seconds)
    report = loop.ledger.report()
    dropped = report["dropped"]["entrance"]
    return [judge(situation, k, seen, seconds, dropped) for k, seen in enumerate(shown)], report


@pytest.mark.parametrize("situation", SITUATIONS, ids=[s.name for s in SITUATIONS])
def test_the_loop_keeps_its_bounds(situation, monkeypatch):
    outcomes, _ = play(situation, monkeypatch)
    assert {k: outcome.faults for k, outcome in enumerate(outcomes) if outcome.faults} == {}, outcomes


@pytest.mark.parametrize(("name", "peer"), [("find 20, swap 40", 107), ("67 in", 477), ("94 in", 725)])
def test_it_is_fresher_than_the_field_under_the_same_load(name, peer, monkeypatch):
    situation = next(s for s in SITUATIONS if s.name.startswith(name))
    (outcome,), _ = play(situation, monkeypatch)
    assert outcome.age_p50 < {107: 87, 477: 95, 725: 124}[peer] < peer


def test_every_frame_is_shown_or_counted_as_dropped(monkeypatch):
    (outcome,), report = play(Situation("", 30, find=20, swap=40), monkeypatch, 20)
    shown = report["sinks"]["sink 0"]["age_ms"]["count"]
    assert report["frames"]["in"] - shown - outcome.dropped in range(4)  # what was inside when it ended
    assert outcome.dropped > 80


def test_the_same_run_gives_the_same_figures(monkeypatch):
    situation = Situation("", 30, find=20, swap=40, jitter_ms=15)
    with monkeypatch.context() as one:
        first = play(situation, one, 10)
    assert play(situation, monkeypatch, 10) == first


def test_without_the_pace_a_slow_net_behind_the_finder_would_show_older_frames(monkeypatch):
    situation = Situation("", 30, find=20, swap=80)
    monkeypatch.setattr(Pace, "hold_ns", lambda self, now_ns: 0)
    (outcome,), _ = play(situation, monkeypatch)
    assert outcome.faults == ["age"]


def test_optional_work_is_spared_where_the_pixels_thread_cannot_keep_up(monkeypatch):
    """A drawn swap of 36 ms at 30 frames a second, of which 3 ms can be left out at each level."""
    world = World().install(monkeypatch)
    loop, (shown,) = make(Situation("", 30, find=5, swap=36, drawn=True), world.work, world.clock)
    levels = []

    loop.parts.swapper.spare = 0
    cost = loop.parts.swapper.cost
    loop.parts.swapper.cost = lambda: cost() - 0.003 * loop.parts.swapper.spare
    inner = loop.parts.swapper.swap
    loop.parts.swapper.swap = lambda image, face: levels.append(loop.parts.swapper.spare) or inner(image, face)
    loop.run(seconds=20)
    assert levels[0] == 0 and sorted(set(levels)) == [0, 1, 2]
    assert levels[-100:] == [2] * 100  # 30 ms: it keeps up now, and stays as it is
    assert len(shown.ages_ms) / 20 > 29


@pytest.mark.parametrize(("extra_ms", "looks"), [(15, (110, 151)), (30, (0, 0))])
def test_what_takes_long_is_done_only_in_frames_that_have_the_time(monkeypatch, extra_ms, looks):
    """A net's swap of 10 ms at 30 frames a second; an enhancer wants `extra_ms` more in every fourth frame."""
    world = World().install(monkeypatch)
    loop, (shown,) = make(Situation("", 30, find=5, swap=10), world.work, world.clock)
    swapper = loop.parts.swapper
    swapper.spare, swapper.extra_ms = 0, extra_ms
    calls, done, cost, inner = [], [], swapper.cost, swapper.swap

    def swap(image, face):
        calls.append(1)
        now = swapper.spare == 0 and len(calls) - (done[-1] if done else -4) >= 4
        if now:
            done.append(len(calls))
        swapper.cost = lambda: cost() + (extra_ms / 1000 if now else 0)
        return inner(image, face)

    swapper.swap = swap
    loop.run(seconds=20)
    assert looks[0] <= len(done) <= looks[1]
    report = loop.ledger.report()
    assert report["dropped"]["entrance"] == 0
    assert len(shown.ages_ms) / 20 > 29.8


def test_what_was_spared_comes_back_when_there_is_room(monkeypatch):
    world = World().install(monkeypatch)
    loop, _ = make(Situation("", 30, find=5, swap=36, drawn=True), world.work, world.clock)
    levels = []
    loop.parts.swapper.spare = 0
    loop.parts.swapper.cost = lambda: 0.036 if len(levels) < 200 else 0.010
    inner = loop.parts.swapper.swap
    loop.parts.swapper.swap = lambda image, face: levels.append(loop.parts.swapper.spare) or inner(image, face)
    loop.run(seconds=20)
    assert max(levels) == 3 and levels[-1] == 0


def test_nothing_is_spared_where_every_frame_counts_or_the_swap_keeps_up():
    pace = chain(10, 20, period_ms=33)
    assert pace.spare(1, 10_000 * MS) == 0
    loop = make(Situation("", 30, swap=50, drawn=True), lambda seconds: None)[0]
    loop.lossless = True
    assert loop._spare() == 0


# ---- the decisions


def chain(*steps_ms, period_ms=None, now=0):
    """A pace that has seen these steps often; its clock stands at `now`."""
    pace = Pace(len(steps_ms))
    for _ in range(50):
        for k, step in enumerate(steps_ms):
            pace.begin(k, 0)
            pace.end(k, step * MS)
    if period_ms is not None:
        for n in range(50, -1, -1):
            pace.arrived(now - round(n * period_ms * MS))
    return pace


def test_a_chain_that_is_free_starts_at_once():
    assert chain(20, 40, 5).hold_ns(0) == 0
    assert Pace(3).hold_ns(0) == 0


def test_the_first_thread_starts_just_in_time_for_a_busy_one():
    pace = chain(20, 40, 5)
    pace.begin(0, 0)
    pace.end(0, 20 * MS)
    pace.begin(1, 20 * MS)  # free at 60
    assert pace.hold_ns(20 * MS) == pytest.approx(19 * MS, abs=MS / 10)  # one early, to wake up
    assert pace.hold_ns(50 * MS) == 0


def test_a_frame_that_waits_before_a_busy_thread_counts_too():
    pace = chain(10, 40)
    for _ in range(2):
        pace.begin(0, 0)
        pace.end(0, 10 * MS)
    pace.begin(1, 10 * MS)  # until 50, and the frame that waits until 90
    assert pace.hold_ns(20 * MS) == pytest.approx(59 * MS, abs=MS / 10)


def test_a_thread_that_overruns_is_held_to_be_free_soon():
    pace = chain(10, 40)
    pace.begin(0, 0)
    pace.end(0, 10 * MS)
    pace.begin(1, 10 * MS)
    assert pace.hold_ns(300 * MS) == 0


def test_a_fresher_picture_is_waited_for_where_that_costs_little():
    pace = chain(10, 60, period_ms=33, now=1000 * MS)
    assert pace.hold_ns(1031 * MS) == pytest.approx(2 * MS, abs=MS / 5)
    assert pace.hold_ns(1020 * MS) == 0  # 13 ms of a 60 ms net are too much
    assert pace.hold_ns(1034 * MS) == 0  # it is late: do not wait for ever


def test_a_camera_that_paused_is_not_believed_to_be_slow():
    pace = chain(10, 60, period_ms=33, now=1000 * MS)
    pace.arrived(5000 * MS)
    assert pace.hold_ns(5031 * MS) == pytest.approx(2 * MS, abs=MS / 5)


def test_usual_follows_and_knows_how_far_figures_stray():
    usual = Usual()
    for value in [10, 30] * 100:
        usual.add(value)
    assert usual.mean == pytest.approx(20, abs=3)
    assert usual.stray == pytest.approx(10, abs=2)
