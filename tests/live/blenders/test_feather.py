"""Feather: the patch by its alpha, softened inward, nothing outside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.blenders.feather import Feather
from live.frame import Face, Patch

FACE = Face(np.zeros((5, 2), np.float32), None, 1.0)


def picture(seed, height=60, width=80):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def blended(patch, soften=0.0, below=None):
    image = picture(1) if below is None else below.copy()
    part = Feather(soften=soften)
    part.open()
    part.blend(image, FACE, patch)
    part.close()
    return image


def full_patch(alpha=255, x=10, y=5, height=40, width=50):
    return Patch(picture(2, height, width), np.full((height, width), alpha, np.uint8), x, y)


@pytest.mark.parametrize("soften", [0.0, 0.02, 0.2])
def test_alpha_0_leaves_the_picture(soften):
    assert np.array_equal(blended(full_patch(0), soften), picture(1))


@pytest.mark.parametrize("soften", [0.0, 0.02, 0.2])
def test_alpha_255_replaces(soften):
    patch = full_patch(255)
    assert np.array_equal(blended(patch, soften)[5:45, 10:60], patch.pixels)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(0, 40), st.integers(1, 20), st.integers(1, 20), st.sampled_from([0, 0.05, 0.2]))
def test_nothing_outside_the_patch_changes(x, y, width, height, soften):
    patch = full_patch(200, x, y, height, width)
    image = blended(patch, soften)
    image[y : y + height, x : x + width] = picture(1)[y : y + height, x : x + width]
    assert np.array_equal(image, picture(1))


def test_a_patch_may_be_the_whole_picture():
    patch = full_patch(255, 0, 0, 60, 80)
    assert np.array_equal(blended(patch), patch.pixels)


def test_the_patch_is_left_alone():
    patch = full_patch(128)
    blended(patch, 0.2)
    assert np.array_equal(patch.pixels, full_patch().pixels) and (patch.alpha == 128).all()


def oval_patch():
    y, x = np.mgrid[:60, :80]
    inside = ((x - 40) / 30) ** 2 + ((y - 30) / 24) ** 2 < 1
    return Patch(np.full((60, 80, 3), 255, np.uint8), np.where(inside, 255, 0).astype(np.uint8), 0, 0)


def test_the_soft_edge_lies_inside_the_patchs_own_shape():
    patch = oval_patch()
    image = blended(patch, 0.1, np.zeros((60, 80, 3), np.uint8))
    assert (image[patch.alpha == 0] == 0).all()
    assert (image[30, 40] == 255).all()
    edge = image[30, :41, 0].astype(int)
    assert (np.diff(edge) >= 0).all() and ((edge > 0) & (edge < 255)).sum() >= 4


def test_without_softening_the_edge_is_as_the_patch_has_it():
    patch = oval_patch()
    image = blended(patch, 0.0, np.zeros((60, 80, 3), np.uint8))
    assert np.array_equal(image[..., 0], patch.alpha)


def test_a_softer_edge_is_wider():
    patch, black = oval_patch(), np.zeros((60, 80, 3), np.uint8)
    narrow, wide = (blended(patch, soften, black)[30, :, 0] for soften in (0.05, 0.2))
    assert ((wide > 0) & (wide < 255)).sum() > ((narrow > 0) & (narrow < 255)).sum()


@pytest.mark.parametrize(("x", "y"), [(-1, 0), (31, 0), (0, 21), (200, 0)])
def test_a_patch_that_is_not_inside_the_picture_changes_nothing(x, y):
    image = picture(1)
    with pytest.raises(ValueError, match="is not inside"):
        Feather().blend(image, FACE, full_patch(x=x, y=y))
    assert np.array_equal(image, picture(1))
