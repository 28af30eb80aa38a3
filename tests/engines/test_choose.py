"""What is picked among measured ways; that a choice is measured once, remembered, and forgotten when it must be."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from engines import choose as chooser
from engines.choose import Row, choose, measure, pick
from engines.engine import Engine, TensorSpec, Variant
from engines.errors import EngineError, ModelError, NotAvailable
from tests.engines.models import convolutions, folder_of

ONE, TWO = Variant("a"), Variant("a", threads=2)
LOW = Variant("b", precision="bf16")
OTHER = Variant("b")


class Doubling(Engine):
    """y = 2 x, wrong by `off`; it takes `ms` on one thread, and on two half of it."""

    def __init__(self, variant, off=0.0, ms=0.0):
        self.variant, self.off, self.closed, self.runs = variant, off, False, 0
        self.seconds = ms / variant.threads / 1000
        self.inputs = self.outputs = (TensorSpec("x", (1, 8), np.dtype(np.float32)),)

    def run(self, feeds):
        self.runs += 1
        if self.off is None:
            raise EngineError("it broke")
        time.sleep(self.seconds)
        return {"y": feeds["x"] * 2 + np.float32(self.off)}

    def close(self):
        self.closed = True


class Workshop:
    """Opens Doubling engines; `faults` maps a variant to how far it is off, None for broken, or what is raised."""

    def __init__(self, ms=0.0, **faults):
        self.ms, self.faults = ms, faults
        self.opened = []

    def __call__(self, card, variant):
        fault = self.faults.get(f"{variant.runtime}_{variant.precision}", 0.0)
        if isinstance(fault, Exception):
            raise fault
        engine = Doubling(variant, fault, self.ms)
        self.opened.append(engine)
        return engine


@pytest.fixture
def card(tmp_path):
    return folder_of(tmp_path / "model", convolutions())


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("times", "best"),
    [
        ({ONE: 2.0, TWO: 1.0}, ONE),  # a tiny net: one thread
        ({ONE: 20.0, TWO: 11.0}, TWO),
        ({ONE: 20.0, TWO: 18.0}, ONE),  # a second thread must bring something
        ({ONE: 20.0, OTHER: 10.0}, OTHER),
        ({ONE: 20.0, LOW: 19.0}, ONE),  # less precision must bring something
        ({ONE: 20.0, LOW: 9.0}, LOW),
        ({TWO: 5.0}, TWO),
    ],
)
def test_picks_the_fastest_unless_the_gain_is_small(times, best):
    assert pick([Row(variant, p50_ms=ms) for variant, ms in times.items()]).variant == best


def test_picks_nothing_that_was_refused():
    assert pick([Row(ONE, p50_ms=1, refused="wrong"), Row(OTHER, p50_ms=9)]).variant == OTHER
    assert pick([Row(ONE, p50_ms=1, refused="wrong")]) is None


def test_measures_each_and_closes_all(card):
    workshop = Workshop()
    rows = measure(card, [ONE, OTHER], workshop, seconds=0)
    assert [row.variant for row in rows] == [ONE, OTHER]
    assert all(0 < row.p50_ms <= row.p95_ms < 1000 and not row.refused for row in rows)
    assert len(workshop.opened) == 2 and all(engine.closed for engine in workshop.opened)


def test_the_wrong_the_broken_and_the_missing_are_refused_and_say_why(card):
    workshop = Workshop(b_bf16=0.5, b_fp32=NotAvailable("not on this machine"), c_fp32=None)
    rows = measure(card, [ONE, LOW, OTHER, Variant("c")], workshop, seconds=0)
    assert [bool(row.refused) for row in rows] == [False, True, True, True]
    assert "PSNR" in rows[1].refused and rows[1].worst_error == pytest.approx(0.5, rel=1e-3)
    assert rows[2].refused == "not on this machine" and rows[3].refused == "it broke"
    assert all(engine.closed for engine in workshop.opened)


def test_without_an_fp32_way_nothing_can_be_judged(card):
    with pytest.raises(NotAvailable, match=r"fp32.*gone"):
        measure(card, [LOW, ONE], Workshop(a_fp32=NotAvailable("gone")), seconds=0)


def test_a_file_that_breaks_everywhere_is_the_files_fault(card):
    with pytest.raises(ModelError, match="rubbish"):
        measure(card, [ONE, OTHER], Workshop(a_fp32=ModelError("rubbish"), b_fp32=ModelError("rubbish")), seconds=0)


def test_a_choice_is_measured_once_and_remembered(card):
    first, second = Workshop(), Workshop()
    chosen = choose(card, [ONE, OTHER], [ONE], {"a": "1", "b": "1"}, first)
    assert chosen in (ONE, OTHER) and first.opened
    assert choose(card, [ONE, OTHER], [ONE], {"a": "1", "b": "1"}, second) == chosen
    assert not second.opened


def test_several_threads_are_tried_only_where_one_is_not_quick_enough(card):
    quick, slow = Workshop(), Workshop(ms=20)
    assert choose(card, [ONE, TWO], [ONE], {}, quick) == ONE
    assert [engine.variant for engine in quick.opened] == [ONE]
    assert choose(card, [ONE, TWO], [ONE], {"a": "slow"}, slow) == TWO
    assert [engine.variant for engine in slow.opened] == [ONE, ONE, TWO]  # the first once more, beside the other


def test_what_is_wrong_on_one_thread_is_not_tried_on_two(card):
    workshop = Workshop(ms=20, b_bf16=0.5)
    assert choose(card, [ONE, LOW, replace(LOW, threads=2)], [ONE], {}, workshop) == ONE
    assert [engine.variant for engine in workshop.opened] == [ONE, LOW]


def test_where_several_threads_were_asked_for_only_they_are_measured(card):
    assert choose(card, [TWO, replace(OTHER, threads=2)], [ONE], {}, workshop := Workshop()).threads == 2
    assert len(workshop.opened) == 3


def test_another_version_other_ways_or_another_model_are_measured_anew(card, tmp_path):
    choose(card, [ONE, OTHER], [ONE], {"a": "1", "b": "1"}, Workshop())
    questions = [
        (card, [ONE, OTHER], {"a": "1", "b": "2"}),
        (card, [ONE, TWO], {"a": "1", "b": "1"}),
        (folder_of(tmp_path / "other", convolutions(seed=1)), [ONE, OTHER], {"a": "1", "b": "1"}),
    ]
    for which, ways, versions in questions:
        workshop = Workshop()
        choose(which, ways, [ONE], versions, workshop)
        assert workshop.opened


@pytest.mark.parametrize("text", ["", "{", "[]", '{"variant": 1}', '{"variant": {"runtime": "z"}}', "\x00"])
def test_a_damaged_memory_is_measured_anew(card, cache, text):
    choose(card, [ONE, OTHER], [ONE], {}, Workshop())
    (memory,) = cache.rglob("*.json")
    memory.write_text(text)
    workshop = Workshop()
    choose(card, [ONE, OTHER], [ONE], {}, workshop)
    assert workshop.opened and json.loads(memory.read_text())["variant"]


def test_without_a_writable_cache_it_still_chooses(card, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert choose(card, [ONE, OTHER], [ONE], {}, Workshop()) in (ONE, OTHER)


def test_a_lower_precision_asked_for_alone_is_judged_against_fp32(card):
    assert choose(card, [LOW], [ONE], {}, Workshop()) == LOW
    with pytest.raises(NotAvailable, match="PSNR"):
        choose(card, [LOW], [ONE], {"b": "wrong"}, Workshop(b_bf16=0.5))


def test_the_processor_and_its_cores_are_part_of_the_question():
    assert chooser.processor().endswith(f"{chooser.cores()} cores") and chooser.cores() >= 1
