"""The atlas: sizes, filling, hair left out, the hidden half taken from the mirror or from another view."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from live.align import OVAL, face_from_mesh
from live.frame import Persona, View
from live.swappers.mesh import atlas as atlas_module
from live.swappers.mesh.atlas import COLOUR_PX, face_px, fill, log_colours, make_atlas, sample

SIDE, SCALE = 480, 20.0  # the picture of a painted face, and its pixels a centimetre
TONE = (110, 140, 190)


def painted(skull, paint=lambda x, y: None, yaw=0.0, tone=TONE, scale=SCALE, background=(40, 40, 40)):
    """A view of the canonical face, turned by `yaw` degrees, painted in its own coordinates.

    `paint(x, y)` answers (where, colour) for centimetres on the face (x to the right, y down), or None.
    """
    turn = cv2.Rodrigues(np.array([0, np.radians(yaw), 0]))[0]
    mesh = (scale * skull.canonical @ turn.T + (SIDE / 2, SIDE / 2, 0)).astype(np.float32)
    image = np.full((SIDE, SIDE, 3), background, np.uint8)
    oval = cv2.convexHull(mesh[:, :2].round().astype(np.int32))
    cv2.fillConvexPoly(image, oval, tone)
    y, x = (np.mgrid[:SIDE, :SIDE] - SIDE / 2) / scale
    for where, colour in [paint(x, y)] if paint(x, y) is not None else []:
        image[where] = colour
    return View(image, face_from_mesh(mesh, 1.0))


def atlas_of(skull, uv, *views):
    return make_atlas(Persona("painted", views), skull, uv)


def at(atlas, uv, point):
    """The texel (BGR and opacity) of the largest atlas at this point of the mesh."""
    n = atlas.sizes[0].shape[0]
    x, y = np.clip(np.round(uv[point] * n - 0.5).astype(int), 0, n - 1)
    return atlas.sizes[0][y, x].astype(int)


def test_sizes_fall_by_steps_and_are_square(skull, uv, portrait):
    atlas = make_atlas(portrait, skull, uv)
    sides = [one.shape[0] for one in atlas.sizes]
    assert all(one.shape == (n, n, 4) and one.dtype == np.uint8 for one, n in zip(atlas.sizes, sides, strict=True))
    assert sides[0] == int(1.3 * face_px(portrait.face))
    assert sides[-1] < 30
    ratios = np.array(sides[:-1]) / sides[1:]
    np.testing.assert_allclose(ratios, 2**0.25, rtol=0.03)


def test_the_largest_size_has_bounds(skull, uv, portrait, monkeypatch):
    image = cv2.resize(portrait.image, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA)
    small = View(image, face_from_mesh((portrait.face.mesh * np.float32(0.2)).astype(np.float32), 1.0))
    assert atlas_of(skull, uv, small).sizes[0].shape[0] == 192
    assert atlas_module._LARGEST_PX == 800
    monkeypatch.setattr(atlas_module, "_LARGEST_PX", 256)
    assert make_atlas(portrait, skull, uv).sizes[0].shape[0] == 256


def test_the_smallest_size_that_is_large_enough_is_picked(skull, uv, portrait):
    atlas = make_atlas(portrait, skull, uv)
    sides = [one.shape[0] for one in atlas.sizes]
    for wanted in (1, 24.4, 50, 100, 200.5, sides[0]):
        got = atlas.pick(wanted).shape[0]
        assert got >= min(wanted, sides[0]) - 1
        assert got == sides[-1] or got < wanted * 2**0.25 * 1.05
    assert atlas.pick(1e6).shape[0] == sides[0] and atlas.pick(0).shape[0] == sides[-1]


def test_colours_and_skin_are_finite_and_within_bounds(skull, uv, portrait, other):
    for persona in (portrait, other):
        atlas = make_atlas(persona, skull, uv)
        assert atlas.colours.shape == (468, 3) and np.isfinite(atlas.colours).all()
        assert atlas.skin.shape == (468,) and (atlas.skin >= 0).all() and (atlas.skin <= 1.001).all()
        assert np.isfinite(atlas.shape).all()
        assert atlas.skin[[4, 50, 280, 9]].min() > 0.9  # plain skin
        assert atlas.skin[[13, 14]].max() < 0.9 or persona is portrait  # lips are of another colour


@pytest.mark.parametrize("tone", [(0, 0, 0), (255, 255, 255), (8, 8, 30), TONE])
def test_any_flat_face_becomes_a_flat_opaque_atlas(skull, uv, tone):
    atlas = atlas_of(skull, uv, painted(skull, tone=tone, background=tone))
    for size in atlas.sizes:
        assert np.abs(size[..., :3].astype(int) - tone).max() <= 1
        assert size[..., 3].min() > 250
    np.testing.assert_allclose(atlas.colours, np.tile(np.log(np.array(tone) + 4.0), (468, 1)), atol=0.02)


def test_the_shape_is_the_faces_without_its_pose(skull, uv):
    atlas = atlas_of(skull, uv, painted(skull))
    np.testing.assert_allclose(atlas.shape, skull.canonical, atol=0.03)


def test_a_turned_views_hidden_half_gets_the_shape_of_the_other(skull, uv):
    """A cheek that is wrong where it was not seen is mended."""
    turned = painted(skull, yaw=50)
    seen = -skull.normals(turned.face.mesh)[:, 2]
    wrong = turned.face.mesh.copy()
    hidden = seen < seen[skull.mirror] - 0.6
    wrong[hidden, 0] += 20
    face = face_from_mesh(wrong, 1.0)
    atlas = atlas_of(skull, uv, replace(turned, face=face))
    kept = skull.head(wrong).shape(wrong)
    assert hidden.sum() > 30
    off, before = (np.linalg.norm((s - skull.canonical)[hidden], axis=1).mean() for s in (atlas.shape, kept))
    assert off < 0.65 * before


def fringe(x, y):
    return y < -5.8, (15, 15, 15)


def test_a_fringe_is_left_to_the_wearer_and_plain_skin_is_drawn(skull, uv):
    atlas = atlas_of(skull, uv, painted(skull, fringe))
    under = np.flatnonzero((skull.canonical[:, 1] < -6.3) & (skull.from_rim_cm > 1))
    assert len(under) >= 5
    for point in under:
        assert at(atlas, uv, point)[3] < 70
        assert atlas.skin[point] < 0.2
        assert at(atlas, uv, point)[:3].min() > 60  # no black that could bleed into the brow's skin
    for point in (4, 50, 280, 205, 425, 9):
        assert at(atlas, uv, point)[3] > 250
        assert np.abs(at(atlas, uv, point)[:3] - TONE).max() <= 2


def test_a_bare_forehead_is_drawn(skull, uv):
    atlas = atlas_of(skull, uv, painted(skull))
    for point in (10, 151, 109, 338):
        assert at(atlas, uv, point)[3] > 240


def test_a_beard_is_the_personas_and_is_drawn(skull, uv):
    atlas = atlas_of(skull, uv, painted(skull, lambda x, y: ((y > 4) & (y < 8.6), (25, 30, 35))))
    for point in (200, 199, 18):
        assert at(atlas, uv, point)[3] > 200
        assert at(atlas, uv, point)[:3].max() < 60
    assert atlas.skin[199] < 0.3  # but it says nothing of the tone


SPOT = 50, 280  # cheeks: the person's right one and its mirror image


def cheek(skull, point, colour=(200, 60, 60)):
    x0, y0 = skull.canonical[point, :2]
    return lambda x, y: (np.hypot(x - x0, y - y0) < 1.2, colour)


def test_the_half_that_is_turned_away_is_taken_from_the_mirror(skull, uv):
    """Turned so far that one cheek is not seen, and its place is painted green: the other cheek's tone is shown."""
    turned = painted(skull, yaw=55)
    normals = skull.normals(turned.face.mesh)
    near, far = sorted(SPOT, key=lambda point: normals[point, 2])
    assert -normals[near, 2] > 0.6 > 0.3 > -normals[far, 2]
    seen = -normals[:, 2]
    away = np.flatnonzero((seen < 0.1) & (seen[skull.mirror] > 0.6))
    image = turned.image.copy()
    for i in away:
        cv2.circle(image, [int(v) for v in turned.face.mesh[i, :2].round()], 2, (0, 255, 0), -1)
    atlas = atlas_of(skull, uv, View(image, turned.face))
    dots, twins = (turned.face.mesh[i, :2] for i in (away, skull.mirror[away]))
    clean = np.linalg.norm(dots[:, None] - twins, axis=2).min(0) > 9  # no dot lies on what is seen of the twin
    clean &= skull.from_rim_cm[away] > 0.6
    assert clean.sum() > 10
    for i in away[clean]:
        shown = at(atlas, uv, i)[:3]
        assert np.linalg.norm(shown - TONE) < 0.6 * np.linalg.norm(shown - np.array([0, 255, 0]))


