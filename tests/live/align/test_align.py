"""Points, pose and crops of a mesh, tried on the canonical head turned by known angles."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import live
from live.align import (
    CORE,
    INNER_LIPS,
    LEFT_EYE,
    OVAL,
    RIGHT_EYE,
    back,
    crop_around,
    cut,
    cut_fine,
    face_from_mesh,
    five_points,
    pose_of,
    square,
)

with np.load(Path(live.__file__).parent / "models" / "face_mesh" / "topology.npz") as topology:
    CANONICAL, TRIANGLES = topology["canonical"], topology["triangles"].astype(int)

# The canonical head has y up and the nose towards +z; frames have y down and smaller z nearer.
HEAD = CANONICAL * np.array([1, -1, -1], np.float32)


def turned(yaw=0.0, pitch=0.0, roll=0.0, scale=10.0, at=(320.0, 240.0)):
    """The head looking to the picture's right by `yaw`, up by `pitch`, turned clockwise by `roll` degrees."""
    a, b, c = np.radians([yaw, pitch, roll])
    aside = [[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]]
    up = [[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]]
    clockwise = [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]]
    mesh = scale * HEAD @ (np.array(clockwise) @ np.array(up) @ np.array(aside)).T
    return (mesh + np.array([*at, 0])).astype(np.float32)


def test_the_turned_head_turns_as_its_names_say():
    nose, rest = turned()[1], turned(roll=0)
    assert turned(yaw=20)[1, 0] > nose[0]
    assert turned(pitch=20)[1, 1] < nose[1]
    assert turned(roll=20)[263, 1] > rest[263, 1]


def test_a_frontal_head_looks_ahead():
    yaw, pitch, roll = pose_of(turned())
    assert abs(yaw) < 1 and abs(roll) < 1 and abs(pitch) < 20


@pytest.mark.parametrize("angle", [-60, -30, -5, 5, 30, 60])
def test_yaw_is_positive_to_the_pictures_right(angle):
    assert pose_of(turned(yaw=angle))[0] == pytest.approx(angle, abs=2)


@pytest.mark.parametrize("angle", [-40, -15, 15, 40])
def test_pitch_is_positive_upwards(angle):
    assert pose_of(turned(pitch=angle))[1] - pose_of(turned())[1] == pytest.approx(angle, abs=2)


@pytest.mark.parametrize("angle", [-80, -30, 30, 80])
def test_roll_is_positive_clockwise(angle):
    assert pose_of(turned(roll=angle))[2] == pytest.approx(angle, abs=2)


@given(st.floats(-40, 40), st.floats(10, 400))
def test_pose_does_not_depend_on_size_or_place(yaw, at):
    one, other = pose_of(turned(yaw=yaw)), pose_of(turned(yaw=yaw, scale=3.0, at=(at, 2 * at)))
    np.testing.assert_allclose(one, other, atol=0.2)


def test_five_points_are_eyes_nose_and_mouth_from_the_persons_right():
    right_eye, left_eye, nose, right_mouth, left_mouth = five_points(turned())
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < nose[0] < left_mouth[0]
    assert right_eye[1] < nose[1] < right_mouth[1]
    assert left_eye[1] < nose[1] < left_mouth[1]
    assert five_points(turned()).dtype == np.float32


def test_a_face_from_a_mesh_has_all_descriptions():
    mesh = turned(yaw=20)
    face = face_from_mesh(mesh, 0.9, track=4)
    assert (face.score, face.track, face.missed) == (0.9, 4, 0)
    assert face.pose == pose_of(mesh)
    assert np.array_equal(face.points, five_points(mesh))
    x0, y0, x1, y1 = face.box
    assert (x0, y0) == tuple(mesh[:, :2].min(0)) and (x1, y1) == tuple(mesh[:, :2].max(0))


POSES = st.tuples(st.floats(-45, 45), st.floats(-30, 30), st.floats(-170, 170))


