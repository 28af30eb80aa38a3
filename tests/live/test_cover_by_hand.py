"""Covered by hand: once `cover()` has returned, no sink begins to write anything but covers, until it is taken off."""

from __future__ import annotations

import threading
import time

import pytest

from live.by_hand import ByHand
from live.guard import BY_HAND
from live.outlets import Outlets
from tests.doubles import ColourFinder, GreenSwapper, NumberedCamera, StayingWitness, Witness, any_persona, make_loop

SOON_S = 10.0


class Strict(Witness):
    """Notes what it got while all was covered: `covered` is set after cover() has returned, cleared before it goes."""

    def __init__(self, covered, slow_s=0.0, **more):
        super().__init__(**more)
        self.covered, self.slow_s, self.wrong = covered, slow_s, []

    def write(self, frame):
        if self.covered.is_set() and frame.state != "cover":
            self.wrong.append(frame.state)
        super().write(frame)
        time.sleep(self.slow_s)


def wait_for(condition):
    end = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


class Running:
    """A loop on a thread of its own with an endless camera; `covered` is set while nothing live may come."""

    def __init__(self, **parts):
        self.covered = threading.Event()
        sinks = {"quick": Strict(self.covered), "slow": Strict(self.covered, 0.02), "device": StayingWitness()}
        parts = {"lossless": False, "sinks": sinks} | parts
        self.sinks = parts["sinks"]
        self.loop = make_loop(NumberedCamera(10**6, wait=lambda number: time.sleep(0.001)), **parts)
        self._thread = threading.Thread(target=self.loop.run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.loop.stop()
        self._thread.join(SOON_S)
        assert not self._thread.is_alive()

    def cover(self):
        self.loop.cover(True)
        self.covered.set()

    def uncover(self):
        self.covered.clear()
        self.loop.cover(False)

    def live(self, sink="quick"):
        return len(self.sinks[sink].numbers("live"))

    def wait_live(self):
        for name in self.sinks:
            before = self.live(name)
            wait_for(lambda before=before, name=name: self.live(name) > before + 2)


@pytest.mark.parametrize("drawn", [False, True])
@pytest.mark.parametrize("lossless", [False, True])
def test_after_it_returns_no_sink_gets_anything_but_covers(drawn, lossless, monkeypatch):
    monkeypatch.setattr(GreenSwapper, "drawn", drawn)
    with Running(lossless=lossless) as running:
        for _ in range(10):
            running.wait_live()
            running.cover()
            seen = {name: len(sink.seen) for name, sink in running.sinks.items()}
            wait_for(lambda seen=seen: all(len(s.seen) > seen[n] + 3 for n, s in running.sinks.items()))
            assert all(set(s.states()[seen[n] :]) == {"cover"} for n, s in running.sinks.items())
            running.uncover()
        running.wait_live()
    assert all(running.sinks[name].wrong == [] for name in ("quick", "slow"))
    assert running.loop.ledger.report()["covers"][BY_HAND] > 20


def test_many_threads_hammering():
    """Sixteen hands press at random; whoever sees all of them let go takes the cover off. Nothing live in between."""
    with Running() as running:
        running.wait_live()
        hands, lock, end = set(), threading.Lock(), time.monotonic() + 1.5

        def hand(number):
            while time.monotonic() < end:
                with lock:
                    hands.add(number)
                running.cover()
                time.sleep(0.0005 * number)
                with lock:  # nobody is on the way to a press that this would undo
                    hands.discard(number)
                    if not hands:
                        running.uncover()
                time.sleep(0.0003 * number)

        threads = [threading.Thread(target=hand, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        running.uncover()
        running.wait_live()
    assert all(running.sinks[name].wrong == [] for name in ("quick", "slow"))
    assert "cover" in running.sinks["quick"].states()


def test_the_cover_does_not_wait_for_the_next_picture():
    """The camera stands still: the cover comes all the same, and at once."""
    still = threading.Event()
    sink = Witness()
    loop = make_loop(
        NumberedCamera(10, wait=lambda number: number > 5 and still.wait(SOON_S)),
        sinks={"sink": sink}, lossless=False, stall_ms=5000,
    )  # fmt: skip
    thread = threading.Thread(target=loop.run)
    thread.start()
    wait_for(lambda: 5 in sink.numbers("live"))
    loop.cover(True)
    wait_for(lambda: sink.states()[-1] == "cover")
    still.set()
    thread.join(SOON_S)
    assert sink.numbers("live")[-1] == 5


def test_a_frame_that_was_judged_before_does_not_come_out_after_it():
    """A slow sink holds one live frame in its hands and one in its slot when the cover comes."""
    writing, go_on = threading.Event(), threading.Event()

    def before(frame):
        if frame.state == "live":
            writing.set()
            go_on.wait(SOON_S)

    sink = Witness(before=before)
    camera = NumberedCamera(30)
    loop = make_loop(camera, sinks={"sink": sink})
    thread = threading.Thread(target=loop.run)
    thread.start()
    assert writing.wait(SOON_S)
    wait_for(lambda: camera.number >= 4)
    loop.cover(True)
    go_on.set()
    thread.join(SOON_S)
    assert sink.states() == ["live"] + ["cover"] * 29  # each frame of a file has its place, as a cover


def test_it_covers_before_and_during_the_start():
    loop = make_loop(NumberedCamera(50), lossless=False)
    loop.cover(True)
    loop.run()
    assert set(loop.parts.sinks["witness"].states()) == {"cover"}

    def persona(finder):
        late.cover(True)
        return any_persona(finder)

    late = make_loop(NumberedCamera(50), sinks={"device": StayingWitness()}, persona=persona, lossless=False)
    late.run()
    assert set(late.parts.sinks["device"].states()) == {"cover"}


def test_no_held_frame_comes_back_after_it(monkeypatch):
    """After the cover the face is not found: what was shown before the cover is not shown again."""

    def gone(number, faces):
        if number == 10:
            loop.cover(True)
        if number == 17:  # those in which the missed face was still swapped have been judged by then
            loop.cover(False)
        return [] if number > 10 else None

    sink = Witness()
    loop = make_loop(NumberedCamera(20), finder=ColourFinder(gone), sinks={"sink": sink})
    loop.guard.hold_ms = 2000
    loop.run()
    states = sink.states()
    first = states.index("cover")
    assert set(states[first:]) == {"cover"} and first >= 5


def test_a_stalled_camera_is_covered_by_hand_in_words():
    still = threading.Event()
    loop = make_loop(
        NumberedCamera(10, wait=lambda number: number > 5 and still.wait(SOON_S)), lossless=False, stall_ms=100
    )
    thread = threading.Thread(target=loop.run)
    thread.start()
    wait_for(lambda: loop.began)
    loop.cover(True)
    before = loop.ledger.report()["covers"][BY_HAND]
    wait_for(lambda: loop.ledger.report()["covers"][BY_HAND] > before + 3)
    still.set()
    thread.join(SOON_S)


def test_a_sink_may_press_the_key_from_its_own_thread():
    class Window(Witness):
        def bind(self, cover_key):
            self.cover_key = cover_key

        def write(self, frame):
            super().write(frame)
            if frame.state == "live" and len(self.numbers("live")) == 3:
                self.cover_key()

    window = Window()
    loop = make_loop(NumberedCamera(40), sinks={"window": window, "film": Witness()})
    loop.run()
    assert loop.covered
    assert window.states().count("live") == 3 and window.states()[-1] == "cover"


def test_a_key_held_down_only_covers_and_a_second_press_shows_again():
    now = [0]
    loop = make_loop()
    loop._hand = ByHand(loop.guard, Outlets(), lambda: now[0], lossless=False)
    loop.cover_key()
    assert loop.covered
    for now[0] in range(500_000_000, 5_000_000_000, 30_000_000):
        loop.cover_key()
        assert loop.covered
    now[0] += 999_999_999
    loop.cover_key()
    assert loop.covered
    now[0] += 1_000_000_000
    loop.cover_key()
    assert not loop.covered
    loop.cover_key()
    assert loop.covered


def test_the_cover_of_the_end_stays_when_it_was_covered_by_hand():
    outlets = Outlets()
    device = StayingWitness()
    loop = make_loop(NumberedCamera(10), sinks={"device": device}, outlets=outlets)
    loop.cover(True)
    loop.run()
    outlets.close()
    assert set(device.states()) == {"cover"}
    assert loop.ledger.report()["covers"] == {BY_HAND: 10, "stopped": 1}
