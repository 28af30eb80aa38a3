"""The nets in the wheel are what their cards say and find no face where there is none."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import live
from engines.card import ModelCard, read_card
from live.align import LEFT_EYE, RIGHT_EYE, cut, square
from live.personas import SAMPLE_PORTRAITS

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
    assert [folder.name for folder in FOLDERS] == ["face_detector", "face_mesh", "iris", "occlusion"]
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


@pytest.mark.parametrize("eye", ["right", "left"])
def test_the_iris_net_sees_the_eye_where_the_mesh_sees_it(finder: Any, eye: str) -> None:
    """On every portrait, with the crop that the card tells of."""
    card = read_card(MODELS / "iris")
    net, size, facts = session(card), card.facts["image_size"], card.facts
    assert signature(net.get_inputs()) == {"image": ("tensor(uint8)", [size, size, 3])}
    assert signature(net.get_outputs()) == {"eye": ("tensor(float)", [71, 3]), "iris": ("tensor(float)", [5, 3])}
    for path in sorted(SAMPLE_PORTRAITS.glob("*.jpg")):
        picture = cv2.imread(str(path))
        mesh = finder.find(picture, [])[0].mesh[:, :2]
        low, high = sorted(facts["corners"][eye], key=lambda corner: mesh[corner, 0])
        across = mesh[high] - mesh[low]
        width = float(np.linalg.norm(across))
        angle = float(np.arctan2(across[1], across[0]))
        matrix = square((mesh[low] + mesh[high]) / 2, facts["crop_scale"] * width, angle, size)
        if eye != facts["crop_eye"]:
            matrix[0] = [0, 0, size - 1] - matrix[0]
        points, iris = net.run(["eye", "iris"], {"image": cut(picture, matrix, size)})
        wanted = mesh[facts["mesh_points"][eye]] @ matrix[:, :2].T + matrix[:, 2]
        eye_px = size / facts["crop_scale"]
        off = np.linalg.norm(points[:, :2] - wanted, axis=1) / eye_px
        assert off[:16].mean() < 0.12, path.name
        assert off.mean() < 0.15, path.name
        lids = points[facts["lids"], :2].astype(np.float32)
        assert cv2.pointPolygonTest(lids, tuple(map(float, iris[0, :2])), False) > 0, path.name
        spokes = dict(zip(facts["iris"][1:], iris[1:, :2] - iris[0, :2], strict=True))
        radius = np.linalg.norm([*spokes.values()], axis=1)
        assert radius.max() < 1.25 * radius.min(), path.name
        assert 0.15 < radius.mean() / eye_px < 0.3, path.name
        assert spokes["nose_side"][0] > 0.9 * radius[0] and spokes["temple_side"][0] < -0.9 * radius[2]
        assert spokes["top"][1] < -0.9 * radius[1] and spokes["bottom"][1] > 0.9 * radius[3]


def test_the_iris_nets_points_of_both_eyes_are_mirror_images() -> None:
    facts = read_card(MODELS / "iris").facts
    with np.load(MODELS / "face_mesh" / "topology.npz") as topology:
        canonical = topology["canonical"]
    right, left = facts["mesh_points"]["right"], facts["mesh_points"]["left"]
    assert len(set(right)) == len(set(left)) == 71
    np.testing.assert_allclose(canonical[right] * [-1, 1, 1], canonical[left], atol=0.02)
    assert [right[0], right[8], left[0], left[8]] == facts["corners"]["right"] + facts["corners"]["left"]
    assert [right[i] for i in facts["lids"]] == list(RIGHT_EYE)
    assert [left[i] for i in facts["lids"]] == list(LEFT_EYE)


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
