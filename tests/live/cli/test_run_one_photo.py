"""One-photo models as a user runs them: added, worn on the sample, refused with a reason; two people in the picture."""

from __future__ import annotations

import json
from itertools import islice

import av
import cv2
import numpy as np
import pytest

from live.cover import draw_cover
from live.personas import SAMPLE_PORTRAITS
from live.pictures import read_picture
from tests.clips import write_clip
from tests.command import doppelcam
from tests.one_photo_nets import CONVERTERS, RECOGNISER, SWAPPERS, converter, enhancer, recogniser, swapper

pytestmark = pytest.mark.long  # each runs the sample

PLAIN = ("--engine", "onnx_runtime:cpu:fp32", "--set", "swappers.one_photo.colour=off")


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    """The user has added a recogniser, a converter and two swappers that tint, by the command."""
    with pytest.MonkeyPatch.context() as patch:
        data = tmp_path_factory.mktemp("data")
        patch.setenv("XDG_DATA_HOME", str(data))
        files = {
            RECOGNISER: recogniser(open_batch=True),
            "crossface_ghost.onnx": converter(),
            "ghost_1_256.onnx": swapper("ghost_1_256.onnx", "tint"),
            "inswapper_128.onnx": swapper("inswapper_128.onnx", "nan"),
            "codeformer.onnx": enhancer("codeformer.onnx", "bright"),
        }
        folder = tmp_path_factory.mktemp("files")
        for file_name, content in files.items():
            (folder / file_name).write_bytes(content)
        done = doppelcam("models", "add", folder, cwd=folder)
        assert done.returncode == 0, done.stderr
    return data


@pytest.fixture
def run(added, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(added))

    def start(*args):
        return doppelcam("run", *args, cwd=tmp_path)

    return start


def frame_of(path, number=0):
    with av.open(str(path)) as video:
        return next(islice(video.decode(video=0), number, None)).to_ndarray(format="bgr24")


