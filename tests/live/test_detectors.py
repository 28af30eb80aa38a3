"""SCRFD and YuNet: what their numbers mean, against the steps written out and OpenCV's own YuNet."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from engines.card import read_card
from engines.errors import BadInput, ModelError, NotAvailable
from live.detectors import Detector, detector_card
from tests.one_photo_nets import detector, make_model, swapper

FAMILIES = {"scrfd": "scrfd_2.5g.onnx", "yunet": "yunet_2023mar.onnx"}


def at(x, y, size, score=0.9):
    """One face for `detector`: its box and its points, in pixels of a 640 px picture."""
    points = np.array([[-0.2, -0.1], [0.2, -0.12], [0.01, 0.05], [-0.15, 0.25], [0.16, 0.24]]) * size + (x, y)
    return (x - size / 2, y - 0.6 * size, x + size / 2, y + 0.6 * size, points, score)


@pytest.fixture
def opened(tmp_path, monkeypatch):
    monkeypatch.setattr("engines.door.admit", lambda card: None)
    made = []

    def open_one(family, *faces, **more):
        name = FAMILIES[family]
        folder = make_model(tmp_path / f"d{len(made)}", name, detector(family, faces, **more))
        made.append(Detector(read_card(folder), "onnx_runtime:cpu:fp32", 1, False))
        return made[-1]

    yield open_one
    for one in made:
        one.close()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (640, 640), (480, 960)])
def test_faces_are_told_in_pixels_of_the_picture_best_first(opened, family, width, height):
    faces = at(200, 150, 120, 0.7), at(400, 300, 60, 0.95), at(30, 330, 50, 0.3)
    found = opened(family, *faces).find(np.zeros((height, width, 3), np.uint8), 0.5)
    scale = max(width, height) / 640
    assert [round(one.score, 2) for one in found] == [0.95, 0.7]
    for one, wanted in zip(found, (faces[1], faces[0]), strict=True):
        np.testing.assert_allclose(one.box, np.array(wanted[:4]) * scale, atol=0.01)
        np.testing.assert_allclose(one.points, wanted[4] * scale, atol=0.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_face_that_is_found_twice_is_one(opened, family):
    found = opened(family, at(200, 150, 120, 0.7), at(217, 151, 122, 0.8)).find(np.zeros((640, 640, 3), np.uint8), 0.5)
    assert [round(one.score, 2) for one in found] == [0.8]


def test_yunet_is_read_as_opencv_reads_it(opened, tmp_path):
    faces = at(201, 153, 121, 0.7), at(407, 301, 63, 0.95), at(100, 420, 80, 0.6)
    ours = opened("yunet", *faces).find(np.zeros((640, 640, 3), np.uint8), 0.5)
    (path,) = tmp_path.rglob("*.onnx")
    theirs = cv2.FaceDetectorYN.create(str(path), "", (640, 640), 0.5, 0.4, 100)
    _, rows = theirs.detect(np.zeros((640, 640, 3), np.uint8))
    assert len(rows) == len(ours) == 3
    for row, one in zip(rows, ours, strict=True):
        x, y, width, height = row[:4]
        np.testing.assert_allclose(one.box, (x, y, x + width, y + height), atol=0.02)
        np.testing.assert_allclose(one.points.ravel(), row[4:14], atol=0.02)
        assert one.score == pytest.approx(row[14], abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_values_that_are_no_numbers_are_no_face(opened, family):
    one = opened(family, at(200, 150, 120), at(400, 300, 60))
    run = one.engine.run

    def broken(feeds):
        return {name: np.where(np.arange(array.size).reshape(array.shape) % 2, np.nan, array)
                for name, array in run(feeds).items()}  # fmt: skip

    one.engine.run = broken
    assert one.find(np.zeros((640, 640, 3), np.uint8), 0.5) == []


def test_what_is_no_detector_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("engines.door.admit", lambda card: None)
    other = make_model(tmp_path / "other", "simswap_256.onnx", swapper("simswap_256.onnx"))
    with pytest.raises(ModelError, match="is no scrfd or yunet detector"):
        Detector(read_card(other), "onnx_runtime:cpu:fp32", 1, False)
    folder = make_model(tmp_path / "d", "scrfd_2.5g.onnx", detector("scrfd"))
    card = folder / "card.json"
    tree = json.loads(card.read_text())
    for change, words in (
        ({"image_size": 320}, "is not what its card says"),
        ({"image_size": 33}, "are not a detector's"),
        ({"strides": [8, 16]}, "are not a detector's"),
        ({"outputs": {"scores": ["448"], "boxes": ["451"]}}, "gives no points"),
    ):
        card.write_text(json.dumps({**tree, "facts": {**tree["facts"], **change}}))
        with pytest.raises(ModelError, match=words):
            Detector(read_card(folder), "onnx_runtime:cpu:fp32", 1, False)


def test_the_installed_one_is_taken_or_told_where_to_get_it(tmp_path, monkeypatch):
    from engines.store import user_store

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(NotAvailable, match="no scrfd detector is installed") as caught:
        detector_card("scrfd")
    assert "models pull scrfd_2.5g" in caught.value.hint
    with pytest.raises(BadInput, match="no model 'mine'"):
        detector_card("scrfd", "mine")
    make_model(user_store().root / "mine", "scrfd_2.5g.onnx", detector("scrfd"))
    assert detector_card("scrfd").name == detector_card("scrfd", "mine").name == "mine"
    with pytest.raises(NotAvailable, match="no yunet detector"):
        detector_card("yunet")
