"""What is shown of the net's picture: where masks say so, the core in any case, with an edge of the wished width."""

from __future__ import annotations

import numpy as np
import pytest

from live.fit.mask import face_alpha

SIZE = 100
HULL = np.array([(20, 20), (80, 20), (80, 80), (20, 80)], np.float32)
CORE = np.array([(40, 40), (60, 40), (60, 60), (40, 60)], np.float32)


def mask(left, top, right, bottom, value=255):
    picture = np.zeros((SIZE, SIZE), np.uint8)
    picture[top:bottom, left:right] = value
    return picture


def alpha_of(masks=(), hull=HULL, core=CORE, grow=0, soft=0):
    """The alpha without its margin, which is checked."""
    alpha = face_alpha(list(masks), hull, core, SIZE, grow, soft)
    margin = soft + 1
    assert alpha.shape == (SIZE + 2 * margin,) * 2 and alpha.dtype == np.uint8
    assert not any(edge.any() for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
    return alpha[margin:-margin, margin:-margin]


def test_masks_are_multiplied():
    alpha = alpha_of([mask(0, 0, 100, 100, 128), mask(0, 0, 30, 100)])
    assert (alpha[:, :29] == 128).all() and not alpha[:30, 31:].any()


def test_without_masks_the_hull_is_taken():
    alpha = alpha_of()
    assert (alpha[20:81, 20:81] == 255).all() and alpha.sum() == 61 * 61 * 255


@pytest.mark.parametrize("grow", [-7, 0, 7])
def test_the_mask_grows_and_shrinks_and_the_core_stays(grow):
    alpha = alpha_of(grow=grow)
    columns = np.flatnonzero(alpha[50])
    assert abs(columns[0] - (20 - grow)) <= 1 and abs(columns[-1] - (80 + grow)) <= 1
    assert (alpha_of([mask(0, 0, 0, 0)], grow=grow)[40:61, 40:61] == 255).all()


@pytest.mark.parametrize("soft", [0, 3, 10])
def test_the_core_is_wholly_shown_however_soft_the_edge(soft):
    assert (alpha_of([mask(0, 0, 0, 0)], soft=soft)[40:61, 40:61] == 255).all()
    fades = alpha_of(soft=soft)[50]
    assert ((fades > 0) & (fades < 255)).sum() == pytest.approx(4 * soft, abs=2)


def test_what_reaches_the_border_fades_across_it():
    alpha = face_alpha([mask(0, 0, 100, 100)], HULL, CORE, SIZE, 0, 4)
    assert 110 < alpha[50, 5] < 150 and alpha[50, 1] < 40 and alpha[50, 9] == 255


def test_outlines_may_lie_outside_or_far_away():
    far = np.array([(-1e9, -1e9), (1e9, 5), (50, 1e9)], np.float32)
    assert alpha_of(hull=far, core=HULL + 300).max() == 255
    assert not alpha_of(hull=HULL + 300, core=CORE + 300).any()
