"""Crop matrices, against those that the original programs made of the same points, and in their symmetries."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import ModelError
from live.align.crops import _SIDES, Crop, five_point_matrix, resized, similarity
from live.align.templates import FIVE_POINTS, UNIT_FACE

MADE = json.loads((Path(__file__).parents[2] / "export" / "reference" / "alignment.json").read_text(encoding="utf-8"))
POINTS = np.array(MADE["landmarks_68"], np.float32)
CROPS = [Crop(face_type, fit) for fit, sides in _SIDES.items() for face_type in sides]
NAMES = {"half_face": "half", "midfull_face": "mid_full", "full_face": "full", "whole_face": "whole_face",
         "head": "head"}  # fmt: skip


def rows(program, **wanted):
    found = [row for key, table in MADE.items() if key.startswith(program) for row in table]
    return [row for row in found if all(row[key] == value for key, value in wanted.items())]


def off_px(matrix, wanted, size):
    """How far, at most, the two matrices put anything of the crop apart, in pixels of the crop."""
    corners = np.array([(0, 0, 1), (size, 0, 1), (0, size, 1), (size, size, 1)], float)
    wanted = np.array(wanted)
    places = np.linalg.solve(np.vstack([wanted, (0, 0, 1)]), corners.T)
    return float(np.linalg.norm((matrix - wanted) @ places, axis=0).max())


@pytest.mark.parametrize(
    ("program", "fit", "face_types"),
    [("deepfacelab_2", "dfl33", list(NAMES)), ("deepfacelab June 2018", "dfl51", ["half_face", "full_face", "head"])],
)
def test_the_crops_are_those_of_deepfacelab(program, fit, face_types):
    for face_type in face_types:
        made = rows(program, face_type=face_type)
        assert len(made) == 12
        for row in made:
            matrix = Crop(NAMES[face_type], fit).matrix(POINTS[row["landmarks"]], row["size"])
            assert off_px(matrix, row["mat"], row["size"]) < 1e-3, row


def test_deepfacelab_1_rounded_to_whole_pixels_of_the_frame():
    made = [row for row in rows("deepfacelab_1") if row["face_type"] != "head"]
    assert len(made) == 24
    for row in made:
        matrix = Crop(NAMES[row["face_type"]], "dfl33").matrix(POINTS[row["landmarks"]], row["size"])
        scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
        assert off_px(matrix, row["mat"], row["size"]) < 1.5 * scale + 0.1, row


RATIO = {"legacy": 0.375, "face": 0.5, "head": 0.625}


@pytest.mark.parametrize("program", ["faceswap v2", "faceswap HEAD"])
@pytest.mark.parametrize("centering", RATIO)
def test_the_crops_are_those_of_faceswap(program, centering):
    """It rounds its border to whole pixels while it converts: the coverage that gives this border is taken."""
    made = rows(program, centering=centering)
    assert len(made) == 12
    limit_px = 3e-3 if (program, centering) == ("faceswap v2", "head") else 1e-3  # it found the head's pose in float32
    for row in made:
        coverage = (1 - RATIO[centering]) / (1 - 2 * row["padding"] / row["size"])
        if row["coverage"] == 1 or program == "faceswap HEAD":  # the version before computed another border
            assert coverage == pytest.approx(row["coverage"], abs=0.02)
        crop = Crop("fs_head" if centering == "head" else centering, "faceswap", coverage)
        matrix = crop.matrix(POINTS[row["landmarks"]], row["size"])
        assert off_px(matrix, row["mat"], row["size"]) < limit_px, row


def in_the_box(crop, points, size=256):
    """Middle and side of the crop in the mean face's box."""
    matrix = crop.matrix(points, size)
    side = float(np.hypot(*similarity(UNIT_FACE, UNIT_FACE)[:, 0])) * size / float(np.hypot(matrix[0, 0], matrix[1, 0]))
    back = np.linalg.solve(matrix[:, :2], np.array([size / 2, size / 2]) - matrix[:, 2])
    return back, side


MEAN = np.concatenate([np.zeros((17, 2)), UNIT_FACE]).astype(np.float32)


@pytest.mark.parametrize(
    ("crop", "side"),
    [
        (Crop("half", "dfl33_2019"), 1.0),
        (Crop("mid_full", "dfl33_2019"), 256 / (256 - 30)),
        (Crop("full", "dfl33_2019"), 1.6),
        (Crop("head", "dfl33_2019"), 64 / 22),
        (Crop("legacy", "dfl51", 0.625), 1.0),
        (Crop("legacy", "dfl51"), 1.6),
        (Crop("legacy", "faceswap", 0.875), 1.4),
    ],
    ids=str,
)
def test_crops_without_a_reference_have_the_documented_side_and_middle(crop, side):
    middle, found = in_the_box(crop, MEAN)
    assert found == pytest.approx(side, abs=1e-5)
    shift = 0.009873 if crop.fit == "faceswap" else 0
    np.testing.assert_allclose(middle, [0.5 - shift, 0.5], atol=1e-5)


