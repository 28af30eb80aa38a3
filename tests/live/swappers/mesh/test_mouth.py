"""The mouth: what lies between the lips is the wearer's, moved along; the matrix for it never breaks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from live.align import INNER_LIPS
from live.swappers.mesh.mouth import affine, fill_outline, keep_mouth

LIPS = list(INNER_LIPS)
ANGLE = np.arange(20) / 20 * 2 * np.pi
COORDINATE = st.floats(-2000, 2000, width=32)


def mouth(centre=(60.0, 40.0), half_wide=25.0, half_high=12.0):
    """A mesh whose inner lips are an ellipse; all else is far away."""
    mesh = np.full((468, 3), -500, np.float32)
    mesh[LIPS, :2] = np.stack([-np.cos(ANGLE) * half_wide, np.sin(ANGLE) * half_high], 1) + centre
    return mesh


def keep(old, new, here=None, size=(80, 120)):
    """(pixels, alpha) of a grey, bare patch after the mouth was kept."""
    pixels, alpha = np.full((*size, 3), 128, np.uint8), np.zeros(size, np.uint8)
    here = np.full((*size, 3), (255, 0, 255), np.uint8) if here is None else here
    keep_mouth(pixels, alpha, here, old, new)
    return pixels, alpha


@settings(max_examples=40, deadline=None)
@given(st.floats(-3, 3), st.floats(0.4, 2.5), st.floats(-500, 500), st.floats(-500, 500), st.integers(0, 1000))
def test_a_turn_a_size_and_a_shift_are_found(angle, scale, x, y, seed):
    start = np.random.default_rng(seed).normal(0, 20, (20, 2)).astype(np.float32)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    end = (start @ turn.T + (x, y)).astype(np.float32)
    found = affine(start, end)
    # The pull to no change costs a little.
    far = np.linalg.norm(start @ found[:, :2].T + found[:, 2] - end, axis=1)
    assert far.mean() < 0.1 * np.linalg.norm(end - start - (end - start).mean(0), axis=1).mean() + 0.01
    np.testing.assert_allclose(found[:, :2] @ start.mean(0) + found[:, 2], end.mean(0), atol=0.1)


def test_no_change_is_no_change():
    start = mouth()[LIPS, :2]
    np.testing.assert_allclose(affine(start, start), [[1, 0, 0], [0, 1, 0]], atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.floats(-3, 3), st.floats(0, 50), st.floats(-100, 100))
def test_a_shut_mouth_keeps_its_size_across(angle, length, shift):
    """All points on one line: along it they are met, across it the scale stays near 1."""
    along = np.array([np.cos(angle), np.sin(angle)])
    start = np.outer(np.linspace(-1, 1, 20) * length, along).astype(np.float32)
    found = affine(start, (start * 1.2 + shift).astype(np.float32))
    assert np.isfinite(found).all()
    across = np.array([-along[1], along[0]])
    np.testing.assert_allclose(found[:, :2] @ across, across, atol=0.05)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, (20, 2), elements=COORDINATE), arrays(np.float32, (20, 2), elements=COORDINATE))
def test_whatever_the_points_the_matrix_is_finite(start, end):
    assert np.isfinite(affine(start, end)).all()
    assert np.isfinite(affine(start * 0, end)).all()


def test_between_the_lips_the_picture_is_seen():
    pixels, alpha = keep(mouth(), mouth())
    assert alpha[40, 60] == 255 and (pixels[40, 60] == (255, 0, 255)).all()
    inside = (pixels == (255, 0, 255)).all(2)
    assert inside.sum() == pytest.approx(np.pi * 25 * 12, rel=0.12)
    assert (alpha[:20] == 0).all() and (pixels[:20] == 128).all()


def test_the_inside_moves_along_with_the_lips():
    here = np.full((80, 120, 3), 60, np.uint8)
    here[38:43, 70:75] = 255  # a tooth to the right of the middle
    pixels, _ = keep(mouth(), mouth((50, 30), 30.0, 12.0), here)
    bright = pixels.mean(2) * (pixels.mean(2) > 150)
    x = (bright.sum(0) * np.arange(120)).sum() / bright.sum()
    y = (bright.sum(1) * np.arange(80)).sum() / bright.sum()
    assert (x, y) == pytest.approx((50 + 12 * 1.2, 30), abs=1.0)


def test_a_shut_mouth_shows_at_most_a_line():
    pixels, _ = keep(mouth(), mouth(half_high=0.0))
    assert ((pixels != 128).any(2)).sum(0).max() <= 3


def test_opacity_is_never_taken_away():
    pixels, alpha = np.full((80, 120, 3), 128, np.uint8), np.full((80, 120), 200, np.uint8)
    keep_mouth(pixels, alpha, np.zeros_like(pixels), mouth(), mouth())
    assert alpha.min() == 200 and alpha[40, 60] == 255


@settings(max_examples=60, deadline=None)
@given(st.floats(-150, 250), st.floats(-150, 200), st.floats(0, 90), st.floats(0, 60))
def test_a_mouth_at_and_beyond_the_edge(x, y, half_wide, half_high):
    pixels, alpha = keep(mouth(), mouth((x, y), half_wide, half_high))
    assert set(np.unique(pixels.reshape(-1, 3)[alpha.ravel() == 0])) <= {128}
    if x + half_wide < -3 or x - half_wide > 123 or y + half_high < -3 or y - half_high > 83:
        assert not alpha.any()


def test_the_picture_is_left_alone():
    here = np.random.default_rng(0).integers(0, 256, (80, 120, 3), np.uint8)
    before = here.copy()
    keep(mouth(), mouth((55, 42)), here)
    assert np.array_equal(here, before)


def test_an_outline_is_filled_with_soft_edges():
    mask = np.zeros((40, 40), np.uint8)
    fill_outline(mask, np.array([(10.5, 10), (30, 10), (30, 30), (10.5, 30)], np.float32), 255)
    assert (mask[11:30, 12:30] == 255).all() and not mask[:8].any()
    assert 0 < mask[20, 10] < 255
    fill_outline(mask, np.array([(5, 5), (35, 5), (35, 35), (5, 35)], np.float32), 0)
    assert not mask[6:34, 6:34].any()
