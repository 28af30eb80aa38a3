"""draw_mesh: exact coordinates, the nearer triangle wins, nothing is written outside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.raster import draw_mesh, point_normals

ROOT = Path(__file__).parents[2]


def draw(points, triangles, source=None, weight=None, size=(12, 16)):
    """(map_x, map_y, alpha) as drawn into arrays full of old values."""
    points = np.array(points, np.float32)
    if points.shape[1] == 2:
        points = np.hstack([points, np.zeros((len(points), 1), np.float32)])
    source = points[:, :2].copy() if source is None else np.array(source, np.float32)
    weight = np.ones(len(points), np.float32) if weight is None else np.array(weight, np.float32)
    map_x, map_y, depth = (np.full(size, 7, np.float32) for _ in range(3))
    alpha = np.full(size, 7, np.uint8)
    draw_mesh(points, np.array(triangles, np.int32), source, weight, map_x, map_y, alpha, depth)
    return map_x, map_y, alpha


def test_one_triangle_maps_each_pixel_exactly():
    map_x, map_y, alpha = draw([(0, 0), (10, 0), (0, 10)], [(0, 1, 2)], source=[(100, 50), (300, 50), (100, 250)])
    y, x = np.mgrid[:12, :16]
    inside = x + y <= 10
    assert np.array_equal(alpha > 0, inside)
    np.testing.assert_allclose(map_x[inside], (100 + 20 * x)[inside], atol=1e-2)
    np.testing.assert_allclose(map_y[inside], (50 + 20 * y)[inside], atol=1e-2)


def test_outside_alpha_is_zero_and_the_place_far_outside_the_portrait():
    map_x, map_y, alpha = draw([(4, 4), (8, 4), (4, 8)], [(0, 1, 2)])
    outside = alpha == 0
    assert outside[0].all() and outside[:, 0].all()
    assert (map_x[outside] < -1000).all() and (map_y[outside] < -1000).all()


def test_nothing_is_drawn_without_triangles():
    _, _, alpha = draw([(0, 0), (10, 0), (0, 10)], np.zeros((0, 3)))
    assert (alpha == 0).all()


@pytest.mark.parametrize("order", [[(0, 1, 2), (3, 4, 5)], [(3, 4, 5), (0, 1, 2)]])
def test_the_nearer_triangle_wins_whatever_the_order(order):
    shape = [(0, 0), (11, 0), (0, 11)]
    points = [(x, y, 5.0) for x, y in shape] + [(x, y, -5.0) for x, y in shape]
    source = [(1, 1)] * 3 + [(2, 2)] * 3
    map_x, _, alpha = draw(points, order, source=source)
    np.testing.assert_allclose(map_x[alpha > 0], 2)


def test_triangles_that_cross_are_split_where_they_meet():
    points = [(0, 0, 0), (15, 0, 15), (0, 11, 0), (15, 11, 15), (0, 0, 7.3), (15, 0, 7.3), (0, 11, 7.3), (15, 11, 7.3)]
    quads = [(0, 1, 2), (1, 3, 2), (4, 5, 6), (5, 7, 6)]
    map_x, _, alpha = draw(points, quads, source=[(1, 1)] * 4 + [(2, 2)] * 4)
    assert (alpha == 255).all()
    np.testing.assert_allclose(map_x, np.where(np.arange(16) < 7.3, 1, 2)[None].repeat(12, 0), atol=1e-3)


def test_winding_does_not_matter():
    points = [(1, 1), (13, 2), (4, 10)]
    one, other = draw(points, [(0, 1, 2)]), draw(points, [(0, 2, 1)])
    assert np.array_equal(one[2], other[2])
    np.testing.assert_allclose(one[0], other[0], atol=1e-3)
    np.testing.assert_allclose(one[1], other[1], atol=1e-3)


def test_two_triangles_with_a_common_edge_leave_no_gap():
    _, _, alpha = draw([(0, 0), (15, 0), (0, 11), (15, 11)], [(0, 1, 2), (1, 3, 2)])
    assert (alpha == 255).all()


def test_opacity_is_interpolated_between_the_corners():
    _, _, alpha = draw([(0, 0), (10, 0), (0, 10)], [(0, 1, 2)], weight=[0, 1, 0])
    assert np.abs(alpha[0, :11].astype(int) - 25.5 * np.arange(11)).max() <= 1


@pytest.mark.parametrize(("weight", "expected"), [(-1, 0), (0, 0), (0.5, 128), (1, 255), (3, 255)])
def test_opacity_is_kept_between_nothing_and_all(weight, expected):
    _, _, alpha = draw([(0, 0), (10, 0), (0, 10)], [(0, 1, 2)], weight=[weight] * 3)
    assert alpha[2, 2] == expected


@pytest.mark.parametrize("points", [[(3, 3), (3, 3), (3, 3)], [(0, 0), (5, 5), (10, 10)], [(2, 4), (9, 4), (5, 4)]])
def test_triangles_without_area_draw_nothing(points):
    assert (draw(points, [(0, 1, 2)])[2] == 0).all()


def test_a_triangle_may_reach_far_over_the_edges():
    map_x, map_y, alpha = draw([(-1000, -1000), (3000, -1000), (-1000, 3000)], [(0, 1, 2)])
    y, x = np.mgrid[:12, :16]
    assert (alpha == 255).all()
    np.testing.assert_allclose(map_x, x, atol=0.01)
    np.testing.assert_allclose(map_y, y, atol=0.01)


NEAR = st.floats(-30, 40, width=32)
FAR = st.sampled_from([-1e9, 1e9, -3e4, 3e4])
POINTS = st.lists(st.tuples(NEAR, NEAR, NEAR), min_size=3, max_size=8)
PAD = 64


def draw_between_guards(points, triangles, rows, columns):
    """Draw into arrays that lie in the middle of larger ones; True when nothing beside them was written."""
    size = rows * columns
    buffers = [np.full(size + 2 * PAD, 77, dtype) for dtype in (np.float32, np.float32, np.float32, np.uint8)]
    map_x, map_y, depth, alpha = (buffer[PAD : PAD + size].reshape(rows, columns) for buffer in buffers)
    source, weight = np.zeros((len(points), 2), np.float32), np.ones(len(points), np.float32)
    draw_mesh(points, triangles, source, weight, map_x, map_y, alpha, depth)
    return all((buffer[:PAD] == 77).all() and (buffer[-PAD:] == 77).all() for buffer in buffers)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 20), st.integers(1, 20))
def test_never_writes_outside_its_arrays(data, rows, columns):
    value = st.one_of(NEAR, FAR)
    points = np.array(data.draw(st.lists(st.tuples(value, value, value), min_size=3, max_size=6)), np.float32)
    corner = st.integers(0, len(points) - 1)
    triangles = np.array(data.draw(st.lists(st.tuples(corner, corner, corner), min_size=1, max_size=6)), np.int32)
    assert draw_between_guards(points, triangles, rows, columns)


@pytest.mark.parametrize("strange", [1e20, -1e20, 3e38, -3e38])
def test_a_mesh_that_makes_no_sense_does_not_crash(strange):
    # In a process of its own: a crash would take the test run with it.
    script = f"""
