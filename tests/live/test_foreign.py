"""Foreign models are told by what they take and give; where that is not enough, by checksum, name, or the user."""

from __future__ import annotations

import io
import json

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import BadInput, DoppelcamError, ModelError
from live.catalogue import catalogue
from live.families import FAMILIES, Signature
from live.foreign import card_of, emap_of, recognise
from tests.foreign_nets import EMAP, FOREIGN, dfm, embedding_swapper, foreign, net, scrfd


def signature(inputs, outputs, more=()):
    operators = {"ConvTranspose"} if dict(more).get("transposed") else set()
    return Signature(tuple(inputs.items()), tuple(outputs.items()), frozenset(operators))


def facts_of(file_name, **more):
    _, *parts = FOREIGN[file_name]
    return recognise(signature(*parts), file_name, **more)[1]


@pytest.mark.parametrize("file_name", FOREIGN)
def test_each_is_recognised(file_name):
    wanted, *parts = FOREIGN[file_name]
    family, facts = recognise(signature(*parts), file_name)
    assert family == wanted
    json.dumps(facts)
    named = {name for side in ("inputs", "outputs") for entry in facts[side].values() for name in np.ravel(entry)}
    assert {str(name) for name in named} <= {*parts[0], *parts[1]}
    assert set(facts["inputs"].values()) == set(parts[0])


@pytest.mark.parametrize(
    "file_name", [name for name, (family, *_) in FOREIGN.items() if family not in ("simswap", "hyperswap", "hififace")]
)
def test_its_name_matters_only_where_others_look_alike(file_name):
    wanted, *parts = FOREIGN[file_name]
    assert recognise(signature(*parts), "model.onnx")[0] == wanted
    assert recognise(signature(*parts), "yunet_xseg_uniface.onnx")[0] == wanted or wanted in (
        "yunet",
        "xseg",
        "uniface",
    )


def test_every_family_has_a_net_here_and_every_known_model_a_family():
    assert {family for family, *_ in FOREIGN.values()} == set(FAMILIES)
    for entry in catalogue().values():
        assert entry.kind == "pack" or FAMILIES[entry.family].kind == entry.kind, entry.name


def test_one_output_and_no_transposed_convolution_is_like_simswap():
    assert recognise(signature(*embedding_swapper(256)), "model.onnx")[0] == "simswap"
    assert recognise(signature(*embedding_swapper(256, transposed=True)), "model.onnx")[0] == "ghost"


def test_what_could_be_two_is_asked_for():
    _, *parts = FOREIGN["hyperswap_1a_256.onnx"]
    with pytest.raises(BadInput, match="hyperswap, hififace") as caught:
        recognise(signature(*parts), "model.onnx")
    assert "--family" in caught.value.hint
    assert recognise(signature(*parts), "model.onnx", family="hififace")[0] == "hififace"
    assert recognise(signature(*parts), "HyperSwap_of_mine.onnx")[0] == "hyperswap"


def test_a_known_checksum_outweighs_the_name():
    _, *parts = FOREIGN["hyperswap_1a_256.onnx"]
    sha256 = catalogue()["hyperswap_1a_256"].sha256
    assert recognise(signature(*parts), "hififace.onnx", sha256)[0] == "hyperswap"


def test_the_user_cannot_make_it_what_it_is_not():
    with pytest.raises(BadInput, match=r"is no 'scrfd': it takes target\[1, 3, 256, 256\]"):
        facts_of("simswap_256.onnx", family="scrfd")


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ({"x": (1, 3, 224, 224)}, {"y": (1, 1000)}),
        ({"target": (1, 3, 128, 128), "source": (1, 256)}, {"output": (1, 3, 128, 128)}),
        ({"target": (1, 3, None, None), "source": (1, 512)}, {"output": (1, 3, None, None)}),
        ({"target": (2, 3, 128, 128), "source": (2, 512)}, {"output": (2, 3, 128, 128)}),
        ({"a": (1, 3, 256, 256), "b": (1, 3, 256, 256)}, {"output": (1, 3, 256, 256)}),
        ({"in_face:0": (1, 64, 64, 3)}, {"out_celeb_face:0": (1, 64, 64, 3)}),
        ({"in_face:0": (1, 64, 64, 3), "more": (1,)}, dfm()[1]),
        ({"x": (1, 3, 640, 640)}, {"a": (12800, 1), "b": (12800, 4), "c": (12800, 10)}),
        ({"x": ()}, {"y": ()}),
    ],
)
def test_an_unknown_net_is_told_with_what_it_takes_and_what_is_known(inputs, outputs):
    with pytest.raises(ModelError, match="is of no kind that is known here: it takes") as caught:
        recognise(signature(inputs, outputs), "inswapper_128.onnx")
    assert all(f"{name}[" in caught.value.message for name in [*inputs, *outputs])
    assert "inswapper, simswap" in caught.value.hint


