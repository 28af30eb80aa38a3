"""Fixtures for teaching, for conftest files: short clips of a person before a camera; a home of one's own."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

import live.app
from live.sources.sample import Sample
from live.teach import faces
from live.teach.faces import all_pictures
from tests.clips import write_clip

FRAMES = 168


@pytest.fixture(scope="session")
def pictures():
    """The sample's first pictures, cut and halved: a face of about 130 pixels."""
    found = []
    for captured in all_pictures(Sample(paced=False)):
        found.append(cv2.resize(captured.image[:, 240:1040], (400, 360), interpolation=cv2.INTER_AREA))
        if len(found) == FRAMES:
            return found
    raise AssertionError("the sample is shorter than it was")


@pytest.fixture(scope="session")
def clip(pictures, tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "me.mp4", pictures, fps=30)


@pytest.fixture(scope="session")
def two(pictures, tmp_path_factory) -> Path:
    """Two people, side by side."""
    both = [np.hstack([picture, picture[:, ::-1]]) for picture in pictures[:24]]
    return write_clip(tmp_path_factory.mktemp("clips") / "two.mp4", both, fps=30)


@pytest.fixture(scope="session")
def dark(pictures, tmp_path_factory) -> Path:
    dimmed = [np.asarray(picture * 0.16, np.uint8) for picture in pictures[:60]]
    return write_clip(tmp_path_factory.mktemp("clips") / "dark.mp4", dimmed, fps=30)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Where this user's data lies."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "doppelcam"


@pytest.fixture
def one_finder(monkeypatch, finder):
    """The tests' finder wherever one is opened."""

    @contextmanager
    def opened():
        yield finder

    monkeypatch.setattr(live.app, "opened_finder", opened)
    monkeypatch.setattr("live.teach.steps.opened_finder", opened)


@pytest.fixture(scope="session")
def seen(clip, finder, tmp_path_factory):
    """What is known of the clip's faces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("seen")))
        pieces = faces.Pieces(tmp_path_factory.mktemp("faces"), "faces")
        faces.find_faces(video(clip), finder, "", pieces, lambda frames: None)
        return faces.read_faces(pieces)


def video(path):
    from live.sources.video_file import VideoFile

    return VideoFile(str(path), paced=False)
