"""Creases: folds that come with an expression are read, looks and light are not; a known face is told from a hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from live.swappers.mesh.creases import SHEET_PX, Creases, Look, Sheet, Unfold

PLACE = 60, 40  # row, column of a fold
SHAPE = (SHEET_PX, SHEET_PX)


@pytest.fixture(scope="module")
def unfold(skull, uv):
    return Unfold(skull, uv)


def sheet(fold=0.0, light=0.0, seed=1, seen=1.0):
    """A face with features of its own, a dark (or bright) line across, in this light (both logarithms)."""
    features = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, SHAPE), (0, 0), 3)
    logs = 4.5 + 0.2 * features / features.std() + light
    line = np.zeros(SHAPE)
    line[PLACE[0], PLACE[1] - 10 : PLACE[1] + 11] = 1
    line = cv2.GaussianBlur(line, (0, 0), 1.2)
    return Sheet((logs + fold * line / line.max()).astype(np.float32), np.full(SHAPE, seen, np.float32))


def calm_creases(readings=20, **face):
    creases = Creases()
    for _ in range(readings):
        creases.read(sheet(**face), calm=1.0)
    return creases


def test_a_calm_face_has_no_folds_whatever_it_looks_like():
    assert np.abs(calm_creases().now).max() < 0.01
    assert np.abs(calm_creases(fold=-0.5).now).max() < 0.01  # a scar, say


def test_a_fold_that_appears_is_carried_over_there_alone():
    creases = calm_creases()
    for _ in range(4):
        creases.read(sheet(fold=-0.25), calm=0.0)
    assert -0.25 < creases.now[PLACE] < -0.12
    assert np.abs(creases.now[:40]).max() < 0.02 and np.abs(creases.now[80:]).max() < 0.02
    for _ in range(4):
        creases.read(sheet(), calm=0.0)
    assert np.abs(creases.now).max() < 0.01


def test_a_fold_that_was_there_and_goes_brightens():
    creases = calm_creases(fold=-0.1)
    creases.read(sheet(), calm=0.0)
    assert 0.03 < creases.now[PLACE] < 0.1


@pytest.mark.parametrize("fold", [-3.0, 3.0])
def test_no_fold_is_deeper_than_folds_are(fold):
    creases = calm_creases()
    for _ in range(10):
        creases.read(sheet(fold=fold), calm=0.0)
    assert creases.now.min() >= -0.3 and creases.now.max() <= 0.15


def test_light_is_no_fold():
    creases = calm_creases()
    dark = sheet(light=-0.8)
    dark.logs += np.linspace(0, 0.5, SHEET_PX, dtype=np.float32)  # from one side
    creases.read(dark, calm=0.0)
    assert np.abs(creases.now[12:-12, 12:-12]).max() < 0.02


def test_nothing_is_carried_over_before_the_calm_face_is_known():
    creases = Creases()
    for _ in range(50):
        creases.read(sheet(fold=-0.3), calm=0.0)
        creases.read(sheet(), calm=0.0)
    assert np.abs(creases.now).max() < 0.01


def test_what_is_not_seen_has_no_folds():
    creases = calm_creases()
    creases.read(sheet(fold=-0.3, seen=0.0), calm=1.0)
    assert np.abs(creases.now).max() < 1e-4


def test_folds_rest_when_nothing_can_be_read():
    creases = calm_creases()
    creases.read(sheet(fold=-0.3), calm=0.0)
    before = creases.now[PLACE]
    creases.rest()
    creases.rest()
    assert before < -0.1 and creases.now[PLACE] > 0.1 * before


def test_a_picture_is_unfolded_to_where_its_points_lie_in_the_atlas(unfold, skull, uv):
    mesh = (skull.canonical * 20 + (200, 220, 0)).astype(np.float32)
    image = np.full((440, 400, 3), 120, np.uint8)
    for point in (4, 50, 425):
        shown = image.copy()
        cv2.circle(shown, tuple(int(v) for v in mesh[point, :2]), 12, (255, 255, 255), -1)
        found = unfold(shown, mesh, np.ones(468, np.float32))
        at = np.unravel_index(found.logs.argmax(), SHAPE)[::-1]
        assert np.linalg.norm(at - (uv[point] * SHEET_PX - 0.5)) < 3
        assert found.seen[at[::-1]] == 1
    assert not unfold(image, mesh, np.zeros(468, np.float32)).seen.any()


def test_folds_are_carried_over_around_the_mouth_only(unfold, uv):
    columns, rows = np.round(uv * SHEET_PX - 0.5).astype(int).T
    assert (unfold.around_mouth[rows, columns][[13, 17, 205, 425, 61, 291]] > 0.5).all()  # lips, cheeks beside them
    assert (unfold.around_mouth[rows, columns][[159, 386, 9, 151, 10, 152]] < 0.05).all()  # eyes, forehead, rim


def known_look():
    look = Look()
    for _ in range(10):
        look.learn(sheet())
    return look


def test_a_known_face_is_told_in_any_light_and_from_something_else():
    look = known_look()
    assert look.same(sheet()).mean() > 0.9
    assert look.same(sheet(light=-0.5)).mean() > 0.9
    assert look.same(sheet(seed=2)).mean() < 0.15


def test_half_a_face_behind_something_is_told_apart():
    hand = sheet()
    hand.logs[:, : SHEET_PX // 2] = sheet(seed=3).logs[:, : SHEET_PX // 2]
    same = known_look().same(hand)
    assert same[:, :36].mean() < 0.2 and same[:, -36:].mean() > 0.9


def test_what_is_plain_or_was_never_seen_cannot_be_told():
    assert not Look().same(sheet()).any()
    plain, look = Sheet(np.full(SHAPE, 4.5, np.float32), np.ones(SHAPE, np.float32)), Look()
    look.learn(plain)
    assert not look.same(plain).any()
