"""Tidied graphs answer as the ones they were made from."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from engines.tidy import blocked_prelu
from tests.engines.models import convolutions, model

onnxruntime = pytest.importorskip("onnxruntime")


def run(data, **feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, feeds)[0]


def one_prelu(slope, shape):
    node = helper.make_node("PRelu", ["x", "slope"], ["y"])
    return model([node], {"x": list(shape)}, {"y": list(shape)}, {"slope": np.asarray(slope, np.float32)})


def kinds(data):
    return [node.op_type for node in onnx.load_model_from_string(data).graph.node]


@pytest.mark.parametrize(
    "slope",
    [[0.1, 0.2, 0.9], [0.5, 1.0, -0.5], [0.5, 2.0, 3.0]],
    ids=["below one", "one and negative", "above one"],
)
def test_slopes_of_every_size_give_the_same(slope):
    data = one_prelu(np.reshape(slope, (3, 1, 1)), (1, 3, 5, 4))
    tidied = blocked_prelu(data)
    assert "PRelu" not in kinds(tidied) and "Conv" in kinds(tidied)
    x = np.random.default_rng(0).normal(size=(1, 3, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(run(tidied, x=x), run(data, x=x), atol=1e-6)


def test_one_slope_for_all_becomes_leaky():
    data = one_prelu([0.25], (1, 3, 5, 4))
    assert kinds(blocked_prelu(data)) == ["LeakyRelu"]
    x = np.random.default_rng(0).normal(size=(1, 3, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(run(blocked_prelu(data), x=x), run(data, x=x), atol=1e-6)


def test_a_whole_net_gives_the_same():
    data = convolutions()
    x = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)
    np.testing.assert_allclose(run(blocked_prelu(data), picture=x), run(data, picture=x), atol=1e-5)


def test_slopes_that_are_not_one_a_channel_stay():
    data = one_prelu(np.full((3, 5, 4), 0.5), (1, 3, 5, 4))
    assert kinds(blocked_prelu(data)) == ["PRelu"]


@pytest.mark.parametrize("data", [b"", b"PRelu is written here", b"\x00PRelu" * 9], ids=["empty", "text", "bytes"])
def test_what_is_no_model_is_left_alone(data):
    assert blocked_prelu(data) == data
