"""Light: a gradient comes over, a beard does not set the tone, noise does not flicker, a new exposure is followed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.align import OVAL
from live.swappers.mesh.atlas import LOG_FROM
from live.swappers.mesh.light import GRID_PX, Lamp, Light, log_paler, paler

SEEN = np.ones(468, np.float32)
TONE = (110, 140, 190)


@pytest.fixture(scope="module")
def lit(skull, uv):
    return Light(skull, skull.normals(skull.canonical), uv)


def logs(*colour):
    """The logarithms of a flat face: float32 [468, 3]."""
    return np.tile(np.log(np.array(colour, np.float32) + LOG_FROM), (468, 1))


def gain(lit, wearer, colours=None, lamp=None, light=1.0, complexion=0.0, seen=SEEN, skin=SEEN):
    colours = logs(*TONE) if colours is None else colours
    lamp = Lamp() if lamp is None else lamp
    return lit.gain(wearer, seen, colours, skin, lamp, light=light, complexion=complexion)


def at(gains, uv, points):
    """The gain at points of the mesh: float [n, 3]."""
    x, y = np.clip(uv[points] * GRID_PX, 0, GRID_PX - 1).astype(int).T
    return gains[y, x]


CHEEKS = [50, 280, 101, 330]
FACE = [4, 5, 9, 50, 280, 101, 330, 205, 425, 151, 199]


def test_the_own_colours_need_no_gain(lit, skull):
    assert np.abs(gain(lit, logs(*TONE)) - 1).max() < 1e-3


@pytest.mark.parametrize("wearer", [(55, 70, 95), (200, 200, 200), (60, 90, 160), (20, 25, 40)])
def test_a_flat_face_of_another_colour_is_met(lit, uv, wearer):
    expected = (np.array(wearer) + 4) / (np.array(TONE) + 4)
    np.testing.assert_allclose(at(gain(lit, logs(*wearer)), uv, FACE), np.tile(expected, (len(FACE), 1)), rtol=0.06)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_gradient_over_the_face_comes_over(lit, skull, uv, axis):
    slope = 0.5 * lit.normals[:, axis : axis + 1]
    wearer = logs(*TONE) + slope.astype(np.float32)
    points = [50, 280, 205, 425, 9, 199, 151]
    found = np.log(at(gain(lit, wearer), uv, points)).mean(1)
    np.testing.assert_allclose(found, slope[points, 0], atol=0.1)
    assert np.corrcoef(found, slope[points, 0])[0, 1] > 0.9


def test_light_from_one_side_in_centimetres_comes_over(lit, skull, uv):
    wearer = logs(*TONE) + (0.06 * skull.canonical[:, :1]).astype(np.float32)
    cheeks, rim = (np.log(at(gain(lit, wearer), uv, pair)).mean(1) for pair in ([50, 280], [234, 454]))
    # Light follows the normals, which hardly turn over a cheek: a part of such a slope is met.
    for pair, apart in ((cheeks, [50, 280]), (rim, [234, 454])):
        assert 0.4 < (pair[1] - pair[0]) / (0.06 * np.ptp(skull.canonical[apart, 0])) < 1.1


def test_no_light_is_no_gain_and_half_lies_between(lit, uv):
    wearer = logs(55, 70, 95)
    assert (gain(lit, wearer, light=0.0) == 1).all()
    none, half, whole = (np.log(at(gain(lit, wearer, light=light), uv, FACE)) for light in (0, 0.5, 1))
    np.testing.assert_allclose(half, (none + whole) / 2, atol=1e-4)


def test_a_beard_does_not_change_the_tone_of_the_cheeks(lit, skull, uv):
    beard = (skull.canonical[:, 1] > 2.5)[:, None]
    wearer = np.where(beard, logs(25, 30, 35), logs(*TONE)).astype(np.float32)
    shaven = gain(lit, logs(*TONE))
    bearded = gain(lit, wearer)
    assert np.abs(np.log(at(bearded, uv, [*CHEEKS, 4, 9])) - np.log(at(shaven, uv, [*CHEEKS, 4, 9]))).max() < 0.12


def test_what_is_not_seen_does_not_count(lit, skull, uv):
    half = skull.canonical[:, 0] > 0
    wearer = np.where(half[:, None], logs(255, 0, 255), logs(*TONE)).astype(np.float32)
    found = gain(lit, wearer, seen=np.where(half, 0, 1).astype(np.float32))
    assert np.abs(np.log(at(found, uv, [50, 101, 205]))).max() < 0.03


def test_eyes_brows_and_lips_do_not_count(lit, skull, uv):
    wearer = logs(*TONE)
    features = np.flatnonzero(lit._plain == 0)
    inner = features[skull.from_rim_cm[features] > 1]
    wearer[inner] = np.log(5.0)
    assert len(inner) > 80
    assert np.abs(gain(lit, wearer) - 1).max() < 0.02


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 1.0, 5.0]), st.floats(0, 1), st.floats(0, 1))
def test_whatever_is_seen_the_gain_is_bounded(lit, seed, spread, light, complexion):
    rng = np.random.default_rng(seed)
    wearer = (logs(*TONE) + rng.normal(0, spread, (468, 3))).astype(np.float32)
    seen, skin = (rng.uniform(0, 1, 468).astype(np.float32) for _ in range(2))
    found = gain(lit, wearer, light=light, complexion=complexion, seen=seen, skin=skin)
    assert found.shape == (GRID_PX, GRID_PX, 3) and found.dtype == np.float32
    assert np.isfinite(found).all()
    assert found.min() > 0.19 and found.max() < 5


def test_a_face_of_which_nothing_is_seen_is_lit_by_something_finite(lit):
    assert np.isfinite(gain(lit, logs(0, 0, 0), seen=np.zeros(468, np.float32))).all()


def test_noise_does_not_flicker(lit, uv):
    rng, lamp, gains = np.random.default_rng(0), Lamp(), []
    for _ in range(60):
        wearer = (logs(80, 100, 140) + rng.normal(0, 0.1, (468, 3))).astype(np.float32)
        gains.append(np.log(at(gain(lit, wearer, lamp=lamp), uv, FACE)))
    assert np.abs(np.diff(gains[10:], axis=0)).max() < 0.02
    assert np.std(gains[10:], axis=0).max() < 0.02


def test_a_glimpse_of_something_else_hardly_shows(lit, skull, uv):
    """One frame in which a third of the face is another colour."""
    lamp, plain = Lamp(), logs(80, 100, 140)
    for _ in range(20):
        before = gain(lit, plain, lamp=lamp)
    odd = np.where((skull.canonical[:, 0] > 2)[:, None], logs(20, 200, 20), plain).astype(np.float32)
    after = gain(lit, odd, lamp=lamp)
    assert np.abs(np.log(at(after, uv, [50, 101, 4, 9])) - np.log(at(before, uv, [50, 101, 4, 9]))).max() < 0.15


@pytest.mark.parametrize("factor", [0.5, 1.6])
def test_a_new_exposure_is_followed_quickly(lit, uv, factor):
    lamp = Lamp()
    for _ in range(20):
        gain(lit, logs(*TONE), lamp=lamp)
    wanted = logs(*(np.array(TONE) * factor))
    for _ in range(2):
        found = gain(lit, wanted, lamp=lamp)
    assert np.abs(np.log(at(found, uv, CHEEKS)) - (wanted - logs(*TONE))[0]).max() < 0.25 * abs(np.log(factor))


def test_a_slow_change_is_followed_too(lit, uv):
    lamp = Lamp()
    for i in range(90):
        wanted = logs(*(np.array(TONE) * (1 - 0.3 * min(i, 60) / 60)))
        found = gain(lit, wanted, lamp=lamp)
        assert np.abs(np.log(at(found, uv, CHEEKS)) - (wanted - logs(*TONE))[0]).max() < 0.06


def test_the_rim_meets_the_wearers_skin_whatever_complexion_is_kept(lit, uv):
    wearer = logs(60, 80, 120)
    wanted = (wearer - logs(*TONE))[0]
    found = np.log(gain(lit, wearer, complexion=1.0))
    np.testing.assert_allclose(at(found, uv, list(OVAL)), np.tile(wanted, (len(OVAL), 1)), atol=0.15)
    assert (np.abs(at(found, uv, [4, 5])) < 0.7 * np.abs(wanted)).all()


def test_of_a_wearer_in_a_strange_light_little_hue_is_kept(lit, uv):
    """A blue lamp: the hue is the lamp's, not the complexion's; at most a small part is kept."""
    wearer = logs(230, 90, 60)
    found = np.log(at(gain(lit, wearer, complexion=1.0), uv, [4, 5]))
    wanted = (wearer - logs(*TONE))[0]
    hue_found, hue_wanted = found - found.mean(1, keepdims=True), wanted - wanted.mean()
    assert np.abs(hue_found - hue_wanted).max() < 0.2


def test_a_grey_film_makes_a_brown_face_paler(lit):
    grey, brown = logs(120, 122, 124), logs(50, 80, 140)
    assert lit.pale(grey, SEEN, brown, SEEN, Lamp()) < 0.1
    assert lit.pale(brown, SEEN, brown, SEEN, Lamp()) == 1
    assert lit.pale(logs(30, 80, 200), SEEN, logs(110, 122, 135), SEEN, Lamp()) == 1


def test_pale_follows_slowly_once_there_was_a_frame_and_only_by_what_is_seen(lit):
    grey, brown, lamp = logs(120, 122, 124), logs(50, 80, 140), Lamp()
    lit.pale(brown, SEEN, brown, SEEN, lamp)
    gain(lit, brown, colours=brown, lamp=lamp)
    assert lit.pale(grey, SEEN, brown, SEEN, lamp) > 0.9
    assert lit.pale(grey, np.zeros(468, np.float32), brown, SEEN, lamp) > 0.9
    for _ in range(120):
        keep = lit.pale(grey, SEEN, brown, SEEN, lamp)
    assert keep < 0.15


@pytest.mark.parametrize("keep", [0.0, 0.4, 1.0])
def test_paler_greys_the_colours_and_leaves_the_opacity(keep):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 4), np.uint8)
    before = pixels.copy()
    pale = paler(pixels, keep)
    grey = pixels[..., :3] @ np.array([0.114, 0.587, 0.299])
    expected = grey[..., None] + (pixels[..., :3] - grey[..., None]) * keep
    assert np.abs(pale[..., :3] - expected).max() <= 1
    assert np.array_equal(pale[..., 3], pixels[..., 3]) and np.array_equal(pixels, before)


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(0, 255)] * 3), st.floats(0, 1))
def test_paler_logarithms_are_those_of_paler_colours(colour, keep):
    pixel = np.array([[[*colour, 255]]], np.uint8)
    expected = paler(pixel, keep)[0, 0, :3].astype(float)
    found = np.exp(log_paler(np.log(np.array([colour], np.float32) + LOG_FROM), keep)) - LOG_FROM
    np.testing.assert_allclose(found[0], expected, atol=1.1)