def test_a_vertical_offset_moves_the_face_down_in_the_crop():
    plain, moved = (Crop("legacy", "faceswap", 1, offset) for offset in (0, 10))
    np.testing.assert_allclose(moved.matrix(MEAN, 160) - plain.matrix(MEAN, 160), [[0, 0, 0], [0, 0, 10]], atol=1e-4)


@given(
    st.sampled_from(CROPS), st.floats(-3, 3), st.floats(0.3, 3), st.floats(-500, 500), st.floats(-500, 500),
    st.integers(0, 3),
)  # fmt: skip
def test_a_face_that_is_turned_scaled_and_moved_gives_the_same_crop(crop, angle, scale, x, y, which):
    points = POINTS[which].astype(float)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = points @ turn.T + (x, y)
    one, other = crop.matrix(points, 256), crop.matrix(moved, 256)
    np.testing.assert_allclose(moved @ other[:, :2].T + other[:, 2], points @ one[:, :2].T + one[:, 2], atol=0.02)


@given(st.sampled_from([crop for crop in CROPS if crop.face_type != "mid_full"]), st.integers(16, 1024))
def test_the_size_only_scales(crop, size):
    np.testing.assert_allclose(
        crop.matrix(POINTS[0], size), crop.matrix(POINTS[0], 256) * (size / 256), atol=1e-4 * size / 64, rtol=1e-5
    )


def test_the_similarity_is_the_best_one_and_never_mirrors():
    dice = np.random.default_rng(5)
    points, onto = dice.normal(size=(2, 20, 2))

    def error(matrix):
        return ((points @ matrix[:, :2].T + matrix[:, 2] - onto) ** 2).sum()

    best = similarity(points, onto)
    assert np.linalg.det(best[:, :2]) > 0 and best[0, 0] == best[1, 1] and best[0, 1] == -best[1, 0]
    for _ in range(50):
        cos, sin, x, y = dice.normal(size=4) * 0.05
        assert error(best + np.array([[cos, -sin, x], [sin, cos, y]])) >= error(best)
    exact = similarity(points, points @ np.array([[0, -2], [2, 0]]).T + (3, 4))
    np.testing.assert_allclose(exact, [[0, -2, 3], [2, 0, 4]], atol=1e-12)


@pytest.mark.parametrize("template", FIVE_POINTS)
def test_a_face_at_the_templates_points_is_cut_as_it_is(template):
    matrix = five_point_matrix((FIVE_POINTS[template] * 100 + 7).astype(np.float32), template, 100)
    np.testing.assert_allclose(matrix, [[1, 0, -7], [0, 1, -7]], atol=1e-4)


def test_insightface_s_template_is_that_in_pixels():
    wanted = [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
    np.testing.assert_allclose(FIVE_POINTS["arcface_112_v2"] * 112, wanted, atol=1e-3)


def test_every_template_that_a_family_names_is_known():
    source = (Path(__file__).parents[3] / "live" / "families.py").read_text(encoding="utf-8")
    named = set(re.findall(r'"((?:arcface|ffhq|mtcnn)_\d+(?:_v\d)?)"', source))
    assert len(named) == 5 and named <= set(FIVE_POINTS)


@pytest.mark.parametrize("factor", [0.5, 2, 3])
def test_a_resized_crop_has_its_pixels_where_a_resized_picture_has_them(factor):
    """A point at the crop's outer edge (-0.5) stays there."""
    matrix = Crop("full", "dfl33").matrix(POINTS[0], 128)
    grown = resized(matrix, factor)
    for edge in (-0.5, 127.5):
        place = np.linalg.solve(matrix[:, :2], np.array([edge, edge]) - matrix[:, 2])
        np.testing.assert_allclose(grown[:, :2] @ place + grown[:, 2], (edge + 0.5) * factor - 0.5, atol=1e-3)


@pytest.mark.parametrize(
    ("face_type", "fit", "more"),
    [("fs_head", "dfl33", {}), ("full", "dfl99", {}), ("whole_face", "dfl51", {}), ("full", "dfl33", {"coverage": 0}),
     ("full", "dfl33", {"coverage": float("nan")}), ("face", "faceswap", {"vertical_offset": 101})],
)  # fmt: skip
def test_a_crop_that_is_none_is_refused(face_type, fit, more):
    with pytest.raises(ModelError, match="crop") as caught:
        Crop(face_type, fit, **more)
    assert caught.value.hint


def test_points_that_are_no_numbers_give_no_crop_of_numbers():
    for crop in CROPS:
        try:
            matrix = crop.matrix(np.full((68, 2), np.nan, np.float32), 128)
        except Exception:
            continue
        assert not np.isfinite(matrix).all()
