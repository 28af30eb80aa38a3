"""One thread of the loop: what is called when, and where errors are kept."""

from __future__ import annotations

import threading

import pytest

from live.mailbox import Closed
from live.stage import Stage

SOON_S = 10.0


class Log:
    """Notes every call with its thread; the named ones raise."""

    def __init__(self, steps=3, **errors):
        self.calls, self.threads, self.errors, self.steps = [], set(), errors, steps
        self.go = threading.Event()
        self.stage = Stage("test", open=self.open, step=self.step, close=self.close, done=self.done, go=self.go)

    def _note(self, name):
        self.calls.append(name)
        self.threads.add(threading.get_ident())
        if name in self.errors:
            raise self.errors[name]

    def open(self):
        self._note("open")

    def step(self):
        if self.calls.count("step") == self.steps:
            raise Closed
        self._note("step")

    def close(self):
        self._note("close")

    def done(self):
        self.calls.append("done")
        self.threads.add(threading.get_ident())

    def run(self):
        self.go.set()
        self.stage.start()
        assert self.stage.join(SOON_S)
        return self


def test_opens_steps_until_closed_then_closes():
    log = Log(steps=3).run()
    assert log.calls == ["open", "step", "step", "step", "close", "done"]
    assert log.stage.error is None


def test_everything_happens_on_one_other_thread():
    log = Log().run()
    assert len(log.threads) == 1
    assert threading.get_ident() not in log.threads


def test_a_failed_open_is_kept_and_no_step_runs():
    error = OSError("no device")
    log = Log(open=error).run()
    assert log.stage.error is error
    assert log.calls == ["open", "close", "done"]


def test_a_failed_open_ends_without_the_signal_to_go():
    log = Log(open=OSError("no device"))
    log.stage.start()
    assert log.stage.join(SOON_S)
    assert not log.go.is_set()


def test_a_failed_step_is_kept():
    error = ZeroDivisionError("bug")
    log = Log(step=error).run()
    assert log.stage.error is error
    assert log.calls == ["open", "step", "close", "done"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), MemoryError()])
def test_errors_that_are_no_exceptions_are_kept_too(error):
    assert Log(step=error).run().stage.error is error


def test_a_failed_close_is_kept_and_done_still_comes():
    error = OSError("disk full")
    log = Log(close=error).run()
    assert log.stage.error is error
    assert log.calls[-2:] == ["close", "done"]


def test_the_first_error_is_the_one_that_is_kept():
    first = ValueError("step")
    assert Log(step=first, close=OSError("close")).run().stage.error is first


def test_closed_from_open_is_an_error_and_not_the_end():
    assert isinstance(Log(open=Closed()).run().stage.error, Closed)


@pytest.mark.parametrize("errors", [{}, {"open": OSError("no")}])
def test_opened_is_set_whether_or_not_open_worked(errors):
    log = Log(**errors)
    log.stage.start()
    assert log.stage.opened.wait(SOON_S)
    log.go.set()
    assert log.stage.join(SOON_S)


def test_no_step_before_the_signal_to_go():
    log = Log()
    log.stage.start()
    assert log.stage.opened.wait(SOON_S)
    assert "step" not in log.calls and log.stage.alive
    log.go.set()
    assert log.stage.join(SOON_S)
    assert log.calls.count("step") == 3


def test_join_tells_whether_the_thread_has_ended():
    log = Log()
    assert log.stage.join(0)
    log.stage.start()
    assert not log.stage.join(0.01)
    log.go.set()
    assert log.stage.join(SOON_S)
    assert not log.stage.alive
