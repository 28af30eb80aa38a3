"""The mesh swap: a patch inside the frame, the portrait's own pixels, the wearer's eyes, mouth and light."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from live.align import INNER_LIPS, LEFT_EYE, RIGHT_EYE, face_from_mesh
from live.frame import Persona, View
from live.swappers.mesh import Mesh

LOWER_INNER_LIP = [95, 88, 178, 87, 14, 317, 402, 318, 324]


@pytest.fixture
def wear():
    """Makes an opened swapper that wears this persona."""
    made = []

    def make(persona, **settings):
        swapper = Mesh(**settings)
        made.append(swapper)
        swapper.open()
        swapper.wear(persona)
        return swapper

    yield make
    for swapper in made:
        swapper.close()


def moved(face, x=0.0, y=0.0, scale=1.0):
    """The same face elsewhere: scaled about the picture's corner, then moved."""
    mesh = face.mesh * np.float32(scale) + np.array([x, y, 0], np.float32)
    return face_from_mesh(mesh.astype(np.float32), 1.0)


def under(image, patch):
    rows, columns = patch.alpha.shape
    return image[patch.y : patch.y + rows, patch.x : patch.x + columns]


def at(patch, points):
    """Alpha in the middle of these points."""
    x, y = points[:, :2].mean(0)
    return patch.alpha[round(float(y)) - patch.y, round(float(x)) - patch.x]


def test_wearing_the_own_face_reproduces_the_picture(wear, portrait):
    patch = wear(portrait, light=0).swap(portrait.image, portrait.face)
    inside = patch.alpha > 250
    assert inside.mean() > 0.4
    difference = np.abs(patch.pixels.astype(int) - under(portrait.image, patch))[inside]
    assert difference.mean() < 2.5 and np.percentile(difference, 95) <= 8


def test_wearing_the_own_face_stays_the_same_in_its_own_light(wear, portrait):
    patch = wear(portrait, light=1).swap(portrait.image, portrait.face)
    difference = np.abs(patch.pixels.astype(int) - under(portrait.image, patch))[patch.alpha > 250]
    assert difference.mean() < 3 and np.percentile(difference, 95) <= 9


def test_the_picture_and_the_face_are_left_alone(wear, portrait):
    image, mesh = portrait.image.copy(), portrait.face.mesh.copy()
    wear(portrait).swap(image, portrait.face)
    assert np.array_equal(image, portrait.image) and np.array_equal(mesh, portrait.face.mesh)


def test_a_patch_belongs_to_whoever_gets_it(wear, portrait):
    swapper = wear(portrait)
    first = swapper.swap(portrait.image, portrait.face)
    pixels, alpha = first.pixels.copy(), first.alpha.copy()
    swapper.swap(255 - portrait.image, moved(portrait.face, 4, 4))
    assert np.array_equal(first.pixels, pixels) and np.array_equal(first.alpha, alpha)


def test_eyes_stay_the_wearers_own(wear, portrait):
    patch = wear(portrait).swap(portrait.image, portrait.face)
    for eye in (RIGHT_EYE, LEFT_EYE):
        assert at(patch, portrait.face.mesh[list(eye)]) == 0


def test_an_open_mouth_stays_the_wearers_own_and_a_closed_one_does_not_gape(wear, portrait):
    mesh = portrait.face.mesh.copy()
    mesh[LOWER_INNER_LIP, 1] += 0.06 * (mesh[:, 1].max() - mesh[:, 1].min())
    patch = wear(portrait).swap(portrait.image, replace(portrait.face, mesh=mesh))
    assert at(patch, mesh[list(INNER_LIPS)]) == 0
    assert at(patch, mesh[[0]]) > 127 and at(patch, mesh[[199]]) > 127


def test_nose_and_cheeks_are_covered_and_the_rim_fades_out(wear, portrait):
    patch = wear(portrait).swap(portrait.image, portrait.face)
    for point in (4, 50, 280, 151, 199):
        assert at(patch, portrait.face.mesh[[point]]) == 255
    border = np.concatenate([patch.alpha[0], patch.alpha[-1], patch.alpha[:, 0], patch.alpha[:, -1]])
    assert border.max() < 128


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(-900, 900), st.floats(-900, 900), st.floats(0.05, 3))
def test_the_patch_lies_inside_the_frame_wherever_the_face_is(wear, portrait, x, y, scale):
    image = np.full((240, 320, 3), 90, np.uint8)
    middle = portrait.face.mesh[:, :2].mean(0) * scale
    face = moved(portrait.face, 160 + x - float(middle[0]), 120 + y - float(middle[1]), scale)
    patch = wear(portrait).swap(image, face)
    rows, columns = patch.alpha.shape
    assert rows > 0 and columns > 0 and patch.pixels.shape == (rows, columns, 3)
    assert patch.pixels.dtype == patch.alpha.dtype == np.uint8
    assert patch.x >= 0 and patch.y >= 0
    assert patch.x + columns <= 320 and patch.y + rows <= 240


