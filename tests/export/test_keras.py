"""Keras models as ONNX: every layer gives what Keras gave; programs, knots and nonsense in them are refused."""

from __future__ import annotations

import copy
import json
import marshal
import zipfile
from itertools import pairwise

import h5py
import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import ModelError
from export.graph import Graph, Shapes
from export.keras.layers import LAYERS
from export.keras.model import Model, open_model
from export.keras.wiring import read_net
from tests.export.keras_models import layer, model, nested, save, start

TOLERANCE = 5e-5


def run(opened, picture, wanted=None):
    """The outputs, HWC, for one picture HWC into every input."""
    graph = Graph()
    height, width, channels = picture.shape
    x = graph.input("face", (1, channels, height, width))
    outputs = opened.run(graph, [x] * len(opened.inputs), wanted)
    session = onnxruntime.InferenceSession(
        graph.finish(**{f"out_{k}": value for k, value in enumerate(outputs)}), providers=["CPUExecutionProvider"]
    )
    answers = session.run(None, {"face": np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)})
    return [answer[0].transpose(1, 2, 0) for answer in answers]


def shapes(path, wanted=None):
    """Run without numbers: what raises here would raise there."""
    opened, graph = open_model(path), Shapes()
    feeds = [graph.input(name, (1, shape[2], *shape[:2])) for name, shape in opened.inputs.items()]
    return [value.shape for value in opened.run(graph, feeds, wanted)]


def architecture(path):
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    with h5py.File(path) as file:
        return json.loads(file.attrs["model_config"])


def kinds(description):
    for held in description["config"].get("layers", []):
        yield held["class_name"]
        yield from kinds(held)


# ---- what Keras gave


@pytest.mark.parametrize("name", ["keras2_layers", "keras3_layers"])
def test_every_layer_gives_what_keras_gave(reference, name):
    [path] = reference(name).glob("layers.*")
    held = np.load(reference(name) / "io.npz")
    names = [key for key in held if key != "face"]
    assert len(names) > 30
    answers = run(open_model(path), held["face"])
    off = {key: np.abs(answer - held[key]).max() for key, answer in zip(names, answers, strict=True)}
    assert max(off.values()) < TOLERANCE, off
    assert min(held[key].std() for key in names) > 0.05


def test_every_layer_that_is_known_was_compared(reference):
    folders = ["keras2_layers", "keras3_layers", "fs2_unbalanced"]
    paths = [path for name in folders for path in reference(name).iterdir() if path.suffix in (".h5", ".keras")]
    compared = {kind for path in paths for kind in kinds(architecture(path))}
    assert set(LAYERS) <= compared


def test_a_model_runs_again_when_its_file_is_gone(tmp_path):
    path = save(tmp_path / "m.h5", model([start(4, 4, 3), layer("Dense", "d", "face")], "d"), DENSE)
    opened = open_model(path)
    picture = np.random.default_rng(0).random((4, 4, 3))
    [first] = run(opened, picture)
    path.unlink()
    [second] = run(opened, picture)
    assert (first == second).all()
    assert np.allclose(first, picture @ DENSE["d"]["kernel"] + 1, atol=1e-6)
    assert opened.parameters == 12


DENSE = {"d": {"kernel": np.arange(9, dtype=np.float32).reshape(3, 3), "bias": np.ones(3, np.float32)}}


@pytest.mark.parametrize(("version", "old"), [("2.2.4", True), ("2.2.4-tf", False), ("2.12.0", False)])
def test_keras_2_2_scales_bilinearly_as_tensorflow_1_did(tmp_path, version, old):
    layers = [start(3, 3, 1), layer("UpSampling2D", "up", "face", size=[2, 2], interpolation="bilinear")]
    path = save(tmp_path / "m.h5", model(layers, "up"), version=version)
    picture = np.random.default_rng(0).random((3, 3, 1))
    [answer] = run(open_model(path), picture)
    at = np.arange(6) / 2 if old else np.clip((np.arange(6) + 0.5) / 2 - 0.5, 0, None)
    low, part = np.floor(at).astype(int), at % 1
    high = np.minimum(low + 1, 2)
    rows = picture[low] * (1 - part)[:, None, None] + picture[high] * part[:, None, None]
    wanted = rows[:, low] * (1 - part)[:, None] + rows[:, high] * part[:, None]
    assert np.allclose(answer, wanted, atol=1e-6)


