"""The mesh's five points do for nets that were trained on a detector's: they fit the templates, and so do the crops."""

from __future__ import annotations

import numpy as np
import pytest

from live.align import OVAL, outline_of
from live.align.crops import five_point_matrix, similarity
from live.align.landmarks import landmarks
from live.align.templates import FIVE_POINTS
from live.frame import Face
from live.personas import open_persona, sample_names

CORNERS = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])


@pytest.fixture(scope="module", params=sample_names())
def face(request, finder):
    return open_persona(f"sample:{request.param}", finder).face


# How far a straight face may be off, in % of the crop's side: eyes, nose, mouth. ArcFace's template is the mean of many
# poses, and has the nose higher.
@pytest.mark.parametrize(
    ("template", "most"),
    [("arcface_112_v2", (1.6, 5.5, 2.1)), ("arcface_128", (1.4, 4.8, 1.9)), ("ffhq_512", (1.5, 2.6, 1.7))],
)  # fmt: skip
def test_they_lie_where_the_templates_have_them(face, template, most):
    wanted = FIVE_POINTS[template]
    unit = similarity(face.points, wanted)
    off = 100 * np.linalg.norm(face.points @ unit[:, :2].T + unit[:, 2] - wanted, axis=1)
    assert off[:2].max() < most[0] and off[2] < most[1] and off[3:].max() < most[2]


@pytest.mark.parametrize("template", ["arcface_112_v1", "arcface_112_v2", "arcface_128", "ffhq_512", "mtcnn_512"])
def test_the_crop_is_that_of_the_five_points_that_are_taken_from_68(face, template):
    """Other programs take eyes' means, the nose's tip and the mouth's corners from dlib's or FAN's points."""
    points = landmarks(face.mesh)
    from_68 = np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])
    ours, theirs = (five_point_matrix(five.astype(np.float32), template, 100) for five in (face.points, from_68))
    places = [(CORNERS * 100 - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T for matrix in (ours, theirs)]
    side = 100 / np.hypot(*ours[:, 0])
    assert np.linalg.norm(places[0] - places[1], axis=1).max() < 0.03 * side


def test_the_oval_of_a_face_without_a_mesh_is_about_the_meshs_outline(face):
    oval, mesh = outline_of(Face(face.points, None, 1.0)), face.mesh[list(OVAL), :2]
    np.testing.assert_array_equal(outline_of(face), mesh)
    eyes = np.linalg.norm(face.points[0] - face.points[1])
    assert np.abs(oval.min(0) - mesh.min(0)).max() < 0.33 * eyes
    assert np.abs(oval.max(0) - mesh.max(0)).max() < 0.33 * eyes