@pytest.mark.parametrize(("x", "y"), [(-1, 0), (1, 0), (0, -1), (0, 1)])
def test_a_face_half_outside_is_swapped_as_far_as_it_is_seen(wear, portrait, x, y):
    height, width = portrait.image.shape[:2]
    x0, y0, x1, y1 = portrait.face.box
    to = {-1: (-(x0 + x1) / 2, -(y0 + y1) / 2), 1: (width - (x0 + x1) / 2, height - (y0 + y1) / 2), 0: (0, 0)}
    face = moved(portrait.face, to[x][0], to[y][1])
    patch = wear(portrait).swap(portrait.image, face)
    rows, columns = patch.alpha.shape
    assert patch.alpha.max() == 255
    assert 0 < rows * columns < 0.7 * (x1 - x0) * (y1 - y0)
    assert patch.x + columns <= width and patch.y + rows <= height


def test_a_face_wholly_outside_gives_a_patch_that_shows_nothing(wear, portrait):
    patch = wear(portrait).swap(portrait.image, moved(portrait.face, 5000, 0))
    assert (patch.alpha == 0).all()


def painted(persona, paint):
    return Persona("painted", (View(paint(persona.image.shape), persona.face),))


def checkers(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.repeat(((x + y) % 2 * 255).astype(np.uint8)[..., None], 3, 2)


def test_a_small_face_is_fetched_from_a_smaller_portrait_and_does_not_sparkle(wear, portrait):
    swapper = wear(painted(portrait, checkers), light=0)
    small = swapper.swap(np.zeros_like(portrait.image), moved(portrait.face, 3.3, 5.7, 1 / 8))
    inside = small.pixels[small.alpha == 255].astype(float)
    assert inside.mean() == pytest.approx(127, abs=10) and inside.std() < 12


@pytest.mark.parametrize("scale", [0.125, 0.31, 0.5, 1.7])
def test_the_portraits_features_land_on_the_wearers_at_any_size(wear, portrait, scale):
    spots = [4, 50, 280, 151, 199]

    def dots(shape):
        image = np.zeros(shape, np.uint8)
        radius = round(0.05 * (portrait.face.box[2] - portrait.face.box[0]))
        for x, y in portrait.face.mesh[spots, :2]:
            centre = (round(float(x) * 16), round(float(y) * 16))
            cv2.circle(image, centre, radius * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
        return image

    face = moved(portrait.face, 10, 10, scale)
    x1, y1 = face.mesh[:, :2].max(0)
    canvas = np.zeros((int(y1) + 20, int(x1) + 20, 3), np.uint8)
    patch = wear(painted(portrait, dots), light=0).swap(canvas, face)
    reach = 0.08 * (face.box[2] - face.box[0])
    y, x = np.mgrid[: patch.alpha.shape[0], : patch.alpha.shape[1]].astype(np.float32)
    for spot in face.mesh[spots, :2] - (patch.x, patch.y):
        near = patch.pixels[..., 0] * (np.hypot(x - spot[0], y - spot[1]) < reach)
        centre = ((x * near).sum() / near.sum(), (y * near).sum() / near.sum())
        # The spots themselves are painted at whole pixels of the portrait.
        assert np.hypot(*(np.array(centre) - spot)) < 0.75 * max(1, scale)


def flat(value):
    return lambda shape: np.full(shape, value, np.uint8)


@pytest.mark.parametrize(("light", "expected"), [(0, 160), (1, 80)])
def test_light_is_taken_from_the_wearer_as_far_as_asked(wear, portrait, light, expected):
    swapper = wear(painted(portrait, flat(160)), light=light)
    patch = swapper.swap(flat(80)(portrait.image.shape), portrait.face)
    assert np.abs(patch.pixels[patch.alpha == 255].astype(int) - expected).max() <= 4


def test_half_the_light_lies_between(wear, portrait):
    swapper = wear(painted(portrait, flat(160)), light=0.5)
    patch = swapper.swap(flat(80)(portrait.image.shape), portrait.face)
    assert 85 < patch.pixels[patch.alpha == 255].mean() < 155


def test_another_persona_can_be_worn_while_open(wear, portrait):
    swapper = wear(painted(portrait, flat(200)), light=0)
    swapper.wear(painted(portrait, flat(30)))
    patch = swapper.swap(portrait.image, portrait.face)
    assert (patch.pixels[patch.alpha == 255] == 30).all()


def test_without_a_mesh_nothing_can_be_worn_or_swapped(wear, portrait):
    bare = replace(portrait.face, mesh=None)
    swapper = wear(portrait)
    with pytest.raises(ValueError, match="mesh"):
        swapper.swap(portrait.image, bare)
    with pytest.raises(ValueError, match="mesh"):
        swapper.wear(Persona("x", (View(portrait.image, bare),)))
