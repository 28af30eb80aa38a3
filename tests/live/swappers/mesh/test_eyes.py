"""Eyes: an eyeball is cut from a portrait that shows it, completed under the lids, drawn between the wearer's lids."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.align import EYE_CORNERS
from live.frame import View
from live.swappers.mesh.atlas import LOG_FROM
from live.swappers.mesh.eyes import OPENINGS, Eyeball, put_eye, take_eyes, white_of

RADIUS = 24.0  # of the iris in the largest picture of an eyeball


def eyeball(iris=(0, 0, 0), white=(240, 240, 240), radius_cm=0.6):
    """A black iris on white, in the sizes that are made."""
    sizes = []
    for radius in (24.0, 12.0, 6.0):
        picture = np.full((round(4.4 * radius), round(7.2 * radius), 3), white, np.uint8)
        rows, columns = picture.shape[:2]
        y, x = np.mgrid[:rows, :columns]
        picture[np.hypot(x - (columns - 1) / 2, y - (rows - 1) / 2) <= radius] = iris
        sizes.append((radius, picture))
    return Eyeball(sizes, radius_cm, np.log(np.array(white, np.float32) + LOG_FROM))


def almond(centre, half_wide, half_high, turn=0.0):
    """Lids [16, 2] as the mesh orders them: an ellipse of these half axes, turned (radians)."""
    angle = np.pi + np.arange(16) / 16 * 2 * np.pi
    points = np.stack([np.cos(angle) * half_wide, -np.sin(angle) * half_high], 1)
    c, s = np.cos(turn), np.sin(turn)
    return (points @ np.array([[c, s], [-s, c]]) + centre).astype(np.float32)


def put(lids, iris, radius=10.0, ball=None, narrow=1.0, gain=(1, 1, 1), along=(40, 0), size=(60, 90), skin=128):
    pixels, alpha = np.full((*size, 3), skin, np.uint8), np.zeros(size, np.uint8)
    put_eye(
        ball or eyeball(), pixels, alpha, lids, np.array(along, np.float32), np.array(iris, np.float32), radius,
        narrow, np.array(gain, np.float32),
    )  # fmt: skip
    return pixels, alpha


def dark_centre(pixels):
    """Middle (x, y) and area of what is dark."""
    dark = np.clip(100 - pixels[..., 1].astype(float), 0, 100)
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    return (x * dark).sum() / dark.sum(), (y * dark).sum() / dark.sum(), dark.sum() / 100


@settings(max_examples=30, deadline=None)
@given(st.floats(-6, 6), st.floats(-3, 3))
def test_the_iris_is_drawn_where_it_is_told(x, y):
    pixels, _ = put(almond((45, 30), 25, 18), (45 + x, 30 + y))
    found_x, found_y, area = dark_centre(pixels)
    assert (found_x, found_y) == pytest.approx((45 + x, 30 + y), abs=0.7)
    assert area == pytest.approx(np.pi * 10**2, rel=0.15)


@pytest.mark.parametrize("radius", [4.0, 6.0, 11.0, 20.0, 40.0])
def test_the_iris_is_as_large_as_told(radius):
    pixels, _ = put(almond((150, 120), 2.4 * radius, 1.6 * radius), (150, 120), radius, size=(240, 300))
    assert dark_centre(pixels)[2] == pytest.approx(np.pi * radius**2, rel=0.2)


def test_only_what_lies_between_the_lids_is_drawn_and_it_is_opaque():
    lids = almond((45, 30), 20, 9)
    pixels, alpha = put(lids, (45, 30))
    inside = np.zeros(alpha.shape, np.uint8)
    cv2.fillPoly(inside, [np.round(lids * 16).astype(np.int32)], 1, 0, 4)
    deep, wide = (change(inside, np.ones((5, 5), np.uint8)) for change in (cv2.erode, cv2.dilate))
    assert (alpha[deep > 0] == 255).all() and (alpha[wide == 0] == 0).all()
    assert (pixels[wide == 0] == 128).all()
    assert pixels[30, 45].max() < 20 and pixels[30, 30].min() > 200


@pytest.mark.parametrize("opening", [0.0, 0.1])
def test_shut_lids_meet_in_a_dark_line(opening):
    """Lids of one line: lashes, and no white stripe."""
    pixels, _ = put(almond((45, 30), 20, opening), (45, 30), ball=eyeball(iris=(255, 255, 255), white=(255, 255, 255)))
    assert pixels.max() == 128 and (pixels[:27] == 128).all() and (pixels[34:] == 128).all()
    assert (pixels[30, 28:63] < 80).all()


def test_nearly_shut_lids_leave_no_white_and_open_ones_no_shade():
    bright = eyeball(iris=(255, 255, 255), white=(255, 255, 255))
    assert put(almond((45, 30), 20, 1.2), (45, 30), ball=bright)[0][27:34, 30:60].max() < 160
    assert put(almond((45, 30), 20, 8), (45, 30), ball=bright)[0][30, 45].min() == 255


def test_the_eye_fades_as_the_lids_close():
    light = []
    for half_high in np.linspace(0, 6, 13):
        pixels, _ = put(almond((45, 30), 20, half_high), (45, 30), ball=eyeball(iris=(255, 255, 255)))
        light.append(float((pixels.astype(int) - 128).sum()))
    assert light[0] < 0 and (np.diff(light) > -0.1 * (light[-1] - light[0])).all()


def test_light_and_gain():
    lids = almond((45, 30), 25, 14)
    dim, bright = put(lids, (45, 30), gain=(0.5, 0.5, 0.5))[0], put(lids, (45, 30), gain=(2, 2, 2))[0]
    assert dim[30, 27] == pytest.approx(np.array([120] * 3), abs=2)
    assert (bright[30, 27] == 255).all()


def test_a_turned_head_narrows_the_iris():
    lids = almond((45, 30), 30, 20)
    wide, narrow = (put(lids, (45, 30), narrow=part)[0][30, :, 1] < 100 for part in (1.0, 0.5))
    assert narrow.sum() == pytest.approx(wide.sum() / 2, abs=2)


@settings(max_examples=40, deadline=None)
@given(st.floats(-60, 150), st.floats(-60, 120), st.floats(0.5, 60), st.floats(0, 40), st.floats(0.3, 60))
def test_eyes_at_and_beyond_the_edge(x, y, half_wide, half_high, radius):
    pixels, alpha = put(almond((x, y), half_wide, half_high), (x, y), radius)
    assert pixels.shape == (60, 90, 3) and alpha.shape == (60, 90)
    if x + half_wide < -2 or x - half_wide > 92:
        assert not alpha.any() and (pixels == 128).all()


def test_both_eyes_of_a_portrait_are_taken(portrait, other, skull):
    for persona in (portrait, other):
        for ball in take_eyes(persona.views, skull):
            assert ball is not None
            assert 0.3 < ball.radius_cm < 0.9  # an iris is about 1.2 cm across
            assert [round(radius) for radius, _ in ball.sizes] == [24, 12, 6]
            picture = ball.sizes[0][1].astype(float).mean(2)
            middle = picture[picture.shape[0] // 2, picture.shape[1] // 2]
            assert middle < 0.6 * np.exp(ball.white.mean())  # a pupil, and the white beside it


def test_without_irises_or_mesh_or_views_there_are_no_eyes(portrait, skull):
    assert take_eyes((), skull) == [None, None]
    for face in (replace(portrait.face, irises=None), replace(portrait.face, mesh=None)):
        assert take_eyes((View(portrait.image, face),), skull) == [None, None]


def shut(face):
    """The face with lids that have nearly come together."""
    mesh = face.mesh.copy()
    for opening in OPENINGS:
        lids = list(opening)
        mesh[lids, 1] = mesh[lids, 1].mean() + (mesh[lids, 1] - mesh[lids, 1].mean()) * 0.1
    return replace(face, mesh=mesh)


def test_shut_eyes_are_not_worn_and_the_next_portrait_serves(portrait, other, skull):
    blink = View(portrait.image, shut(portrait.face))
    assert take_eyes((blink,), skull) == [None, None]
    found = take_eyes((blink, *other.views), skull)
    expected = take_eyes(other.views, skull)
    for one, wanted in zip(found, expected, strict=True):
        assert np.array_equal(one.sizes[0][1], wanted.sizes[0][1])


def test_what_the_lids_hide_of_the_iris_is_made_from_its_other_side(portrait, skull):
    """Below the lower lid the picture is painted green: none of it is in the eyeball's iris."""
    face, image = portrait.face, portrait.image.copy()
    for k, opening in enumerate(OPENINGS):
        lids = np.zeros(image.shape[:2], np.uint8)
        cv2.fillPoly(lids, [np.round(face.mesh[list(opening), :2] * 16).astype(np.int32)], 1, 0, 4)
        x, y, radius = face.irises[k]
        box = np.zeros_like(lids)
        box[int(y - 3 * radius) : int(y + 3 * radius), int(x - 4 * radius) : int(x + 4 * radius)] = 1
        image[(box > 0) & (cv2.dilate(lids, np.ones((3, 3), np.uint8)) == 0)] = (0, 255, 0)
    for ball in take_eyes((View(image, face),), skull):
        picture = ball.sizes[0][1].astype(int)
        rows, columns = picture.shape[:2]
        y, x = np.mgrid[:rows, :columns]
        iris = np.hypot(x - (columns - 1) / 2, y - (rows - 1) / 2) < 0.9 * RADIUS
        green = picture[..., 1] - picture[..., [0, 2]].max(2)
        assert np.percentile(green[iris], 99) < 60


def test_the_white_of_an_eye_is_its_brighter_part():
    image = np.full((60, 90, 3), 30, np.uint8)
    lids = almond((45, 30), 25, 12)
    cv2.fillPoly(image, [lids.round().astype(np.int32)], (180, 190, 200))
    cv2.circle(image, (45, 30), 10, (20, 30, 40), -1)
    cv2.circle(image, (42, 27), 4, (255, 255, 255), -1)  # a glint
    np.testing.assert_allclose(np.exp(white_of(image, lids)) - 4, (180, 190, 200), atol=4)


@pytest.mark.parametrize(
    ("centre", "half_wide", "half_high"), [((45, 30), 1, 1), ((-80, 30), 20, 9), ((45, 200), 20, 9)]
)
def test_of_an_eye_that_is_hardly_seen_nothing_is_said(centre, half_wide, half_high):
    assert white_of(np.zeros((60, 90, 3), np.uint8), almond(centre, half_wide, half_high)) is None


def test_corners_go_from_the_pictures_left_to_its_right(portrait):
    for left, right in EYE_CORNERS:
        assert portrait.face.mesh[left, 0] < portrait.face.mesh[right, 0]
