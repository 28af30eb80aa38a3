"""The 68 points of a mesh: on the right side, in the right order, where the mean face has them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from live.align import INNER_LIPS, LEFT_EYE, LIPS, OVAL, RIGHT_EYE
from live.align.crops import similarity
from live.align.landmarks import MESH_POINTS, face_hull, landmarks
from live.align.templates import UNIT_FACE
from live.models import shipped

# What becomes what in the mirror.
MIRRORED = [
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1), 45, 44, 43, 42, 47, 46, 39, 38, 37, 36,
    41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1),
]  # fmt: skip


@pytest.fixture(scope="module")
def head():
    """The canonical head as a picture has it: y down."""
    with np.load(shipped("face_mesh").folder / "topology.npz") as topology:
        return (topology["canonical"] * np.array([1, -1, -1])).astype(np.float32)


def test_they_are_where_the_mean_face_has_them(head):
    points = landmarks(head)
    assert points.shape == (68, 2) and points.dtype == np.float32
    unit = similarity(points[17:], UNIT_FACE)
    off = np.linalg.norm(points[17:] @ unit[:, :2].T + unit[:, 2] - UNIT_FACE, axis=1)
    assert off.max() < 0.06 and off.mean() < 0.03


def test_the_mirror_image_has_the_same_points(head):
    mirrored = landmarks(head)[MIRRORED] * np.array([-1, 1], np.float32)
    np.testing.assert_allclose(mirrored, landmarks(head), atol=0.05)


def test_each_lies_on_what_it_is_called(head):
    assert len(set(MESH_POINTS)) == 68
    assert set(MESH_POINTS[:17]) <= set(OVAL)
    assert set(MESH_POINTS[36:42]) <= set(RIGHT_EYE) and set(MESH_POINTS[42:48]) <= set(LEFT_EYE)
    assert set(MESH_POINTS[48:]) <= set(LIPS) and set(MESH_POINTS[60:]) <= set(INNER_LIPS)
    assert (np.diff(landmarks(head)[:17, 0])[2:-2] > 0).all()  # the jaw from the picture's left to its right


def test_the_hull_holds_every_point_and_some_forehead(head):
    points = landmarks(head) * np.float32(30)
    hull = face_hull(points)
    assert all(cv2.pointPolygonTest(hull, tuple(map(float, point)), False) >= 0 for point in points)
    assert hull[:, 1].min() < points[:, 1].min() - 0.07 * (points[8, 1] - points[27, 1])