def test_the_facts_of_a_swapper():
    facts = facts_of("inswapper_128.onnx")
    assert (facts["image_size"], facts["colour"], facts["layout"]) == (128, "RGB", "NCHW")
    assert (facts["template"], facts["output"], facts["emap"]) == ("arcface_128", "0..1", "emap.npy")
    assert (facts["mean"], facts["std"]) == ([0.0] * 3, [1.0] * 3)
    assert facts_of("simswap_256.onnx")["mean"] == [0.485, 0.456, 0.406]
    assert facts_of("simswap_unofficial_512.onnx")["mean"] == [0.0] * 3
    ghost = facts_of("ghost_2_256.onnx")
    assert (ghost["output"], ghost["converter"], ghost["normalise"]) == ("-1..1", "crossface_ghost", False)
    assert facts_of("hyperswap_1a_256.onnx")["outputs"] == {"image": "output", "mask": "mask"}
    assert facts_of("uniface_256.onnx")["inputs"] == {"target": "target", "source": "source"}
    assert facts_of("crossface_ghost.onnx")["of"] == "ghost"


def test_inputs_are_told_by_shape_whatever_they_are_called():
    facts = recognise(signature(*embedding_swapper(128, target="a", source="b")), "inswapper.onnx")[1]
    assert facts["inputs"] == {"target": "a", "source": "b"}
    turned = {"b": (1, 512), "a": (1, 3, 128, 128)}
    assert recognise(signature(turned, {"o": (1, 3, 128, 128)}), "x")[1]["inputs"] == {"target": "a", "source": "b"}


def test_the_facts_of_a_trained_model():
    facts = facts_of("somebody_amp.dfm")
    assert (facts["image_size"], facts["colour"], facts["layout"]) == (64, "BGR", "NHWC")
    assert facts["inputs"] == {"target": "in_face:0", "morph": "morph_value:0"}
    assert facts["outputs"]["image_mask"] == "out_celeb_face_mask:0"
    assert "morph" not in facts_of("somebody.dfm")["inputs"]


def test_a_detectors_outputs_are_sorted_by_stride():
    inputs, outputs, _ = scrfd()
    facts = recognise(signature(inputs, dict(reversed(outputs.items()))), "x.onnx")[1]
    assert facts["outputs"] == {
        "scores": ["448", "471", "494"], "boxes": ["451", "474", "497"], "points": ["454", "477", "500"],
    }  # fmt: skip
    assert "points" not in facts_of("scrfd_no_points.onnx")["outputs"]


def test_emap_is_the_last_weight_that_nothing_takes(tmp_path):
    path = tmp_path / "inswapper_128.onnx"
    path.write_bytes(foreign("inswapper_128.onnx"))
    np.testing.assert_array_equal(np.load(io.BytesIO(emap_of(path)), allow_pickle=False), EMAP)


def test_an_inswapper_that_lost_its_emap(tmp_path):
    inputs, outputs, _ = embedding_swapper(128)
    path = tmp_path / "inswapper_128.onnx"
    path.write_bytes(net(inputs, outputs))
    with pytest.raises(ModelError, match="lacks the matrix"):
        emap_of(path)


class TestCard:
    def card(self, tmp_path, file_name="ghost_2_256.onnx", sha256="0" * 64, **more):
        family, facts = FOREIGN[file_name][0], facts_of(file_name)
        return card_of(family, facts, tmp_path / file_name, sha256, **more)

    def test_a_known_checksum_brings_licence_and_use(self, tmp_path):
        card = self.card(tmp_path, sha256=catalogue()["ghost_2_256"].also[0])
        assert (card["licence"], card["commercial_use"]) == ("Apache-2.0", True)
        assert card["facts"]["needs"] == ["arcface_w600k_r50", "crossface_ghost"]
        assert card["facts"]["kind"] == "swapper"

    def test_a_name_alone_is_no_permission(self, tmp_path):
        card = self.card(tmp_path)
        assert (card["licence"], card["commercial_use"]) == ("Apache-2.0, if it is ghost_2_256", False)

    def test_what_was_pulled_is_what_the_catalogue_says(self, tmp_path):
        entry = catalogue()["ghost_2_256"]
        card = self.card(tmp_path, entry=entry)
        assert (card["licence"], card["commercial_use"], card["source"]) == ("Apache-2.0", True, entry.url)

    def test_a_stranger_is_unknown_and_not_for_commercial_use(self, tmp_path):
        card = self.card(tmp_path, "somebody.dfm")
        assert (card["licence"], card["commercial_use"]) == ("unknown", False)
        assert self.card(tmp_path, "somebody.dfm", licence="mine")["licence"] == "mine"

    def test_what_the_user_says_of_a_licence_permits_nothing(self, tmp_path):
        card = self.card(tmp_path, sha256=catalogue()["ghost_2_256"].also[0], licence="all mine")
        assert (card["licence"], card["commercial_use"]) == ("all mine", False)


SHAPES = st.lists(st.one_of(st.none(), st.sampled_from([1, 3, 4, 10, 20, 64, 112, 128, 256, 512, 640])), max_size=4)
PORTS = st.dictionaries(st.sampled_from(["in_face:0", "target", "cls_8", "x", "y"]), SHAPES.map(tuple), min_size=1)


@given(PORTS, PORTS)
def test_any_signature_is_recognised_or_refused(inputs, outputs):
    try:
        family, facts = recognise(signature(inputs, outputs), "x.onnx")
    except DoppelcamError:
        return
    assert family in FAMILIES
    json.dumps(facts)


def test_the_nets_of_these_tests_are_whole():
    for file_name in FOREIGN:
        onnx.checker.check_model(foreign(file_name))
