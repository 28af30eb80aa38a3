"""Sinks that stay: opened first, covered while nothing comes and when the loop has failed, taken over by the next."""

from __future__ import annotations

import threading
import time

import pytest

from engines.errors import BadInput, LoopFailed, SinkLost
from live.frame import Format
from live.outlets import Outlets
from tests.doubles import ColourFinder, NumberedCamera, StayingWitness, Witness, any_persona, make_loop

SOON_S = 10.0


@pytest.fixture
def outlets():
    made = Outlets()
    yield made
    made.close()


def wait_for(condition):
    end = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def broken(number, faces):
    raise ValueError("net is broken")


def test_it_is_opened_and_covered_before_the_nets_are_loaded():
    covered = threading.Event()
    device, film = StayingWitness(before=lambda frame: covered.set()), Witness()

    def persona(finder):
        assert covered.wait(SOON_S), "nothing was shown while the nets are loaded"
        assert film.opened == 0  # a file is begun when all the rest works
        return any_persona(finder)

    loop = make_loop(NumberedCamera(5), sinks={"device": device, "film": film}, persona=persona, lossless=False)
    loop.run()
    assert device.states()[0] == "cover"
    assert device.closed == film.closed == 1


def test_a_run_that_cannot_start_gives_it_back(outlets):
    def persona(finder):
        raise BadInput("no face was found in cat.jpg")

    device = StayingWitness()
    loop = make_loop(NumberedCamera(5), sinks={"device": device}, persona=persona, lossless=False, outlets=outlets)
    with pytest.raises(BadInput, match=r"cat\.jpg"):
        loop.run()
    assert not loop.began
    outlets.close()
    assert (device.opened, device.closed) == (1, 1)
    assert set(device.states()) <= {"cover"}


def test_after_a_failure_the_cover_stays_until_it_is_closed(outlets, monkeypatch):
    monkeypatch.setattr("live.outlets._REPEAT_S", 0.01)
    device, film = StayingWitness(), Witness()
    loop = make_loop(
        NumberedCamera(100), finder=ColourFinder(broken), sinks={"device": device, "film": film}, outlets=outlets
    )
    with pytest.raises(LoopFailed):
        loop.run()
    assert (film.closed, device.closed) == (1, 0)
    assert outlets.stay
    before = len(device.seen)
    wait_for(lambda: len(device.seen) > before + 5)
    assert set(device.states()) == {"cover"}
    assert loop.ledger.report()["covers"]["the swap failed"] == 10  # nine frames, and the one that stays
    outlets.close()
    assert device.closed == 1 and not outlets.stay


def test_the_last_picture_of_a_run_is_a_cover_and_no_live_picture_is_repeated(outlets, monkeypatch):
    monkeypatch.setattr("live.outlets._REPEAT_S", 0.01)
    device = StayingWitness()
    hold = threading.Event()
    source = NumberedCamera(5, wait=lambda number: hold.wait(0.2) if number == 3 else None)
    make_loop(source, sinks={"device": device}, outlets=outlets).run()
    wait_for(lambda: device.states()[-1] == "cover")
    assert device.numbers("live") in ([1, 2, 3, 4, 5], [1, 2, 3, 4])  # the cover may replace the last one


def test_the_next_loop_takes_it_over_as_it_is(outlets):
    first, second = StayingWitness(), StayingWitness()
    make_loop(NumberedCamera(5), sinks={"device": first}, outlets=outlets).run()
    loop = make_loop(NumberedCamera(5), sinks={"device": second}, outlets=outlets)
    loop.run()
    wait_for(lambda: first.numbers("live").count(1) == 2 and first.states()[-1] == "cover")
    assert (first.opened, first.closed, second.opened) == (1, 0, 0)
    assert not first.leaked()
    assert loop.ledger.report()["sinks"]["device"]["shown"] >= 4


@pytest.mark.parametrize("change", ["settings", "name"])
def test_one_that_is_not_wanted_any_more_is_closed(outlets, change):
    first = StayingWitness()
    second = StayingWitness(size=2 if change == "settings" else 1)
    make_loop(NumberedCamera(5), sinks={"device": first}, outlets=outlets).run()
    make_loop(NumberedCamera(5), sinks={"device" if change == "settings" else "other": second}, outlets=outlets).run()
    assert (first.closed, second.opened) == (1, 1)


def test_another_size_opens_it_again(outlets):
    class Small(NumberedCamera):
        def open(self):
            super().open()
            return Format(80, 60, 30.0)

    device = StayingWitness()
    make_loop(NumberedCamera(5), sinks={"device": device}, outlets=outlets).run()
    make_loop(Small(5), sinks={"device": StayingWitness()}, outlets=outlets).run()
    assert (device.opened, device.closed) == (2, 1)


def test_one_that_is_lost_is_looked_for_as_long_as_it_takes(outlets, monkeypatch):
    monkeypatch.setattr("live.reopen.PAUSES_S", (0.0,))

    class Gone(StayingWitness):
        def open(self, format):
            super().open(format)
            if 1 < self.opened < 50:
                raise SinkLost("not there")

    device = Gone(fail_at=(3,))
    source = NumberedCamera(100, wait=lambda number: device.opened >= 50 or time.sleep(0.01))
    make_loop(source, sinks={"device": device}, lossless=False, outlets=outlets).run()
    assert device.opened == 50
    wait_for(lambda: device.states()[-1] == "cover" and len(device.seen) > 3)


def test_a_camera_that_cannot_be_opened_leaves_the_cover_of_before(outlets, monkeypatch):
    monkeypatch.setattr("live.outlets._REPEAT_S", 0.01)

    class NoCamera(NumberedCamera):
        def open(self):
            raise BadInput("no camera here")

    device = StayingWitness()
    make_loop(NumberedCamera(5), sinks={"device": device}, outlets=outlets).run()
    with pytest.raises(BadInput, match="no camera here"):
        make_loop(NoCamera(), sinks={"device": StayingWitness()}, outlets=outlets).run()
    before = len(device.seen)
    wait_for(lambda: len(device.seen) > before + 3)
    assert outlets.stay and device.states()[-1] == "cover"
