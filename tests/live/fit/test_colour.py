"""The colour map against Reinhard's transfer done step by step, and how it is steadied."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.fit.colour import SMALL_PX, colour_map, eased, recoloured
from live.fit.place import small
from live.personas import open_persona

EVERYWHERE = np.full((SMALL_PX, SMALL_PX), 255, np.uint8)
SAME = np.eye(3, 4, dtype=np.float32)


@pytest.fixture(scope="module")
def skins(finder):
    """The middle of two portraits' faces, u8 [SMALL_PX, SMALL_PX, 3]."""
    pictures = []
    for name in ("lena", "nia"):
        persona = open_persona(f"sample:{name}", finder)
        x0, y0, x1, y1 = (int(v) for v in persona.face.box)
        inset = (x1 - x0) // 4
        pictures.append(small(persona.image[y0 + inset : y1 - inset, x0 + inset : x1 - inset], SMALL_PX))
    return pictures


def reinhard(new, old):
    """Step by step, in floats."""
    a, b = (cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_BGR2Lab) for picture in (new, old))
    lab = (a - a.mean((0, 1))) / a.std((0, 1)) * b.std((0, 1)) + b.mean((0, 1))
    return np.clip(cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_Lab2BGR) * 255, 0, 255)


@pytest.mark.parametrize("relit", [(1, 1, 1), (0.6, 0.6, 0.6), (0.8, 1, 1.15)])
def test_the_map_does_what_reinhards_transfer_does(skins, relit):
    new, old = skins[0], np.clip(skins[1] * np.array(relit), 0, 255).astype(np.uint8)
    off = recoloured(new, colour_map(new, old, EVERYWHERE)) - reinhard(new, old)
    assert np.abs(off).mean() < 1.5


def test_a_picture_in_the_right_colours_is_left_alone(skins):
    same = recoloured(skins[0], colour_map(skins[0], skins[0], EVERYWHERE))
    assert np.abs(same.astype(int) - skins[0]).max() <= 1


def test_only_what_is_seen_counts(skins):
    new, old = skins
    half = EVERYWHERE.copy()
    half[:, SMALL_PX // 2 :] = 0
    spoilt = old.copy()
    spoilt[:, SMALL_PX // 2 :] = (255, 0, 0)
    np.testing.assert_array_equal(colour_map(new, old, half), colour_map(new, spoilt, half))


def test_too_little_to_see_gives_no_map(skins):
    few = np.zeros_like(EVERYWHERE)
    few[:5, :5] = 255
    assert colour_map(*skins, few) is None


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.tuples(*[st.integers(0, 255)] * 3), st.sampled_from(["flat", "noise", "two"]))
def test_any_pictures_give_a_map_of_numbers(seed, colour, kind):
    dice = np.random.default_rng(seed)
    noise = dice.integers(0, 256, (SMALL_PX, SMALL_PX, 3)).astype(np.uint8)
    flat = np.full_like(noise, colour)
    new, old = {"flat": (flat, noise), "noise": (noise, flat), "two": (flat, flat // 2)}[kind]
    map = colour_map(new, old, EVERYWHERE)
    assert np.isfinite(map).all()
    if kind == "two":
        assert np.abs(recoloured(new, map).astype(int) - old).max() <= 2


def test_small_changes_are_taken_over_slowly_and_large_ones_at_once():
    little, much = SAME.copy(), SAME.copy()
    little[:, 3], much[:, 3] = 2, 60
    assert 0 < eased(SAME, little)[0, 3] < 0.6
    np.testing.assert_allclose(eased(SAME, much), much)
    np.testing.assert_array_equal(eased(SAME, SAME), SAME)
