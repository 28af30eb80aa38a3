"""Looking into ONNX files: what is told of good ones, and that no damage whatever is more than a ModelError."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import live
from engines.errors import ModelError
from engines.quarantine import inspect
from engines.quarantine.onnx_file import read_onnx, refuse_other_formats
from engines.quarantine.skeleton import FLOATS, INTS, LONGS, RAW, numbers, skeleton
from tests.engines.quarantine.corpus import model, nested, port, tensor

WEIGHTS = np.random.default_rng(0).normal(size=(64, 1000)).astype(np.float32)


@pytest.fixture
def look(tmp_path):
    def at(made):
        path = tmp_path / "model.onnx"
        path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
        return read_onnx(path)

    return at


def rich_model():
    """Weights of several kinds, a graph inside, a constant: what a fuzzer should find to break."""
    inner = helper.make_graph([helper.make_node("Mul", ["image", "gain"], ["out"])], "inner", [], [port("out", [1, 4])])
    nodes = [
        helper.make_node("If", ["yes"], ["a"], then_branch=inner, else_branch=inner, name="branch"),
        helper.make_node("Constant", [], ["one"], value=numpy_helper.from_array(np.ones(4, np.float32))),
        helper.make_node("Add", ["a", "one"], ["b"]),
        helper.make_node("QLinearSigmoid", ["b"], ["c"], domain="com.microsoft"),
        helper.make_node("Softmax", ["b"], ["y"], axis=1),
    ]
    weights = [
        tensor([4], float_data=[1, 2, 3, 4]),
        tensor([], "yes", kind=TensorProto.BOOL, int32_data=[1]),
        tensor([2], "shape", kind=TensorProto.INT64, int64_data=[-1, 4]),
        numpy_helper.from_array(np.arange(300, dtype=np.int32), "spare"),
    ]
    return model(nodes, weights, producer_name="a test", values=[port("b", [1, 4])])


def test_what_a_file_holds_is_told(look):
    weights = [numpy_helper.from_array(np.ones((4, 4), np.float32), "w"), tensor([2], "k", bytes(2), TensorProto.INT8)]
    nodes = [helper.make_node("MatMul", ["image", "w"], ["y"]), helper.make_node("Identity", ["k"], ["z"])]
    inputs = [port("image", ["batch", 4]), port("w", [4, 4])]  # a weight may be listed as an input too: its default
    outputs = [port("y", [None, 4]), port("z", None, TensorProto.INT8)]
    file = look(model(nodes, weights, inputs, outputs, producer_name="maker", producer_version="2"))
    assert [(p.name, p.dtype, p.shape, p.static) for p in file.inputs] == [("image", "float32", (None, 4), False)]
    assert [(p.name, p.dtype, p.shape) for p in file.outputs] == [("y", "float32", (None, 4)), ("z", "int8", None)]
    assert (file.opset, file.domains, file.producer) == (17, ("ai.onnx",), "maker 2")
    assert (file.nodes, file.operators, file.parameters, file.weight_bytes) == (2, ("Identity", "MatMul"), 18, 66)
    assert file.memory_bytes == 66 + (4 * 4) + (4 * 4 + 1)  # weights, input, outputs; what is unknown counts as one


def test_every_kind_of_number_store_domain_and_inner_graph_passes(look):
    file = look(rich_model())
    assert file.domains == ("ai.onnx", "com.microsoft")
    assert file.nodes == 7 and file.parameters == 4 + 1 + 2 + 300 + 4  # the two branches count as one node each


@pytest.mark.parametrize(
    "array",
    [np.float32(3), np.zeros((0, 4), np.float32), np.ones(3, np.float16), np.ones(2, np.uint64), np.zeros(5, bool)],
    ids=["scalar", "empty", "float16", "uint64", "bool"],
)
def test_odd_but_honest_weights_pass(look, array):
    weights = [
        numpy_helper.from_array(np.asarray(array), "odd"),
        numpy_helper.from_array(np.ones(4, np.float32), "gain"),
    ]
    assert look(model(weights=weights)).parameters == np.asarray(array).size + 4


def test_nodes_need_no_order_as_long_as_there_is_one(look):
    nodes = [helper.make_node("Neg", ["a"], ["y"]), helper.make_node("Mul", ["image", "gain"], ["a"])]
    assert look(model(nodes)).nodes == 2


@pytest.mark.parametrize("depth", [1, 7])
def test_graphs_inside_of_graphs_pass_up_to_a_depth(look, depth):
    assert look(nested(depth)).operators == ("Identity", "If")


def test_imported_but_unused_domains_do_no_harm(look):
    made = model()
    made.opset_import.add(domain="com.example.unused", version=1)
    assert look(made).domains == ("ai.onnx",)


@pytest.mark.parametrize("path", sorted((Path(live.__file__).parent / "models").glob("*/*.onnx")), ids=lambda p: p.stem)
def test_the_models_that_ship_pass(path):
    assert all(port.static for port in read_onnx(path).inputs)


def test_other_formats_are_not_taken_for_onnx_nor_onnx_for_them():
    refuse_other_formats(model().SerializeToString()[:1024])
    for head in (b"hello\n", b"\xef\xbb\xbf<html>", b"[net]\nwidth=416\n", b"<?xml version='1.0'?>"):
        with pytest.raises(ModelError, match=r"is text|web page"):
            refuse_other_formats(head)


# --------------------------------------------------------------------------------------------------------- skeletons


def test_a_skeleton_is_the_model_without_its_weights():
    made = model(weights=[numpy_helper.from_array(WEIGHTS, "gain")])
    bones = skeleton(memoryview(made.SerializeToString()))
    assert len(bones) < 300 < WEIGHTS.nbytes
    parsed = onnx.ModelProto.FromString(bones)
    assert numbers(parsed.graph.initializer[0].raw_data) == (RAW, WEIGHTS.nbytes)
    parsed.graph.initializer[0].raw_data = made.graph.initializer[0].raw_data
    assert parsed == made


def test_a_skeleton_keeps_all_else():
    made = rich_model()
    parsed = onnx.ModelProto.FromString(skeleton(memoryview(made.SerializeToString())))
    kept = [numbers(held.raw_data) for held in parsed.graph.initializer]
    assert kept == [(FLOATS, 4), (INTS, 1), (LONGS, 2), (RAW, 1200)]
    for node in (*made.graph.node, *parsed.graph.node):
        node.ClearField("attribute")
    assert list(made.graph.node) == list(parsed.graph.node)
    assert made.graph.output == parsed.graph.output and made.producer_name == parsed.producer_name


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50))
def test_numbers_of_any_length_are_counted(values):
    made = model(weights=[tensor([len(values)], "gain", kind=TensorProto.INT64, int64_data=values)])
    held = onnx.ModelProto.FromString(skeleton(memoryview(made.SerializeToString()))).graph.initializer[0]
    assert numbers(held.raw_data) == ((LONGS, len(values)) if values else None)


# -------------------------------------------------------------------------------------------------------------- fuzz

WHOLE = rich_model().SerializeToString()
FUZZ = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def is_refused_or_read(path, data):
    path.write_bytes(data)
    try:
        return read_onnx(path).nodes < 100
    except ModelError as error:
        return error.message.isprintable() and len(error.message) < 500


def looks_well(path, data):
    path.write_bytes(data)
    try:
        read_onnx(path)
    except ModelError:
        return False
    return True


@given(flips=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
@FUZZ
def test_flipped_bytes_are_at_worst_a_model_error(tmp_path, flips):
    data = bytearray(WHOLE)
    for at, byte in flips:
        data[at] = byte
    assert is_refused_or_read(tmp_path / "model.onnx", bytes(data))


@given(start=st.integers(0, len(WHOLE)), end=st.integers(0, len(WHOLE)), middle=st.binary(max_size=12))
@FUZZ
def test_cut_and_filled_files_are_at_worst_a_model_error(tmp_path, start, end, middle):
    assert is_refused_or_read(tmp_path / "model.onnx", WHOLE[:start] + middle + WHOLE[end:])


@given(data=st.binary(max_size=200))
@FUZZ
def test_noise_is_a_model_error(tmp_path, data):
    for head in (b"", b"\x08\x08\x3a"):
        assert is_refused_or_read(tmp_path / "model.onnx", head + data)


@pytest.mark.parametrize("seed", range(6))
def test_damage_that_the_look_lets_through_is_at_worst_a_model_error_in_quarantine(tmp_path, seed):
    """Flips single bits until a file passes the look: that one is then loaded and run."""
    rng, path = np.random.default_rng(seed), tmp_path / "model.onnx"
    whole = model(weights=[numpy_helper.from_array(WEIGHTS[0, :4], "gain")]).SerializeToString()
    for _ in range(500):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        if looks_well(path, bytes(data)):
            break
    else:
        pytest.fail("no damage got past the look")
    try:
        file = inspect(path)
    except ModelError as error:
        told = error.message
    else:
        told = str(file)
    assert told.isprintable()