@pytest.mark.parametrize("first", [0, 1])
def test_uses_of_a_model_may_be_counted_from_0_or_1(tmp_path, first):
    inner = model([start(2, 2, 3, name="x"), layer("ReLU", "r", "x")], "r", inputs=("x",))
    outer = [
        start(2, 2, 3),
        layer("Activation", "minus", "face", activation="linear"),
        nested(inner, "twice", "face"),
        layer("Add", "sum", "twice", "twice"),
    ]
    outer[2]["inbound_nodes"].append([["minus", 0, 0, {}]])
    outer[3]["inbound_nodes"] = [[["twice", first, 0, {}], ["twice", first + 1, 0, {}]]]
    path = save(tmp_path / "m.h5", model(outer, "sum"))
    picture = np.random.default_rng(0).random((2, 2, 3))
    [answer] = run(open_model(path), picture)
    assert np.allclose(answer, 2 * picture, atol=1e-6)


def test_what_is_not_asked_for_is_not_written(tmp_path):
    layers = [start(4, 4, 3), layer("Dense", "d", "face"), layer("ReLU", "r", "face")]
    description = model(layers, "r")
    description["config"]["output_layers"].append(["d", 0, 0])
    opened = open_model(save(tmp_path / "m.h5", description, DENSE))
    graph = Graph()
    opened.run(graph, [graph.input("face", (1, 3, 4, 4))], [0])
    assert opened.parameters == 0


# ---- what is refused


def test_a_lambda_layer_is_refused_and_never_run(tmp_path):
    mark = tmp_path / "it ran"
    code = compile(f"open({str(mark)!r}, 'w')", "x", "exec")
    function = [marshal.dumps(code).hex(), None, None]
    path = save(tmp_path / "m.h5", model([start(4, 4, 3), layer("Lambda", "evil", "face", function=function)], "evil"))
    with pytest.raises(ModelError, match=r"m\.h5: layer evil \(Lambda\): .* never run"):
        shapes(path)
    assert not mark.exists()


def refused(tmp_path, description, match, weights=None):
    path = save(tmp_path / "m.h5", description, weights)
    with pytest.raises(ModelError, match=match) as caught:
        shapes(path)
    assert str(path) in caught.value.message
    assert len(caught.value.message) < 500 and "\n" not in caught.value.message


def test_a_layer_of_another_kind_is_refused_by_name(tmp_path):
    refused(tmp_path, model([start(4, 4, 3), layer("Mystery", "m", "face")], "m"), r"layer m \(Mystery\)")


def test_a_layer_in_a_model_is_named_with_it(tmp_path):
    inner = model([start(4, 4, 3, name="x"), layer("Mystery", "m", "x")], "m", inputs=("x",))
    refused(tmp_path, model([start(4, 4, 3), nested(inner, "encoder", "face")], "encoder"), "layer encoder/m ")


def test_layers_that_feed_each_other_are_refused(tmp_path):
    knot = [start(4, 4, 3), layer("ReLU", "a", "b"), layer("ReLU", "b", "a")]
    refused(tmp_path, model(knot, "b"), "layer b is fed with what comes out of it")


def test_a_chain_of_thousands_of_layers_is_no_recursion(tmp_path):
    names = ["face", *(f"r{k}" for k in range(2000))]
    chain = [layer("ReLU", name, before) for before, name in pairwise(names)]
    path = save(tmp_path / "m.h5", model([start(4, 4, 3), *chain[::-1]], names[-1]))
    assert shapes(path) == [(1, 3, 4, 4)]


