"""Detail: a soft camera makes the new face as soft, a sharp one leaves it, one step at a time."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.fit.detail import Detail


def textured(size=(120, 100), seed=0):
    """A picture with detail of every size."""
    rng = np.random.default_rng(seed)
    picture = np.full((*size, 3), 128.0)
    for sigma, strength in ((0.8, 30), (2, 60), (5, 120)):
        noise = cv2.GaussianBlur(rng.normal(0, 1, size), (0, 0), sigma) * strength
        picture += noise[..., None]
    return np.clip(picture, 0, 255).astype(np.uint8)


def blurred(picture, sigma):
    return cv2.GaussianBlur(picture, (0, 0), sigma)


def after(new, here, frames=20):
    detail = Detail()
    for _ in range(frames):
        detail.compare(new, here)
    return detail.softness


def test_it_begins_as_sharp_as_the_portrait():
    assert Detail().softness == 1


def test_a_sharp_wearer_keeps_the_face_sharp():
    assert after(textured(), textured()) == 1
    assert after(blurred(textured(), 1.5), textured()) == 1  # sharper than the portrait: not sharpened


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.5])
def test_a_soft_wearer_softens_the_face(sigma):
    assert after(textured(), blurred(textured(), sigma)) > 1.2


def test_it_rests_where_both_are_as_soft():
    """The new face is drawn as soft as asked: the answer settles, and near what the wearer is."""
    here, detail, seen = blurred(textured(seed=1), 1.5), Detail(), []
    for _ in range(200):
        detail.compare(blurred(textured(), 0.9 * detail.softness) if detail.softness > 1.02 else textured(), here)
        seen.append(detail.softness)
    assert 1.2 < seen[-1] < 2.2
    assert np.ptp(seen[-40:]) < 0.15


def test_it_returns_when_the_camera_is_sharp_again():
    detail = Detail()
    for _ in range(10):
        detail.compare(textured(), blurred(textured(), 2))
    soft = detail.softness
    for _ in range(90):
        detail.compare(blurred(textured(), 1.5), textured())
    assert soft > 1.2 and detail.softness == 1


def test_it_is_bounded():
    assert after(textured(), blurred(textured(), 8), frames=200) == 3


def test_later_steps_are_small():
    detail = Detail()
    for _ in range(40):
        detail.compare(textured(), textured())
    steps = [detail.softness]
    for _ in range(30):
        detail.compare(textured(), blurred(textured(), 0.7))
        steps.append(detail.softness)
    ratios = np.array(steps[1:]) / steps[:-1]
    assert steps[-1] < 3 and ratios.max() < 1.2
    assert (ratios != 1).sum() == 10  # two frames of three are not measured


def test_a_tiny_patch_says_nothing():
    assert after(textured((23, 200)), blurred(textured((23, 200)), 3)) == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 255), st.integers(0, 255), st.integers(1, 60), st.integers(1, 60))
def test_flat_pictures_of_any_size_do_no_harm(new, here, rows, columns):
    detail = Detail()
    for _ in range(3):
        detail.compare(np.full((rows, columns, 3), new, np.uint8), np.full((rows, columns, 3), here, np.uint8))
    assert 1 <= detail.softness <= 3
