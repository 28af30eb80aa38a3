"""What TensorRT takes of an ONNX graph: the shipped models do fit, computed with ONNX Runtime before and after."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from engines.errors import ModelError, NotAvailable
from engines.runtimes._trt_graph import OPERATORS, fit

ort = pytest.importorskip("onnxruntime", reason="the graphs are compared by running them with ONNX Runtime")

SHIPPED = sorted((Path(__file__).parents[3] / "live/models").glob("*/*.onnx"))
FLOAT, UINT8 = TensorProto.FLOAT, TensorProto.UINT8


def model(nodes, inputs, outputs, stored=(), opset=17, **more):
    def values(each):
        return [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in each.items()]

    graph = helper.make_graph(nodes, "g", values(inputs), values(outputs), list(stored))
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8, **more).SerializeToString()


def one(operator, kind=FLOAT, given=FLOAT, **attributes):
    return model(
        [helper.make_node(operator, ["x"], ["y"], **attributes)], {"x": (kind, [1, 4])}, {"y": (given, [1, 4])}
    )


def run(data, feeds):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, feeds)


def takers(tree, name):
    return [node for node in tree.graph.node if name in node.input]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
@pytest.mark.parametrize("halve", [False, True], ids=["fp32", "fp16"])
def test_shipped_models_fit_and_compute_the_same(path, halve):
    data = path.read_bytes()
    fitting = fit(data, path.stem, halve)
    tree = onnx.load_model_from_string(fitting)
    onnx.checker.check_model(tree, full_check=True)  # types too: networks are strongly typed
    for value in tree.graph.input:
        assert value.type.tensor_type.elem_type == UINT8
        assert {node.op_type for node in takers(tree, value.name)} == {"Cast"}
    kinds = {tensor.data_type for tensor in tree.graph.initializer}
    assert (TensorProto.FLOAT16 in kinds) == halve
    shape = [size.dim_value for size in tree.graph.input[0].type.tensor_type.shape.dim]
    image = np.random.default_rng(4).integers(0, 256, shape, np.uint8)
    for before, after in zip(run(data, {"image": image}), run(fitting, {"image": image}), strict=True):
        assert before.shape == after.shape and before.dtype == after.dtype
        np.testing.assert_allclose(after, before, atol=np.abs(before).max() * 4e-3 if halve else 0)


def test_there_are_shipped_models():
    assert len(SHIPPED) >= 4


def test_all_listed_operators_are_onnx_operators_or_were():
    old = {"ImageScaler", "ParametricSoftplus", "ScaledTanh"}
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain}
    assert OPERATORS - old <= known


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (one("Hardmax"), None),
        (one("BitShift", UINT8, UINT8, direction="LEFT"), "no operator BitShift"),
        (one("Det"), "no operator Det"),
        (one("FusedConv", domain="com.microsoft"), "no operator com.microsoft.FusedConv"),
        (one("Relu", UINT8, UINT8), "Relu computes in uint8 with the input 'x'"),
        (one("Flatten", UINT8, UINT8), "uint8 output 'y' does not come from a Cast"),
        (one("Cast", FLOAT, UINT8, to=UINT8), None),
        (one("Cast", UINT8, FLOAT, to=FLOAT), None),
    ],
)
def test_what_is_in_the_way_is_told(data, words):
    if words is None:
        assert fit(data, "net")
        return
    with pytest.raises(NotAvailable, match=words) as refused:
        fit(data, "net")
    assert "another engine" in refused.value.hint


def test_everything_that_is_in_the_way_is_told_at_once_and_once():
    nodes = [
        helper.make_node(op, [a], [b]) for op, a, b in [("Det", "x", "a"), ("Det", "x", "b"), ("Unique", "x", "y")]
    ]
    with pytest.raises(
        NotAvailable, match=r"^TensorRT cannot run model 'net': it has no operator Det; it has.*Unique$"
    ):
        fit(model(nodes, {"x": (FLOAT, [2, 2])}, {"y": (FLOAT, [4])}), "net")


def test_operators_inside_of_branches_are_looked_at():
    inner = helper.make_graph(
        [helper.make_node("Det", ["x"], ["z"])], "inner", [], [helper.make_tensor_value_info("z", FLOAT, [1])]
    )
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    data = model([node], {"c": (TensorProto.BOOL, [1]), "x": (FLOAT, [1, 2, 2])}, {"y": (FLOAT, [1])})
    with pytest.raises(NotAvailable, match="Det"):
        fit(data, "net")


@pytest.mark.parametrize(("inner", "fits"), [("Relu", True), ("Det", False)])
def test_a_models_own_functions_count_by_what_is_in_them(inner, fits):
    body = [helper.make_node(inner, ["a"], ["b"])]
    function = helper.make_function("own", "Mine", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    node = helper.make_node("Mine", ["x"], ["y"], domain="own")
    data = model([node], {"x": (FLOAT, [1, 4])}, {"y": (FLOAT, [1, 4])}, functions=[function])
    if fits:
        assert fit(data, "net")
    else:
        with pytest.raises(NotAvailable, match="Det"):
            fit(data, "net")


@pytest.mark.parametrize("target", [FLOAT, TensorProto.INT32, TensorProto.FLOAT16])
@pytest.mark.parametrize("moves", [0, 2])
def test_a_uint8_input_meets_a_cast_to_float_first_and_nothing_changes(target, moves):
    names = ["x", "m0", "m1"][: moves + 1]
    nodes = [helper.make_node("Transpose", [a], [b]) for a, b in itertools.pairwise(names)]
    nodes += [
        helper.make_node("Cast", [names[-1]], ["c"], to=target),
        helper.make_node("Cast", ["c"], ["y"], to=FLOAT),
    ]
    data = model(nodes, {"x": (UINT8, [2, 3])}, {"y": (FLOAT, [2, 3])})
    fitting = fit(data, "net")
    tree = onnx.load_model_from_string(fitting)
    onnx.checker.check_model(tree, full_check=True)
    (first,) = takers(tree, "x")
    assert first.op_type == "Cast" and helper.get_node_attr_value(first, "to") in (FLOAT, TensorProto.FLOAT16)
    image = np.array([[0, 1, 2], [127, 128, 255]], np.uint8)
    np.testing.assert_array_equal(run(fitting, {"x": image})[0], image)


@pytest.mark.parametrize(
    ("point", "fits"),
    [
        (np.int8(0), True),
        (np.zeros(4, np.int8), True),
        (np.int8(3), False),
        (np.uint8(0), False),
        (np.uint8(128), False),
        (None, False),  # uint8 by default
    ],
)
@pytest.mark.parametrize("as_node", [False, True])
def test_only_symmetric_int8_fits(point, fits, as_node):
    scale = numpy_helper.from_array(np.full(np.shape(point) or (), 0.5, np.float32), "s")
    stored, nodes, inputs = [scale], [], ["s"]
    if point is not None:
        tensor = numpy_helper.from_array(np.asarray(point), "z")
        inputs.append("z")
        if as_node:
            nodes.append(helper.make_node("Constant", [], ["z"], value=tensor))
        else:
            stored.append(tensor)
    nodes += [
        helper.make_node("QuantizeLinear", ["x", *inputs], ["q"]),
        helper.make_node("DequantizeLinear", ["q", *inputs], ["y"]),
    ]
    data = model(nodes, {"x": (FLOAT, [1, 4])}, {"y": (FLOAT, [1, 4])}, stored)
    if fits:
        assert fit(data, "net")
    else:
        with pytest.raises(NotAvailable, match="symmetric"):
            fit(data, "net")


def test_halving_leaves_inputs_and_outputs_and_the_scales_of_a_resize():
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32))
    nodes = [
        helper.make_node("Constant", [], ["scales"], value=scales),
        helper.make_node("Resize", ["x", "", "scales"], ["r"], mode="nearest"),
        helper.make_node("Relu", ["r"], ["y"]),
    ]
    data = model(nodes, {"x": (FLOAT, [1, 1, 2, 2])}, {"y": (FLOAT, [1, 1, 4, 4])})
    tree = onnx.load_model_from_string(fit(data, "net", halve=True))
    onnx.checker.check_model(tree, full_check=True)
    assert [value.type.tensor_type.elem_type for value in [*tree.graph.input, *tree.graph.output]] == [FLOAT, FLOAT]
    assert [tensor.data_type for tensor in tree.graph.initializer] == [FLOAT]
    assert [node.op_type for node in tree.graph.node] == ["Cast", "Resize", "Relu", "Cast"]


@pytest.mark.parametrize("shape", [["n", 3], [0, 3], None], ids=["named", "zero", "no rank"])
def test_open_shapes_are_a_model_error(shape):
    data = model([helper.make_node("Relu", ["x"], ["y"])], {"x": (FLOAT, shape)}, {"y": (FLOAT, [1, 3])})
    with pytest.raises(ModelError, match="static"):
        fit(data, "net")


@settings(deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_fit_but_raise_nothing_else(data):
    whole = bytearray(one("Relu"))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ModelError, NotAvailable):
        assert onnx.load_model_from_string(fit(bytes(whole), "net")).graph.output
