"""Faces of a footage: all frames are seen, an interrupted search goes on, and what cannot be used is told."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import BadInput
from live.teach import faces
from live.teach.faces import NO_FACE, demand_enough, find_faces, read_faces
from live.teach.looks import DARK, REASONS
from live.teach.pieces import Pieces
from tests.footage import FRAMES, video


@pytest.fixture
def pieces(tmp_path, home):
    return Pieces(tmp_path, "faces")


def find(path, finder, pieces, who="", tell=lambda frames: None):
    find_faces(video(path), finder, who, pieces, tell)
    return read_faces(pieces)


def test_every_frame_is_seen_and_the_faces_come_back(seen, finder, pictures):
    assert seen.frames == FRAMES
    assert sum(seen.left_out.values()) + int((seen.reasons == 0).sum()) == FRAMES
    assert len(seen.fit) > 150
    row = seen.fit[80]
    (now,) = finder.find(pictures[int(seen.numbers[row])], [])
    size = now.box[3] - now.box[1]
    assert np.abs(now.mesh - seen.faces[row].mesh)[:, :2].mean() < 0.03 * size
    assert seen.faces[row].irises is not None and seen.faces[row].track


def test_an_interrupted_search_goes_on(clip, finder, pieces, monkeypatch, seen):
    monkeypatch.setattr(faces, "A_PIECE", 64)

    def interrupt(frames):
        if frames == 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find(clip, finder, pieces, tell=interrupt)
    assert len(pieces) == 1
    again = find(clip, finder, pieces)
    assert len(pieces) == 3 and again.frames == FRAMES
    assert list(again.numbers) == list(seen.numbers)
    apart = [np.abs(a.mesh - b.mesh).mean() for a, b in zip(again.faces, seen.faces, strict=True)]
    assert max(apart) < 2.0


def test_two_people_are_told_unless_it_is_said_who(two, finder, pieces):
    with pytest.raises(BadInput, match="two people in the footage") as told:
        find(two, finder, pieces)
    assert "--who left" in told.value.hint
    left = find(two, finder, pieces, who="left")
    assert {bool(face.points[:, 0].mean() < 400) for face in left.faces} == {True}
    pieces.clear()
    right = find(two, finder, pieces, who="right")
    assert {bool(face.points[:, 0].mean() < 400) for face in right.faces} == {False}


def test_a_dark_clip_is_told(dark, finder, pieces, tmp_path):
    seen = find(dark, finder, pieces)
    with pytest.raises(BadInput, match=f"only 0 of 60 frames .* {REASONS[DARK]}|{NO_FACE}") as told:
        demand_enough(seen, tmp_path / "faces.png")
    assert "faces.png" in told.value.hint


def test_a_clip_without_a_face_is_told(finder, pieces, tmp_path):
    from tests.clips import numbered, write_clip

    empty = write_clip(tmp_path / "empty.mp4", [numbered(k) for k in range(20)])
    with pytest.raises(BadInput, match=f"only 0 of 20 frames .* 20 {NO_FACE}"):
        demand_enough(find(empty, finder, pieces), tmp_path / "faces.png")


def test_of_many_frames_the_most_different_are_kept(seen, monkeypatch):
    monkeypatch.setattr(faces, "MOST", 50)
    assert 40 <= len(seen.fit) <= 50
