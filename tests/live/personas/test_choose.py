"""What `--face NAME` opens, with which disclosure, and what ends it while it is worn."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from engines.errors import BadInput
from live.app import build
from live.frame import Format, Frame
from live.guard import Guard
from live.personas import SAMPLE_PORTRAITS, allowed, choose, enrol, open_persona
from live.personas.consent import read_withdrawal, withdraw
from live.personas.packs import now
from live.run import read_run
from live.trace import Ledger, Trace


@pytest.fixture
def lena(packs, finder):
    """The shipped portrait, kept as one of the user's faces."""
    photos = enrol.take(SAMPLE_PORTRAITS / "lena.jpg", finder)
    return enrol.store(packs, "lena", photos, "self", "a challenge")


def test_a_kept_face_looks_as_its_picture_does(lena, finder):
    kept, fresh = open_persona("lena", finder), open_persona(str(SAMPLE_PORTRAITS / "lena.jpg"), finder)
    assert np.array_equal(kept.image, fresh.image)
    assert np.array_equal(kept.face.points, fresh.face.points)


@pytest.mark.parametrize(
    ("spec", "disclosure"),
    [("lena", "self"), ("sample:lena", "synthetic"), (str(SAMPLE_PORTRAITS / "lena.jpg"), "unverified")],
)
def test_how_consent_was_reached_decides_the_disclosure(lena, finder, spec, disclosure):
    choice = choose(spec)
    assert choice.disclosure == choice.open(finder).disclosure == disclosure
    loop = build(read_run(None, [], {"source": "sample", "face": spec, "sink": ["null"]}))
    assert (loop.parts.session.persona, loop.parts.session.disclosure) == ("lena", disclosure)


def test_a_file_is_meant_before_a_face_of_that_name(lena, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lena").write_bytes((SAMPLE_PORTRAITS / "nia.jpg").read_bytes())
    assert choose("lena").disclosure == "unverified"


def test_what_is_over_cannot_be_worn(packs, make):
    packs.add(make(made=now() - timedelta(days=50), days=50))
    with pytest.raises(BadInput, match="'lena' cannot be worn: the consent for this face ended on"):
        build(read_run(None, [], {"source": "sample", "face": "lena", "sink": ["null"]}))


def live(guard):
    """What the guard says to a picture without a face when such pictures may be shown."""
    frame = Frame(1, np.zeros((90, 160, 3), np.uint8), 9.0, Trace(0), marked=True)
    guard.on_no_face, guard.hold_ms = "show", 0
    return guard.judge(frame).state


@pytest.fixture
def guard(lena, finder, monkeypatch):
    monkeypatch.setattr(allowed, "_LOOK_AGAIN_S", 0.0)
    loop = build(read_run(None, [], {"source": "sample", "face": "lena", "sink": ["null"]}))
    loop.guard.open(Format(160, 90, 30.0), Ledger())
    loop.guard.wear(loop.parts.persona(finder))
    assert live(loop.guard) == "bare"
    return loop.guard


def test_what_ends_while_it_is_worn_is_covered(guard, monkeypatch):
    monkeypatch.setattr(allowed, "now", lambda: now() + timedelta(days=400))
    assert live(guard) == "cover"
    assert any("ended on" in why for why in guard._covers)


def test_what_is_removed_while_it_is_worn_is_covered(guard, packs):
    packs.remove("lena")
    assert live(guard) == "cover"
    assert "this face was removed" in guard._covers


def test_what_is_withdrawn_while_it_is_worn_is_covered(packs, make, agreed, other, monkeypatch):
    monkeypatch.setattr(allowed, "_LOOK_AGAIN_S", 0.0)
    consent = agreed()
    packs.add(make(disclosure="consented", consent=consent))
    why_not = allowed.Allowed(packs, packs.open("lena"))
    assert why_not() == ""
    packs.withdraw(read_withdrawal(withdraw(consent, other.signing_key()), "x"))
    assert why_not() == "the consent for this face was withdrawn"


def test_the_last_picture_is_not_held_when_the_consent_ends(guard):
    frame = Frame(1, np.zeros((90, 160, 3), np.uint8), 9.0, Trace(0), marked=True)
    guard._last = guard.judge(frame)
    guard.permit = lambda: "over"
    assert live(guard) == "cover" and guard._last is None


@pytest.mark.parametrize(("sink", "may"), [("out.mp4", False), ("null", True), ("window", True)])
def test_a_consent_limits_the_sinks(packs, make, agreed, sink, may):
    packs.add(make(disclosure="consented", consent=agreed(scope=["live"])))
    run = read_run(None, [], {"source": "sample", "face": "lena", "sink": [sink]})
    if may:
        assert build(run)
    else:
        with pytest.raises(BadInput, match="'lena' may not be recorded"):
            build(run)


def test_a_guard_alone_permits():
    assert Guard().permit() == ""