def test_models_in_models_do_not_multiply(tmp_path):
    inner = model([start(4, 4, 3, name="x"), layer("ReLU", "r", "x")], "r", inputs=("x",))
    for level in range(6):
        use = nested(inner, f"n{level}", "x")
        use["inbound_nodes"] += [[[f"n{level}", k, 0, {}]] for k in range(1, 10)]
        inner = model([start(4, 4, 3, name="x"), use], f"n{level}", inputs=("x",))
        inner["config"]["output_layers"] = [[f"n{level}", 10, 0]]
    refused(tmp_path, model([start(4, 4, 3), nested(inner, "n", "face")], "n"), "used more than 20000 times")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c["layers"][1].update(inbound_nodes=[[["nobody", 0, 0, {}]]]), "layer 'nobody' is used"),
        (lambda c: c["layers"][1].update(inbound_nodes=[[["face", 3, 0, {}]]]), "layer face is asked for an output"),
        (lambda c: c["layers"][1].update(inbound_nodes=[[["face", 0, 1, {}]]]), "layer face is asked for an output"),
        (lambda c: c["layers"][1].update(inbound_nodes=[[["face", -1, 0, {}]]]), "layer r: .* names no tensor"),
        (lambda c: c["layers"][1].update(inbound_nodes=[[["face", "0", 0, {}]]]), "layer r: .* names no tensor"),
        (lambda c: c["layers"][1].update(inbound_nodes=[]), "layer r is asked for an output"),
        (lambda c: c["layers"][1].update(inbound_nodes=7), "7 where inbound_nodes is expected"),
        (lambda c: c["layers"][1].update(inbound_nodes=[[["face", 0, 0, {"evil": 1}]]]), "layer r: .*'evil'"),
        (lambda c: c["layers"].append(c["layers"][1]), "layer r is there twice"),
        (lambda c: c["layers"].pop(1), "layer 'r' is used but is not there"),
        (lambda c: c["layers"].pop(0), "input 'face' is no input layer"),
        (lambda c: c["layers"][1].update(name="", config={}), "no sane name or kind: '', 'ReLU'"),
        (lambda c: c["layers"][1].update(class_name="Re\nLU"), "no sane name or kind: 'r', "),
        (lambda c: c.update(layers=None), "missing where layers is expected"),
        (lambda c: c.update(layers=[c["layers"][0]] * 6000), "6000 layers"),
        (lambda c: c.update(output_layers=[]), "has no outputs"),
        (lambda c: c.update(output_layers={"a": 1}), "its inputs or outputs are"),
        (lambda c: c["layers"][0]["config"].update(batch_input_shape="x"), "layer face takes 'x'"),
    ],
)
def test_wiring_that_leads_nowhere_is_refused(tmp_path, change, match):
    description = model([start(4, 4, 3), layer("ReLU", "r", "face")], "r")
    change(description["config"])
    refused(tmp_path, description, match)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "holds weights alone"),
        ("{", "no readable JSON"),
        ("[" * 100_000, "no readable JSON|nests more than"),
        ('{"a":' * 200 + "1" + "}" * 200, "nests more than"),
        ("[]", "missing where class_name is expected"),
        ('{"class_name": "Sequential", "config": {}}', "'Sequential'; a Functional model is expected"),
    ],
)
def test_what_is_no_architecture_is_refused(tmp_path, text, match):
    refused(tmp_path, text, match)


