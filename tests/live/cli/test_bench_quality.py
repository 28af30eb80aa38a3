"""The figures themselves: each is at rest for an untouched clip and rises with the fault that it is there to tell."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from live.align import OVAL
from live.cli.bench.quality import Judge
from live.personas import open_persona
from live.sources.sample import Sample


@pytest.fixture(scope="module")
def wearers():
    """Ten pictures of the clip: the wearer talks and turns to the side."""
    source = Sample(paced=False)
    source.open()
    try:
        return [source.read().image for _ in range(130)][-10:]
    finally:
        source.close()


@pytest.fixture(scope="module")
def persona(finder):
    return open_persona("sample:lena", finder)


@pytest.fixture
def judged(wearers, persona, finder):
    """The figures for the wearers' pictures as `change(number, copy, face)` leaves them."""

    def judge(change):
        it = Judge(persona, finder)
        for number, wearer in enumerate(wearers):
            picture = wearer.copy()
            change(number, picture, finder.find(wearer, [])[0])
            it.add(wearer, picture)
        return it.figures()

    return judge


def outline(face):
    return face.mesh[list(OVAL), :2].astype(np.int32)


def test_an_untouched_clip_is_at_rest(judged):
    figures = judged(lambda number, picture, face: None)
    assert figures.found == figures.frames == 10
    assert (figures.flicker, figures.seam) == pytest.approx((1, 1), abs=1e-3)
    assert (figures.outside, figures.colour_gain) == pytest.approx((0, 0), abs=1e-6)
    assert (figures.expression_error, figures.shape_gain) == pytest.approx((0, 0), abs=1e-4)


def test_the_persona_pasted_over_the_face_is_likeness_without_expression(judged, persona):
    def paste(number, picture, face):
        source, target = persona.face.mesh[list(OVAL), :2], face.mesh[list(OVAL), :2]
        matrix, _ = cv2.estimateAffinePartial2D(source, target, method=cv2.LMEDS)
        worn = cv2.warpAffine(persona.image, matrix, picture.shape[1::-1])
        mask = np.zeros(picture.shape[:2], np.uint8)
        cv2.fillConvexPoly(mask, cv2.convexHull((source @ matrix[:, :2].T + matrix[:, 2]).astype(np.int32)), 1)
        picture[mask > 0] = worn[mask > 0]

    figures = judged(paste)
    assert 0.7 < figures.shape_gain < 1.3
    assert 0.7 < figures.colour_gain < 1.3
    assert figures.expression_error > 0.01


def test_noise_in_the_face_flickers(judged):
    def shake(number, picture, face):
        mask = np.zeros(picture.shape[:2], np.uint8)
        cv2.fillPoly(mask, [outline(face)], 1)
        brighter = cv2.add(picture, (20, 20, 20, 0)) if number % 2 else picture
        picture[mask > 0] = brighter[mask > 0]

    assert judged(shake).flicker > 2


def test_a_line_around_the_face_is_a_seam(judged):
    figures = judged(lambda number, picture, face: cv2.polylines(picture, [outline(face)], True, (90, 90, 200), 2))
    assert figures.seam > 1.5


def test_a_spot_far_from_the_face_is_outside(judged):
    def spot(number, picture, face):
        picture[:60, :60] += 30

    assert judged(spot).outside == 30


def test_frames_without_a_face_or_without_a_swap_are_not_judged(wearers, persona, finder):
    judge = Judge(persona, finder)
    with pytest.raises(ValueError, match="no frame"):
        judge.figures()
    judge.add(np.zeros_like(wearers[0]), np.zeros_like(wearers[0]))
    judge.add(wearers[0], None)
    judge.add(wearers[0], wearers[0])
    figures = judge.figures()
    assert (figures.frames, figures.found) == (3, 1)
    assert np.isnan(figures.flicker)


def test_a_blurred_face_is_less_sharp(judged):
    def blur(number, picture, face):
        x0, y0, x1, y1 = (int(value) for value in face.box)
        picture[y0:y1, x0:x1] = cv2.GaussianBlur(picture[y0:y1, x0:x1], (0, 0), 3)

    assert judged(blur).sharpness < 0.6 * judged(lambda number, picture, face: None).sharpness


def test_likeness_is_what_the_recogniser_says(wearers, persona, finder):
    def vector(picture, face):  # it tells people by how bright they are
        return np.array(
            [1.0, 0.0] if picture is persona.image or picture.mean() > wearers[0].mean() + 20 else [0.6, 0.8]
        )

    for lighter, said in ((0, 0.6), (60, 1.0)):
        judge = Judge(persona, finder, vector)
        judge.add(wearers[0], cv2.add(wearers[0], (lighter,) * 3))
        assert judge.figures().to_persona == pytest.approx(said)
