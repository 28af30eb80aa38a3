"""Steady points: still for a still face, never late, calm where the net trembles, anew after a jump."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.finders.mediapipe_mesh import MediapipeMesh
from live.frame import Face
from live.personas import SAMPLE_PORTRAITS
from live.pictures import read_picture
from live.sources.sample import CLIP, Sample
from live.steady import Steady
from live.track import Tracks

FPS = 30
UPPER_LID, LOWER_LID = 159, 145
LIDS = [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246]
EYES = [33, 263]


def portrait():
    finder = MediapipeMesh()
    finder.open()
    image = cv2.resize(read_picture(SAMPLE_PORTRAITS / "lena.jpg"), (512, 512), interpolation=cv2.INTER_AREA)
    mesh = finder.find(image, [])[0].mesh
    finder.close()
    return image, mesh


IMAGE, MESH = portrait()
EYES_PX = float(np.linalg.norm(MESH[33] - MESH[263]))


def moved(x, y):
    """The portrait moved by so many pixels, and its true mesh."""
    image = cv2.warpAffine(
        IMAGE, np.float32([[1, 0, x], [0, 1, y]]), (512, 512), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return image, MESH + np.array([x, y, 0], np.float32)


def trembling(seed, part=0.004):
    """What a net adds: each point errs by itself, and the head as a whole. In pixels, [468, 3]."""
    rng = np.random.default_rng(seed)
    return (part * EYES_PX * (rng.normal(size=(468, 3)) + rng.normal(size=3))).astype(np.float32)


def off(one, other):
    """The largest distance in the picture, in pixels."""
    return float(np.linalg.norm((one - other)[:, :2], axis=1).max())


def shaking(meshes):
    """How much the points shake: their second difference in time, in pixels."""
    return float(np.sqrt((np.diff(np.array(meshes)[..., :2], 2, axis=0) ** 2).mean()))


def test_the_first_mesh_is_the_nets():
    np.testing.assert_array_equal(Steady().update(IMAGE, MESH, 0.0), MESH)


@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0])
def test_what_does_not_move_stays(strength):
    steady = Steady(strength)
    for i in range(20):
        assert off(steady.update(IMAGE, MESH, i / FPS), MESH) < 1e-3


@settings(max_examples=15, deadline=None)
@given(st.floats(-250, 250), st.floats(-250, 250), st.sampled_from([15, 24, 30, 60]))
def test_a_moving_head_is_not_followed_late(x_px_s, y_px_s, fps):
    """Half a pixel at 250 pixels a second would be 2 ms."""
    steady = Steady()
    for i in range(8):
        image, mesh = moved(x_px_s * i / fps, y_px_s * i / fps)
        assert off(steady.update(image, mesh, i / fps), mesh) < 0.5


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0.005, 0.2), min_size=3, max_size=10))
def test_irregular_times_do_no_harm(pauses):
    steady, at_s = Steady(), 0.0
    for pause in pauses:
        at_s += pause
        image, mesh = moved(60 * at_s, 0)
        assert off(steady.update(image, mesh, at_s), mesh) < 0.5


@pytest.mark.parametrize("speed", [0, 40])
def test_trembling_falls_to_less_than_half(speed):
    steady, raw, calm = Steady(), [], []
    for i in range(30):
        image, mesh = moved(speed * i / FPS, 0)
        raw.append(mesh + trembling(i))
        calm.append(steady.update(image, raw[-1], i / FPS))
    assert shaking(calm[5:]) < 0.5 * shaking(raw[5:])


def test_more_strength_is_calmer():
    def run(strength):
        steady = Steady(strength)
        return shaking([steady.update(IMAGE, MESH + trembling(i), i / FPS) for i in range(20)])

    assert run(1.0) < run(0.5) < run(0.1)


def test_a_blink_of_five_frames_is_kept():
    """The lids' opening at every frame of the blink is within a tenth of what the net says, of the eye's height."""
    steady = Steady()
    height = MESH[LOWER_LID, 1] - MESH[UPPER_LID, 1]
    for i, shut in enumerate([0, 0, 0, 0.5, 1, 1, 0.7, 0.3, 0, 0, 0]):
        mesh = MESH.copy()
        middle = mesh[LIDS, 1].mean()
        mesh[LIDS, 1] = middle + (mesh[LIDS, 1] - middle) * (1 - 0.9 * shut)
        calm = steady.update(IMAGE, mesh, i / FPS)
        opening, wanted = (m[LOWER_LID, 1] - m[UPPER_LID, 1] for m in (calm, mesh))
        assert abs(opening - wanted) < 0.1 * height


@pytest.mark.parametrize("jump", [(90, 0), (0, -60), (-40, 40)])
def test_a_jump_is_followed_at_once(jump):
    """Also where the picture does not tell of it: it stays the same here, as little to be believed as after a cut."""
    steady = Steady()
    for i in range(5):
        steady.update(IMAGE, MESH, i / FPS)
    there = MESH + np.array([*jump, 0], np.float32)
    assert off(steady.update(IMAGE, there, 5 / FPS), there) < 0.5


def test_a_cut_to_another_picture_is_followed_at_once():
    steady = Steady()
    for i in range(5):
        steady.update(IMAGE, MESH, i / FPS)
    other = np.random.default_rng(0).integers(0, 255, IMAGE.shape, np.uint8)
    middle = MESH.mean(0)
    there = middle + (MESH - middle) * np.float32(1.4)
    assert off(steady.update(other, there, 5 / FPS), there) < 0.5


@pytest.mark.parametrize("at_s", [-1.0, 4 / FPS, 10.0])
def test_a_time_that_goes_back_stands_or_leaps_begins_anew(at_s):
    steady = Steady()
    for i in range(5):
        steady.update(IMAGE, MESH + trembling(i), i / FPS)
    np.testing.assert_array_equal(steady.update(IMAGE, MESH, at_s), MESH)


@pytest.mark.parametrize("gain", [0.0, 0.4, 2.0])
def test_light_that_changes_does_not_move_the_points(gain):
    steady = Steady()
    for i in range(10):
        light = 1.0 if i < 5 else gain
        image = np.clip(IMAGE * light, 0, 255).astype(np.uint8)
        assert off(steady.update(image, MESH, i / FPS), MESH) < 0.5


def test_without_flow_the_points_do_not_pop():
    """In the dark the head moves as the net says, and what was not taken over yet still comes bit by bit."""
    steady = Steady()
    for i in range(10):
        before = steady.update(IMAGE, MESH + trembling(i, 0.002), i / FPS)
    dark = np.zeros_like(IMAGE)
    after = steady.update(dark, MESH + trembling(9, 0.002), 10 / FPS)
    assert off(before, after) < off(before, MESH + trembling(9, 0.002))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(0, 467), st.integers(0, 2))
def test_what_is_no_number_is_given_back_and_forgotten(value, point, axis):
    steady = Steady()
    steady.update(IMAGE, MESH, 0.0)
    broken = MESH.copy()
    broken[point, axis] = value
    assert steady.update(IMAGE, broken, 1 / FPS) is broken
    np.testing.assert_array_equal(steady.update(IMAGE, MESH, 2 / FPS), MESH)


@settings(max_examples=30, deadline=None)
@given(st.floats(-600, 600), st.floats(-600, 600), st.floats(0.05, 3), st.integers(1, 40), st.integers(1, 40))
def test_faces_at_and_beyond_the_edge_of_any_picture(x, y, scale, width, height):
    image = np.full((height, width, 3), 90, np.uint8)
    steady = Steady()
    for i in range(3):
        mesh = MESH * np.float32(scale) + np.array([x, y, 0], np.float32)
        assert np.isfinite(steady.update(image, mesh, i / FPS)).all()


def as_face(mesh, track=0):
    return Face(mesh[[33, 263, 1, 61, 291], :2].copy(), mesh, 1.0, track=track)


def test_two_tracks_are_steadied_apart():
    together, alone = Tracks(), Tracks()
    image = np.hstack([IMAGE, IMAGE])
    right = np.array([512, 0, 0], np.float32)
    for i in range(8):
        one, other = MESH + trembling(i), MESH + right + trembling(100 + i)
        numbers = (0, 0) if i == 0 else (1, 2)
        both, _ = together.update([as_face(one, numbers[0]), as_face(other, numbers[1])], i / FPS, image)
        single, _ = alone.update([as_face(one, numbers[0])], i / FPS, image)
        np.testing.assert_array_equal(both[0].mesh, single[0].mesh)
    assert off(both[1].mesh, other) > 0


def test_no_strength_leaves_faces_as_they_are():
    tracks = Tracks(steady=0.0)
    for i in range(3):
        face = as_face(MESH + trembling(i), min(i, 1))
        assert tracks.update([face], i / FPS, IMAGE)[0][0] is face


def test_a_face_that_was_missed_for_a_frame_goes_on_calmly():
    tracks, before = Tracks(), None
    for i in range(12):
        found = [] if i == 6 else [as_face(MESH + trembling(i), min(i, 1))]
        (face,), _ = tracks.update(found, i / FPS, IMAGE)
        assert before is None or off(face.mesh, before) < 0.025 * EYES_PX
        before = face.mesh if i > 3 else None


def test_the_sample_shakes_less_and_lies_no_farther_from_the_truth():
    with np.load(CLIP.with_name("camera_truth.npz")) as truth:
        points, present = truth["points"][:110].astype(np.float32), truth["present"][:110]
    source, finder = Sample(paced=False), MediapipeMesh()
    source.open()
    finder.open()
    raw, calm = Tracks(steady=0.0), Tracks()
    errors: dict[str, list] = {"raw": [], "calm": []}
    for _ in range(len(present)):
        captured = source.read()
        for name, tracks in (("raw", raw), ("calm", calm)):
            faces, _ = tracks.update(finder.find(captured.image, tracks.faces), captured.position_s, captured.image)
            errors[name].append(faces[0].mesh[:, :2] - points[len(errors[name])])
    source.close()
    finder.close()
    off_raw, off_calm = (np.array(errors[name]) - np.mean(errors[name], 0) for name in ("raw", "calm"))
    assert present.all()
    assert shaking(off_calm) < 0.75 * shaking(off_raw)
    assert np.sqrt((off_calm**2).mean()) < 1.02 * np.sqrt((off_raw**2).mean())