def test_a_straight_views_cheeks_are_not_mixed(skull, uv):
    atlas = atlas_of(skull, uv, painted(skull, cheek(skull, 50)))
    assert np.abs(at(atlas, uv, 50)[:3] - (200, 60, 60)).max() < 12
    assert np.abs(at(atlas, uv, 280)[:3] - TONE).max() < 12


def test_a_second_view_fills_what_the_first_does_not_show(skull, uv):
    """The mole on the far cheek is seen in the second view only; what the first shows well stays."""
    first = painted(skull, yaw=55)
    normals = skull.normals(first.face.mesh)
    near, far = sorted(SPOT, key=lambda point: normals[point, 2])
    second = painted(skull, yaw=-35)
    image = second.image.copy()
    centre = [int(v) for v in second.face.mesh[far, :2].round()]
    cv2.circle(image, centre, 14, (60, 60, 60), -1)
    alone = atlas_of(skull, uv, first)
    both = atlas_of(skull, uv, first, View(image, second.face))
    assert np.abs(at(alone, uv, far)[:3] - TONE).max() < 15
    assert at(both, uv, far)[2] < at(alone, uv, far)[2] - 40
    assert np.abs(at(both, uv, near)[:3] - TONE).max() < 15


def test_a_second_view_in_other_light_is_brought_to_the_firsts(skull, uv):
    first, second = painted(skull, yaw=50), painted(skull, yaw=-50, tone=(70, 90, 120))
    atlas = atlas_of(skull, uv, first, second)
    for point in (*SPOT, 4, 205, 425):
        assert np.abs(at(atlas, uv, point)[:3] - TONE).max() < 8


