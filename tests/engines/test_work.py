"""The arithmetic of a model is counted right; the machine's own peak is a number."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from engines.errors import ModelError
from engines.work import flop, peak_gflops
from tests.engines.models import convolutions, model


def test_convolutions():
    # 16 x 16 places; 4 filters of 3 x 3 x 3, then 2 filters of 3 x 3 x 4
    assert flop(convolutions()) == 2 * 16 * 16 * (4 * 27 + 2 * 36)


def test_depthwise_and_transposed_convolutions():
    weights = {"d": np.zeros((4, 1, 3, 3), np.float32), "t": np.zeros((4, 2, 2, 2), np.float32)}
    nodes = [
        helper.make_node("Conv", ["x", "d"], ["a"], group=4, pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["a", "t"], ["y"], strides=[2, 2]),
    ]
    data = model(nodes, {"x": [1, 4, 8, 8]}, {"y": [1, 2, 16, 16]}, weights)
    assert flop(data) == 2 * 8 * 8 * 4 * 9 + 2 * 8 * 8 * 4 * (2 * 2 * 2)


@pytest.mark.parametrize("turned", [0, 1])
def test_matrix_products(turned):
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["a"], transA=turned),
        helper.make_node("MatMul", ["a", "v"], ["y"]),
    ]
    weights = {"w": np.zeros((5, 7), np.float32), "v": np.zeros((7, 2), np.float32)}
    data = model(nodes, {"x": [5, 3] if turned else [3, 5]}, {"y": [3, 2]}, weights)
    assert flop(data) == 2 * 3 * 5 * 7 + 2 * 3 * 7 * 2


def test_what_multiplies_nothing_counts_as_nothing():
    assert flop(model([helper.make_node("Abs", ["x"], ["y"])], {"x": [1, 3]}, {"y": [1, 3]})) == 0


def test_no_model_is_a_model_error():
    with pytest.raises(ModelError):
        flop(b"no model at all")


def test_a_peak_is_measured():
    assert 0.1 < peak_gflops(1) < 1e5
