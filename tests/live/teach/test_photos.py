"""A folder of photos as footage: each on its own, of any size; what is none is told."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engines.errors import BadInput
from live.personas import SAMPLE_PORTRAITS
from live.teach.faces import all_pictures, find_faces, read_faces
from live.teach.footage import PERSONA, footage_of, open_footage
from live.teach.pieces import Pieces


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for k, name in enumerate(("joel", "lena", "nia")):
        image = cv2.imread(str(SAMPLE_PORTRAITS / f"{name}.jpg"))
        cv2.imwrite(str(folder / f"{k}.png"), image[:, : image.shape[1] - 10 * k])
    (folder / "notes.txt").write_text("not a photo")
    return folder


def test_each_photo_is_looked_at_on_its_own(photos, finder, tmp_path, home):
    footage = footage_of(str(photos), "", PERSONA)
    assert footage.apart and footage.whose == PERSONA and footage.print
    pieces = Pieces(tmp_path, "faces")
    find_faces(open_footage(footage, tmp_path), finder, "", pieces, lambda frames: None, apart=True)
    seen = read_faces(pieces)
    assert seen.frames == 3 and len(seen.numbers) == 3
    assert seen.seconds == 0


def test_a_folder_that_changed_is_told(photos, tmp_path):
    footage = footage_of(str(photos), "", PERSONA)
    (photos / "0.png").unlink()
    with pytest.raises(BadInput, match="has changed"):
        open_footage(footage, tmp_path)


def test_what_is_no_photo_is_told(photos, tmp_path):
    (photos / "1.png").write_bytes(b"none")
    with pytest.raises(BadInput, match=r"1\.png"):
        list(all_pictures(open_footage(footage_of(str(photos), "", PERSONA), tmp_path)))
    for file in photos.iterdir():
        file.unlink()
    with pytest.raises(BadInput, match="holds no pictures"):
        list(all_pictures(open_footage(footage_of(str(photos), "", PERSONA), tmp_path)))


def test_the_wearer_is_no_folder_of_photos(photos):
    with pytest.raises(BadInput):
        footage_of(str(photos))


def test_photos_keep_their_size(photos, tmp_path):
    shapes = [
        captured.image.shape for captured in all_pictures(open_footage(footage_of(str(photos), "", PERSONA), tmp_path))
    ]
    assert len({shape[1] for shape in shapes}) == 3
    assert all(
        image.dtype == np.uint8
        for image in (c.image for c in all_pictures(open_footage(footage_of(str(photos), "", PERSONA), tmp_path)))
    )