def test_between_shut_lids_there_is_skin_not_iris(skull, uv):
    x0, y0 = skull.canonical[[159, 145], :2].mean(0)
    atlas = atlas_of(skull, uv, painted(skull, lambda x, y: (np.hypot(x - x0, y - y0) < 0.12, (0, 0, 0))))
    n = atlas.sizes[0].shape[0]
    x, y = (uv[[159, 145]].mean(0) * n).astype(int)
    assert np.abs(atlas.sizes[0][y, x, :3].astype(int) - TONE).max() < 12


def test_a_view_without_mesh_is_refused(skull, uv):
    view = painted(skull)
    with pytest.raises(ValueError, match="mesh"):
        atlas_of(skull, uv, view, View(view.image, replace(view.face, mesh=None)))


def test_a_face_that_reaches_out_of_its_portrait_is_finite_and_drawn(skull, uv, portrait):
    x0, y0, x1, y1 = (int(v) for v in portrait.face.box)
    cut = portrait.image[y0 + (y1 - y0) // 5 :, x0 + (x1 - x0) // 5 :]
    shift = np.array([x0 + (x1 - x0) // 5, y0 + (y1 - y0) // 5, 0], np.float32)
    atlas = atlas_of(skull, uv, View(np.ascontiguousarray(cut), face_from_mesh(portrait.face.mesh - shift, 1.0)))
    assert np.isfinite(atlas.colours).all()
    assert at(atlas, uv, 4)[3] > 250


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))),
    st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255)),
)
def test_filling_a_flat_picture_changes_nothing_and_keeps_what_is_known(known, colour):
    picture = np.full((*known.shape, 3), colour, np.uint8)
    wrong = picture.copy()
    wrong[~known] = 255 - wrong[~known]
    answer = fill(wrong, known)
    assert answer.shape == picture.shape and answer.dtype == np.uint8
    if known.any():
        assert np.abs(answer[known].astype(int) - colour).max() <= 1


def test_holes_get_the_colours_around_them():
    picture = np.zeros((60, 60, 3), np.uint8)
    picture[:, :30], picture[:, 30:] = 50, 200
    known = np.ones((60, 60), bool)
    known[20:40, 5:15] = known[20:40, 45:55] = False
    picture[~known] = 255
    answer = fill(picture, known)
    assert np.abs(answer[25:35, 7:13].astype(int) - 50).max() < 20
    assert np.abs(answer[25:35, 47:53].astype(int) - 200).max() < 20
    np.testing.assert_array_equal(answer[known], picture[known])


def test_between_pixels_colours_lie_on_a_straight_line():
    ramp = np.tile(np.arange(10, dtype=np.float32) * 10, (6, 1))
    found = sample(ramp, np.array([(0, 0), (2.5, 3), (9, 5), (-4, 2), (30, 2)], np.float32))
    np.testing.assert_allclose(found, [0, 25, 90, 0, 90], atol=0.4)


def test_logarithms_of_black_exist():
    black = np.zeros((COLOUR_PX, COLOUR_PX, 3), np.uint8)
    np.testing.assert_allclose(log_colours(black, np.array([(3, 3)], np.float32)), np.log(4))


def test_the_size_of_a_face_is_that_of_its_box(portrait):
    x0, y0, x1, y1 = portrait.face.box
    assert face_px(portrait.face) == pytest.approx(np.sqrt((x1 - x0) * (y1 - y0)))


def test_the_rim_reaches_where_the_mesh_does(skull, uv):
    """Every point of the rim lies in the atlas, so that nothing outside is fetched."""
    assert (uv[list(OVAL)] >= 0).all() and (uv[list(OVAL)] <= 1).all()
