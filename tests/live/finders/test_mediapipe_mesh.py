"""The finder on the sample clip, whose true points are known, and on what is no face."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engines.errors import EngineLost
from live.align import INNER_LIPS, LEFT_EYE, LIDS, OVAL, RIGHT_EYE
from live.finders.mediapipe_mesh import MediapipeMesh
from live.personas import SAMPLE_PORTRAITS
from live.pictures import read_picture
from live.sources.sample import CLIP, Sample
from live.track import Tracks
from tests.clips import read_clip

NAMES = ["amara", "joel", "lena", "nia"]
CORNERS = [33, 133, 263, 362]


def test_it_follows_the_sample_closer_than_a_twentieth_of_the_eyes_distance(finder):
    with np.load(CLIP.with_name("camera_truth.npz")) as truth:
        points, present = truth["points"].astype(np.float32), truth["present"]
    source, tracks, errors = Sample(paced=False), Tracks(), []
    source.open()
    for i in range(len(present)):
        captured = source.read()
        faces, lost = tracks.update(finder.find(captured.image, tracks.faces), captured.position_s)
        if not present[i]:
            continue
        assert len(faces) == 1, f"frame {i}: {len(faces)} faces"
        assert lost == 0, f"frame {i}"
        eyes = np.linalg.norm(points[i, 33] - points[i, 263])
        errors.append(np.median(np.linalg.norm(faces[0].mesh[:, :2] - points[i], axis=1)) / eyes)
    source.close()
    assert max(errors) < 0.05
    assert np.median(errors) < 0.02


def test_a_face_that_jumps_by_half_its_width_is_found_where_it_is(finder):
    portrait = read_picture(SAMPLE_PORTRAITS / "lena.jpg")
    face = finder.find(portrait, [])[0]
    x0, _, x1, _ = face.box
    shift = (x1 - x0) / 2
    moved = cv2.warpAffine(portrait, np.float32([[1, 0, shift], [0, 1, 0]]), portrait.shape[1::-1])
    again = finder.find(moved, [face])[0]
    assert np.median(np.abs(again.mesh[:, :2] - face.mesh[:, :2] - (shift, 0))) < 3


def test_several_faces_are_found_and_the_largest_is_first(finder):
    a, b = (read_picture(SAMPLE_PORTRAITS / f"{name}.jpg") for name in ("joel", "amara"))
    small = np.full_like(a, 120)
    small[100:612, 100:612] = cv2.resize(b, (512, 512))
    faces = finder.find(np.hstack([small, a]), [])
    assert len(faces) == 2
    assert faces[0].points[:, 0].min() > a.shape[1]


@pytest.mark.parametrize("by_the_loop", [True, False])
def test_who_came_in_is_found_in_the_next_frame_though_the_last_was_painted_over(finder, by_the_loop):
    a, b = (read_picture(SAMPLE_PORTRAITS / f"{name}.jpg") for name in ("joel", "amara"))
    alone, both = np.hstack([np.full_like(b, 120), a]), np.hstack([b, a])
    faces = finder.find(alone, [])
    found = []
    for _ in range(2 * finder.look_around + 1):
        image = both.copy()
        faces = finder.find(image, faces[:1])
        image[:] = 0
        if by_the_loop:
            finder.catch_up()
        found.append(len(faces))
    first = found.index(2)
    assert first <= finder.look_around and found[first + finder.look_around] == 2


def test_a_detector_that_fails_when_the_frame_is_on_its_way_fails_again_in_the_next(finder, monkeypatch):
    image = read_picture(SAMPLE_PORTRAITS / "joel.jpg")
    faces = finder.find(image, [])
    while finder._around is None:
        faces = finder.find(image, faces)

    def lost():
        raise EngineLost("gone")

    with monkeypatch.context() as patch:
        patch.setattr(finder, "_around", lost)
        for step in (finder.catch_up, lambda: finder.find(image, faces)):
            with pytest.raises(EngineLost):
                step()
    finder._around = None


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_portraits_look_straight_ahead(finder, name):
    (face,) = finder.find(read_picture(SAMPLE_PORTRAITS / f"{name}.jpg"), [])
    assert face.score > 0.9
    yaw, pitch, roll = face.pose
    assert abs(yaw) < 8 and abs(pitch) < 20 and abs(roll) < 8


@pytest.mark.parametrize("seed", range(3))
def test_noise_and_flat_pictures_have_no_face(finder, seed):
    noise = np.random.default_rng(seed).integers(0, 255, (360, 640, 3), np.uint8)
    assert finder.find(noise, []) == []
    assert finder.find(np.full((360, 640, 3), 80 * seed, np.uint8), []) == []


@pytest.fixture(scope="module")
def eyeless():
    """The finder that does not look for irises, on the same runtime as `finder`."""
    finder = MediapipeMesh(eyes=False, engine="onnx_runtime:cpu:fp32")
    finder.open()
    yield finder
    finder.close()


def test_irises_are_left_out_while_nobody_looks_at_them(finder):
    image = read_picture(SAMPLE_PORTRAITS / "nia.jpg")
    face = finder.find(image, [])[0]
    face.track = 1
    finder.irises = False
    (calm,) = finder.find(image, [face])
    assert face.irises is not None and calm.irises is None and calm.track == 1
    finder.irises = True
    (again,) = finder.find(image, [calm])
    assert np.abs(again.irises - face.irises).max() < 1


def openings(mesh):
    """Mean distance between the lids, right and left, as part of the distance between the eyes' outer corners."""
    eyes = np.linalg.norm(mesh[33, :2] - mesh[263, :2])
    return np.array([np.mean([np.linalg.norm(mesh[u, :2] - mesh[d, :2]) for u, d in pairs]) for pairs in LIDS]) / eyes