import itertools
import numpy as np
from tests.live.test_raster import draw_between_guards
near = np.array([(2, 3, 0), (9, 4, 0), (5, 8, 0)], np.float32)
for spots in itertools.product([0, 1], repeat=9):
    points = np.where(np.array(spots).reshape(3, 3) > 0, np.float32({strange}), near).astype(np.float32)
    for rows, columns in ((1, 1), (12, 16)):
        assert draw_between_guards(points, np.array([(0, 1, 2)], np.int32), rows, columns)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()[-500:]


@settings(max_examples=100, deadline=None)
@given(POINTS, st.data())
def test_what_is_fetched_lies_between_the_corners_and_opacity_below_the_largest(points, data):
    corner = st.integers(0, len(points) - 1)
    triangles = data.draw(st.lists(st.tuples(corner, corner, corner), min_size=1, max_size=6))
    weight = data.draw(st.lists(st.floats(0, 1, width=32), min_size=len(points), max_size=len(points)))
    source = np.random.default_rng(len(points)).uniform(0, 500, (len(points), 2)).astype(np.float32)
    map_x, map_y, alpha = draw(points, triangles, source, weight)
    drawn = map_x > -1000
    assert (alpha[~drawn] == 0).all()
    assert alpha.max() <= round(255 * max(weight)) + 1
    for fetched, corners in ((map_x, source[:, 0]), (map_y, source[:, 1])):
        assert (fetched[drawn] >= corners.min() - 1).all() and (fetched[drawn] <= corners.max() + 1).all()


