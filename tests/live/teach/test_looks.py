"""What is wrong with a frame is seen; of many frames those stay that differ."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from live.align import face_from_mesh
from live.teach.looks import BLURRED, BRIGHT, CUT_OFF, DARK, REASONS, SMALL, TURNED, blurred, look, spread_out


def reason(image, face):
    return look(image, face).reason


def test_a_portrait_can_be_learnt_from(portrait):
    seen = look(portrait.image, portrait.face)
    assert seen.reason == 0 and 60 < seen.light < 200 and seen.crop_px > 200


def shifted(face, x, y=0.0):
    return face_from_mesh(face.mesh + np.array([x, y, 0], np.float32), 1.0)


def test_what_is_wrong_is_named(portrait):
    image, face = portrait.image, portrait.face
    small = cv2.resize(image, None, fx=0.1, fy=0.1, interpolation=cv2.INTER_AREA)
    assert reason(small, face_from_mesh(face.mesh * np.float32(0.1), 1.0)) == SMALL
    assert reason(image, shifted(face, -face.box[0] - 5)) == CUT_OFF
    assert reason(np.asarray(image * 0.12, np.uint8), face) == DARK
    assert reason(np.full_like(image, 252), face) == BRIGHT
    turned = shifted(face, 0)
    turned.pose = (50.0, -9.0, 0.0)
    assert reason(image, turned) == TURNED
    assert len(REASONS) == BLURRED + 1


def test_a_blurred_frame_stands_out_and_a_dimmed_one_does_not(portrait):
    image, face = portrait.image, portrait.face
    width = 0.05 * (face.box[2] - face.box[0])
    pictures = [image, cv2.GaussianBlur(image, (0, 0), width), np.asarray(image * 0.6, np.uint8), image]
    sharp = np.array([look(picture, face).sharp for picture in pictures], np.float32)
    assert list(blurred(sharp, np.zeros(4))) == [False, True, False, False]


def test_without_any_fit_frame_none_is_called_blurred():
    assert not blurred(np.ones(3, np.float32), np.array([DARK, SMALL, DARK])).any()


@pytest.mark.parametrize("most", [30, 100])
def test_few_are_kept_where_little_changes(most):
    still, moving = np.zeros((200, 8, 8, 3), np.uint8), np.zeros((200, 8, 8, 3), np.uint8)
    moving[:] = np.arange(200, dtype=np.uint8)[:, None, None, None]
    kept = spread_out(np.concatenate([still, moving]), most)
    assert kept == sorted(set(kept)) and most * 0.9 <= len(kept) <= most
    assert sum(k < 200 for k in kept) <= 3


def test_all_are_kept_where_there_are_few():
    assert spread_out(np.zeros((5, 8, 8, 3), np.uint8), 10) == [0, 1, 2, 3, 4]
