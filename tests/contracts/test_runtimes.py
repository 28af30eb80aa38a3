"""What every runtime must do, run over each that is found in engines/runtimes/."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from engines.card import CARD_FILE, read_card
from engines.door import RUNTIMES, open_variant
from engines.engine import Variant
from engines.errors import BadInput, EngineError, ModelError, NotAvailable

onnx = pytest.importorskip("onnx", reason="the models of these tests are made with onnx")

SIGNATURE = {
    "inputs": {"a": ["float32", [1, 3]], "b": ["float32", [1, 3]]},
    "outputs": {"total": ["float32", [1, 3]], "large": ["float32", [2, 3]]},
}


def tiny_model():
    """total = a + b; large = (a; b) stacked."""
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    tensors = {
        side: [make.make_tensor_value_info(name, kind, shape) for name, (_, shape) in SIGNATURE[side].items()]
        for side in SIGNATURE
    }
    nodes = [
        make.make_node("Add", ["a", "b"], ["total"]),
        make.make_node("Concat", ["a", "b"], ["large"], axis=0),
    ]
    graph = make.make_graph(nodes, "tiny", tensors["inputs"], tensors["outputs"])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=8)
    return model.SerializeToString()


DOUBLED = "tensor_rt on a doubled GPU"  # its own code runs on every machine so, NVIDIA's does not


@pytest.fixture(
    params=[pytest.param(name, marks=[pytest.mark.gpu] if name == "tensor_rt" else []) for name in RUNTIMES.names()]
    + [DOUBLED]
)
def runtime(request):
    if request.param == DOUBLED:
        request.getfixturevalue("doubled_gpu")
        return "tensor_rt"
    error = RUNTIMES.why_not(request.param)
    if error is not None:
        pytest.skip(error.message)
    return request.param


@pytest.fixture
def computing(runtime):
    """Only runtimes that load the file and compute with it."""
    if runtime == "fake":
        pytest.skip("the fake runtime reads no model and computes nothing")
    return runtime


@pytest.fixture(scope="module")
def server(serve):
    """A real model server, for the remote runtime."""
    return serve({"tiny": tiny_model()})


@pytest.fixture
def way(runtime, request):
    """How the runtime runs on its own first device, or on the server."""
    if runtime == "open_inference":
        device = f"{request.getfixturevalue('server').address}/tiny?timeout_ms=10000"
    else:
        device = RUNTIMES.load(runtime).devices[0]
    return lambda **changes: Variant(runtime, device, **changes)


@pytest.fixture
def card(tmp_path):
    def make(data=None, sha256=None):
        data = tiny_model() if data is None else data
        (tmp_path / "tiny.onnx").write_bytes(data)
        tree = {
            "name": "tiny",
            "family": "test",
            "files": {"onnx": "tiny.onnx"},
            "facts": SIGNATURE,
            "sha256": {"tiny.onnx": sha256 or hashlib.sha256(data).hexdigest()},
        }
        (tmp_path / CARD_FILE).write_text(json.dumps(tree))
        return read_card(tmp_path)

    return make


@pytest.fixture
def engine(runtime, way, card):
    made = open_variant(card(), way())
    yield made
    made.close()


def feeds(**changes):
    good = {"a": np.array([[1, 2, 3]], np.float32), "b": np.array([[10, 20, 30]], np.float32)}
    return {key: value for key, value in {**good, **changes}.items() if value is not None}


def signature(specs):
    return {spec.name: [str(spec.dtype), list(spec.shape)] for spec in specs}


def test_states_what_the_model_takes_and_gives(engine):
    assert signature(engine.inputs) == SIGNATURE["inputs"]
    assert signature(engine.outputs) == SIGNATURE["outputs"]


def test_says_what_it_runs_on(engine, runtime):
    assert engine.variant.runtime == runtime and engine.model == "tiny" and not engine.fallback


def test_a_device_that_it_never_heard_of_is_bad_input(computing, card):
    with pytest.raises(BadInput, match="gramophone"):
        open_variant(card(), Variant(computing, "gramophone"))


def test_a_precision_that_it_does_not_offer_is_not_available(computing, way, card):
    with pytest.raises(NotAvailable, match="int8"):
        open_variant(card(), way(precision="int8"))


def test_offers_only_ways_that_open(computing, card):
    ways = RUNTIMES.load(computing).variants(card(), cores=2)
    assert bool(ways) == (computing != "open_inference")  # nothing is sent anywhere unless the user named the place
    assert len(set(ways)) == len(ways)
    for way in ways:
        engine = open_variant(card(), way)
        assert engine.variant == way and set(engine.run(feeds())) == set(SIGNATURE["outputs"])
        engine.close()


def test_names_its_version(runtime):
    assert RUNTIMES.load(runtime).version()


def test_answers_are_named_shaped_and_typed_as_stated(engine):
    answer = engine.run(feeds())
    assert {name: [str(a.dtype), list(a.shape)] for name, a in answer.items()} == SIGNATURE["outputs"]


def test_computes(computing, way, card):
    engine = open_variant(card(), way())
    answer = engine.run(feeds())
    np.testing.assert_allclose(answer["total"], [[11, 22, 33]])
    np.testing.assert_allclose(answer["large"], [[1, 2, 3], [10, 20, 30]])
    engine.close()


def test_two_runs_give_the_same(engine):
    first = {name: array.copy() for name, array in engine.run(feeds()).items()}
    second = engine.run(feeds())
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_run_remembers_nothing_of_the_one_before(computing, way, card):
    engine = open_variant(card(), way())
    engine.run(feeds(a=np.full((1, 3), 99, np.float32)))
    np.testing.assert_allclose(engine.run(feeds())["total"], [[11, 22, 33]])
    engine.close()


def test_feeds_are_left_alone(engine):
    fed = feeds()
    engine.run(fed)
    assert np.array_equal(fed["a"], feeds()["a"]) and np.array_equal(fed["b"], feeds()["b"])


def test_views_that_are_not_contiguous_are_taken_right(computing, way, card):
    engine = open_variant(card(), way())
    wide = np.array([[1, 0, 2, 0, 3, 0]], np.float32)
    np.testing.assert_allclose(engine.run(feeds(a=wide[:, ::2]))["total"], [[11, 22, 33]])
    engine.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"a": None},
        {"a": None, "c": np.zeros((1, 3), np.float32)},
        {"c": np.zeros((1, 3), np.float32)},
        {"a": np.zeros((3, 1), np.float32)},
        {"a": np.zeros(3, np.float32)},
        {"a": np.zeros((1, 3), np.float64)},
        {"a": np.zeros((1, 3), np.uint8)},
    ],
    ids=["missing", "misnamed", "one more", "turned", "flat", "float64", "uint8"],
)
def test_wrong_feeds_are_an_engine_error_and_do_no_harm(engine, wrong):
    with pytest.raises(EngineError):
        engine.run(feeds(**wrong))
    assert set(engine.run(feeds())) == set(SIGNATURE["outputs"])


@pytest.mark.parametrize("data", [b"", b"no model at all", tiny_model()[:40]], ids=["empty", "text", "cut off"])
def test_broken_bytes_are_a_model_error(computing, way, card, data):
    with pytest.raises(ModelError):
        open_variant(card(data), way())


def test_bytes_that_the_card_does_not_describe_are_a_model_error(computing, way, card):
    with pytest.raises(ModelError, match="sha256"):
        open_variant(card(sha256="0" * 64), way())


def test_shapes_that_are_not_static_are_a_model_error(computing, way, card):
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [make.make_node("Abs", ["a"], ["total"])],
        "open",
        [make.make_tensor_value_info("a", kind, ["n", 3])],
        [make.make_tensor_value_info("total", kind, ["n", 3])],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=8)
    with pytest.raises(ModelError, match="static"):
        open_variant(card(model.SerializeToString()), way())


def test_closing_frees_and_a_new_engine_can_follow(runtime, way, card):
    first = open_variant(card(), way())
    first.close()
    second = open_variant(card(), way())
    assert set(second.run(feeds())) == set(SIGNATURE["outputs"])
    second.close()


def test_several_threads_may_be_asked_for(runtime, way, card):
    engine = open_variant(card(), way(threads=2))
    assert set(engine.run(feeds())) == set(SIGNATURE["outputs"])
    engine.close()
