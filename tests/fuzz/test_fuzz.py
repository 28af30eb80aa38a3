"""Spoilt input to every parser of doppelcam's own: one clear line, or a value; no crash, no hang, no other exception.

A few thousand inputs by default; `pytest -m soak tests/fuzz` tries 100,000 and more.
"""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from engines.errors import DoppelcamError
from live.pictures import picture_of
from live.videos import look_into
from tests.fuzz.parsers import PNG, Home, h5, parsers, read_h5, spoilt, spoilt_fields
from tests.live.test_videos import film

HOME = Home(Path(tempfile.mkdtemp()))
PARSERS = {parser.name: parser for parser in parsers(HOME)}
FIELDS = {
    "consent fields": (HOME.consent_fields, HOME.signed_consent),
    "pack fields": (HOME.pack_fields, HOME.signed_pack),
}
SHORT, LONG = 150, 6_000
assert LONG * (len(PARSERS) + len(FIELDS)) > 100_000


@pytest.fixture(scope="module", autouse=True)
def _own_state(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    for name in ("DATA", "STATE", "CACHE"):
        patch.setenv(f"XDG_{name}_HOME", str(tmp_path_factory.mktemp(name)))
    patch.chdir(tmp_path_factory.mktemp("cwd"))
    yield
    patch.undo()


def demand_one_line(error):
    assert 0 < len(error.message) < 3000
    assert not set("\x1b\n\r\0") & set(error.message + error.hint)


def tried(strategy, run, also, count):
    """Run this many inputs through a parser; the number of those that it took."""
    held = {"inputs": 0, "taken": 0}

    @settings(
        max_examples=count,
        database=None,
        deadline=timedelta(seconds=10),
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        derandomize=count == SHORT,
    )
    @given(strategy)
    def one(value):
        held["inputs"] += 1
        try:
            run(value)
            held["taken"] += 1
        except also:
            pass
        except DoppelcamError as error:
            demand_one_line(error)

    one()
    assert held["inputs"] >= 0.9 * count
    return held["taken"]


def bytes_into(name, folder, count):
    parser = PARSERS[name]
    for seed in parser.seeds:
        parser.run(seed, folder)  # a good one is taken
    tried(spoilt(parser.seeds), lambda data: parser.run(data, folder), parser.also, count)


def fields_into(name, count):
    seed, run = FIELDS[name]
    run(seed)
    assert 0 < tried(spoilt_fields(seed), run, (), count) < count


@pytest.mark.parametrize("name", PARSERS)
def test_spoilt_bytes(name, tmp_path):
    bytes_into(name, tmp_path, SHORT)


@pytest.mark.parametrize("name", FIELDS)
def test_spoilt_fields_that_are_signed(name):
    fields_into(name, SHORT)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", PARSERS)
def test_many_spoilt_bytes(name, tmp_path):
    bytes_into(name, tmp_path, LONG)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", FIELDS)
def test_many_spoilt_fields_that_are_signed(name):
    fields_into(name, LONG)


# ---- foreign decoders, through the limited process that they run in


def through_the_door(strategy, run, count):
    @settings(max_examples=count, database=None, deadline=None, derandomize=count < 50,
              phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(strategy)
    def one(data):
        try:
            run(data)
        except DoppelcamError as error:
            demand_one_line(error)

    one()


@pytest.mark.parametrize("count", [8, pytest.param(400, marks=[pytest.mark.soak, pytest.mark.timeout(900)])])
def test_spoilt_pictures(count):
    seeds = [*PARSERS["picture header"].seeds[1:], PNG]
    through_the_door(spoilt(seeds), lambda data: picture_of(data, "x"), count)


@pytest.mark.parametrize("count", [8, pytest.param(400, marks=[pytest.mark.soak, pytest.mark.timeout(900)])])
def test_spoilt_videos(count, tmp_path):
    seeds = [film(tmp_path / f"a.{kind}", frames=3).read_bytes() for kind in ("mp4", "mkv", "avi")]

    def run(data):
        path = tmp_path / "x"
        path.write_bytes(data)
        look_into(path)

    through_the_door(st.one_of(spoilt([seed]) for seed in seeds), run, count)


@pytest.mark.parametrize("count", [8, pytest.param(400, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_spoilt_hdf5(count, tmp_path):
    through_the_door(spoilt([h5()]), lambda data: read_h5(data, tmp_path), count)
