"""Shapes: the head's pose is found, expressions are taken out, the way to the persona leaves rim and lids whole."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from live.align import LIDS, OVAL
from live.swappers.mesh.shape import Head, Own, openings, towards

FORWARD = Head(30.0, np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
SIDEWAYS = replace(FORWARD, turn=cv2.Rodrigues(np.array([0.0, 1.0, 0.0]))[0].astype(np.float32))
UPPER, LOWER = (np.array([pair[k] for pairs in LIDS for pair in pairs]) for k in (0, 1))
UPPER_LIP, LOWER_LIP = [82, 13, 312, 81, 311, 80, 310, 191, 415], [87, 14, 317, 178, 402, 88, 318, 95, 324]
ANGLE = st.floats(-60, 60)


def turned(yaw, pitch, roll):
    """The rotation of these angles in degrees, one axis after the other."""
    turn = np.eye(3)
    for axis, angle in ((1, yaw), (0, pitch), (2, roll)):
        around = np.zeros(3)
        around[axis] = np.radians(angle)
        turn = cv2.Rodrigues(around)[0] @ turn
    return turn


def with_opening(shape, part):
    """The shape with its lids this part as far apart as they are."""
    shape = shape.copy()
    middle, half = (shape[UPPER] + shape[LOWER]) / 2, (shape[UPPER] - shape[LOWER]) / 2
    shape[UPPER], shape[LOWER] = middle + half * part, middle - half * part
    return shape


def with_shut_mouth(shape):
    shape = shape.copy()
    shape[UPPER_LIP] = shape[LOWER_LIP] = (shape[UPPER_LIP] + shape[LOWER_LIP]) / 2
    return shape


def widened(shape, x=1.0, y=1.0):
    """Another person: the same face wider or longer."""
    return (shape * np.array([x, y, 1], np.float32)).astype(np.float32)


def known(shape):
    """A wearer whose own shape and eyes are known to be these."""
    own = Own()
    own.learn(shape, shape, FORWARD)
    own.opening = openings(shape)
    return own


@settings(max_examples=60, deadline=None)
@given(ANGLE, ANGLE, ANGLE, st.floats(2, 90), st.floats(-500, 2000), st.floats(-500, 2000))
def test_the_pose_of_a_head_is_found_wherever_it_is(skull, yaw, pitch, roll, scale, x, y):
    turn = turned(yaw, pitch, roll)
    mesh = (scale * skull.canonical @ turn.T + (x, y, 0)).astype(np.float32)
    head = skull.head(mesh)
    assert head.scale == pytest.approx(scale, rel=1e-3)
    np.testing.assert_allclose(head.turn, turn, atol=2e-3)
    np.testing.assert_allclose(head.shift, (x, y, 0), atol=0.05 * scale)
    np.testing.assert_allclose(head.shape(mesh), skull.canonical, atol=0.02)


@settings(max_examples=30, deadline=None)
@given(ANGLE, st.integers(0, 1000))
def test_a_turn_is_a_rotation_even_when_the_mesh_is_noisy_or_mirrored(skull, yaw, seed):
    mesh = 30 * skull.canonical @ turned(yaw, 0, 0).T + np.random.default_rng(seed).normal(0, 5, (468, 3))
    for sign in (1, -1):
        turn = skull.head((mesh * (sign, 1, 1)).astype(np.float32)).turn
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-4)
        assert np.linalg.det(turn) == pytest.approx(1, abs=1e-4)


def test_a_dropped_jaw_and_raised_brows_hardly_turn_the_head(skull):
    mesh = 30 * skull.canonical
    jaw = skull.canonical[:, 1] > 3.5
    mesh[jaw, 1] += 30 * 1.5
    mesh[[70, 63, 105, 66, 107, 336, 296, 334, 293, 300], 1] -= 30 * 0.7
    head = skull.head(mesh.astype(np.float32))
    angle = np.degrees(np.arccos(np.clip((np.trace(head.turn) - 1) / 2, -1, 1)))
    assert angle < 2.5 and head.scale == pytest.approx(30, rel=0.03)


def test_a_difference_of_shapes_comes_to_where_the_other_shape_is(skull):
    mesh = (25 * skull.canonical @ turned(20, -10, 5).T + (300, 200, 0)).astype(np.float32)
    head = skull.head(mesh)
    wanted = widened(skull.canonical, 1.1, 0.9)
    new = mesh + head.moved(wanted - skull.canonical)
    np.testing.assert_allclose(head.shape(new), wanted, atol=0.02)


@settings(max_examples=20, deadline=None)
@given(arrays(np.float32, (468, 3), elements=st.floats(-9, 9, width=32)))
def test_mirrored_twice_is_the_same(skull, shape):
    np.testing.assert_array_equal(skull.mirrored(skull.mirrored(shape)), shape)


def test_the_mirror_image_of_an_even_face_is_itself(skull):
    np.testing.assert_allclose(skull.mirrored(skull.canonical), skull.canonical, atol=0.05)
    assert skull.mirror[33] == 263 and skull.mirror[61] == 291 and skull.mirror[4] == 4


def test_the_rim_stays_and_the_middle_goes_the_whole_way(skull):
    rim = np.isin(np.arange(468), OVAL)
    assert (skull.inner[rim] == 0).all() and (skull.from_rim_cm[rim] == 0).all()
    assert (skull.inner[~rim] > 0).all()
    assert (skull.inner[[4, 1, 6, 13, 14]] == 1).all()


def test_normals_point_outward(skull):
    normals = skull.normals(skull.canonical)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-4)
    assert normals[4, 2] < -0.5  # the nose looks at the camera
    assert normals[234, 0] < -0.5 and normals[454, 0] > 0.5


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_usual_expressions_are_mostly_taken_out(expressions, calm, sign):
    mean, ways = expressions
    left = [np.linalg.norm(calm(mean + sign * way) - mean) / np.linalg.norm(way) for way in ways]
    assert left[0] < 0.45 and max(left) < 1  # the most usual first
    several = sign * ways[:4].sum(0)
    assert np.linalg.norm(calm(mean + several) - mean) < 0.55 * np.linalg.norm(several)


def test_what_is_a_persons_own_stays(expressions, calm):
    mean, _ = expressions
    np.testing.assert_allclose(calm(mean), mean, atol=1e-4)
    for own in (widened(mean, 1.08) - mean, widened(mean, y=1.08) - mean):
        kept = calm(mean + own) - mean
        assert (kept * own).sum() > 0.6 * (own**2).sum()


def test_the_wearers_shape_is_learned_out_of_noise(skull):
    own, rng = Own(), np.random.default_rng(0)
    for _ in range(100):
        seen = (skull.canonical + rng.normal(0, 0.2, (468, 3))).astype(np.float32)
        own.learn(seen, seen, FORWARD)
    assert np.abs(own.shape - skull.canonical).mean() < 0.03


def test_a_change_is_taken_over_in_some_seconds(skull):
    own, other = known(skull.canonical), widened(skull.canonical, 1.1)
    for _ in range(600):
        own.learn(other, other, FORWARD)
    assert np.abs(own.shape - other).max() < 0.1 * np.abs(skull.canonical - other).max()


@pytest.mark.parametrize("worse", ["turned away", "mouth wide open"])
def test_frames_that_show_less_count_less(skull, worse):
    wrong = widened(skull.canonical, 1.1)
    now = wrong.copy()
    if worse == "mouth wide open":
        now[14, 1] += 2
    own = known(skull.canonical)
    for _ in range(50):
        own.learn(skull.canonical, with_shut_mouth(skull.canonical), FORWARD)
        own.learn(wrong, now, SIDEWAYS if worse == "turned away" else FORWARD)
    assert np.abs(own.shape - skull.canonical).max() < 0.1 * np.abs(wrong - skull.canonical).max()


def test_blinks_do_not_make_the_eyes_smaller(skull):
    usual = openings(skull.canonical)
    own = known(skull.canonical)
    for i in range(300):
        seen = with_opening(skull.canonical, 0.1) if i % 30 < 5 else skull.canonical
        own.learn(seen, seen, FORWARD)
    assert (own.opening > 0.9 * usual).all() and (own.opening < 1.01 * usual).all()


def test_eyes_that_are_shut_at_first_are_not_taken_for_small_ones(skull):
    own, shut = Own(), with_opening(skull.canonical, 0.05)
    own.learn(shut, shut, FORWARD)
    assert (own.opening > 0.4).all()
    for _ in range(60):
        own.learn(skull.canonical, skull.canonical, FORWARD)
    assert (own.opening > 0.9 * openings(skull.canonical)).all()


def test_what_is_learned_is_not_the_callers_array(skull):
    seen = skull.canonical.copy()
    own = known(seen)
    own.learn(widened(seen, 1.2), seen, FORWARD)
    np.testing.assert_array_equal(seen, skull.canonical)


def test_nobody_goes_anywhere_to_be_themselves(skull):
    step = towards(skull, skull.canonical, known(skull.canonical), skull.canonical, 1.0)
    assert np.abs(step[np.setdiff1d(np.arange(468), UPPER_LIP + LOWER_LIP)]).max() < 1e-3


def test_the_face_goes_to_the_personas_shape_and_the_rim_stays(skull):
    persona = widened(skull.canonical, 1.1, 1.05)
    step = towards(skull, persona, known(skull.canonical), skull.canonical, 1.0)
    rim = list(OVAL)
    assert (step[rim] == 0).all()
    for point in (129, 358, 2):  # the nose's wings and foot: no lid, lip or brow
        expected = (persona - skull.canonical)[point, :2] * skull.inner[point]
        np.testing.assert_allclose(step[point, :2], expected, atol=1e-4)
    assert step.dtype == np.float32


def test_half_the_strength_is_half_the_way(skull):
    persona, own = widened(skull.canonical, 1.1), known(skull.canonical)
    whole, half = (towards(skull, persona, own, skull.canonical, strength) for strength in (1.0, 0.5))
    np.testing.assert_allclose(half, whole / 2, atol=1e-6)
    assert not towards(skull, persona, own, skull.canonical, 0.0).any()


@pytest.mark.parametrize("eyes", [0.6, 1.0, 1.6])
def test_shut_lids_stay_shut_whatever_eyes_the_persona_has(skull, eyes):
    persona = with_opening(skull.canonical, eyes)
    own = known(skull.canonical)
    for part in (0.3, 0.0):  # the net leaves a third of a shut eye open
        shut = with_opening(skull.canonical, part)
        new = shut + towards(skull, persona, own, shut, 1.0)
        assert (openings(new) < 0.05).all()


@pytest.mark.parametrize("eyes", [0.7, 1.0, 1.3])
def test_open_eyes_are_as_open_as_the_personas(skull, eyes):
    persona = with_opening(skull.canonical, eyes)
    step = towards(skull, persona, known(skull.canonical), skull.canonical, 1.0)
    np.testing.assert_allclose(openings(skull.canonical + step), openings(persona), rtol=0.06)


def test_lids_never_open_while_they_shut(skull):
    """The new opening rises with the wearer's: no jump on the way."""
    persona, own = with_opening(skull.canonical, 1.3), known(skull.canonical)
    new = []
    for part in np.linspace(0, 1.2, 40):
        now = with_opening(skull.canonical, part)
        new.append(openings(now + towards(skull, persona, own, now, 1.0)))
    steps = np.diff(new, axis=0)
    assert steps.min() > -1e-4 and steps.max() < 0.15 * openings(persona).max()


