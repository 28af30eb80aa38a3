"""The nets in the wheel are what their cards say and find no face where there is none."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import live
from engines.card import ModelCard, read_card

onnxruntime = pytest.importorskip("onnxruntime")

MODELS = Path(live.__file__).parent / "models"
FOLDERS = sorted(path.parent for path in MODELS.glob("*/card.json"))
OVAL = [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377]
OVAL += [152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109]


def session(card: ModelCard) -> Any:
    return onnxruntime.InferenceSession(card.read("onnx"), providers=["CPUExecutionProvider"])


def signature(tensors: Any) -> dict[str, tuple[str, list[int]]]:
    return {tensor.name: (tensor.type, tensor.shape) for tensor in tensors}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_card_vouches_for_every_file_beside_it(folder: Path) -> None:
    card = read_card(folder)
    assert card.name == folder.name
    assert card.licence == ("MIT" if folder.name == "occlusion" else "Apache-2.0")
    assert card.commercial_use
    assert set(card.sha256) == {path.name for path in folder.iterdir() if path.suffix in (".onnx", ".npz")}
    for name, wanted in card.sha256.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == wanted
        assert wanted in (MODELS / "README.md").read_text() or name.endswith(".npz")


def test_the_shipped_nets_are_these() -> None:
    assert [folder.name for folder in FOLDERS] == ["face_detector", "face_mesh", "occlusion"]
    assert "Apache License" in (MODELS / "LICENSE-mediapipe").read_text()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_the_detector_sees_no_face_in_a_flat_picture(level: int) -> None:
    card = read_card(MODELS / "face_detector")
    net, size = session(card), card.facts["image_size"]
    assert signature(net.get_inputs()) == {"image": ("tensor(uint8)", [size, size, 3])}
    assert signature(net.get_outputs()) == {"boxes": ("tensor(float)", [896, 16]), "scores": ("tensor(float)", [896])}
    assert sum(a["grid"] ** 2 * a["per_cell"] for a in card.facts["anchors"]) == 896
    boxes, scores = net.run(["boxes", "scores"], {"image": np.full((size, size, 3), level, np.uint8)})
    assert np.isfinite(boxes).all()
    assert scores.max() < 0  # a logit: below one half


@pytest.mark.parametrize("level", [0, 128, 255])
def test_the_mesh_says_that_a_flat_picture_holds_no_face(level: int) -> None:
    card = read_card(MODELS / "face_mesh")
    net, size = session(card), card.facts["image_size"]
    assert signature(net.get_inputs()) == {"image": ("tensor(uint8)", [size, size, 3])}
    assert signature(net.get_outputs()) == {"points": ("tensor(float)", [468, 3]), "presence": ("tensor(float)", [1])}
    points, presence = net.run(["points", "presence"], {"image": np.full((size, size, 3), level, np.uint8)})
    assert np.isfinite(points).all()
    assert presence[0] < -3


@pytest.mark.parametrize("level", [0, 128, 255])
def test_the_occlusion_net_answers_flat_pictures_with_probabilities(level: int) -> None:
    card = read_card(MODELS / "occlusion")
    net, size, mask = session(card), card.facts["image_size"], card.facts["mask_size"]
    assert signature(net.get_inputs()) == {"image": ("tensor(uint8)", [size, size, 3])}
    assert signature(net.get_outputs()) == {"hidden": ("tensor(float)", [mask, mask])}
    (hidden,) = net.run(["hidden"], {"image": np.full((size, size, 3), level, np.uint8)})
    assert np.isfinite(hidden).all()
    assert 0 <= hidden.min() <= hidden.max() <= 1
    assert (MODELS / "occlusion" / "occlusion.onnx").stat().st_size < 1_000_000


def test_the_topology_is_one_disc_bounded_by_the_face_oval() -> None:
    with np.load(MODELS / "face_mesh" / "topology.npz") as topology:
        triangles, canonical, uv = topology["triangles"], topology["canonical"], topology["uv"]
    assert (triangles.shape, triangles.dtype) == ((898, 3), np.int16)
    assert (canonical.shape, canonical.dtype) == ((468, 3), np.float32)
    assert (uv.shape, uv.dtype) == ((468, 2), np.float32)
    directed = Counter((int(t[i]), int(t[i - 2])) for t in triangles for i in range(3))
    assert set(directed.values()) == {1}  # consistent winding: no edge is walked twice the same way
    edges = Counter(tuple(sorted(edge)) for edge in directed)
    rim = {edge for edge, count in edges.items() if count == 1}
    assert rim == {tuple(sorted((OVAL[i - 1], OVAL[i]))) for i in range(36)}
    assert len(np.unique(triangles)) - len(edges) + len(triangles) == 1  # Euler: one piece without a hole
    along, across = (canonical[triangles[:, k], :2] - canonical[triangles[:, 0], :2] for k in (1, 2))
    assert np.mean(along[:, 0] * across[:, 1] > along[:, 1] * across[:, 0]) > 0.98  # all but the nostrils face us
    assert (uv > 0).all()
    assert (uv < 1).all()