@given(POSES, st.floats(2, 30), st.sampled_from([128, 192, 256]))
def test_the_crop_holds_the_face_level_and_in_the_middle(pose, scale, size):
    mesh = turned(*pose, scale=scale)
    matrix = crop_around(mesh, size)
    inside = mesh[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    assert inside.min() > -0.25 * size and inside.max() < 1.25 * size
    assert inside[263, 1] == pytest.approx(inside[33, 1], abs=0.05)
    assert inside[263, 0] > inside[33, 0]
    middle = (mesh[:, :2].min(0) + mesh[:, :2].max(0)) / 2
    np.testing.assert_allclose(middle @ matrix[:, :2].T + matrix[:, 2], (size - 1) / 2, atol=0.05)


def test_a_level_face_lies_wholly_in_the_crop():
    inside = turned()[:, :2] @ crop_around(turned(), 192)[:, :2].T + crop_around(turned(), 192)[:, 2]
    spread = inside.max(0) - inside.min(0)
    assert inside.min() >= 0 and inside.max() <= 191
    assert spread.max() == pytest.approx(192 / 1.5, rel=0.01)


@given(st.floats(-200, 2000), st.floats(-200, 2000), st.floats(10, 1500), st.floats(-3.1, 3.1))
def test_into_the_crop_and_back_is_where_it_was(x, y, side, angle):
    centre = np.array([x, y], np.float32)
    matrix = square(centre, side, angle, 192)
    points = np.random.default_rng(1).uniform(-side / 2, side / 2, (20, 3)).astype(np.float32)
    points[:, :2] += centre
    crop = np.hstack([points[:, :2] @ matrix[:, :2].T + matrix[:, 2], points[:, 2:] * (192 / side)])
    np.testing.assert_allclose(back(crop.astype(np.float32), matrix), points, atol=0.02 * max(1, side / 192))


def test_back_gives_float32():
    assert back(np.zeros((4, 3), np.float32), square(np.zeros(2, np.float32), 50, 0.3, 192)).dtype == np.float32


def test_cut_takes_the_square_and_is_black_outside():
    image = np.full((40, 60, 3), 200, np.uint8)
    image[10:20, 30:40] = (1, 2, 3)
    crop = cut(image, square(np.array([34.5, 14.5], np.float32), 10, 0, 10), 10)
    assert crop.shape == (10, 10, 3) and (crop == (1, 2, 3)).all()
    assert (cut(image, square(np.array([500, 500], np.float32), 10, 0, 10), 10) == 0).all()


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_fine_cut_shows_the_same_place_as_a_plain_one(portrait, factor):
    image = cv2.GaussianBlur(portrait.image, (0, 0), 6)
    size = int(192 / factor)
    matrix = crop_around(portrait.face.mesh, size, 1.35)
    difference = cut_fine(image, matrix, size).astype(int) - cut(image, matrix, size)
    middle = slice(size // 8, -size // 8)  # outside the picture the plain one is black
    assert np.abs(difference[middle, middle]).mean() < 2.0


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
def test_a_fine_cut_has_no_seam_at_its_edges_and_what_is_asked_for_outside(factor):
    image = np.full((300, 300, 3), 200, np.uint8)
    for x in range(50, 53):
        inside = np.array([[1 / factor, 0, -x / factor], [0, 1 / factor, -50 / factor]], np.float32)
        assert cut_fine(image, inside, 150 // factor, border=cv2.BORDER_CONSTANT).min() == 200
    beyond = np.array([[1 / factor, 0, 20], [0, 1 / factor, 0]], np.float32)
    assert cut_fine(image, beyond, 40, border=cv2.BORDER_CONSTANT)[:, :18].max() == 0
    assert cut_fine(image, beyond, 40)[: 300 // factor].min() == 200


def edges():
    """How many triangles each edge belongs to."""
    pairs = np.sort(TRIANGLES[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, count = np.unique(pairs, axis=0, return_counts=True)
    return {tuple(pair): int(n) for pair, n in zip(unique.tolist(), count, strict=True)}


def ring(points):
    return {tuple(sorted(pair)) for pair in zip(points, (*points[1:], points[0]), strict=True)}


def test_the_mesh_has_468_points_and_uses_them_all():
    assert CANONICAL.shape == (468, 3)
    assert set(TRIANGLES.ravel().tolist()) == set(range(468))


def test_the_oval_is_the_outline_of_the_mesh():
    assert {edge for edge, count in edges().items() if count == 1} == ring(OVAL)


@pytest.mark.parametrize("opening", [RIGHT_EYE, LEFT_EYE, INNER_LIPS], ids=["right eye", "left eye", "lips"])
def test_openings_are_closed_ways_along_edges_of_the_mesh(opening):
    assert len(set(opening)) == len(opening)
    assert ring(opening) <= set(edges())


def test_openings_lie_on_the_persons_own_side():
    assert (HEAD[list(RIGHT_EYE), 0] < 0).all()
    assert (HEAD[list(LEFT_EYE), 0] > 0).all()
    assert abs(HEAD[list(INNER_LIPS), 0].mean()) < 0.1


def test_core_points_lie_inside_and_in_no_opening():
    assert not set(CORE) & ({*OVAL} | {*RIGHT_EYE} | {*LEFT_EYE} | {*INNER_LIPS})
