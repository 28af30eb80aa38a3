"""A password by its hash, and the time that lies between tries; the clock is a fake."""

from __future__ import annotations

from itertools import pairwise

import pytest

from engines.errors import BadInput
from live.local_server.remote.password import Password, Tries


def test_the_right_one_is_right_and_kept_nowhere():
    password = Password("correct horse")
    assert password.is_right("correct horse")
    assert not any(password.is_right(wrong) for wrong in ("", "correct hors", "correct horse ", "x" * 10_000, "\ud800"))
    assert "correct horse" not in str(vars(password))
    assert Password("correct horse")._hash != password._hash


def test_letters_count_as_they_look():
    assert Password("kr\u00e4ftige Suppe").is_right("kra\u0308ftige Suppe")


@pytest.mark.parametrize("short", ["", "hunter2", "x" * 11, "x" * 201])
def test_a_short_one_is_none(short):
    with pytest.raises(BadInput, match="12 letters or more"):
        Password(short)


class Guesser:
    """Tries as soon as it may; the times at which it could."""

    def __init__(self):
        self.now, self.tries = 0.0, Tries(lambda: self.now)

    def guess(self, count, who=lambda k: "10.0.0.9"):
        times = []
        for k in range(count):
            while (wait := self.tries.begin(who(k))) > 0:
                self.now += wait
            self.tries.failed(who(k))
            times.append(self.now)
        return times


def test_a_guesser_waits_longer_and_longer():
    times = Guesser().guess(15)
    assert [round(b - a) for a, b in pairwise(times)] == [
        1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300
    ]  # fmt: skip


def test_many_guessers_get_one_try_a_second_together():
    guesser = Guesser()
    times = guesser.guess(2000, who=lambda k: f"10.0.{k // 250}.{k % 250}")
    assert times[-1] == pytest.approx(1999) and guesser.tries.wrong == 2000
    assert len(guesser.tries._by) <= 1024


def test_tries_at_the_same_time_are_one():
    tries = Tries(lambda: 0.0)
    assert [tries.begin("10.0.0.9") for _ in range(50)].count(0.0) == 1


def test_who_was_right_begins_anew_and_nobody_else_waits_for_a_guesser():
    guesser = Guesser()
    guesser.guess(8)
    guesser.now += 1
    assert guesser.tries.begin("10.0.0.9") > 30 and guesser.tries.begin("10.0.0.7") == 0
    guesser.now += 300
    assert guesser.tries.begin("10.0.0.9") == 0
    guesser.tries.right("10.0.0.9")
    guesser.now += 1
    assert guesser.tries.begin("10.0.0.9") == 0
