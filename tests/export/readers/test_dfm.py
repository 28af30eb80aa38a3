""".dfm files: those that DeepFaceLab wrote give its own outputs in a simpler graph; anything else is refused."""

from __future__ import annotations

import pickle
import shutil
from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime.transformers.float16 import convert_float_to_float16

from engines.errors import BadInput, ModelError
from engines.runtimes._trt_graph import fit
from engines.tidy import EXACT
from export.graph import Graph
from export.readers.deepfacelab2 import Deepfacelab2
from export.readers.dfm import Dfm
from tests.export.nets import TOLERANCE, run, run_bytes, worst

MODELS = ("saehd_df", "saehd_df_ud", "saehd_df_udt", "saehd_liae_ud", "saehd_liae_udt", "saehd_liae_dc", "amp")
MORPHS = (0, 0.33, 0.5, 0.75, 1)


def read(path, **options):
    return Dfm.read(path, options)


def runs(folder, morph):
    """What the program was given beside the face, and what it answered."""
    held = np.load(folder / "io.npz")
    for value in MORPHS if morph else (None,):
        name = f"_{round(100 * value):03}" if morph else ""
        feeds = {"morph": np.array([value], np.float32)} if morph else {}
        masks = {"face_mask": held["mask_dst"], "celeb_mask": held[f"mask_src{name}"]}
        yield held["face"], feeds, {"image": held[f"bgr{name}"], **masks}


def off(trained, folder):
    return max(worst(run(trained, face, **feeds), wanted) for face, feeds, wanted in runs(folder, trained.morph))


def built(trained, fused=False):
    graph = Graph(fused)
    return onnx.load_model_from_string(graph.finish(**trained.build(graph)))


@pytest.fixture
def dfm(reference):
    """dfm("saehd_df") is the .dfm that DeepFaceLab itself wrote of this model."""

    def path(name):
        [found] = reference(name).glob("*.dfm")
        return found

    return path


@pytest.mark.parametrize("name", MODELS)
def test_it_gives_what_the_program_gave(reference, dfm, name):
    trained = read(dfm(name))
    assert off(trained, reference(name)) < TOLERANCE
    twin = Deepfacelab2.read(reference(name), {})
    assert (trained.program, trained.size, trained.morph) == ("DeepFaceLive", twin.size, twin.morph)
    assert trained.crop == ("whole_face", "dfl33") and "whole_face is assumed" in trained.warnings[0]
    assert trained.facts == {"written_by": "tf2onnx 1.17.0"}
    # The files' own nodes but for their biases: blocks are joined, and AMP's slices are of static size.
    kinds, twins = (Counter(node.op_type for node in built(net).graph.node) for net in (trained, twin))
    same = ("DepthToSpace", "Conv", "LeakyRelu", "Cos", "Where", "Slice", "Transpose", "Reshape")
    assert [kinds[kind] for kind in same] == [twins[kind] for kind in same]


@pytest.mark.parametrize("name", MODELS)
def test_bytes_in_and_out_differ_by_rounding_alone(reference, dfm, name):
    trained = read(dfm(name))
    for face, feeds, _ in runs(reference(name), trained.morph):
        face = np.round(face * 255).astype(np.uint8)
        answers, floats = run_bytes(trained, face, **feeds), run(trained, face.astype(np.float32) / 255, **feeds)
        assert worst(answers, {key: array * 255 for key, array in floats.items()}) < 0.51


@pytest.mark.parametrize("name", MODELS)
def test_tensor_rt_takes_it(dfm, name):
    fit(built(read(dfm(name)), fused=True).SerializeToString(), name, halve=True)


def test_the_square_mean_stays_exact(dfm):
    names = [node.name for node in built(read(dfm("saehd_df_ud"))).graph.node if node.name.startswith(EXACT)]
    kinds = ["Mul", "ReduceMean", "Add", "Sqrt", "Reciprocal"]
    assert [name.removeprefix(EXACT).split("_")[0] for name in names] == kinds


@pytest.mark.parametrize("name", ["saehd_df_ud", "amp"])
def test_a_file_in_half_precision_is_computed_in_single(reference, dfm, tmp_path, name):
    tree = convert_float_to_float16(onnx.load(dfm(name)), keep_io_types=True)  # these weights are exact in it
    path = tmp_path / "half.dfm"
    onnx.save(tree, path)
    trained = read(path)
    assert off(trained, reference(name)) < TOLERANCE
    assert all(tensor.data_type != TensorProto.FLOAT16 for tensor in built(trained).graph.initializer)


