"""export/teach/pairs.py: shapes that fit, and an exam that is not learned from."""

import numpy as np
import pytest

from export.teach.pairs import SIZES, TOLD, Pairs, stored_px


def numbered(n, side=160):
    faces = np.zeros((n, side, side, 3), np.uint8)
    faces[:, 0, 0, 0] = np.arange(n)
    return Pairs(faces, faces.copy(), np.zeros((n, side, side), np.uint8))


def test_a_stored_picture_has_a_margin_of_an_eighth_on_each_side():
    assert [stored_px(size) for size in SIZES] == [160, 240, 320]


@pytest.mark.parametrize("n", [5, 50, 203])
def test_the_exam_is_spread_over_the_footage_and_never_learned_from(n):
    learned, asked = numbered(n).split()
    taught, held = (set(one.faces[:, 0, 0, 0].tolist()) for one in (learned, asked))
    assert taught | held == set(range(n))
    assert not taught & held
    if n > 20:
        assert 0.08 < len(held) / n < 0.13
        assert max(held) - min(held) > n / 2
        assert len([k for k in held if k - 1 not in held]) == 5, "stretches: a neighbour of a lesson is no exam"


@pytest.mark.parametrize("shape", [(2, 160, 160, 4), (2, 160, 150, 3)])
def test_what_does_not_fit_together_is_refused(shape):
    faces = np.zeros(shape, np.uint8)
    with pytest.raises(ValueError, match="pairs of pictures"):
        Pairs(faces, np.zeros((2, 160, 160, 3), np.uint8), np.zeros((2, 160, 160), np.uint8))
    good = np.zeros((2, 160, 160, 3), np.uint8)
    with pytest.raises(ValueError, match="a mask for each"):
        Pairs(good, good, np.zeros((3, 160, 160), np.uint8))
    with pytest.raises(ValueError, match="numbers for each"):
        Pairs(good, good, np.zeros((2, 160, 160), np.uint8), np.zeros((2, TOLD - 1), np.float32))


def test_what_is_told_goes_along_and_a_face_stays_its_own_target():
    pairs = numbered(50)
    told = np.arange(50, dtype=np.float32)[:, None].repeat(TOLD, 1)
    for part in Pairs(pairs.faces, pairs.faces, pairs.masks, told).split():
        assert part.targets is part.faces
        assert (part.told[:, 0] == part.faces[:, 0, 0, 0]).all()
