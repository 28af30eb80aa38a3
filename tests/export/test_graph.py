"""The graph writer: each layer computes what Keras, leras and TensorFlow mean by it, and what does not fit is told."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import ModelError
from engines.tidy import EXACT
from export.graph import Graph

ort = pytest.importorskip("onnxruntime")


def run(data, **feeds):
    onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def to_picture(graph, value):
    """Any map as a picture, so that it can be an output: its first channel three times."""
    weights = np.zeros((1, 1, value.shape[1], 3), np.float32)
    weights[0, 0, 0] = 1
    return graph.conv(value, weights)


def slow_conv(x, kernel, stride, before, after, dilation=1):
    """[H, W, C] with an HWIO kernel, one output at a time."""
    x = np.pad(x, [(before, after), (before, after), (0, 0)])
    reach = dilation * (kernel.shape[0] - 1) + 1
    rows = range(0, x.shape[0] - reach + 1, stride)
    patches = [[x[i : i + reach : dilation, j : j + reach : dilation] for j in rows] for i in rows]
    return np.array([[np.einsum("hwi,hwio->o", patch, kernel) for patch in row] for row in patches])


@settings(deadline=None, max_examples=30)
@given(
    st.integers(6, 11), st.sampled_from([1, 3, 5]), st.sampled_from([1, 2]), st.sampled_from(["same", "valid", 1, 2])
)
def test_convolutions_pad_as_said(size, k, stride, pad):
    kernel, x = numbers(k, k, 3, 3, seed=1), numbers(1, 3, size, size)
    if pad == "same":
        total = max(0, (-(-size // stride) - 1) * stride + k - size)
        before, after = total // 2, total - total // 2
    else:
        before = after = 0 if pad == "valid" else pad
    graph = Graph()
    got = run(graph.finish(image=graph.conv(graph.face(size), kernel, stride=stride, pad=pad)), face=x)["image"]
    wanted = slow_conv(x[0].transpose(1, 2, 0), kernel, stride, before, after)
    np.testing.assert_allclose(got[0].transpose(1, 2, 0), wanted, atol=1e-4)


def test_same_puts_the_odd_pixel_of_an_even_map_behind():
    """TensorFlow's rule at stride 2: for kernel 5, one before and two behind."""
    graph = Graph()
    data = graph.finish(image=graph.conv(graph.face(8), numbers(5, 5, 3, 3), stride=2))
    (conv,) = [node for node in onnx.load_model_from_string(data).graph.node if node.op_type == "Conv"]
    assert next(a for a in conv.attribute if a.name == "pads").ints == [1, 1, 2, 2]


def test_dilation_and_bias():
    kernel, bias, x = numbers(3, 3, 3, 3, seed=1), numbers(3, seed=2), numbers(1, 3, 9, 9)
    graph = Graph()
    got = run(graph.finish(image=graph.conv(graph.face(9), kernel, bias, dilation=2)), face=x)["image"]
    wanted = slow_conv(x[0].transpose(1, 2, 0), kernel, 1, 2, 2, dilation=2) + bias
    np.testing.assert_allclose(got[0].transpose(1, 2, 0), wanted, atol=1e-4)


@pytest.mark.parametrize("order", ["HWC", "CHW"])
def test_flatten_dense_and_back(order):
    graph, x, kernel, bias = Graph(), numbers(1, 3, 4, 4), numbers(48, 48, seed=1), numbers(48, seed=2)
    flat = graph.flatten(graph.face(4), order)
    data = graph.finish(image=graph.unflatten(graph.dense(flat, kernel, bias), 3, 4, order))
    rows = x[0].transpose(1, 2, 0).ravel() if order == "HWC" else x.ravel()
    wanted = rows @ kernel + bias
    wanted = wanted.reshape(4, 4, 3).transpose(2, 0, 1) if order == "HWC" else wanted.reshape(3, 4, 4)
    np.testing.assert_allclose(run(data, face=x)["image"][0], wanted, atol=1e-4)


