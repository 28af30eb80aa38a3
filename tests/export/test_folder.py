"""Writing model folders: whole or not at all, checked, carded, in lower precisions, without anybody's face in them."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from engines.card import read_card
from engines.door import open_engine
from engines.errors import BadInput, ModelError
from export.folder import Found, crops, export, find, gflop
from export.trained import Trained

ort = pytest.importorskip("onnxruntime")
SIZE = 32


def trained(poison=None, **facts):
    """A net that brightens the face and shows a mask of its green; `poison` is put into its last weight."""
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[1, 1] = np.eye(3) * 0.8
    if poison is not None:
        kernel[0, 0, 0, 0] = poison
    only_green = np.zeros((1, 1, 3, 1), np.float32)
    only_green[0, 0, 1] = 1

    def build(graph):
        face = graph.face(SIZE)
        return {"image": graph.scale(graph.conv(face, kernel), 1, 0.1), "face_mask": graph.conv(face, only_green)}

    return Trained("testing", "brighten", SIZE, SIZE, ("full", "dfl33"), build, parameters=84, facts=facts)


@pytest.fixture
def found(tmp_path):
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "encoder.h5").write_bytes(b"weights")
    (tmp_path / "given" / "notes.txt").write_text("private")
    return lambda **how: Found(tmp_path / "given", "testing brighten", trained(**how))


def faces(folder, count=16):
    folder.mkdir()
    rng, steps = np.random.default_rng(0), np.linspace(0, 1, 48)
    for k in range(count):
        waves = [np.sin(steps * rng.uniform(2, 9) + rng.uniform(0, 6)) for _ in range(6)]
        picture = np.stack([np.outer(waves[2 * c], waves[2 * c + 1]) for c in range(3)], -1) * 127 + 128
        cv2.imwrite(str(folder / f"{k:03}.png"), picture.astype(np.uint8))
    return folder


def test_a_folder_that_runs(found, tmp_path):
    said = []
    card = export(found(archi="df"), tmp_path / "out", "bright", licence="mine", tell=said.append)
    assert card == read_card(tmp_path / "out") and card.family == "trained" and card.name == "bright"
    assert card.licence == "mine" and not card.commercial_use and "testing brighten" in card.source
    assert card.facts["size"] == SIZE and card.facts["crop"] == ["full", "dfl33"] and card.facts["archi"] == "df"
    assert card.facts["outputs"] == ["image", "face_mask"] and list(card.facts["made_from"]) == ["encoder.h5"]
    assert said and sorted(path.name for path in tmp_path.iterdir()) == ["given", "out"]
    engine = open_engine(card, "onnx_runtime:cpu:fp32")
    face = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    got = engine.run({"face": face})
    np.testing.assert_allclose(got["image"], np.minimum(face * 0.8 + 25.5, 255), atol=0.51)
    np.testing.assert_array_equal(got["face_mask"], face[..., 1])


def test_two_exports_are_the_same_bytes(found, tmp_path):
    export(found(), tmp_path / "a", "x")
    export(found(), tmp_path / "b", "x")
    assert (tmp_path / "a" / "net.onnx").read_bytes() == (tmp_path / "b" / "net.onnx").read_bytes()


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_net_that_is_not_a_number_is_refused_and_nothing_is_left(found, tmp_path, poison):
    with pytest.raises(ModelError, match="not a number"):
        export(found(poison=poison), tmp_path / "out", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


def test_what_exists_is_not_replaced(found, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(BadInput, match="exists already"):
        export(found(), tmp_path / "out", "x")


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_lower_precisions_lie_beside_it(found, tmp_path, precision):
    given = faces(tmp_path / "faces") if precision == "int8" else None
    card = export(found(), tmp_path / "out", "x", precision=precision, faces=given)
    assert f"onnx_{precision}" in card.files and card.model(precision) != card.model()


def test_no_face_stays_in_the_folder(found, tmp_path):
    given = faces(tmp_path / "faces")
    card = export(found(), tmp_path / "out", "x", precision="int8", faces=given)
    with np.load(card.folder / card.probes) as held:
        kept = held["face"].astype(np.float32)
    # What is kept has no more detail than 8 x 8 places hold.
    few = [cv2.resize(face, (8, 8), interpolation=cv2.INTER_AREA) for face in kept]
    again = [cv2.resize(face, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for face in few]
    assert np.abs(np.stack(again) - kept).mean() < 6
    assert {path.suffix for path in card.folder.iterdir()} == {".json", ".onnx", ".npz"}


def test_int8_needs_faces(found, tmp_path):
    with pytest.raises(BadInput, match="int8 needs pictures"):
        export(found(), tmp_path / "out", "x", precision="int8")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no pictures"):
        export(found(), tmp_path / "out", "x", precision="int8", faces=tmp_path / "empty")
    assert not (tmp_path / "out").exists()


def test_crops_are_spread_over_the_folder(found, tmp_path):
    card = export(found(), tmp_path / "out", "x")
    feeds = crops(faces(tmp_path / "many", 300), SIZE, card)
    assert len(feeds) == 128 and feeds[0]["face"].shape == (SIZE, SIZE, 3) and feeds[0]["face"].dtype == np.uint8


def test_its_arithmetic_is_counted():
    assert gflop(trained()) == pytest.approx(2 * SIZE * SIZE * (3 * 27 + 3) / 1e9)


def test_a_folder_of_nothing_known_is_told_with_what_it_holds(tmp_path):
    (tmp_path / "cat.jpg").write_bytes(b"")
    with pytest.raises(ModelError, match=r"no trained model that is known here \(it holds cat.jpg"):
        find(tmp_path, {})
    with pytest.raises(BadInput, match="there is no"):
        find(tmp_path / "gone", {})


def test_the_card_is_plain_json(found, tmp_path):
    export(found(note="ü"), tmp_path / "out", "x")
    assert json.loads((tmp_path / "out" / "card.json").read_text())["facts"]["note"] == "ü"
