"""What a wish leaves open, what becomes of one that cannot be had."""

from __future__ import annotations

import logging

import pytest

from engines.door import RUNTIMES, candidates, open_engine
from engines.errors import BadInput, ModelError, NotAvailable
from tests.engines.models import convolutions, folder_of

pytestmark = pytest.mark.skipif(RUNTIMES.why_not("onnx_runtime") is not None, reason="onnxruntime is not installed")


@pytest.fixture
def card(tmp_path):
    return folder_of(tmp_path / "model", convolutions())


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_auto_leaves_every_local_runtime_open(card):
    ways = candidates(card)
    runtimes = {way.runtime for way in ways}
    assert "onnx_runtime" in runtimes and not runtimes & {"fake", "open_inference"}
    assert {way.threads for way in ways if way.device == "cpu"} >= {1}


def test_a_wish_narrows_what_is_open(card):
    assert {way.runtime for way in candidates(card, "onnx_runtime")} == {"onnx_runtime"}
    narrow = candidates(card, "onnx_runtime:cpu:fp32", threads=1)
    assert len(narrow) == 1 and str(narrow[0]) == "onnx_runtime cpu fp32, 1 thread"


def test_the_number_of_threads_can_be_said(card):
    assert {way.threads for way in candidates(card, threads=3) if way.device == "cpu"} == {3}


def test_opens_what_it_measured(card):
    engine = open_engine(card)
    assert engine.variant in candidates(card) and engine.model == "test" and not engine.fallback
    engine.close()


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("onxruntime", "onxruntime"),
        ("", "no runtime called ''"),
        ("onnx_runtime:gramophone", "gramophone"),
        ("onnx_runtime:cpu:fp64", "fp64"),
        ("onnx_runtime:fp32:cpu", "fp32:cpu"),
    ],
)
def test_a_wish_that_means_nothing_is_bad_input(card, wish, words):
    with pytest.raises(BadInput, match=words) as caught:
        open_engine(card, wish)
    assert caught.value.hint


def test_a_device_that_is_not_here_is_an_error_and_says_why(card):
    with pytest.raises(NotAvailable, match="DmlExecutionProvider") as caught:
        open_engine(card, "onnx_runtime:directml")
    assert "onnxruntime-directml" in caught.value.hint


def test_with_fallback_the_best_other_one_is_taken_loudly(card, caplog):
    with caplog.at_level(logging.WARNING, "doppelcam.engines"):
        engine = open_engine(card, "onnx_runtime:directml", fallback=True)
    assert engine.variant.device != "directml"
    assert engine.fallback.startswith("onnx_runtime:directml was asked for")
    assert "FALLBACK" in caplog.text and "test runs on" in caplog.text
    engine.close()


def test_fallback_does_not_hide_a_broken_file(tmp_path):
    with pytest.raises(ModelError):
        open_engine(folder_of(tmp_path / "broken", b"no model"), "onnx_runtime:cpu", fallback=True)
