"""The challenge before the camera: passed by who does what is asked and looks like the photo, by nobody else."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from live.align import EYE_CORNERS, LIDS
from live.finders.mediapipe_mesh import MediapipeMesh
from live.frame import Face, View
from live.personas import sample_names
from live.personas.challenge import WORDS, Challenge, draw, openness
from live.personas.likeness import Looks, best_likeness, score
from live.personas.portraits import sample_view
from live.sources.sample import Sample

FPS = 30


class Doubled:
    """A likeness that finds every face as like as its picture is bright, in percent."""

    threshold, words = 0.5, "a double"

    def features(self, image, face):
        level = float(image[0, 0, 0]) / 100
        return np.array([level, 1.0 if level == 1 else 0.0], np.float32)

    def close(self):
        pass


def face(yaw=0.0, eyes=0.3, x=100.0):
    mesh = np.full((468, 3), (x, 50, 0), np.float32)
    mesh[10], mesh[152] = (x + 40, 10, 0), (x + 40, 110, 0)
    for at, ((start, end), lids) in enumerate(zip(EYE_CORNERS, LIDS, strict=True)):
        mesh[start], mesh[end] = (x + 40 * at, 50, 0), (x + 40 * at + 20, 50, 0)
        for upper, lower in lids:
            mesh[upper], mesh[lower] = (x + 40 * at + 10, 50 - 10 * eyes, 0), (x + 40 * at + 10, 50 + 10 * eyes, 0)
    points = np.array([[x, 50], [x + 80, 50], [x + 40, 80], [x, 110], [x + 80, 110]], np.float32)
    return Face(points, mesh, 1.0, pose=(yaw, -9.0, 0.0))


DOES = {
    WORDS["straight"]: {},
    WORDS["left"]: {"yaw": 20.0},
    WORDS["right"]: {"yaw": -20.0},
    WORDS["blink"]: {"eyes": 0.1},
}


def sit(level=100, act=lambda words, t: DOES[words], shown=lambda one, t: [one], actions=("left", "blink", "right")):
    """Somebody before the camera for at most a minute: how they look (`level`), what they do, what is seen of it."""
    photo = View(np.full((2, 2, 3), 100, np.uint8), face())
    challenge = Challenge((photo,), Doubled(), actions)
    for k in range(60 * FPS):
        t = k / FPS
        image = np.full((2, 2, 3), level(t) if callable(level) else level, np.uint8)
        challenge.step(image, shown(face(**act(challenge.words, t)), t), t)
        if challenge.over:
            break
    return challenge


def test_who_does_what_is_asked_and_looks_like_the_photo_passes():
    challenge = sit()
    assert challenge.passed and challenge.why_not == ""
    assert "turn your head to your left, blink with both eyes, turn your head to your right" in challenge.record
    assert "a double" in challenge.record


@pytest.mark.parametrize("wrong", ["straight", "left", "right", "blink"])
def test_always_the_same_is_not_enough(wrong):
    challenge = sit(act=lambda words, t: DOES[WORDS[wrong]])
    assert not challenge.passed and challenge.why_not


def test_the_other_side_is_wrong():
    swapped = {WORDS["left"]: WORDS["right"], WORDS["right"]: WORDS["left"]}
    assert "turned when it was asked to turn your head" in sit(act=lambda w, t: DOES[swapped.get(w, w)]).why_not


def test_a_recording_in_another_order_does_not_pass():
    order = ["straight", "right", "straight", "left", "straight", "blink"]
    assert not sit(act=lambda words, t: DOES[WORDS[order[int(t / 1.5) % len(order)]]]).passed


def test_who_does_not_look_like_the_photo_is_told():
    challenge = sit(level=30)
    assert "does not look like the photo" in challenge.why_not and "0.30" in challenge.why_not


def test_of_several_photos_each_must_be_like():
    photos = tuple(View(np.full((2, 2, 3), level, np.uint8), face()) for level in (100, 20))
    challenge = Challenge(photos, Doubled(), ("left",))
    for k in range(300):
        challenge.step(np.full((2, 2, 3), 90, np.uint8), [face(**DOES[challenge.words])], k / FPS)
    assert "does not look like" in challenge.why_not


def test_nobody_else_is_in_the_picture():
    assert "more than one face" in sit(shown=lambda one, t: [one, face(x=400)] if t > 1 else [one]).why_not


def test_the_face_may_not_leave():
    assert "out of sight" in sit(shown=lambda one, t: [] if 1 < t < 1.8 else [one]).why_not
    assert sit(shown=lambda one, t: [] if 1 < t < 1.2 else [one]).passed


def test_another_face_may_not_come_in():
    assert "another face came in" in sit(shown=lambda one, t: [one if t < 1 else face(x=300)]).why_not


def test_without_a_face_it_ends():
    assert "no face was found" in sit(shown=lambda one, t: []).why_not


def test_nothing_changes_once_it_is_over():
    challenge = sit(level=30)
    why = challenge.why_not
    challenge.step(np.full((2, 2, 3), 100, np.uint8), [face(), face()], 99.0)
    assert challenge.why_not == why and not challenge.passed


def test_the_order_is_drawn_by_lot():
    drawn = {draw(lot) for lot in range(300)}
    assert len(drawn) > 10
    for actions in drawn:
        assert len(actions) == 4 and set(actions) == {"left", "right", "blink"}
        assert all(one != other for one, other in pairwise(actions))


def test_openness():
    assert openness(face(eyes=0.3)) == pytest.approx(0.3, abs=0.01)
    assert openness(replace(face(), mesh=None)) == 1.0


# ---- with real pictures of synthetic people


@pytest.fixture(scope="module")
def clip():
    """Every third picture of the sample clip with the face in it, as a camera would give them."""
    finder, source, seen = MediapipeMesh(engine="onnx_runtime:cpu:fp32"), Sample(paced=False), []
    finder.open()
    source.open()
    faces = []
    for k in range(186):  # then the person leaves for a moment
        captured = source.read()
        if k % 2 == 0:
            faces = finder.find(captured.image, faces)
            for one in faces:
                one.track = 1
            seen.append((captured.image, faces, captured.position_s))
    source.close()
    yield finder, seen
    finder.close()


def play(clip, photo, actions):
    finder, seen = clip
    challenge = Challenge((photo,), best_likeness(finder), actions)
    for image, faces, at_s in seen:
        challenge.step(image, faces, at_s)
    return challenge


def test_the_person_of_the_clip_is_seen_to_turn_and_to_blink(clip):
    image, faces, _ = clip[1][0]
    challenge = play(clip, View(image, faces[0]), ("blink", "left"))
    assert challenge.done == 2 and challenge.why_not == ""
    assert challenge.score > 0.7


@pytest.mark.parametrize("name", sample_names())
def test_somebody_elses_photo_is_told_from_the_person_of_the_clip(clip, name):
    finder, seen = clip
    others = [sample_view(other, finder) for other in sample_names() if other != name]
    looks = Looks(others)  # as if this portrait were not one of the shipped
    wanted = looks.features(*[getattr(sample_view(name, finder), part) for part in ("image", "face")])
    straight = [(image, faces[0]) for image, faces, _ in seen if faces and abs(faces[0].pose[0]) < 8]
    theirs = np.median([score(looks.features(*one), wanted) for one in straight])
    own = np.median([score(looks.features(*one), looks.features(*straight[0])) for one in straight])
    assert theirs < looks.threshold - 0.1 and own > looks.threshold + 0.1
