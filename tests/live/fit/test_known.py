"""How a face looks in numbers, and how far a look is from those of the lessons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.card import ModelCard
from engines.errors import ModelError
from live.align import face_from_mesh
from live.fit.known import COLUMNS, known_of, look_of, read_known


def card_of(known):
    facts = {"taught": {"known": known}}
    return ModelCard(Path("x"), "worn", "personal", {}, facts, "CC0-1.0", True, "a test", {})


def known(looks):
    return read_known(card_of(known_of(looks)))


def differs(one, other):
    return {name for name, a, b in zip(COLUMNS, one, other, strict=True) if abs(a - b) > 0.1}


def test_a_look_tells_pose_size_and_light_apart(portrait):
    image, face = portrait.image, portrait.face
    plain = look_of(image, face)
    assert tuple(plain[:2]) == pytest.approx(face.pose[:2], abs=1e-3)
    darker = look_of(np.asarray(cv2.convertScaleAbs(image, alpha=0.5)), face)
    assert "light" in differs(plain, darker) and not differs(plain, darker) & {"yaw", "pitch", "size", "side"}
    small = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    nearer = look_of(small, face_from_mesh(face.mesh * np.float32(0.5), 1.0))
    assert differs(plain, nearer) == {"size"} and plain[2] - nearer[2] == pytest.approx(1, abs=0.01)
    shaded = image.copy()
    middle = int(face.points[:, 0].mean())
    shaded[:, middle:] //= 2
    assert look_of(shaded, face)[5] - plain[5] > 0.3
    flat = look_of(np.full_like(image, 120), face)
    assert flat[4] == pytest.approx(0, abs=1e-3) and flat[5] == pytest.approx(0, abs=1e-3)


def test_a_face_partly_outside_the_picture_has_a_look(portrait):
    moved = replace(portrait.face, mesh=portrait.face.mesh - np.array([5000, 0, 0], np.float32))
    assert np.isfinite(look_of(portrait.image, moved)).all()


def test_every_lesson_is_within_one_and_what_was_not_shown_is_not():
    rng = np.random.default_rng(3)
    looks = rng.normal(0, (15, 5, 0.3, 0.3, 0.05, 0.1), (3000, 6)).astype(np.float32)
    told = known_of(looks)
    assert len(told["rows"]) <= 64
    shown = read_known(card_of(told))
    assert max(shown.far(look) for look in looks) <= 1.01
    assert shown.far(np.array([80, 0, 0, 0, 0, 0], np.float32)) > 1
    assert shown.far(np.array([0, 0, 0, -4, 0, 0], np.float32)) > 1


def test_one_steady_look_is_one_row():
    still = known(np.tile(np.array([1, 2, 8, 7, 0.2, 0], np.float32), (50, 1)))
    assert len(still.rows) == 1
    assert still.far(np.array([1, 2, 8, 7, 0.2, 0], np.float32)) == 0
    assert still.far(np.array([19, 2, 8, 7, 0.2, 0], np.float32)) == pytest.approx(2)


def test_without_looks_there_is_nothing_to_tell():
    with pytest.raises(ValueError, match="no looks"):
        known_of(np.full((3, 6), np.nan))


ROW = [0.0, 0.0, 8.0, 7.0, 0.2, 0.0]
GOOD = {"columns": list(COLUMNS), "spread": [1.0] * 6, "rows": [ROW]}


@pytest.mark.parametrize(
    "told",
    [
        None, "x", {}, {**GOOD, "columns": ["yaw"]}, {**GOOD, "rows": []}, {**GOOD, "rows": [ROW[:5]]},
        {**GOOD, "spread": [0.0] * 6}, {**GOOD, "rows": [[float("nan")] * 6]}, {**GOOD, "rows": "x"},
        {**GOOD, "spread": [1.0] * 5}, {**GOOD, "rows": [ROW] * 2000},
    ],
)  # fmt: skip
def test_a_card_that_does_not_say_it_rightly_is_refused(told):
    with pytest.raises(ModelError, match="which looks"):
        read_known(card_of(told))
