"""Weights-only Keras files: the layouts that there are, and what a stranger may have put into one."""

from __future__ import annotations

import contextlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import ModelError
from export.keras_weights import Layer, read_layers
from tests.export.nets import save_layers

KERNEL, BIAS = np.ones((3, 3, 2, 4), np.float32), np.zeros(4, np.float32)


@pytest.fixture
def path(tmp_path):
    """A file of two layers, one of them without numbers."""
    path = tmp_path / "net.h5"
    save_layers(path, [Layer(path, "conv2d_7", "conv2d", KERNEL, BIAS), Layer(path, "leaky_re_lu_3", "leaky_re_lu")])
    return path


def test_layers_come_in_order_with_their_kinds_and_numbers(path):
    conv, leaky = read_layers(path)
    assert (conv.name, conv.kind, conv.parameters) == ("conv2d_7", "conv2d", 76)
    assert np.array_equal(conv.numbers, KERNEL) and np.array_equal(conv.bias, BIAS)
    assert (leaky.kind, leaky.kernel, leaky.bias, leaky.parameters) == ("leaky_re_lu", None, None, 0)
    with pytest.raises(ModelError, match=r"net\.h5: leaky_re_lu_3: it holds no weights"):
        _ = leaky.numbers


def test_names_in_bytes_and_lists_in_parts_are_read(path):
    with h5py.File(path, "a") as file:
        names = file.attrs.pop("layer_names")
        file.attrs["layer_names0"] = np.array([names[0].encode()])
        file.attrs["layer_names1"] = np.array([names[1].encode()])
        file["conv2d_7"].attrs["weight_names"] = np.array([b"conv2d_7/kernel:0", b"conv2d_7/bias:0"])
    assert [layer.name for layer in read_layers(path)] == ["conv2d_7", "leaky_re_lu_3"]


def test_a_weight_may_be_named_after_another_layer(path):
    with h5py.File(path, "a") as file:
        group = file["conv2d_7"]
        group.move("conv2d_7", "conv2d_7_1")
        group.attrs["weight_names"] = ["conv2d_7_1/kernel:0", "conv2d_7_1/bias:0"]
    assert np.array_equal(read_layers(path)[0].numbers, KERNEL)


def spoil(path, how):
    with h5py.File(path, "a") as file:
        group = file["conv2d_7"]
        weights = group["conv2d_7"]
        if how == "no list":
            del file.attrs["layer_names"]
        elif how == "empty list":
            file.attrs["layer_names"] = np.array([], "S1")
        elif how == "numbers as names":
            file.attrs["layer_names"] = [1, 2]
        elif how == "a layer that is not there":
            file.attrs["layer_names"] = ["conv2d_8"]
        elif how == "numbers as a layer":
            file["conv2d_8"] = [1.0]
            file.attrs["layer_names"] = ["conv2d_8"]
        elif how == "a weight that is not there":
            group.attrs["weight_names"] = ["conv2d_7/gamma:0"]
        elif how == "a weight twice":
            group.attrs["weight_names"] = ["conv2d_7/bias:0", "conv2d_7/bias:0"]
        elif how == "a group as a weight":
            group.attrs["weight_names"] = ["conv2d_7"]
        elif how == "another rank":
            del weights["kernel:0"]
            weights["kernel:0"] = np.ones((3, 4), np.float32)
        elif how == "no kernel":
            group.attrs["weight_names"] = ["conv2d_7/bias:0"]
        elif how == "text":
            del weights["bias:0"]
            weights["bias:0"] = "run this"
        elif how == "whole numbers":
            del weights["bias:0"]
            weights["bias:0"] = np.ones(4, np.int32)
        elif how == "not finite":
            weights["bias:0"][1] = np.nan
        elif how == "far too much":
            del weights["kernel:0"]
            weights.create_dataset("kernel:0", (1 << 20, 1 << 20, 1, 1), "f4", chunks=(1, 1, 1, 1))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("no list", "net.h5: / has no layer_names"),
        ("empty list", "lists no layers"),
        ("numbers as names", "layer_names of / must list names"),
        ("a layer that is not there", "net.h5: conv2d_8: it is listed but is not in the file"),
        ("numbers as a layer", "net.h5: conv2d_8: it is listed but"),
        ("a weight that is not there", "conv2d_7: its weights conv2d_7/gamma:0 are"),
        ("a weight twice", "conv2d_7: its weights conv2d_7/bias:0 are listed twice"),
        ("a group as a weight", "is a group; numbers are expected"),
        ("another rank", r"conv2d_7: its kernel has shape \[3, 4\]; 4 dimensions"),
        ("no kernel", "conv2d_7: its kernel has shape none"),
        ("text", "bias:0"),
        ("whole numbers", "conv2d_7/bias:0 is int32"),
        ("not finite", "conv2d_7/bias:0 holds numbers that are not finite"),
        ("far too much", "kernel:0"),
    ],
)
def test_what_is_no_net_is_told(path, how, words):
    spoil(path, how)
    with pytest.raises(ModelError, match=words):
        read_layers(path)


def test_more_than_onnx_can_hold_is_refused_before_it_is_read_twice(path, monkeypatch):
    monkeypatch.setattr("export.keras_weights.MAX_NET", 100)
    with pytest.raises(ModelError, match="more than an ONNX file can"):
        read_layers(path)


def test_missing_and_other_files_are_told(tmp_path):
    with pytest.raises(ModelError, match="is not there"):
        read_layers(tmp_path / "net.h5")
    (tmp_path / "net.h5").write_bytes(b"no HDF5")
    with pytest.raises(ModelError, match=r"net\.h5 is no readable HDF5 file"):
        read_layers(tmp_path / "net.h5")


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6))
def test_bytes_that_went_over_give_layers_or_one_error(path, changes):
    data = bytearray(path.read_bytes())
    for where, value in changes:
        data[int(where * len(data))] = value
    damaged = Path(f"{path}.damaged")
    damaged.write_bytes(data)
    with contextlib.suppress(ModelError):
        layers = read_layers(damaged)
        assert all(np.isfinite(layer.numbers).all() for layer in layers if layer.kernel is not None)
