"""Lower precisions: what is made runs, is close to fp32, is in the folder whole; what is too far off is not kept."""

from __future__ import annotations

import json

import numpy as np
import pytest
from onnx import helper, load_model_from_string

from engines.card import CARD_FILE, read_card
from engines.door import RUNTIMES, open_variant
from engines.engine import Variant
from engines.errors import BadInput, ModelError
from tests.engines.models import convolutions, folder_of, model

pytestmark = pytest.mark.skipif(RUNTIMES.why_not("onnx_runtime") is not None, reason="onnxruntime is not installed")


@pytest.fixture(scope="module")
def lowering():
    from export import precision

    return precision


def pictures(count=16, size=16):
    """Waves of different lengths and directions: what a net of pictures is fed, without anybody's face."""
    rng, steps = np.random.default_rng(3), np.linspace(0, 1, size, dtype=np.float32)
    feeds = []
    for _ in range(count):
        waves = [np.sin(steps * rng.uniform(2, 12) + rng.uniform(0, 6)) for _ in range(6)]
        picture = np.stack([np.outer(waves[2 * c], waves[2 * c + 1]) for c in range(3)])
        feeds.append({"picture": picture[None].astype(np.float32)})
    return feeds


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def card(tmp_path):
    return folder_of(tmp_path / "model", convolutions(), tolerance={"y": 0.25})


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_what_is_made_is_close_and_vouched_for(lowering, card, precision):
    made = lowering.lower(card, precision, pictures())
    assert not made.verdict.refused and 0 < made.verdict.worst < 0.25 and made.verdict.psnr_db > 30
    assert read_card(card.folder) == made.card
    data = made.card.model(precision)
    assert data != made.card.model() and made.card.model() == card.model()
    kinds = {node.op_type for node in load_model_from_string(data).graph.node}
    assert ("QuantizeLinear" in kinds) if precision == "int8" else ("Cast" in kinds)
    assert not [path for path in card.folder.iterdir() if path.name.startswith(".")]


def test_every_runtime_that_offers_int8_answers_alike(lowering, card):
    made = lowering.lower(card, "int8", pictures())
    feeds = pictures()[0]
    plain = open_variant(card, Variant("onnx_runtime")).run(feeds)["y"]
    runtimes = [name for name in ("onnx_runtime", "openvino") if RUNTIMES.why_not(name) is None]
    for name in runtimes:
        assert "int8" in {way.precision for way in RUNTIMES.load(name).variants(made.card, 2)}
        engine = open_variant(made.card, Variant(name, precision="int8"))
        got = engine.run(feeds)["y"]
        assert got.dtype == np.float32 and 0 < np.abs(got - plain).max() < 0.25
        engine.close()


def test_some_probes_stay_to_judge_by(lowering, card):
    made = lowering.lower(card, "int8", pictures())
    with np.load(made.card.folder / made.card.probes) as held:
        assert held["picture"].shape == (4, 1, 3, 16, 16)
    assert lowering.lower(made.card, "fp16", pictures(8)).card.probes == made.card.probes


def test_what_is_too_far_off_is_refused_and_nothing_is_left(lowering, tmp_path):
    card = folder_of(tmp_path / "strict", convolutions(), tolerance={"y": 1e-7})
    before = files(card.folder)
    with pytest.raises(ModelError, match=r"minmax ranges: y: off by .* percentile ranges"):
        lowering.lower(card, "int8", pictures())
    assert files(card.folder) == before


def test_layers_without_names_are_quantised_too(lowering, card):
    assert not any(node.name for node in load_model_from_string(card.model()).graph.node)
    data = lowering.lower(card, "int8", pictures()).card.model("int8")
    assert sum(node.op_type == "QuantizeLinear" for node in load_model_from_string(data).graph.node) >= 2


def test_bad_input(lowering, card):
    with pytest.raises(BadInput, match="int8 or fp16"):
        lowering.lower(card, "int4", pictures())
    with pytest.raises(BadInput, match="3 probes are too few"):
        lowering.lower(card, "int8", pictures(3))


def test_a_net_without_anything_to_quantise_is_refused(lowering, tmp_path):
    data = model([helper.make_node("Abs", ["picture"], ["y"])], {"picture": [1, 3, 16, 16]}, {"y": [1, 3, 16, 16]})
    card = folder_of(tmp_path / "abs", data)
    with pytest.raises(ModelError, match="nothing in it to"):
        lowering.lower(card, "int8", pictures())
    assert "onnx_int8" not in json.loads((card.folder / CARD_FILE).read_text())["files"]


def test_probes_from_a_file(lowering, card, tmp_path):
    path = tmp_path / "probes.npz"
    np.savez(path, picture=np.stack([feeds["picture"] for feeds in pictures(5)]))
    assert len(lowering.probes_from_file(path, card)) == 5


@pytest.mark.parametrize("content", [b"", b"no zip", None], ids=["empty", "text", "gone"])
def test_a_file_without_probes_is_bad_input(lowering, card, tmp_path, content):
    path = tmp_path / "probes.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match="holds no probes") as caught:
        lowering.probes_from_file(path, card)
    assert "picture: float32[1, 3, 16, 16]" in caught.value.hint


def test_probes_of_another_shape_are_bad_input(lowering, card, tmp_path):
    path = tmp_path / "probes.npz"
    np.savez(path, picture=np.zeros((9, 4, 4), np.float32))
    with pytest.raises(BadInput, match="no stack of picture"):
        lowering.probes_from_file(path, card)
