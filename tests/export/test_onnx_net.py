"""The graph of a .dfm, taken over: simpler where it means the same, left alone where it does not."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from engines.errors import ModelError
from export.graph import Graph
from export.onnx_net import OnnxNet

SIZE = 6


def net(nodes, weights, outputs, morph=False):
    """Of nodes that make `outputs` (name: channels) of x [1, 6, 6, 3], and m [1]."""
    inputs = {"x": (1, SIZE, SIZE, 3)} | ({"m": (1,)} if morph else {})
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=7)


def taken_over(tree):
    graph = Graph()
    [image] = OnnxNet(tree, SIZE).build(graph)
    return onnx.load_model_from_string(graph.finish(image=image))


def answers(tree, **feeds):
    return onnxruntime.InferenceSession(tree.SerializeToString()).run(None, feeds)[0]


def kinds(tree):
    return [node.op_type for node in tree.graph.node]


@pytest.fixture
def picture():
    return np.random.default_rng(1).random((1, SIZE, SIZE, 3), np.float32)


def same(tree, picture, morph=None):
    """Whether it answers as the file's own graph does."""
    theirs, ours = ({}, {}) if morph is None else ({"m": morph}, {"morph": morph})
    got = answers(taken_over(tree), face=picture.transpose(0, 3, 1, 2).copy(), **ours)
    return np.array_equal(got.transpose(0, 2, 3, 1), answers(tree, x=picture, **theirs))


@pytest.mark.parametrize(
    ("split", "perm", "joined"),
    [
        ((1, 2, 2, 3, 3, 3), (0, 3, 4, 1, 5, 2), True),  # DepthToSpace, the colours of a pixel last
        ((1, 3, 2, 2, 3, 3), (0, 1, 4, 2, 5, 3), False),  # PixelShuffle
        ((1, 2, 2, 3, 3, 3), (0, 3, 4, 2, 5, 1), False),
        ((1, 4, 1, 3, 3, 3), (0, 3, 4, 1, 5, 2), False),  # blocks that are not square
    ],
)
def test_only_what_is_depth_to_space_is_called_so(picture, split, perm, joined):
    out = np.array(split)[list(perm)]
    nodes = [
        helper.make_node("Transpose", ["x"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["many"], strides=[2, 2]),
        helper.make_node("Reshape", ["many", "split"], ["a"]),
        helper.make_node("Transpose", ["a"], ["b"], perm=perm),
        helper.make_node("Reshape", ["b", "joined"], ["c"]),
        helper.make_node("Transpose", ["c"], ["y"], perm=[0, 2, 3, 1]),
    ]
    kernel = np.random.default_rng(0).normal(size=(12, 3, 2, 2)).astype(np.float32)
    sizes = [-1, out[1], out[2] * out[3], out[4] * out[5]]
    tree = net(nodes, {"kernel": kernel, "split": (-1, *split[1:]), "joined": sizes}, ["y"])
    own = ["DepthToSpace"] if joined else ["Reshape", "Transpose", "Reshape"]
    assert kinds(taken_over(tree)) == ["Conv", *own, "Cast"]
    assert same(tree, picture)


def amp(channels_said, channels=8):
    """As tf2onnx writes AMP's blend of two maps: the first channels_said * m channels of p, the others of q."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel_p"], ["p"]),
        helper.make_node("Conv", ["planes", "kernel_q"], ["q"]),
        helper.make_node("Squeeze", ["m"], ["m0"], axes=[0]),
        helper.make_node("Mul", ["said", "m0"], ["part"]),
        helper.make_node("Cast", ["part"], ["whole"], to=TensorProto.INT32),
        helper.make_node("Unsqueeze", ["whole"], ["n"], axes=[0]),
        helper.make_node("Concat", ["zero", "n", "zero", "zero"], ["from"], axis=0),
        helper.make_node("Concat", ["large", "n", "large", "large"], ["to"], axis=0),
        helper.make_node("Slice", ["p", "zeros", "to"], ["first"]),
        helper.make_node("Slice", ["q", "from", "larges"], ["rest"]),
        helper.make_node("Concat", ["first", "rest"], ["z"], axis=1),
        helper.make_node("Conv", ["z", "kernel_z"], ["y0"]),
        helper.make_node("Transpose", ["y0"], ["y"], perm=[0, 2, 3, 1]),
    ]
    rng, large = np.random.default_rng(0), 2**31 - 1
    kernels = {"p": (channels, 3, 1, 1), "q": (channels, 3, 1, 1), "z": (3, channels, 1, 1)}
    weights = {f"kernel_{key}": rng.normal(size=shape).astype(np.float32) for key, shape in kernels.items()}
    ends = {"zero": [0], "zeros": [0] * 4, "large": [large], "larges": [large] * 4}
    weights |= {key: np.array(value, np.int32) for key, value in ends.items()}
    return net(nodes, {**weights, "said": np.float32(channels_said)}, ["y"], morph=True)


@pytest.mark.parametrize("morph", [0, 0.124, 0.126, 0.5, 0.99, 1])
def test_a_blend_by_morph_gets_static_sizes(picture, morph):
    tree = amp(8)
    assert "Slice" not in kinds(taken_over(tree)) and "Where" in kinds(taken_over(tree))
    assert same(tree, picture, np.array([morph], np.float32))


def test_slices_by_another_measure_are_not_taken_for_a_blend(picture):
    with pytest.raises(ModelError, match=r"'y' depends on the input"):
        taken_over(amp(7))


def test_pictures_that_are_no_planes_are_turned(picture):
    tree = net([helper.make_node("Sigmoid", ["x"], ["y"])], {}, ["y"])
    assert kinds(taken_over(tree)) == ["Transpose", "Sigmoid", "Transpose", "Cast"] and same(tree, picture)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (helper.make_node("Reshape", ["x", "flat"], ["y"]), "no picture"),
        (helper.make_node("MatMul", ["x", "long"], ["y"]), "MatMul that makes 'y'"),
        (helper.make_node("LeakyRelu", ["words"], ["y"]), "'words' are"),
        (helper.make_node("Constant", [], ["y"], value_float=1.0), "constant 'y' is no tensor"),
    ],
)
def test_what_does_not_fit_is_told(node, message):
    weights = {"flat": [1, -1], "long": np.ones((4, 4), np.float32), "words": np.array([1j])}
    tree = net([node], {name: weights[name] for name in node.input if name != "x"}, ["y"])
    with pytest.raises(ModelError, match=message):
        taken_over(tree)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_graphs_that_were_wired_at_random_are_taken_over_or_told(reference, data):
    [path] = reference(data.draw(st.sampled_from(["saehd_liae_ud", "amp"]))).glob("*.dfm")
    tree = onnx.load(path)
    tree.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    k = data.draw(st.integers(0, len(tree.graph.node) - 1))
    before = sorted({name for node in tree.graph.node[: k + 1] for name in node.input})
    inputs = tree.graph.node[k].input
    inputs[data.draw(st.integers(0, len(inputs) - 1))] = data.draw(st.sampled_from(before))
    try:
        planes = OnnxNet(tree, 64).build(Graph())
    except ModelError:
        return
    assert [len(value.shape) for value in planes] == [4, 4, 4]
