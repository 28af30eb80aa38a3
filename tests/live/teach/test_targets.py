"""Lessons: what the teacher made, in the footage's order; failing frames are counted and left out; nothing is lost."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from engines.errors import BadInput, EngineLost
from live.frame import Patch
from live.pictures import decoded
from live.teach import targets
from live.teach.engine import face_of, licence_of
from live.teach.faces import LEAST
from live.teach.pieces import Pieces
from live.teach.steps import teacher_and_face
from live.teach.targets import IN_FRONT, Made, demand_enough, make_targets, read_made, read_pairs, teacher_of
from live.teach.workshop import Workshop
from tests.footage import video
from tests.trained_nets import make_trained, tint

SIZE = 128
FEW = 70  # frames: two pieces and a bit


@pytest.fixture
def pieces(tmp_path, home):
    return Pieces(tmp_path, "targets")


@pytest.fixture
def few(seen):
    """The first frames only."""
    until = seen.fit[FEW - 1] + 1
    return replace(seen, numbers=seen.numbers[:until], faces=seen.faces[:until], reasons=seen.reasons[:until],
                   crop_px=seen.crop_px[:until], thumbs=seen.thumbs[:until])  # fmt: skip


class Green:
    """Teacher: a green rectangle over the face. `script` may raise for a frame, or change the patch."""

    drawn, wears_model, needs_mesh = True, False, True

    def __init__(self, script=lambda number, patch: patch):
        self.script, self.count = script, 0

    def swap(self, image, face):
        self.count += 1
        x0, y0, x1, y1 = (round(v) for v in face.box)
        pixels = np.full((y1 - y0, x1 - x0, 3), (0, 200, 0), np.uint8)
        return self.script(self.count, Patch(pixels, np.full(pixels.shape[:2], 255, np.uint8), x0, y0))


def make(clip, few, pieces, teacher, persona, tell=lambda done, of: None):
    make_targets(teacher, persona, video(clip), few, SIZE, pieces, tell)
    return read_made(pieces)


def test_lessons_are_the_crop_the_new_face_in_it_and_its_mask(clip, few, pieces, portrait):
    assert make(clip, few, pieces, Green(), portrait) == Made(FEW, {})
    pairs, looks = read_pairs([pieces])
    assert pairs.faces.shape == (FEW, 160, 160, 3) and looks.shape == (FEW, 6)
    # The target is cut more sharply than the face: it swings where the green ends, and where the picture has edges.
    shown, bare = ([cv2.erode(one.astype(np.uint8), np.ones((5, 5))) > 0 for one in masks]
                   for masks in (pairs.masks > 250, pairs.masks == 0))  # fmt: skip
    assert (np.abs(pairs.targets[np.array(shown)].astype(int) - (0, 200, 0)) <= 5).all()
    assert cv2.absdiff(pairs.targets, pairs.faces)[np.array(bare)].mean() < 1
    middle = pairs.masks[:, 60:100, 60:100]
    assert (middle == 255).all() and 0.1 < np.mean(shown) < 0.6


def test_interrupted_it_goes_on_and_gives_the_same(clip, few, pieces, portrait, tmp_path):
    def interrupt(done, of):
        assert of == FEW
        if done == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(clip, few, pieces, Green(), portrait, interrupt)
    assert len(pieces) == 1
    teacher = Green()
    assert make(clip, few, pieces, teacher, portrait) == Made(FEW, {})
    assert teacher.count == FEW - 32 + 15  # it draws some again, since it may remember
    whole = Pieces(tmp_path / "whole", "targets")
    whole.folder.mkdir()
    make(clip, few, whole, Green(), portrait)
    assert (read_pairs([pieces])[0].targets == read_pairs([whole])[0].targets).all()


def test_frames_on_which_it_fails_are_counted_and_left_out(clip, few, pieces, portrait):
    def script(number, patch):
        if number % 10 == 0:
            raise ValueError("no such thing")
        if number % 10 == 5:
            return replace(patch, hidden=np.full_like(patch.alpha, 255))
        return patch if number % 10 != 7 else replace(patch, alpha=np.zeros_like(patch.alpha))

    made = make(clip, few, pieces, Green(script), portrait)
    assert made == Made(
        FEW - 21,
        {"ValueError: no such thing": 7, IN_FRONT: 7, "the new face does not cover the face": 7},
    )


def test_too_many_failures_are_told(clip, seen, pieces, portrait):
    def script(number, patch):
        raise ValueError("no such thing")

    with pytest.raises(BadInput, match="failed on 64 of 64 frames: ValueError: no such thing"):
        make(clip, seen, pieces, Green(script), portrait)
    with pytest.raises(BadInput, match=f"only 3 pictures, {LEAST} are needed; left out: 9 {IN_FRONT}"):
        demand_enough(Made(3, {IN_FRONT: 9}))


def test_a_lost_engine_ends_it_and_nothing_is_lost(clip, few, pieces, portrait):
    def script(number, patch):
        if number == 50:
            raise EngineLost("the server went away")
        return patch

    with pytest.raises(EngineLost):
        make(clip, few, pieces, Green(script), portrait)
    assert make(clip, few, pieces, Green(), portrait).pairs == FEW


def test_a_face_that_may_not_be_worn_any_more_ends_it(clip, few, pieces, portrait):
    over = replace(portrait, why_not=lambda: "its consent ended")
    with pytest.raises(BadInput, match="its consent ended"):
        make(clip, few, pieces, Green(), over)
    assert len(pieces) == 0


def test_footage_that_became_shorter_is_told(clip, few, pieces, portrait):
    late = replace(few, numbers=few.numbers + 1000)
    with pytest.raises(BadInput, match="fewer pictures"):
        make(clip, late, pieces, Green(), portrait)


def test_a_trained_model_teaches_and_its_straightest_picture_becomes_the_portrait(clip, few, pieces, tmp_path, finder):
    model = make_trained(tmp_path / "red", tint)
    workshop = Workshop(tmp_path, "x", face=str(model), settings=["swappers.trained.colour=off"])
    swapper, persona, workshop.taught, pictures = teacher_and_face(workshop)
    swapper.open()
    swapper.wear(persona)
    assert make(clip, few, pieces, swapper, persona).pairs > FEW * 0.9
    swapper.close()
    pairs, looks = read_pairs([pieces])
    redder = (pairs.targets[..., 2].astype(int) - pairs.targets[..., 0])[pairs.masks > 250]
    assert redder.mean() > 80 and pictures == []
    face, (portrait,) = face_of(workshop, pairs, looks)
    assert list(face) == ["print", "portraits", "sha256"]
    assert len(finder.find(decoded(portrait), [])) == 1
    assert licence_of(workshop) == "as its teacher's, red: CC0-1.0"


def test_a_teacher_that_gives_the_old_face_back_teaches_nothing(clip, few, pieces, portrait):
    class Same(Green):
        def swap(self, image, face):
            patch = super().swap(image, face)
            rows, columns = patch.alpha.shape
            here = image[patch.y : patch.y + rows, patch.x : patch.x + columns]
            return replace(patch, pixels=here.copy())

    with pytest.raises(BadInput, match="the new face is the old one"):
        make(clip, few, pieces, Same(), portrait)


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"teacher": "fresco"}, "no teacher 'fresco'"),
        ({"face": ""}, "which face"),
        ({"face": "gone.jpg"}, "there is no picture"),
        ({"teacher": "one_photo"}, "which one-photo model"),
        ({"teacher": "trained"}, "wears trained models"),
        ({"settings": ["swappers.mesh.lihgt=0"]}, "unknown setting"),
    ],
)
def test_a_teacher_that_cannot_be_is_told(tmp_path, home, finder, wishes, words):
    workshop = Workshop(tmp_path, "x", **{"face": "sample:nia", **wishes})
    with pytest.raises(BadInput, match=words):
        teacher_of(workshop).persona(finder)


def test_the_mesh_teaches_without_grain(tmp_path, home):
    (teacher,) = teacher_of(Workshop(tmp_path, "x", face="sample:nia")).swapper.swappers
    assert teacher.grain is False
    assert targets.TEACHERS[1] == "mesh"