def test_a_shut_mouth_stays_shut_and_an_open_one_as_open(skull, expressions):
    mean, ways = expressions
    persona, own = mean + ways[0] * 2, known(skull.canonical)
    for gape in (0.0, 0.5, 3.0):
        now = with_shut_mouth(skull.canonical)
        now[LOWER_LIP, 1] += gape
        new = now + towards(skull, persona, own, now, 1.0)
        apart = np.linalg.norm(new[UPPER_LIP] - new[LOWER_LIP], axis=1)
        np.testing.assert_allclose(apart, gape, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 1.0, 10.0, 1000.0]), st.floats(0, 1.5))
def test_no_point_goes_farther_than_allowed(skull, seed, spread, strength):
    rng = np.random.default_rng(seed)
    persona, own, now = ((skull.canonical + rng.normal(0, spread, (468, 3))).astype(np.float32) for _ in range(3))
    step = towards(skull, persona, known(own), now, strength)
    assert np.isfinite(step).all()
    assert np.linalg.norm(step, axis=1).max() <= 1.2 * strength + 1e-4
    assert (step[list(OVAL)] == 0).all()


def test_what_was_learned_and_the_persona_are_left_alone(skull):
    persona, own = widened(skull.canonical, 1.1), known(skull.canonical)
    now, before = skull.canonical.copy(), (persona.copy(), own.shape.copy(), own.opening.copy())
    towards(skull, persona, own, now, 1.0)
    for one, other in zip((persona, own.shape, own.opening), before, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(now, skull.canonical)
