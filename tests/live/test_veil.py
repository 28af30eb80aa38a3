"""The veil: the face is covered, cannot be known, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from live.align import OVAL
from live.blenders.feather import Feather
from live.frame import Face
from live.guard import covers_face
from live.veil import veil


@pytest.mark.parametrize("mesh", [True, False])
def test_it_covers_the_whole_face_so_that_nothing_fine_is_left(portrait, mesh):
    face = portrait.face if mesh else Face(portrait.face.points, None, 1.0)
    image = portrait.image.copy()
    patch = veil(image, face)
    assert np.array_equal(image, portrait.image)
    assert covers_face(portrait.face, patch, image)
    Feather().blend(image, face, patch)
    x, y = np.rint(portrait.face.mesh[:, :2]).astype(int).T
    assert (patch.alpha[y - patch.y, x - patch.x] == 255).mean() > (0.99 if mesh else 0.9)
    x0, y0, x1, y1 = (int(v) for v in portrait.face.box)
    inside = image[y0 + 30 : y1 - 30, x0 + 50 : x1 - 50].astype(int)
    before = portrait.image[y0 + 30 : y1 - 30, x0 + 50 : x1 - 50].astype(int)
    assert np.abs(np.diff(inside, axis=0)).max() <= 4 < np.abs(np.diff(before, axis=0)).max()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(x=st.floats(-900, 2000), y=st.floats(-900, 2000), scale=st.floats(0.01, 8), mesh=st.booleans())
def test_it_lies_inside_the_picture_wherever_the_face_is(portrait, x, y, scale, mesh):
    points = portrait.face.points * np.float32(scale) + np.array([x, y], np.float32)
    whole = portrait.face.mesh * np.float32(scale) + np.array([x, y, 0], np.float32)
    face = Face(points, whole if mesh else None, 1.0)
    patch = veil(portrait.image, face)
    rows, columns = patch.alpha.shape
    assert 0 <= patch.x <= portrait.image.shape[1] - columns and 0 <= patch.y <= portrait.image.shape[0] - rows
    assert patch.pixels.shape == (rows, columns, 3) and patch.pixels.dtype == np.uint8
    assert covers_face(face, patch, portrait.image)


def test_points_that_are_no_numbers_are_refused(portrait):
    mesh = portrait.face.mesh.copy()
    mesh[OVAL[3]] = np.nan
    with pytest.raises(ValueError, match="no numbers"):
        veil(portrait.image, Face(portrait.face.points, mesh, 1.0))
