"""The user's own record of sessions: what is in it, what is not, how large it gets."""

from __future__ import annotations

import json
import stat

import pytest

from engines.errors import BadInput
from live import session
from live.session import BITS, begin, forget, note_end, note_start, run_of, runs


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_a_session_has_a_number_that_fits_into_the_watermark():
    numbers = {begin("me", "self").number for _ in range(200)}
    assert len(numbers) > 190
    assert all(0 < number < 1 << BITS for number in numbers)
    one = begin("me", "self")
    assert one.id == f"{one.number:06x}" and int(one.id, 16) == one.number


def test_a_number_in_the_record_is_not_given_again(monkeypatch):
    first = begin("me", "self")
    note_start(first, [], [])
    dice = iter([0, first.number, first.number, 7])
    monkeypatch.setattr(session.secrets, "randbits", lambda bits: next(dice))
    assert begin("me", "self").number == 7


def test_a_run_is_found_by_its_number():
    one, other = begin("me", "self"), begin("lena", "synthetic")
    note_start(one, ["virtual"], ["badge", "watermark"])
    note_start(other, ["window"], [], "the show's own banner says so")
    note_end(one)
    run = run_of(one.number)
    assert (run["persona"], run["disclosure"], run["version"]) == ("me", "self", one.version)
    assert (run["started"], run["sinks"], run["marks"]) == (
        one.started.isoformat(),
        ["virtual"],
        ["badge", "watermark"],
    )
    assert run["ended"] >= run["started"] and "reason" not in run
    assert "ended" not in run_of(other.number)
    assert run_of(other.number)["reason"] == "the show's own banner says so"
    assert run_of(one.number ^ other.number ^ 1 << 23) is None
    assert [run["session"] for run in runs()] == [one.id, other.id]


def test_only_the_user_can_read_it():
    note_start(begin("me", "self"), [], [])
    assert stat.S_IMODE(session.path().stat().st_mode) == 0o600


def test_it_does_not_grow_without_end(monkeypatch):
    monkeypatch.setattr(session, "MOST_BYTES", 4000)
    made = []
    for _ in range(100):
        made.append(begin("me", "self"))
        note_start(made[-1], ["null"], [])
        assert session.path().stat().st_size < 4300
    kept = [run["session"] for run in runs()]
    assert 5 < len(kept) < 50
    assert kept == [one.id for one in made[-len(kept) :]]
    assert stat.S_IMODE(session.path().stat().st_mode) == 0o600


def test_broken_lines_are_passed_over():
    one = begin("me", "self")
    note_start(one, [], [])
    odd = [b"", b"{", b"[]", b"3", b'{"session": 3}', b'{"session": "x"}', b"\xff\xfe", b"[" * 5000]
    odd += [json.dumps({"session": "abcdef", "started": 1}).encode(), b'{"session": "abcdef", "ended": "now"}']
    with session.path().open("ab") as file:
        file.write(b"\n".join(odd) + b"\n")
    note_end(one)
    assert [run["session"] for run in runs()] == [one.id]
    assert "ended" in runs()[0]


def test_it_can_be_forgotten():
    note_start(begin("me", "self"), [], [])
    assert forget() == 1
    assert not session.path().exists() and runs() == [] and forget() == 0


def test_a_place_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(BadInput, match="record of sessions"):
        note_start(begin("me", "self"), [], [])
