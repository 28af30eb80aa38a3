"""What runs a model goes away in mid-stream: the cover is shown, no bare face, and the run goes on when it is back."""

from __future__ import annotations

import threading

import pytest

from engines.errors import EngineLost, NotAvailable
from tests.doubles import ColourFinder, GreenSwapper, NumberedCamera, PlainBlender, Witness, any_persona, make_loop


class Server:
    """Gone from frame 20 on; it opens again when `back` is set."""

    def __init__(self):
        self.opened = self.refused = self.closed = 0
        self.back, self.again = threading.Event(), threading.Event()

    def open(self):
        if self.opened and not self.back.is_set():
            self.refused += 1
            raise NotAvailable("connection refused")
        self.opened += 1
        if self.opened == 2:
            self.again.set()

    def close(self):
        self.closed += 1

    def ask(self, number, *_):
        if number >= 20 and self.opened == 1:
            raise EngineLost("the server went away")


def on(part, server):
    """`part` with its open and close at the server."""
    part.open, part.close = server.open, server.close
    return part


STEPS = {
    "find": lambda server: {"finder": on(ColourFinder(server.ask), server)},
    "swap by a net": lambda server: {"swapper": on(GreenSwapper(server.ask), server)},
    "drawn swap": lambda server: {"swapper": on(GreenSwapper(server.ask), server)},
    "blend": lambda server: {"blender": on(PlainBlender(halfway=server.ask), server)},
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("live.reopen.PAUSES_S", (0.01,))


@pytest.mark.parametrize("step", STEPS)
def test_the_cover_is_shown_while_it_is_away_and_then_the_run_goes_on(step, monkeypatch):
    monkeypatch.setattr(GreenSwapper, "drawn", step == "drawn swap")
    server, live, covers, personas = Server(), threading.Event(), [], []

    def wait(number):
        if number == 20:
            live.wait(10)
        if number == 60:
            server.again.wait(10)

    def look(frame):
        if frame.state == "live":
            live.set()
        elif live.is_set():
            covers.append(frame)
            if len(covers) == 3:  # the frame itself, and then because nothing comes any more
                server.back.set()

    def persona(finder):
        personas.append(1)
        return any_persona(finder)

    witness = Witness(before=look)
    loop = make_loop(
        NumberedCamera(60, wait=wait),
        sinks={"w": witness},
        persona=persona,
        lossless=False,
        stall_ms=100,
        give_up_after=1,
        **STEPS[step](server),
    )
    loop.run()
    report = loop.ledger.report()
    lives = [n for n in witness.numbers("live") if n]
    assert not witness.leaked()
    assert min(lives) < 20 and max(lives) == 60 and 20 not in lives
    assert report["covers"]["engine lost, looking for it"] >= 3
    assert report["engine_lost"] == report["frames"]["failed"] == 1
    assert report["errors"] == {"the server went away": 1}
    assert (server.opened, len(personas)) == (2, 1)


def test_of_a_file_only_the_frame_that_was_inside_is_lost():
    server, witness = Server(), Witness()
    server.back.set()
    make_loop(NumberedCamera(60), sinks={"w": witness}, **STEPS["find"](server)).run()
    assert witness.numbers("live") == [n for n in range(1, 61) if n != 20]
    assert witness.states()[19] == "cover"


def test_an_engine_that_is_lost_again_and_again_does_not_stop_the_run(monkeypatch):
    monkeypatch.setattr("live.reopen.PAUSES_S", (0.0,))
    witness = Witness()

    def ask(number, *_):
        if number > 10:
            raise EngineLost("gone again")

    make_loop(NumberedCamera(60), finder=ColourFinder(ask), sinks={"w": witness}).run()
    # Those that were inside when the camera's last picture came are not waited for.
    assert witness.states() in [["live"] * 10 + ["cover"] * n for n in range(45, 51)]
    assert not witness.leaked()


def test_the_run_can_end_while_it_is_away():
    server, witness = Server(), Witness()
    source = NumberedCamera(1_000_000, wait=lambda number: threading.Event().wait(0.002))
    loop = make_loop(source, sinks={"w": witness}, lossless=False, **STEPS["find"](server))
    loop.run(seconds=30, status=lambda: loop.stop() if server.refused >= 2 else None)
    assert server.opened == 1 and server.refused >= 2
    assert source.closed == witness.closed == 1
    assert witness.states()[-1] == "cover"