@pytest.mark.parametrize(
    ("held", "match"),
    [
        (layer("Conv2D", "d", "face", filters=5), "it has 5 filters, but a kernel of"),
        (layer("Conv2D", "d", "face", kernel_size=[5, 5]), r"kernel_size is \[5, 5\]"),
        (layer("Conv2D", "d", "face", strides=[1, 2]), r"strides is \[1, 2\]; the same for height and width"),
        (layer("Conv2D", "d", "face", strides=0), "strides is 0; whole numbers"),
        (layer("Conv2D", "d", "face", padding="causal"), "padding is 'causal'"),
        (layer("Conv2D", "d", "face", activation="softmax"), "activation 'softmax' is not supported"),
        (layer("Conv2D", "d", "face", activation={"class_name": "x"}), "activation .* is not supported"),
        (layer("Conv2D", "d", "face", data_format="channels_first"), "channels_first is not supported"),
        (layer("Conv2D", "d", "face", use_bias=False), "it holds kernel, bias where kernel is expected"),
        (layer("Conv2D", "d", "face", use_bias="no"), "use_bias is 'no'; true or false"),
        (layer("Conv2D", "d", "face", groups=3), "no 3 groups"),
        (layer("Conv2D", "d", "face", "face"), "it is fed with 2 things"),
        (layer("PReLU", "d", "face"), "it holds kernel, bias where alpha is expected"),
        (layer("UpSampling2D", "u", "face", size=[1000, 1000]), "a factor from 1 to 64"),
        (layer("UpSampling2D", "u", "face", size=float("nan")), "a factor from 1 to 64"),
        (layer("KResizeImages", "u", "face", size=1.5), "a whole number is expected with the nearest pixel"),
        (layer("ZeroPadding2D", "u", "face", padding=[[1], [2, -3]]), "pixels for each side are expected"),
        (layer("ReflectionPadding2D", "u", "face", stride=1, kernel_size=9), "too small to be reflected"),
        (layer("MaxPooling2D", "u", "face", pool_size=9), "which no net does"),
        (layer("Reshape", "u", "face", target_shape=[5, 5]), "a vector or a map is expected"),
        (layer("Reshape", "u", "face", target_shape=[4, -1, 5]), "48 numbers cannot be read as"),
        (layer("PixelShuffler", "u", "face", size=2), "3 channels are no 2x2 blocks"),
        (layer("Concatenate", "u", "face", axis=0), "axes of a tensor of 4 dimensions"),
        (layer("Add", "u", "face"), "it is fed with 1 things"),
        (layer("LeakyReLU", "u", "face", alpha="0.1"), "alpha is '0.1'; a number is expected"),
        (layer("LeakyReLU", "u", "face", alpha=1e300), r"alpha is 1e\+300; a number is expected"),
        (layer("TFOpLambda", "u", "face", function="io.write_file"), "the function 'io.write_file' is not supported"),
        (layer("GroupNormalization", "u", "face", groups=2), "3 channels are no 2 groups"),
        (layer("BatchNormalization", "u", "face", epsilon=None), "it holds nothing where gamma"),
        (layer("GlobalAveragePooling2D", "u", "face", keepdims=1), "keepdims is 1"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused_by_layer(tmp_path, held, match):
    weights = {"d": {"kernel": np.ones((3, 3, 3, 4), np.float32), "bias": np.ones(4, np.float32)}}
    name = held["name"]
    refused(
        tmp_path, model([start(4, 4, 3), held], name), rf"layer {name} \({held['class_name']}\): .*{match}", weights
    )


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        ({}, "it holds nothing where kernel, bias is expected"),
        ({"d": {"kernel": np.ones((3, 3), np.float32)}}, "it holds kernel where kernel, bias"),
        ({"d": {**DENSE["d"], "more": np.ones(1)}}, "it holds kernel, bias, more where"),
        ({"d": {**DENSE["d"], "bias": np.full(3, np.nan, np.float32)}}, "its bias holds numbers that are not finite"),
        ({"d": {**DENSE["d"], "bias": np.ones(4, np.float32)}}, "bias has shape"),
        ({"d": {**DENSE["d"], "kernel": np.ones((4, 3), np.float32)}}, "a kernel of shape"),
        ({"d": {**DENSE["d"], "kernel": np.ones(3, np.float32)}}, "a kernel of shape"),
        ({"d": {**DENSE["d"], "kernel": np.ones((3, 3), "S4")}}, "d/kernel:0"),
    ],
)
def test_weights_that_are_not_the_layers_are_refused(tmp_path, weights, match):
    description = model([start(4, 4, 3), layer("Dense", "d", "face", units=3)], "d")
    refused(tmp_path, description, match, weights)


def test_a_tensor_of_a_billion_numbers_is_refused_before_it_is_made(tmp_path):
    up = [layer("UpSampling2D", f"u{k}", f"u{k - 1}" if k else "face", size=[64, 64]) for k in range(3)]
    refused(tmp_path, model([start(64, 64, 3), *up], "u2"), r"layer u1 .*, which no net does")


def test_two_layers_of_one_name_in_two_models_have_their_own_weights(tmp_path):
    def half(name):
        inner = model([start(2, 2, 3, name="x"), layer("Dense", "same", "x", use_bias=False)], "same", inputs=("x",))
        return nested(inner, name, "face")

    weights = {name: {"same/kernel": np.eye(3, dtype=np.float32) * k} for name, k in (("a", 1), ("b", 10))}
    layers = [start(2, 2, 3), half("a"), half("b"), layer("Add", "sum", "a", "b")]
    layers[-1]["inbound_nodes"] = [[["a", 1, 0, {}], ["b", 1, 0, {}]]]
    picture = np.random.default_rng(0).random((2, 2, 3))
    [answer] = run(open_model(save(tmp_path / "m.h5", model(layers, "sum"), weights)), picture)
    assert np.allclose(answer, 11 * picture, atol=1e-5)


def test_a_keras_file_without_its_parts_is_refused(tmp_path):
    for names, match in (((), "holds no config.json"), (("config.json",), "holds no model.weights.h5")):
        path = tmp_path / "m.keras"
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, json.dumps(model([start(4, 4, 3), layer("ReLU", "r", "face")], "r")))
        with pytest.raises(ModelError, match=match):
            shapes(path)