@pytest.mark.parametrize("name", NAMES)
def test_irises_lie_between_the_lids_and_are_as_large_as_irises(finder, name):
    (face,) = finder.find(read_picture(SAMPLE_PORTRAITS / f"{name}.jpg"), [])
    assert face.irises.shape == (2, 3) and face.irises.dtype == np.float32
    for (x, y, radius), eye in zip(face.irises, (RIGHT_EYE, LEFT_EYE), strict=True):
        lids = face.mesh[list(eye), :2]
        assert cv2.pointPolygonTest(lids.reshape(-1, 1, 2), (float(x), float(y)), True) > 0.3 * radius
        wide = np.linalg.norm(lids[0] - lids[8])
        assert 0.15 * wide < radius < 0.32 * wide  # an iris is 12 mm wide, the opening about 28
    assert face.irises[0, 2] == pytest.approx(face.irises[1, 2], rel=0.2)


def test_an_iris_is_where_the_picture_is_dark(finder):
    image = read_picture(SAMPLE_PORTRAITS / "lena.jpg")
    (face,) = finder.find(image, [])
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (0, 0), 2)
    for (x, y, _), (left, right) in zip(face.irises, ((33, 133), (362, 263)), strict=True):
        beside = [(face.mesh[corner, :2] * 0.6 + np.array([x, y]) * 0.4) for corner in (left, right)]
        middle = grey[round(float(y)), round(float(x))]
        assert all(middle < 0.75 * grey[round(float(v)), round(float(u))] for u, v in beside)


@pytest.mark.parametrize("name", NAMES)
def test_lids_are_the_iris_nets_and_all_else_the_mesh_nets(finder, eyeless, name):
    image = read_picture(SAMPLE_PORTRAITS / f"{name}.jpg")
    (face,), (plain,) = finder.find(image, []), eyeless.find(image, [])
    assert plain.irises is None
    moved = np.flatnonzero(np.abs(face.mesh - plain.mesh).max(1) > 0)
    assert set(moved) <= set(RIGHT_EYE) | set(LEFT_EYE)
    np.testing.assert_array_equal(face.mesh[CORNERS], plain.mesh[CORNERS])
    np.testing.assert_array_equal(face.mesh[:, 2], plain.mesh[:, 2])
    for rest in (OVAL, INNER_LIPS):
        np.testing.assert_array_equal(face.mesh[list(rest)], plain.mesh[list(rest)])
    assert len(moved) == 28
    # Open eyes: both nets see about the same.
    assert np.linalg.norm((face.mesh - plain.mesh)[:, :2], axis=1).max() < 0.08 * np.linalg.norm(
        face.mesh[33, :2] - face.mesh[263, :2]
    )


def test_a_mirrored_picture_has_mirrored_irises(finder):
    image = read_picture(SAMPLE_PORTRAITS / "joel.jpg")
    (face,), (mirrored,) = finder.find(image, []), finder.find(np.ascontiguousarray(image[:, ::-1]), [])
    back = mirrored.irises[::-1].copy()
    back[:, 0] = image.shape[1] - 1 - back[:, 0]
    assert np.abs(back - face.irises).max() < 0.02 * np.linalg.norm(face.mesh[33, :2] - face.mesh[263, :2])


def test_lids_come_together_when_the_sample_blinks(finder):
    pictures, _ = read_clip(CLIP)
    previous, seen = [], {}
    for i, picture in enumerate(pictures[8:21], 8):
        previous = finder.find(np.ascontiguousarray(picture), previous)
        seen[i] = openings(previous[0].mesh)
    for blink in (19, 20):
        assert (seen[blink] < 0.6 * seen[10]).all()
    assert (seen[12] > 0.8 * seen[10]).all()


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_an_iris_net_that_answers_nonsense_leaves_the_face_as_the_mesh_net_has_it(finder, monkeypatch, broken):
    class Broken:
        def run(self, feeds):
            return {"iris": np.full((5, 3), broken, np.float32), "eye": np.full((71, 3), broken, np.float32)}

    monkeypatch.setattr(finder, "_iris", Broken())
    (face,) = finder.find(read_picture(SAMPLE_PORTRAITS / "lena.jpg"), [])
    assert face.irises is None and np.isfinite(face.mesh).all()