def test_a_model_is_worn_and_its_licence_told(run, tmp_path, two_seconds):
    done = run(
        "--source", two_seconds, "--face", "sample:nia", "--model", "ghost_1_256", "--sink", "out.mp4", "--fast",
        "--report", "report.json", *PLAIN,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "ghost_1_256: licence Apache-2.0, if it is ghost_1_256, no commercial use" in done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["frames"]["live"] >= 55 and report["errors"] == {}
    assert set(report["engines"]) == {"face_detector", "face_mesh", "iris", "occlusion", "ghost_1_256"}
    first = frame_of(tmp_path / "out.mp4").astype(int)
    bare = frame_of(SAMPLE_PORTRAITS.parent / "camera.mp4").astype(int)
    redder = first[..., 2] - first[..., 0] - bare[..., 2] + bare[..., 0] > 20
    assert 0.02 < redder.mean() < 0.12


def test_an_enhancer_finishes_the_face_and_its_licence_is_told(run, tmp_path, two_seconds):
    common = ("--source", two_seconds, "--face", "sample:nia", "--model", "ghost_1_256", "--fast", *PLAIN)
    more = ("--set", "swappers.one_photo.enhancer=codeformer", "--set", "swappers.one_photo.enhance=1")
    assert run(*common, "--sink", "plain.mp4").returncode == 0
    done = run(*common, *more, "--sink", "fine.mp4", "--report", "report.json")
    assert done.returncode == 0, done.stderr
    assert "codeformer: licence non-commercial (S-Lab 1.0), if it is codeformer, no commercial use" in done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["frames"]["live"] >= 55 and report["errors"] == {} and "codeformer" in report["engines"]
    for number in (0, 1, 40):  # looked at, carried over
        fine, plain = (frame_of(tmp_path / name, number).astype(int) for name in ("fine.mp4", "plain.mp4"))
        assert 0.02 < ((fine - plain).mean(-1) > 10).mean() < 0.12  # the contract model makes it lighter


@pytest.mark.parametrize(
    ("args", "words", "hint"),
    [
        (("--face", "sample", "--model", "inswapper_128"), "gives values that are no numbers", "fp32"),
        (("--face", "sample", "--model", "ghost_1"), "there is no model 'ghost_1'", "ghost_1_256"),
        (("--face", "sample", "--model", "arcface_w600k_r50"), "draws no face from one photo", "--face"),
        (
            ("--face", "sample", "--model", "ghost_1_256", "--set", "swappers.one_photo.enhancer=ghost_1_256"),
            "is no face enhancer",
            "models list",
        ),
        (("--face", "left=sample", "--face", "left=sample:nia"), "two faces are given to 'left'", "right=FACE"),
        (("--face", "him=sample"), "who is 'him'", "largest"),
        (("--face", "sample", "--set", "finder=yunet"), "no yunet detector is installed", "models pull yunet_2023mar"),
    ],
)
def test_what_cannot_run_is_told_before_anything_is_shown(run, tmp_path, args, words, hint):
    done = run("--source", "sample", "--sink", "out.mp4", "--fast", *PLAIN, *args)
    assert done.returncode == 2
    assert words in done.stderr and hint in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def two_people(tmp_path_factory):
    """A clip of 40 frames, 1280x720: amara to the left, joel to the right, who leaves for the last frames."""
    left, right = (
        cv2.resize(read_picture(SAMPLE_PORTRAITS / f"{name}.jpg"), (480, 480), interpolation=cv2.INTER_AREA)
        for name in ("amara", "joel")
    )
    both = np.full((720, 1280, 3), 90, np.uint8)
    both[120:600, 80:560] = left
    alone = both.copy()
    both[120:600, 720:1200] = right
    return write_clip(tmp_path_factory.mktemp("clips") / "two.mp4", [both] * 30 + [alone] * 10)


def sides(frame, clip):
    """What became of the face in each half: (it got red, its details are gone)."""
    bare = frame_of(clip).astype(int)
    told = []
    for middle in (320, 960):
        now, was = (picture[260:420, middle - 60 : middle + 60].astype(float) for picture in (frame, bare))
        redder = (now[..., 2] - now[..., 0] - was[..., 2] + was[..., 0]).mean()
        fine = [np.abs(cv2.Laplacian(picture, cv2.CV_64F)).mean() for picture in (was, now)]
        told.append((redder > 20, fine[1] < 0.35 * fine[0]))
    return told


def test_a_stranger_is_blurred_and_the_wearer_swapped(run, tmp_path, two_people):
    done = run("--source", two_people, "--face", "left=sample", "--model", "ghost_1_256", "--sink", "out.mp4",
               "--fast", *PLAIN)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sides(frame_of(tmp_path / "out.mp4", 20), two_people) == [(True, False), (False, True)]


def test_two_people_wear_a_face_each(run, tmp_path, two_people):
    done = run("--source", two_people, "--face", "left=sample", "--face", "right=sample:nia", "--sink", "out.mp4",
               "--fast", "--engine", "onnx_runtime:cpu:fp32")  # fmt: skip
    assert done.returncode == 0, done.stderr
    frame, bare = (frame_of(path, 20).astype(int) for path in (tmp_path / "out.mp4", two_people))
    for middle in (320, 960):
        face = np.s_[260:420, middle - 60 : middle + 60]
        assert np.abs(frame[face] - bare[face]).mean() > 4
    assert not any(veiled for _, veiled in sides(frame.astype(np.uint8), two_people))


def test_a_wearer_is_known_by_picture_wherever_they_sit(run, tmp_path, two_people):
    """joel sits to the right, and is smaller than nobody: only the picture tells that it is him."""
    done = run(
        "--source", two_people, "--face", f"{SAMPLE_PORTRAITS / 'joel.jpg'}=sample:nia", "--model", "ghost_1_256",
        "--sink", "out.mp4", "--fast", "--set", "who.likeness=0.93", *PLAIN,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sides(frame_of(tmp_path / "out.mp4", 20), two_people) == [(False, True), (True, False)]


@pytest.mark.parametrize("file_name", SWAPPERS)
def test_each_public_signature_runs_on_the_sample(tmp_path, monkeypatch, two_seconds, file_name):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    files = tmp_path / "files"
    files.mkdir()
    for name in CONVERTERS:
        (files / name).write_bytes(converter())
    (files / RECOGNISER).write_bytes(recogniser())
    (files / file_name).write_bytes(swapper(file_name, "random"))
    assert doppelcam("models", "add", files, cwd=tmp_path).returncode == 0
    done = doppelcam(
        "run", "--source", two_seconds, "--face", "sample:nia", "--model", file_name[:-5], "--sink", "out.mp4",
        "--fast", "--report", "report.json", "--engine", "onnx_runtime:cpu:fp32", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["frames"]["live"] >= 55 and report["errors"] == {}
    cover = draw_cover(1280, 720, "no face in sight").astype(int)
    assert np.abs(frame_of(tmp_path / "out.mp4") - cover).mean() > 20
