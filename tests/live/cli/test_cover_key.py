"""The panic key: space on a terminal, SIGUSR1; Ctrl-C stays what it is, and the terminal is given back as it was."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from live.cli.cover_key import CoverKey

ROOT = Path(__file__).parents[3]


class Presses:
    def __init__(self):
        self.count, self._came = 0, threading.Condition()

    def __call__(self):
        with self._came:
            self.count += 1
            self._came.notify_all()

    def wait(self, count):
        with self._came:
            assert self._came.wait_for(lambda: self.count >= count, 10)


@pytest.fixture
def terminal():
    """Both ends of a terminal: what a user types into, and what a program reads."""
    user, program = pty.openpty()
    yield user, program
    os.close(user)
    os.close(program)


def test_space_is_a_press_and_no_other_key_is(terminal):
    user, program = terminal
    presses = Presses()
    before = termios.tcgetattr(program)
    with CoverKey(presses, program) as key:
        assert key.listens
        modes = termios.tcgetattr(program)[3]
        assert modes & termios.ISIG and not modes & (termios.ICANON | termios.ECHO)
        os.write(user, b"xyz\n\x1b[A")
        os.write(user, b" ")
        presses.wait(1)
        os.write(user, b" ")
        presses.wait(2)
    assert presses.count == 2
    assert termios.tcgetattr(program) == before


def signalled():
    """As if the signal had come: pytest takes real ones on a stack too small where wide registers are used."""
    signal.getsignal(signal.SIGUSR1)(signal.SIGUSR1, None)


def test_the_signal_is_a_press_also_without_a_terminal():
    presses = Presses()
    before = signal.getsignal(signal.SIGUSR1)
    with CoverKey(presses):
        for count in (1, 2, 3):
            signalled()
            presses.wait(count)
    assert signal.getsignal(signal.SIGUSR1) == before


def test_a_terminal_that_goes_away_leaves_the_signal(terminal):
    user, program = terminal
    spare, presses = os.dup(user), Presses()
    os.close(spare)
    with CoverKey(presses, program):
        gone, other = pty.openpty()
        os.dup2(gone, user)  # nobody holds the first one's user end any more
        os.close(gone)
        signalled()
        presses.wait(1)
        os.close(other)


RUN = """
import time
from live import session
from live.cli.run import run_to_its_end
from live.outlets import Outlets
from tests.doubles import NumberedCamera, StayingWitness, make_loop

outlets = Outlets()
camera = NumberedCamera(10**6, wait=lambda number: time.sleep(0.01))
loop = make_loop(camera, sinks={"device": StayingWitness()}, outlets=outlets, lossless=False)
loop.parts.session = session.begin("nobody", "synthetic")
run_to_its_end(loop, outlets, None)
print("ENDED", sorted(loop.ledger.report()["covers"]), flush=True)
"""


class Terminal:
    """A program on a terminal of its own, as in a shell's window, and what it wrote there."""

    def __init__(self):
        self.user, program = pty.openpty()
        self.before = termios.tcgetattr(program)
        self.program = program
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{RUN}"],
            cwd=ROOT, stdin=program, stdout=program, stderr=program, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "200"},
        )  # fmt: skip
        self.said = b""

    def wait_for(self, words, within_s=30):
        end = time.monotonic() + within_s
        while words not in self.said:
            ready, _, _ = select.select([self.user], [], [], max(end - time.monotonic(), 0))
            assert ready, self.said[-2000:]
            self.said += os.read(self.user, 4096)
        self.said = self.said.partition(words)[2]

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.user)
        os.close(self.program)


def test_on_a_terminal_space_covers_and_ctrl_c_ends_as_ever():
    shell = Terminal()
    try:
        shell.wait_for(b"space covers, Ctrl-C ends")
        os.write(shell.user, b" ")
        shell.wait_for(b"covered by hand")
        shell.wait_for(b"space shows again")
        time.sleep(1.1)  # sooner it would be the same press still
        os.write(shell.user, b" ")
        shell.wait_for(b"space covers")
        time.sleep(1.1)
        shell.process.send_signal(signal.SIGUSR1)
        shell.wait_for(b"covered by hand")
        os.write(shell.user, b"\x03")
        shell.wait_for(b"ENDED ['covered by hand'")
        assert shell.process.wait(10) == 0
        assert termios.tcgetattr(shell.program) == shell.before
    finally:
        shell.close()