def test_the_crop_can_be_said(dfm):
    trained = read(dfm("saehd_df"), crop="head")
    assert (trained.crop, trained.warnings) == (("head", "dfl33"), ())
    with pytest.raises(BadInput, match="crop=wf names no crop"):
        read(dfm("saehd_df"), crop="wf")
    with pytest.raises(BadInput, match="no option 'archi'"):
        read(dfm("saehd_df"), archi="df")


def test_a_folder_is_a_dfm_if_it_holds_nothing_that_tells_more(reference, dfm, tmp_path):
    assert Dfm.recognise(reference("saehd_df")) is None  # the files that it was exported from
    assert Dfm.recognise(tmp_path) is None and Dfm.recognise(tmp_path / "nowhere") is None
    shutil.copy(dfm("saehd_df"), tmp_path / "one.DFM")
    assert Dfm.recognise(tmp_path) == Dfm.recognise(tmp_path / "one.DFM") == "a .dfm of DeepFaceLive"
    assert read(tmp_path).size == 64
    shutil.copy(dfm("saehd_df"), tmp_path / "two.dfm")
    with pytest.raises(BadInput, match=r"holds 2 \.dfm files"):
        read(tmp_path)


# ---- what is refused


def picture_net(path, nodes, shape=(1, 8, 8, 3), outputs=3, opset=12, domain=""):
    """A .dfm of nodes that make y [1, 8, 8, 3] out of in_face; the masks are the sum of its colours, and that + 1."""
    one = np.ones(1, np.float32)
    weights = {"one": one, "flat": np.array([8, 24], np.int64), "grey": np.ones((3, 1), np.float32)}
    made = [*nodes, helper.make_node("MatMul", ["y", "grey"], ["z"]), helper.make_node("Add", ["z", "one"], ["w"])]
    graph = helper.make_graph(
        made,
        "net",
        [helper.make_tensor_value_info("in_face:0", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, (*shape[:3], channels))
            for name, channels in [("z", 1), ("y", 3), ("w", 1)][:outputs]
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=7), path)
    return path


SIGMOID = helper.make_node("Sigmoid", ["in_face:0"], ["y"])


def test_a_net_of_another_tool_that_keeps_to_the_signature_is_read(tmp_path):
    path = picture_net(tmp_path / "own.dfm", [SIGMOID], opset=17)
    face = np.random.default_rng(0).random((8, 8, 3), np.float32)
    answer, image = run(read(path), face), 1 / (1 + np.exp(-face))
    wanted = {"image": image, "face_mask": image.sum(2), "celeb_mask": image.sum(2) + 1}
    assert worst(answer, wanted) < TOLERANCE


@pytest.mark.parametrize(
    ("nodes", "more", "message"),
    [
        ([helper.make_node("Erf", ["in_face:0"], ["y"])], {}, "it uses Erf"),
        ([helper.make_node("Gelu", ["in_face:0"], ["y"], domain="com.microsoft")], {"domain": "com.microsoft"}, "Gelu"),
        ([SIGMOID], {"opset": 22}, "it uses opset 22"),
        ([SIGMOID], {"outputs": 2}, "it has 2 outputs"),
        ([SIGMOID], {"shape": (1, 8, 9, 3)}, r"it takes in_face:0 \[1, 8, 9, 3\] float32; expected is one"),
        ([SIGMOID], {"shape": (4, 8, 8, 3)}, r"it takes in_face:0 \[4, 8, 8, 3\]"),
        ([SIGMOID], {"shape": (1, "h", "w", 3)}, r"it takes in_face:0 \[1, None, None, 3\]"),
        ([helper.make_node("Reshape", ["in_face:0", "flat"], ["y"])], {}, "cannot be loaded and run"),
        ([helper.make_node("Slice", ["in_face:0", "s", "e"], ["y"]),
          helper.make_node("Cast", ["one"], ["s"], to=TensorProto.INT64),
          helper.make_node("Add", ["s", "s"], ["e"])], {}, "static shapes are needed"),
    ],
)  # fmt: skip
def test_what_is_no_dfm_is_told(tmp_path, nodes, more, message):
    path = picture_net(tmp_path / "own.dfm", nodes, **more)
    with pytest.raises(ModelError, match=message) as caught:
        read(path)
    assert str(path) in caught.value.message


def test_damage_is_told(dfm, tmp_path):
    whole, path = dfm("saehd_df").read_bytes(), tmp_path / "cut.dfm"
    for size in (0, 5, len(whole) // 3, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelError, match=r"cut\.dfm"):
            read(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ModelError, match="Python pickle"):
        read(path)
    tree = onnx.load(dfm("saehd_df"))
    tree.graph.initializer[0].data_location = TensorProto.EXTERNAL
    path.write_bytes(tree.SerializeToString())
    with pytest.raises(ModelError, match="kept in another file"):
        read(path)
