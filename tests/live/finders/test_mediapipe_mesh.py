"""The finder on the sample clip, whose true points are known, and on what is no face."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from live.finders.mediapipe_mesh import MediapipeMesh
from live.personas import SAMPLE_PORTRAITS, read_picture
from live.sources.sample import CLIP, Sample
from live.track import Tracks


@pytest.fixture
def finder():
    finder = MediapipeMesh()
    finder.open()
    yield finder
    finder.close()


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


@pytest.mark.parametrize("name", ["amara", "joel", "lena", "nia"])
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
