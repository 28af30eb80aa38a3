"""The loop: order, drops, credits, covers while nothing comes, clean ends, errors that reach the caller."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from engines.errors import BadInput, LoopFailed, NotAvailable, SinkLost, SourceLost
from live.parts import NothingYet
from tests.doubles import (
    ColourFinder,
    GreenSwapper,
    LosingCamera,
    NumberedCamera,
    Witness,
    any_persona,
    make_loop,
    read_number,
)


def gate():
    """A `wait` for a camera, and the event that lets it go on."""
    event = threading.Event()
    return event, lambda number: event.wait(10)


def test_every_frame_comes_out_in_order_when_nothing_may_be_lost():
    loop = make_loop(NumberedCamera(200))
    loop.run()
    witness = loop.parts.sinks["witness"]
    assert witness.numbers() == list(range(1, 201))
    assert set(witness.states()) == {"live"}
    assert loop.ledger.report()["frames"] | {"per_second": 0} == {
        "in": 200, "processed": 200, "live": 200, "held": 0, "bare": 0, "failed": 0, "stood_in": 0, "per_second": 0,
    }  # fmt: skip


def test_the_newest_frame_wins_at_the_entrance_and_drops_are_counted():
    busy, resume = threading.Event(), threading.Event()

    def slow(number, faces):
        if number == 1:
            busy.set()
            resume.wait(10)

    def wait(number):
        if number == 2:
            busy.wait(10)
        if number == 30:
            resume.set()

    loop = make_loop(NumberedCamera(30, wait=wait), finder=ColourFinder(slow), lossless=False)
    loop.run()
    numbers = [n for n in loop.parts.sinks["witness"].numbers("live") if n]
    report = loop.ledger.report()
    assert numbers == sorted(numbers)
    assert numbers[-1] == 30
    assert report["dropped"]["entrance"] >= 20
    assert report["frames"]["processed"] + report["dropped"]["entrance"] == 30


def test_no_more_frames_are_inside_than_allowed():
    inside, most, lock = [0], [0], threading.Lock()

    def enter(number, faces):
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])

    def leave(frame):
        with lock:
            if frame.state == "live":
                inside[0] -= 1

    sink = Witness(before=leave)
    loop = make_loop(NumberedCamera(60), finder=ColourFinder(enter), sinks={"witness": sink}, in_flight=2)
    loop.run()
    # Two in the loop, one in the sink's slot and one being written.
    assert 1 <= most[0] <= 4


def test_a_slow_sink_drops_its_own_frames_and_does_not_hold_up_the_others():
    release = threading.Event()
    slow, quick = Witness(before=lambda frame: release.wait(10)), Witness()
    source = NumberedCamera(40, wait=lambda number: release.set() if number == 40 else threading.Event().wait(0.005))
    loop = make_loop(source, sinks={"slow": slow, "quick": quick}, lossless=False)
    loop.run()
    assert len(quick.numbers("live")) > 10 * max(1, len(slow.numbers("live")) - 2)
    assert loop.ledger.report()["dropped"]["slow"] > 0


def test_it_starts_on_a_cover():
    event, wait = gate()
    sink = Witness(before=lambda frame: event.set())  # the first picture comes only after the cover was written
    loop = make_loop(NumberedCamera(5, wait=wait), sinks={"witness": sink}, lossless=False)
    loop.run()
    assert sink.seen[0][:2] == ("cover", None)
    assert loop.ledger.report()["covers"]["starting"] == 1


def test_a_camera_that_goes_away_is_covered_and_comes_back(monkeypatch):
    monkeypatch.setattr("live.reopen.PAUSES_S", (0.15,))
    source = LosingCamera(40, lost_at=(20,), refusals=2, wait=lambda number: threading.Event().wait(0.003))
    loop = make_loop(source, lossless=False, stall_ms=100)
    loop.run()
    witness = loop.parts.sinks["witness"]
    lives = [n for n in witness.numbers("live") if n]
    covers = [i for i, (state, _, _) in enumerate(witness.seen) if state == "cover" and i > 3]
    assert source.opened == 2
    assert min(lives) < 20 <= max(lives)
    assert covers, "no cover while the camera was away"
    assert loop.ledger.report()["source_lost"] == 1
    assert "camera lost, looking for it" in loop.ledger.report()["covers"]
    assert not witness.leaked()


def test_a_source_that_waits_is_covered_with_its_reason_and_the_run_can_end():
    class Waiting(NumberedCamera):
        def read(self):
            if self.number == 20 and len(witness.states()) < 26:
                threading.Event().wait(0.01)
                raise NothingYet("waiting for somebody")
            return super().read()

    witness = Witness()
    loop = make_loop(Waiting(40), sinks={"w": witness}, lossless=False, stall_ms=100)
    loop.run(seconds=20)
    report = loop.ledger.report()
    assert report["covers"]["waiting for somebody"] >= 2
    assert report["source_lost"] == 0 and not report["errors"]
    assert witness.states()[-1] == "live" and loop.parts.source.closed == 1


def test_a_run_ends_while_its_source_waits():
    class Waiting(NumberedCamera):
        def read(self):
            threading.Event().wait(0.01)
            raise NothingYet("waiting for somebody")

    loop = make_loop(Waiting(), lossless=False)
    loop.run(seconds=0.2)
    assert loop.parts.source.closed == 1


def test_a_sink_that_goes_away_is_opened_again_while_the_others_go_on(monkeypatch):
    monkeypatch.setattr("live.reopen.PAUSES_S", (0.0,))
    frail, steady = Witness(fail_at=(5,)), Witness()
    loop = make_loop(NumberedCamera(50), sinks={"frail": frail, "steady": steady})
    loop.run()
    assert steady.numbers() == list(range(1, 51))
    assert frail.opened == 2
    assert len(frail.seen) > 40


def test_closing_the_only_window_ends_the_run_without_an_error():
    window = Witness(fail_at=(10,), fail_with=lambda: SinkLost("closed", closed=True))
    source = NumberedCamera(100_000)
    make_loop(source, sinks={"window": window}).run()
    assert len(window.seen) == 10
    assert source.closed == 1


def test_a_broken_sink_is_told_at_the_end_and_the_others_finish():
    class Broken(Witness):
        def write(self, frame):
            raise RuntimeError("bug in a sink")

    good = Witness()
    loop = make_loop(NumberedCamera(30), sinks={"broken": Broken(), "good": good})
    with pytest.raises(RuntimeError, match="bug in a sink"):
        loop.run()
    assert good.numbers() == list(range(1, 31))
    assert good.closed == 1


def test_ten_failures_in_a_row_stop_the_loop_and_everything_is_closed():
    def fail(number, faces):
        raise ValueError("net is broken")

    source = NumberedCamera(1000)
    loop = make_loop(source, finder=ColourFinder(fail))
    with pytest.raises(LoopFailed, match=r"10 frames failed in a row.*net is broken"):
        loop.run()
    witness = loop.parts.sinks["witness"]
    assert set(witness.states()) == {"cover"}
    assert witness.closed == source.closed == 1


def test_failures_that_are_not_in_a_row_do_not_stop_it():
    def fail(number, faces):
        if number % 2:
            raise ValueError("now and then")

    loop = make_loop(NumberedCamera(60), finder=ColourFinder(fail))
    loop.run()
    assert loop.ledger.report()["frames"]["failed"] == 30


def test_a_part_that_cannot_open_keeps_the_run_from_starting():
    class NoCamera(NumberedCamera):
        def open(self):
            raise NotAvailable("no camera here", hint="plug one in")

    sink = Witness()
    with pytest.raises(NotAvailable, match="no camera here"):
        make_loop(NoCamera(), sinks={"witness": sink}).run()
    assert sink.seen == []


def test_all_reasons_are_told_when_several_parts_cannot_open():
    class NoSink(Witness):
        def __init__(self, words):
            super().__init__()
            self.words = words

        def open(self, format):
            raise NotAvailable(self.words)

    with pytest.raises(NotAvailable, match="no window; no device"):
        make_loop(sinks={"a": NoSink("no window"), "b": NoSink("no device")}).run()


def test_a_bad_portrait_keeps_the_run_from_starting():
    def persona(finder):
        raise BadInput("no face was found in cat.jpg")

    source = NumberedCamera()
    loop = make_loop(source, persona=persona)
    with pytest.raises(BadInput, match=r"cat\.jpg"):
        loop.run()
    assert loop.parts.sinks["witness"].seen == []
    assert source.closed == 1


def test_stop_lets_frames_inside_run_out_and_closes_the_sinks():
    sink = Witness()
    loop = make_loop(NumberedCamera(1_000_000), sinks={"witness": sink})
    sink.before = lambda frame: loop.stop() if len(sink.seen) == 20 else None
    loop.run()
    assert sink.closed == 1
    assert sink.numbers() == list(range(1, len(sink.seen) + 1))


def test_seconds_end_the_run():
    loop = make_loop(NumberedCamera(1_000_000, wait=lambda number: threading.Event().wait(0.002)), lossless=False)
    loop.run(seconds=0.3)
    assert 5 < loop.ledger.report()["frames"]["in"] < 1000


def test_a_camera_that_hangs_in_a_read_does_not_keep_the_run_from_ending():
    event, wait = gate()
    loop = make_loop(NumberedCamera(5, wait=lambda n: wait(n) if n == 3 else None), lossless=False, stall_ms=100)
    loop.run(seconds=0.6)
    witness = loop.parts.sinks["witness"]
    event.set()
    assert witness.closed == 1
    assert "waiting for a picture" in loop.ledger.report()["covers"]


def test_a_camera_that_changes_its_size_is_fitted_to_the_first_one():
    import cv2

    shapes = set()
    sink = Witness(before=lambda frame: shapes.add(frame.image.shape))
    small = lambda number, image: cv2.resize(image, (80, 60)) if number > 10 else None  # noqa: E731
    finder = ColourFinder(lambda number, faces: [])
    make_loop(NumberedCamera(20, faces=lambda n: 0, script=small), finder=finder, sinks={"witness": sink}).run()
    assert shapes == {(120, 160, 3)}


def test_the_persona_is_put_on_once_on_the_engine_thread():
    swapper, threads = GreenSwapper(), []

    def persona(finder):
        threads.append(threading.current_thread().name)
        return any_persona(finder)

    make_loop(NumberedCamera(3), swapper=swapper, persona=persona).run()
    assert swapper.worn == ["nobody"]
    assert threads == ["doppelcam-engine"]


@pytest.mark.parametrize(("drawn", "thread"), [(False, "doppelcam-swap"), (True, "doppelcam-pixels")])
def test_a_drawn_swap_lives_on_the_pixels_thread_and_one_by_a_net_on_its_own(drawn, thread):
    seen = []

    class Swapper(GreenSwapper):
        def open(self):
            seen.append(("open", threading.current_thread().name))

        def wear(self, persona):
            seen.append(("wear", threading.current_thread().name))

        def swap(self, image, face):
            seen.append(("swap", threading.current_thread().name))
            return super().swap(image, face)

        def close(self):
            seen.append(("close", threading.current_thread().name))

    swapper = Swapper()
    swapper.drawn = drawn
    loop = make_loop(NumberedCamera(5), swapper=swapper)
    loop.run()
    assert {what for what, _ in seen} == {"open", "wear", "swap", "close"}
    assert {name for _, name in seen} == {thread}
    assert loop.parts.sinks["witness"].numbers("live") == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("drawn", [False, True])
def test_a_persona_that_cannot_be_worn_is_told_alone(drawn):
    def persona(finder):
        raise BadInput("no face was found in me.jpg")

    swapper = GreenSwapper()
    swapper.drawn = drawn
    with pytest.raises(BadInput, match=r"^no face was found in me\.jpg$"):
        make_loop(NumberedCamera(5), swapper=swapper, persona=persona).run()


class Hum:
    """A sound that is lost at its second step; it notes what is done with it, and on which thread."""

    def __init__(self, error=None):
        self.done, self.delays, self.again, self.error = [], [], threading.Event(), error
        self.track = object()

    def open(self):
        self.done.append(("open", threading.current_thread().name))
        if self.error is not None:
            raise self.error

    def step(self, delay_ms):
        self.delays.append(delay_ms)
        if len(self.delays) == 2:
            raise SourceLost("the sound is gone")
        if len(self.delays) > 2 and delay_ms > 0:
            self.again.set()

    def close(self):
        self.done.append(("close", threading.current_thread().name))


def test_a_sound_is_told_how_late_the_picture_is_and_opened_again_when_lost():
    class Remembering(Witness):
        def open(self, format):
            self.format = format

    hum, sink = Hum(), Remembering()
    camera = NumberedCamera(50, wait=lambda number: hum.again.wait(10) if number == 40 else None)
    loop = make_loop(camera, sinks={"sink": sink}, lossless=False)
    loop.parts.sound = hum
    loop.run()
    assert [what for what, _ in hum.done] == ["open", "close", "open", "close"]
    assert {thread for _, thread in hum.done} == {"doppelcam-sound"}
    assert hum.again.is_set() and sink.format.sound is hum.track
    assert loop.ledger.report()["errors"] == {"the sound is gone": 1}


def test_a_sound_that_cannot_be_opened_is_told_before_anything_is_shown():
    witness = Witness()
    loop = make_loop(NumberedCamera(5), sinks={"sink": witness})
    loop.parts.sound = Hum(NotAvailable("no microphone is connected"))
    with pytest.raises(NotAvailable, match="no microphone"):
        loop.run()
    assert witness.opened == 0


@pytest.mark.parametrize("drawn", [True, False])
@pytest.mark.parametrize("other", [True, False], ids=["another swapper", "the same swapper"])
def test_another_face_is_put_on_while_running_without_a_bare_picture(drawn, other, monkeypatch):
    monkeypatch.setattr(GreenSwapper, "drawn", drawn)
    first, second, witness = GreenSwapper(), GreenSwapper(), Witness()

    def change(number):
        if number == 30:
            loop.wear(lambda finder: named("b"), second if other else None)

    loop = make_loop(
        NumberedCamera(60, wait=change),
        swapper=first, sinks={"witness": witness}, persona=lambda finder: named("a"),
    )  # fmt: skip
    loop.run()
    assert (first.worn, second.worn) == ((["a"], ["b"]) if other else (["a", "b"], []))
    assert witness.states() == ["live"] * 60 and not witness.leaked()


def failing(finder):
    raise BadInput("no face was found in it")


class RefusingSwapper(GreenSwapper):
    def wear(self, persona):
        if persona.name == "b":
            raise BadInput("it cannot be worn")
        super().wear(persona)


@pytest.mark.parametrize(
    ("make", "swapper", "words"),
    [(failing, None, "no face was found"), (lambda finder: named("b"), RefusingSwapper(), "it cannot be worn")],
)
def test_a_face_that_cannot_be_put_on_leaves_the_old_one_on(make, swapper, words):
    first, witness = RefusingSwapper(), Witness()
    loop = make_loop(
        NumberedCamera(60, wait=lambda n: loop.wear(make, swapper) if n == 30 else None),
        swapper=first, sinks={"witness": witness}, persona=lambda finder: named("a"),
    )  # fmt: skip
    loop.run()
    assert witness.states() == ["live"] * 60 and not witness.leaked()
    assert loop.parts.swapper is first and set(first.worn) == {"a"}
    (line,) = loop.ledger.report()["errors"]
    assert words in line and "the face stays as it is" in line


def test_a_face_without_known_consent_is_not_put_on_where_no_label_tells_of_it():
    first, witness = GreenSwapper(), Witness()
    witness.outgoing = True
    loop = make_loop(
        NumberedCamera(60, wait=lambda n: loop.wear(lambda finder: named("b")) if n == 30 else None),
        swapper=first, sinks={"witness": witness}, persona=lambda finder: replace(named("a"), disclosure="self"),
    )  # fmt: skip
    loop.parts.reason = "said at the start"
    loop.run()
    assert set(first.worn) == {"a"} and witness.states() == ["live"] * 60
    (line,) = loop.ledger.report()["errors"]
    assert "only with the label" in line


def test_a_drawn_swap_and_a_net_are_not_exchanged_while_running():
    drawn = GreenSwapper()
    drawn.drawn = True
    with pytest.raises(BadInput, match="not exchanged"):
        make_loop().wear(lambda finder: named("b"), drawn)


def named(name):
    return replace(any_persona(None), name=name)


def test_the_permission_of_whoever_is_worn_counts_and_no_others():
    ended, witness = [], Witness()
    old = replace(named("a"), why_not=lambda: "a is over" if ended else "")
    new = replace(named("b"), why_not=lambda: "b is over" if len(ended) > 1 else "")

    def change(number):
        if number == 20:
            ended.append("a")
        if number == 30:
            loop.wear(lambda finder: new)
        if number == 50:
            ended.append("b")

    loop = make_loop(
        NumberedCamera(70, wait=change), swapper=GreenSwapper(), sinks={"witness": witness}, persona=lambda finder: old
    )
    loop.run()
    states = witness.states()
    assert states[:15] == ["live"] * 15 and states[35:45] == ["live"] * 10 and states[55:] == ["cover"] * 15
    assert {"a is over", "b is over"} == set(loop.ledger.report()["covers"])


def test_the_finder_is_told_whether_irises_are_looked_at_and_stand_ins_are_counted():
    loop = make_loop(NumberedCamera(60))
    finder, swapper = loop.parts.finder, loop.parts.swapper
    finder.irises, told = True, []
    find, swap = finder.find, swapper.swap

    def found(image, previous):
        told.append(finder.irises)
        return find(image, previous)

    def swapped(image, face):
        number = read_number(image)
        swapper.wants_irises = swapper.stood_in = 20 < number <= 40
        return swap(image, face)

    finder.find, swapper.swap = found, swapped
    loop.run()
    assert loop.ledger.report()["frames"]["stood_in"] == 20
    assert told[0] and 15 < sum(told) < 30 and not told[-1]


def test_parts_catch_up_between_their_frames_each_on_its_own_thread():
    caught = threading.Event()

    def wait(number):
        assert caught.wait(10)
        caught.clear()

    loop = make_loop(NumberedCamera(30, wait=wait))
    finder, swapper, order = loop.parts.finder, loop.parts.swapper, []

    def noted(what, step, after=lambda: None):
        def run(*arguments):
            order.append((threading.current_thread().name, what))
            answer = step(*arguments)
            after()
            return answer

        return run

    finder.find, swapper.swap = noted("find", finder.find), noted("swap", swapper.swap)
    finder.catch_up, swapper.catch_up = noted("catch up", lambda: None, caught.set), noted("catch up", lambda: None)
    loop.run()
    assert loop.ledger.report()["frames"]["live"] == 30
    threads = {thread for thread, _ in order}
    assert len(threads) == 2
    for thread in threads:
        steps = [what for one, what in order if one == thread]
        frames = [k for k, what in enumerate(steps) if what != "catch up"]
        assert len(frames) == 30
        assert [steps[k + 1] for k in frames[:-1]] == ["catch up"] * 29


def test_what_fails_while_catching_up_is_told_and_the_frame_is_shown():
    loop = make_loop(NumberedCamera(30))

    def fails():
        raise ValueError("no light")

    loop.parts.swapper.catch_up = fails
    loop.run()
    report = loop.ledger.report()
    assert report["frames"]["live"] == 30 and report["frames"]["failed"] == 0
    assert any("no light" in line for line in report["errors"])