def normals_of(points, triangles):
    """As filled into an array of old values."""
    points = np.array(points, np.float32)
    normals = np.full_like(points, 7)
    point_normals(points, np.array(triangles, np.int32).reshape(-1, 3), normals)
    return normals


@pytest.mark.parametrize(("order", "z"), [((0, 1, 2), 1), ((0, 2, 1), -1)])
def test_the_normals_of_a_plane_are_its_own_and_turn_with_the_winding(order, z):
    normals = normals_of([(0, 0, 3), (10, 0, 3), (0, 10, 3)], [order])
    np.testing.assert_allclose(normals, [(0, 0, z)] * 3, atol=1e-6)


def test_between_two_planes_of_the_same_size_the_normal_lies_in_the_middle():
    # A roof: the first two points are its ridge.
    normals = normals_of([(0, 0, 0), (0, 10, 0), (-10, 0, -10), (10, 0, -10)], [(0, 1, 2), (0, 3, 1)])
    ridge = np.sqrt(0.5)
    np.testing.assert_allclose(normals, [(0, 0, 1), (0, 0, 1), (-ridge, 0, ridge), (ridge, 0, ridge)], atol=1e-6)


def test_larger_triangles_count_more():
    normals = normals_of([(0, 0, 0), (0, 10, 0), (-1, 0, -1), (10, 0, -10)], [(0, 1, 2), (0, 3, 1)])
    assert normals[0, 0] > 0.5


@pytest.mark.parametrize("points", [[(3, 3, 3)] * 3, [(0, 0, 0), (5, 5, 5), (10, 10, 10)]])
def test_where_there_is_no_surface_the_normal_is_zero(points):
    assert (normals_of([*points, (1, 2, 3)], [(0, 1, 2)]) == 0).all()
    assert (normals_of(points, []) == 0).all()


def test_the_normals_of_the_canonical_face_point_out_of_the_head():
    with np.load(ROOT / "live" / "models" / "face_mesh" / "topology.npz") as topology:
        points, triangles = topology["canonical"].astype(np.float32), topology["triangles"]
    normals = normals_of(points, triangles)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    middle = points.mean(0) - (0, 0, 6)
    outward = ((points - middle) * normals).sum(1)
    assert (outward > 0).mean() > 0.97  # nostrils and the corners of the lips look inward
    assert normals[4, 2] > 0.5 and normals[234, 0] < -0.5 < 0.5 < normals[454, 0] and normals[10, 1] > 0.2


@settings(max_examples=60, deadline=None)
@given(POINTS, st.data(), st.sampled_from([1.0, 1e-3, 1e3]))
def test_normals_have_length_one_or_none_and_do_not_change_with_size(points, data, scale):
    corner = st.integers(0, len(points) - 1)
    triangles = data.draw(st.lists(st.tuples(corner, corner, corner), min_size=1, max_size=6))
    normals = normals_of(points, triangles)
    lengths = np.linalg.norm(normals, axis=1)
    assert (np.isclose(lengths, 1, atol=1e-4) | (lengths == 0)).all()
    unused = set(range(len(points))) - {int(i) for triangle in triangles for i in triangle}
    assert (normals[list(unused)] == 0).all()
