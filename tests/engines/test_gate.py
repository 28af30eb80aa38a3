"""The gate lets through what answers as fp32 does, and says why it refuses the rest."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.engine import TensorSpec
from engines.errors import ModelError
from engines.gate import judge, probes
from tests.engines.models import convolutions, folder_of

PICTURE = TensorSpec("picture", (1, 3, 16, 16), np.dtype(np.float32))
BYTES = TensorSpec("image", (8, 8, 3), np.dtype(np.uint8))


@pytest.fixture
def card(tmp_path):
    return lambda **fields: folder_of(tmp_path / "model", convolutions(), **fields)


def answers(noise=0.0, **outputs):
    rng = np.random.default_rng(1)
    good = np.linspace(-1, 1, 300, dtype=np.float32)
    return [{"y": good + noise * rng.normal(size=300).astype(np.float32), **outputs}]


def test_the_same_answers_pass(card):
    verdict = judge(card(), answers(), answers())
    assert not verdict.refused and verdict.worst == 0 and verdict.psnr_db == np.inf


@pytest.mark.parametrize(("noise", "passes"), [(0.005, True), (0.1, False)])  # 52 and 26 dB over a range of 2
def test_noise_passes_down_to_40_db(card, noise, passes):
    verdict = judge(card(), answers(), answers(noise))
    assert (not verdict.refused) == passes
    assert passes or "PSNR 26" in verdict.refused


def test_a_tolerance_on_the_card_replaces_the_psnr(card):
    assert not judge(card(tolerance={"y": 0.6}), answers(), answers(0.1)).refused
    refused = judge(card(tolerance={"y": 0.001}), answers(), answers(0.005)).refused
    assert refused.startswith("y: off by") and "the card allows 0.001" in refused


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(card, value):
    broken = answers()
    broken[0]["y"] = broken[0]["y"].copy()
    broken[0]["y"][7] = value
    verdict = judge(card(), answers(), broken)
    assert "1 values are not numbers" in verdict.refused and verdict.psnr_db == 0


def test_an_output_that_never_changes_may_be_off_by_rounding_only(card):
    flat, near, far = ([{"y": np.full(4, value, np.float32)}] for value in (0.5, 0.500001, 0.6))
    assert not judge(card(), flat, near).refused
    assert judge(card(), flat, far).refused


@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 10))
def test_the_worst_error_is_the_worst(tmp_path_factory, seed, scale):
    rng = np.random.default_rng(seed)
    wanted, off = rng.normal(size=50), rng.normal(0, scale, 50)
    card = folder_of(tmp_path_factory.getbasetemp() / "one", convolutions())
    verdict = judge(card, [{"y": wanted}], [{"y": wanted + off}])
    assert verdict.worst == pytest.approx(np.abs(off).max(), rel=1e-6)


def test_made_up_probes_fit_and_are_the_same_each_time(card):
    first, second = (probes(card(), (PICTURE, BYTES)) for _ in range(2))
    assert len(first) > 1
    for one, other in zip(first, second, strict=True):
        for spec in (PICTURE, BYTES):
            assert one[spec.name].shape == spec.shape and one[spec.name].dtype == spec.dtype
            assert np.array_equal(one[spec.name], other[spec.name])
    pixels = np.stack([probe["image"] for probe in first])
    assert pixels.min() < 60 and pixels.max() > 195


def stacked(**arrays):
    held = io.BytesIO()
    np.savez(held, **arrays)
    return held.getvalue()


def test_the_cards_own_probes_are_used(tmp_path):
    pictures = np.random.default_rng(0).normal(size=(3, *PICTURE.shape)).astype(np.float32)
    card = folder_of(tmp_path, convolutions(), more_files={"probes": stacked(picture=pictures)}, probes="probes.bin")
    got = probes(card, (PICTURE,))
    assert len(got) == 3 and np.array_equal(got[2]["picture"], pictures[2])


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"picture": np.zeros((2, 3), np.float32)},
        {"picture": np.zeros((2, *PICTURE.shape), np.float64)},
        {"picture": np.zeros((0, *PICTURE.shape), np.float32)},
    ],
    ids=["missing", "shape", "dtype", "empty"],
)
def test_probes_that_do_not_fit_are_a_model_error(tmp_path, arrays):
    card = folder_of(tmp_path, convolutions(), more_files={"probes": stacked(**arrays)}, probes="probes.bin")
    with pytest.raises(ModelError, match="no stack of picture"):
        probes(card, (PICTURE,))


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x03\x04 torn", stacked(other=np.zeros(3))[:60]])
def test_probes_that_are_no_file_of_arrays_are_a_model_error(tmp_path, data):
    card = folder_of(tmp_path, convolutions(), more_files={"probes": data}, probes="probes.bin")
    with pytest.raises(ModelError, match="cannot be used"):
        probes(card, (PICTURE,))


def test_probes_that_unpack_into_a_huge_file_are_refused(tmp_path):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as bomb, bomb.open("picture.npy", "w") as entry:
        for _ in range(300):
            entry.write(bytes(1 << 20))
    card = folder_of(tmp_path, convolutions(), more_files={"probes": held.getvalue()}, probes="probes.bin")
    with pytest.raises(ModelError, match="more than 256 MB"):
        probes(card, (PICTURE,))


def test_nothing_is_unpickled(tmp_path):
    held = io.BytesIO()
    np.savez(held, picture=np.array([{"a": 1}], object))
    card = folder_of(tmp_path, convolutions(), more_files={"probes": held.getvalue()}, probes="probes.bin")
    with pytest.raises(ModelError, match="cannot be used"):
        probes(card, (PICTURE,))
