"""Whose face an engine was taught: a face's consent is passed on by its name, pictures only where there is none."""

from __future__ import annotations

import hashlib
import os

import cv2
import numpy as np
import pytest

from engines.errors import BadInput
from live.personas import SAMPLE_PORTRAITS, choose, enrol
from live.personas.packs import user_packs
from live.pictures import decoded
from live.teach.engine import keep_portraits, portraits, settled, shared, whose
from live.teach.pieces import Pieces

LENA, NIA = SAMPLE_PORTRAITS / "lena.jpg", SAMPLE_PORTRAITS / "nia.jpg"


def facts(spec, finder):
    return whose(spec, choose(spec).open(finder), finder)


def test_a_face_that_ships_is_named(home, finder):
    assert facts("sample:nia", finder) == ({"sample": "nia"}, [])
    assert facts("sample", finder) == ({"sample": "joel"}, [])


def test_a_face_of_the_gallery_is_named_and_its_pictures_are_not_copied(home, finder):
    pack = enrol.store(user_packs(), "aunt", enrol.take(LENA, finder), "synthetic", enrol.DECLARED)
    assert facts("aunt", finder) == (
        {"pack": "aunt", "photos": [hashlib.sha256(photo).hexdigest() for photo in pack.photos]},
        [],
    )


def test_a_picture_goes_along(home, finder, tmp_path):
    face, pictures = facts(str(LENA), finder)
    assert face["portraits"] == ["portrait1.png"]
    assert face["sha256"] == [hashlib.sha256(pictures[0]).hexdigest()]
    image = decoded(pictures[0])
    assert len(finder.find(image, [])) == 1
    kept = Pieces(tmp_path, "portraits")
    keep_portraits(kept, pictures)
    assert portraits(kept) == pictures
    keep_portraits(kept, [])
    assert portraits(kept) == [] and not list(tmp_path.glob("portraits*"))


def test_of_several_people_only_the_one_goes_along(home, finder, tmp_path):
    group = np.hstack([cv2.imread(str(LENA)), cv2.imread(str(NIA))])
    cv2.imwrite(str(tmp_path / "group.png"), group)
    _, one = facts(str(tmp_path / "group.png#1"), finder)
    _, other = facts(str(tmp_path / "group.png#2"), finder)
    assert one != other
    for picture in (*one, *other):
        assert len(finder.find(decoded(picture), [])) == 1


def test_faces_that_touch_cannot_be_told_apart(home, finder, tmp_path, monkeypatch):
    monkeypatch.setattr("live.teach.engine._ROOM", 6.0)
    group = np.hstack([cv2.imread(str(LENA)), cv2.imread(str(NIA))])
    cv2.imwrite(str(tmp_path / "group.png"), group)
    with pytest.raises(BadInput, match="cannot be told from others"):
        facts(str(tmp_path / "group.png#1"), finder)


def test_paths_are_remembered_wherever_it_is_called_from(tmp_path, monkeypatch):
    (tmp_path / "me.jpg").write_bytes(LENA.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert settled("me.jpg") == os.path.join(tmp_path, "me.jpg")
    assert settled("me.jpg#2") == os.path.join(tmp_path, "me.jpg#2")
    assert settled("sample:nia") == "sample:nia" and settled("aunt") == "aunt"


def test_of_two_people_only_those_looks_are_known_whose_pose_both_had():
    looks = np.zeros((5, 6), np.float32)
    looks[:, 0] = (-40, -10, 0, 10, 40)
    persona = np.zeros((3, 6), np.float32)
    persona[:, 0], persona[:, 3] = (-3, 0, 12), 9  # their light does not matter
    assert shared(looks, persona)[:, 0].tolist() == [-10, 0, 10]
    assert len(shared(looks, persona + 100)) == 5, "better all than none"