@pytest.mark.parametrize(
    ("member", "data", "match"),
    [("../evil", b"", "points out of the archive"), ("config.json", b" " * (60 << 20), "which no checkpoint does")],
)
def test_a_zip_that_is_an_attack_is_refused(tmp_path, member, data, match):
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, data)
    with pytest.raises(ModelError, match=match):
        open_model(path)
    assert [item.name for item in tmp_path.iterdir()] == ["m.keras"]


# ---- anything


ODD = st.sampled_from([None, -1, 0, 1, 2.5, 1e308, 10**400, True, "x", "same", [], {}, [[1]], [0, 0], ["face", 0, 0]])


def spots(tree, path=()):
    """Every place in a JSON tree, but for how weights were drawn."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if not str(key).endswith(("initializer", "regularizer", "constraint")):
            yield (*path, key)
            if isinstance(value, dict | list):
                yield from spots(value, (*path, key))


@pytest.fixture(scope="module")
def whole(reference):
    """(a model with every layer, all read; its architecture; the places in that) for Keras 2 and 3."""
    held = []
    for name in ("keras2_layers", "keras3_layers"):
        [path] = reference(name).glob("layers.*")
        tree = architecture(path)
        held.append((path, tree, list(spots(tree))))
    return held


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_an_architecture_with_something_odd_in_it_is_refused_or_read(whole, data):
    path, tree, places = data.draw(st.sampled_from(whole))
    tree = copy.deepcopy(tree)
    for place in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=3)):
        spot = tree
        try:
            for key in place[:-1]:
                spot = spot[key]
            spot[place[-1]] = data.draw(ODD)
        except (KeyError, IndexError, TypeError):
            pass  # what was there is already something odd
    graph, message = Shapes(), ""
    try:
        opened = Model(path, read_net(json.dumps(tree)), False)
        opened.run(graph, [graph.input("face", (1, 3, 10, 12))])
    except ModelError as error:
        message = error.message
    # Foreign exceptions that are met while the file is open are taken for its own.
    assert "\n" not in message and "no readable HDF5" not in message and len(message) < 500
