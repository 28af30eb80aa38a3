"""Opening a lost thing again: pauses that grow, an end when the run ends, the last error where tries are counted."""

from __future__ import annotations

import threading

import pytest

from engines.errors import NotAvailable
from live.mailbox import Closed
from live.reopen import PAUSES_S, reopen


class Patience(threading.Event):
    """An event that nobody waits for: the pauses are only noted; set after so many of them."""

    def __init__(self, patience=1000):
        super().__init__()
        self.pauses, self.patience = [], patience

    def wait(self, timeout=None):
        self.pauses.append(timeout)
        return len(self.pauses) > self.patience


class Thing:
    """Refuses to open a number of times."""

    def __init__(self, refusals):
        self.refusals, self.said = refusals, []

    def open(self):
        self.said.append("open")
        if self.refusals:
            self.refusals -= 1
            raise NotAvailable(f"{self.refusals} more to come")

    def close(self):
        self.said.append("close")


def test_it_is_closed_before_each_try_and_the_pauses_grow_until_it_opens():
    thing, stopping = Thing(refusals=6), Patience()
    reopen(thing.close, thing.open, stopping)
    assert thing.said == ["close", "open"] * 7
    assert stopping.pauses == [*PAUSES_S, *[PAUSES_S[-1]] * (7 - len(PAUSES_S))]
    assert max(PAUSES_S) <= 1.0  # a camera plugged in again must be back within 2 s
    assert list(PAUSES_S) == sorted(PAUSES_S)


def test_the_end_of_the_run_ends_the_tries_and_leaves_it_closed():
    thing = Thing(refusals=1000)
    with pytest.raises(Closed):
        reopen(thing.close, thing.open, Patience(3))
    assert thing.said == ["close", "open"] * 3 + ["close"]


def test_the_last_try_tells_why_it_failed():
    thing = Thing(refusals=1000)
    with pytest.raises(NotAvailable, match="997 more"):
        reopen(thing.close, thing.open, Patience(), tries=3)
    assert thing.said.count("open") == 3


def test_an_error_that_is_not_ours_is_not_tried_again():
    def bug():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        reopen(lambda: None, bug, Patience())
