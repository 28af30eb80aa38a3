"""Finders with a detector of the user's own: its faces get meshes and are followed; without a mesh they still count."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import NotAvailable
from engines.store import user_store
from live.finders import insightface_pack, yunet
from live.finders.insightface_pack import InsightfacePack
from live.finders.yunet import Yunet
from live.parts import FINDERS
from live.personas import SAMPLE_PORTRAITS
from live.pictures import read_picture
from live.track import Tracks
from tests.one_photo_nets import detector, make_model

FINDING = {"insightface_pack": (InsightfacePack, "scrfd"), "yunet": (Yunet, "yunet")}


@pytest.fixture(params=FINDING)
def opened(request, tmp_path, monkeypatch):
    """opened(faces) is such a finder, opened, whose detector finds these faces in any picture."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("engines.door.admit", lambda card: None)
    part, family = FINDING[request.param]
    finders = []

    def open_one(*faces):
        name = f"{family}_net{len(finders)}"
        make_model(user_store().root / name, f"{family}.onnx", detector(family, faces))
        finders.append(part(detector=name, engine="onnx_runtime:cpu:fp32"))
        finders[-1].open()
        return finders[-1]

    yield open_one
    for one in finders:
        one.close()


def told(face, scale):
    """A face as the detector tells it."""
    return (*(v * scale for v in face.box), face.points * scale, 0.9)


@pytest.fixture
def joel(finder):
    image = read_picture(SAMPLE_PORTRAITS / "joel.jpg")
    return image, finder.find(image, [])[0]


def test_a_found_face_gets_its_mesh_and_is_followed(opened, joel):
    image, wanted = joel
    part = opened(told(wanted, 640 / max(image.shape)))
    tracks = Tracks()
    for k in range(4):
        faces, lost = tracks.update(part.find(image, tracks.faces), k / 30, image)
        assert [face.track for face in faces] == [1] and lost == 0
        assert np.abs(faces[0].mesh - wanted.mesh).mean() < 3
    assert len(part.engines) == 3 and {engine.model for engine in part.engines} >= {"face_mesh", "iris"}


def test_where_no_mesh_is_seen_the_five_points_are_the_face_and_keep_its_number(opened):
    image = np.full((480, 640, 3), 90, np.uint8)
    points = np.array([[290, 220], [330, 220], [310, 240], [295, 260], [325, 260]], np.float32)
    part, tracks = opened((270, 190, 350, 290, points, 0.8)), Tracks()
    for k in range(4):
        (face,), _ = tracks.update(part.find(image, tracks.faces), k / 30, image)
        assert face.mesh is None and face.track == 1
        np.testing.assert_allclose(face.points, points, atol=0.1)


def test_without_a_detector_it_is_not_available_and_says_what_to_get(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for module, pull in ((insightface_pack, "scrfd_2.5g"), (yunet, "yunet_2023mar")):
        with pytest.raises(NotAvailable) as caught:
            module.available()
        assert f"models pull {pull}" in caught.value.hint
        assert FINDERS.why_not(module.__name__.rpartition(".")[2]) is not None
