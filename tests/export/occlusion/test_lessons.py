"""Painted lessons: a bare face hides nothing, things lie where they are said to lie, the same lot gives the same."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import live
from export.occlusion import hands, things
from export.occlusion.faces import FACE_PX, HANDS, Cutter, FaceCrop, hand_mask, mix_people, square_around
from export.occlusion.scenes import NET_PX, paint, pose
from export.occlusion.shapes import Box, Place, height_field
from live.align import crop_around

HOME = Path(live.__file__).parent
N = 128


@pytest.fixture(scope="module")
def faces():
    cutter = Cutter(HOME / "models")
    paths = sorted((HOME / "samples" / "portraits").glob("*.jpg"))
    return [cutter.cut(f"{path.stem}/portrait", cv2.imread(str(path))) for path in paths]


@pytest.fixture(scope="module")
def box():
    hand = np.zeros((FACE_PX, FACE_PX, 4), np.float32)
    hand[150:220, 100:160] = (90, 120, 180, 1)
    return Box([hand], [np.full((128, 128, 3), 90, np.uint8)])


def place():
    return Place(N, (64.0, 80.0), 90.0, np.array([90, 120, 180], np.float32))


def test_faces_are_found_and_lie_in_the_middle_of_their_crops(faces):
    for face in faces:
        assert face.image.shape == (FACE_PX, FACE_PX, 3)
        low, high = face.mesh.min(0), face.mesh.max(0)
        np.testing.assert_allclose((low + high) / 2, (FACE_PX - 1) / 2, atol=2)
        assert (high - low).max() == pytest.approx(FACE_PX / 2, rel=0.05)


def test_the_net_is_taught_on_the_crop_that_it_will_see(faces):
    mesh = np.hstack([faces[0].mesh, np.zeros((468, 1), np.float32)])
    np.testing.assert_allclose(square_around(faces[0].mesh, 96, 1.35), crop_around(mesh, 96, 1.35), atol=1e-3)


def test_there_is_no_face_in_an_empty_picture():
    assert Cutter(HOME / "models").cut("x/nobody", np.full((300, 300, 3), 127, np.uint8)) is None


def test_mixed_people_are_new_and_bare(faces):
    mixed = mix_people(faces, 6, np.random.default_rng(1))
    for face in mixed:
        assert face.name not in HANDS and not hand_mask(face.name).any()
        assert min(np.abs(face.image.astype(int) - other.image).mean() for other in faces) > 1


@pytest.mark.parametrize("kind", ["drawn_hand", "cut_hand", "cup", "slab", "sleeve", "blob"])
def test_a_thing_lies_where_it_is_wanted(box, kind):
    make = getattr(hands, kind, None) or getattr(things, kind)
    covered = []
    for seed in range(20):
        pixels, over = make(np.random.default_rng(seed), box, place())
        assert pixels.shape == (N, N, 3) and over.shape == (N, N)
        assert np.isfinite(pixels).all() and over.min() >= 0 and over.max() <= 1
        covered.append(over[65:95, 49:79].mean())
    assert np.mean(np.array(covered) > 0.1) > 0.7


@pytest.mark.parametrize("kind", ["microphone", "strands"])
def test_things_without_a_texture(kind):
    for seed in range(20):
        pixels, over = getattr(things, kind)(np.random.default_rng(seed), place())
        assert np.isfinite(pixels).all() and over.max() > 0.9


def test_a_ball_is_as_high_as_it_is_wide():
    ends = np.array([[(20, 20, 0), (20, 20, 0)]], np.float32)
    height, top = height_field(ends, np.array([[8, 8]], np.float32), 40)
    assert height[20, 20] == pytest.approx(8) and (top[20, 13:28] == 0).all()
    assert (top >= 0).sum() == pytest.approx(np.pi * 64, rel=0.05)


def test_the_mesh_goes_along_with_the_picture(faces):
    face = faces[0]
    dots = np.zeros((FACE_PX, FACE_PX, 3), np.uint8)
    nose = face.mesh[4]
    cv2.circle(dots, (round(float(nose[0])), round(float(nose[1]))), 4, (255, 255, 255), -1)
    for seed in range(10):
        canvas, mesh, _ = pose(np.random.default_rng(seed), FaceCrop(face.name, dots, face.mesh))
        mirrored = mesh[4]
        y, x = np.nonzero(canvas[..., 0] > 128)
        assert np.hypot(x.mean() - mirrored[0], y.mean() - mirrored[1]) < 2


def test_nothing_is_hidden_in_a_clean_lesson_and_something_in_others(faces, box):
    for seed in range(10):
        lesson = paint(np.random.default_rng(seed), faces, box, clean=1.0)
        assert lesson.image.shape == (NET_PX, NET_PX, 3) and lesson.image.dtype == np.uint8
        assert not lesson.hidden.any() and 0.2 < lesson.counts.mean() < 0.9
    hidden = [paint(np.random.default_rng(seed), faces, box, clean=0.0).hidden.max() for seed in range(10)]
    assert np.mean(np.array(hidden) > 0.9) > 0.8


def test_the_same_lot_paints_the_same_lesson(faces, box):
    one, other = (paint(np.random.default_rng(7), faces, box) for _ in range(2))
    assert np.array_equal(one.image, other.image) and np.array_equal(one.hidden, other.hidden)


def test_the_net_answers_for_each_place():
    torch = pytest.importorskip("torch")
    from export.occlusion.teach import Net

    said = Net().eval()(torch.zeros(NET_PX, NET_PX, 3, dtype=torch.uint8))
    assert said.shape == (NET_PX // 2, NET_PX // 2)
    assert 0 <= float(said.min()) <= float(said.max()) <= 1