def test_depth_to_space_is_tensorflows():
    graph, x = Graph(), numbers(1, 3, 2, 2)
    wide = graph.concat([graph.face(2)] * 4)
    scales = graph.weight(np.arange(1, 13, dtype=np.float32).reshape(1, 12, 1, 1))
    got = run(graph.finish(image=graph.depth_to_space(graph.multiply(wide, scales))), face=x)["image"][0]
    for dy in range(2):
        for dx in range(2):
            for c in range(3):
                block = (dy * 2 + dx) * 3 + c  # TensorFlow: block before channel
                np.testing.assert_allclose(got[c, dy::2, dx::2], x[0, c] * (block + 1), rtol=1e-6)


def test_space_to_depth_turns_it_back():
    graph, x = Graph(), numbers(1, 3, 6, 6)
    back = graph.depth_to_space(graph.space_to_depth(graph.face(6)))
    np.testing.assert_array_equal(run(graph.finish(image=back), face=x)["image"], x)


def test_fused_takes_and_gives_bytes_in_the_programs_order():
    picture = np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8)
    for colour in ("BGR", "RGB"):
        graph = Graph(fused=True)
        face = graph.face(5, colour)
        only_first = np.zeros((1, 1, 3, 1), np.float32)
        only_first[0, 0, 0] = 1
        got = run(graph.finish(image=face, face_mask=graph.conv(face, only_first)), face=picture)
        np.testing.assert_array_equal(got["image"], picture)
        np.testing.assert_array_equal(got["face_mask"], picture[..., 0 if colour == "BGR" else 2])


def test_fused_clips_what_is_too_dark_or_bright():
    graph = Graph(fused=True)
    data = graph.finish(image=graph.scale(graph.face(2), 3, -1))
    got = run(data, face=np.full((2, 2, 3), [0, 128, 255], np.uint8))["image"]
    np.testing.assert_array_equal(got[0, 0], [0, 129, 255])


def test_islands_are_marked():
    graph = Graph()
    x = graph.face(4)
    with graph.exact():
        y = graph.scale(x, 2)
    data = graph.finish(image=graph.scale(y, 3))
    exact = [node.name.startswith(EXACT) for node in onnx.load_model_from_string(data).graph.node]
    assert exact == [True, False, False]


def test_tensorrt_takes_bytes_in_and_out():
    from engines.runtimes._trt_graph import fit

    graph = Graph(fused=True)
    face = graph.face(8)
    data = graph.finish(image=face, face_mask=graph.conv(face, numbers(1, 1, 3, 1)))
    assert fit(data, "test")


BAD = {
    "channels": lambda g: g.conv(g.face(8), numbers(3, 3, 4, 8)),
    "rank": lambda g: g.conv(g.face(8), numbers(3, 3)),
    "bias": lambda g: g.conv(g.face(8), numbers(3, 3, 3, 8), numbers(7)),
    "dense": lambda g: g.dense(g.flatten(g.face(8), "CHW"), numbers(5, 5)),
    "concat": lambda g: g.concat([g.face(8), g.weight(numbers(1, 3, 4, 4))]),
    "blocks": lambda g: g.depth_to_space(g.face(8)),
    "odd map": lambda g: g.space_to_depth(g.face(7)),
    "reshape": lambda g: g.reshape(g.face(8), (1, 5)),
    "pair": lambda g: g.add(g.face(8), g.weight(numbers(1, 2, 8, 8))),
    "no picture": lambda g: g.finish(image=g.flatten(g.face(8), "CHW")),
    "five channels": lambda g: g.finish(image=g.concat([g.face(8), g.weight(numbers(1, 2, 8, 8))])),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_a_model_error_that_names_the_shapes(name):
    with pytest.raises(ModelError, match=r"\d"):
        BAD[name](Graph())
