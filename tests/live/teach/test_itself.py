"""Lessons without a teacher: each face as it is; what it does, in numbers that do not tell whose it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.errors import BadInput
from export.teach.pairs import TOLD
from live.personas.portraits import sample_view
from live.teach.alike import demand_alike
from live.teach.itself import Itself
from live.teach.pieces import Pieces
from live.teach.targets import IN_FRONT, Made, make_targets, read_made, read_own
from live.teach.told import told_of
from tests.footage import video
from tests.live.test_occlusion import hold_up_a_hand


@pytest.fixture
def few(seen):
    """The first frames only."""
    until = seen.fit[39] + 1
    return replace(seen, numbers=seen.numbers[:until], faces=seen.faces[:until], reasons=seen.reasons[:until],
                   crop_px=seen.crop_px[:until], thumbs=seen.thumbs[:until])  # fmt: skip


@pytest.fixture
def itself():
    itself = Itself()
    itself.open()
    yield itself
    itself.close()


def test_a_lesson_is_the_face_as_it_is_with_what_of_it_is_face(clip, few, portrait, itself, tmp_path, home):
    pieces = Pieces(tmp_path, "targets")
    make_targets(itself, portrait, video(clip), few, 128, pieces, lambda done, of: None)
    assert read_made(pieces) == Made(40, {})
    pairs, looks = read_own([(pieces, few)])
    assert pairs.targets is pairs.faces and len(pairs) == len(looks) == 40
    assert pairs.told is not None and pairs.told.shape == (40, TOLD)
    inside = pairs.masks > 127
    assert 0.15 < inside.mean() < 0.4 and inside[:, 70:90, 70:90].all()
    assert not pairs.masks[:, :8].any() and not pairs.masks[:, :, :8].any()
    assert len(np.unique(pairs.masks[0])) > 20, "the edge is soft"


def test_what_is_told_belongs_to_the_lessons_that_are_kept(clip, few, portrait, tmp_path, home):
    class Hand(Itself):
        """Something is in front in every fifth picture."""

        count = 0

        def swap(self, image, face):
            patch = super().swap(image, face)
            self.count += 1
            return patch if self.count % 5 else replace(patch, hidden=np.full_like(patch.alpha, 255))

    pieces, hand = Pieces(tmp_path, "targets"), Hand()
    hand.open()
    make_targets(hand, portrait, video(clip), few, 128, pieces, lambda done, of: None)
    hand.close()
    assert read_made(pieces) == Made(32, {IN_FRONT: 8})
    pairs, _ = read_own([(pieces, few)])
    kept = [few.faces[row] for k, row in enumerate(few.fit, 1) if k % 5]
    assert np.allclose(pairs.told, told_of(kept))


def test_what_lies_in_front_is_told(portrait, itself):
    assert not itself.swap(portrait.image, portrait.face).hidden.any()
    image, hand = hold_up_a_hand(portrait.image, portrait.face)
    patch = itself.swap(image, portrait.face)
    rows, columns = patch.alpha.shape
    there = hand[patch.y : patch.y + rows, patch.x : patch.x + columns] & (patch.alpha > 127)
    assert (patch.hidden > 127)[there].mean() > 0.6


def test_what_a_face_does_is_told_alike_for_a_wider_and_a_turned_one(seen):
    faces = [seen.faces[row] for row in seen.fit[:80]]
    told = told_of(faces)
    assert told.shape == (80, TOLD) and np.isfinite(told).all()
    turn = np.array([[0.9, -0.43, 0], [0.43, 0.9, 0], [0, 0, 1]], np.float32) * 1.7  # nearer, and the camera tilted
    wider = np.array([1.12, 1, 1], np.float32)

    def changed(face, matrix):
        irises = face.irises if face.irises is None else face.irises.copy()
        if irises is not None:
            irises[:, :2] = irises[:, :2] @ matrix[:2, :2].T
        return replace(face, mesh=np.asarray(face.mesh @ matrix.T, np.float32), irises=irises)

    same = told_of([changed(face, turn) for face in faces])
    assert np.abs(same - told).max() < 0.02
    alike = told_of([changed(face, np.diag(wider)) for face in faces])
    moves, others = told[:, :-6], alike[:, :-6]
    assert np.abs(others - moves).mean() < 0.25 * np.abs(moves - moves.mean(0)).mean()


def test_lids_and_gaze_are_told(seen):
    faces = [seen.faces[row] for row in seen.fit]
    told = told_of(faces)
    lids, gaze = told[:, -4:-2], told[:, -2:]
    assert 1.5 < np.median(lids) < 2.3, "2: as open as this person's usually are"
    assert lids.min() < 0.6 * np.median(lids), "the sample blinks"
    assert 0.01 < gaze[:, 0].std() < 2


def test_footage_of_another_than_the_face_that_may_be_worn_is_refused(clip, seen, finder):
    from live.frame import Persona

    nia = Persona("nia", (sample_view("nia", finder),), None, "synthetic")
    with pytest.raises(BadInput, match="does not look like 'nia'"):
        demand_alike(nia, video(clip), seen, finder)
    demand_alike(replace(nia, disclosure="unverified"), video(clip), seen, finder)


def test_footage_of_the_same_is_taken(clip, seen, finder, pictures):
    from live.frame import Persona, View

    row = min(seen.fit, key=lambda row: abs(seen.faces[row].pose[0]))
    image = pictures[int(seen.numbers[row])]
    demand_alike(Persona("me", (View(image, seen.faces[row]),), None, "verified"), video(clip), seen, finder)
