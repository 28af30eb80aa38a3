"""`doppelcam verify` as a user runs it: what it finds, its exit codes, its JSON."""

from __future__ import annotations

import json
import shutil
import subprocess

import cv2
import pytest

from tests.command import doppelcam


@pytest.fixture(scope="module")
def made(tmp_path_factory, two_seconds):
    """A recording of that clip, and the report of its run."""
    folder = tmp_path_factory.mktemp("made")
    done = doppelcam(
        "run", "--source", two_seconds, "--face", "sample", "--sink", "out.mp4", "--fast", "--report", "report.json",
        "--engine", "onnx_runtime:cpu:fp32", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "out.mp4", json.loads((folder / "report.json").read_text())


def test_a_recording_is_known_with_its_session(made):
    path, report = made
    done = doppelcam("verify", path.name, "--json", cwd=path.parent)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (stretch,) = found["watermark"]["stretches"]
    assert stretch["session"] == report["marks"]["session"] == found["aigc_label"]["ProduceID"]
    assert stretch["from_s"] == 0 and stretch["to_s"] == pytest.approx(found["seconds"], abs=0.2)
    assert stretch["begun_in_hour"] and stretch["own_session"]["started"]
    assert report["marks"]["in_picture"] == ["watermark", "badge"]
    assert "joel" not in done.stdout  # whose face it was is nobody's business


def test_it_is_told_in_words_too(made):
    path, report = made
    done = doppelcam("verify", path.name, cwd=path.parent)
    assert done.returncode == 0
    assert "comes from doppelcam" in done.stdout and report["marks"]["session"] in done.stdout
    assert "false positives" in done.stdout


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="apt install ffmpeg")
def test_a_smaller_copy_without_metadata_is_known_by_its_watermark(made):
    path, report = made
    copy = path.with_name("copy.webm")
    command = ["ffmpeg", "-y", "-loglevel", "error", "-i", path, "-vf", "scale=640:-2", "-an", "-map_metadata", "-1"]
    command += ["-c:v", "libvpx", "-b:v", "500k", "-deadline", "realtime", "-cpu-used", "8", copy]
    subprocess.run(command, check=True, timeout=100)
    found = json.loads(doppelcam("verify", copy, "--json", cwd=path.parent).stdout)
    assert found["aigc_label"] is None and found["credentials"] is None
    assert found["watermark"]["stretches"][0]["session"] == report["marks"]["session"]


def test_a_still_picture_is_known(made):
    path, report = made
    capture = cv2.VideoCapture(str(path))
    for _ in range(40):
        ok, picture = capture.read()
    assert ok
    cv2.imwrite(str(path.with_name("still.jpg")), picture, [cv2.IMWRITE_JPEG_QUALITY, 70])
    found = json.loads(doppelcam("verify", "still.jpg", "--json", cwd=path.parent).stdout)
    assert found["watermark"]["stretches"][0]["session"] == report["marks"]["session"]


def test_what_is_not_from_doppelcam_ends_with_1(two_seconds, tmp_path):
    done = doppelcam("verify", two_seconds, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "no sign of doppelcam" in done.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["none.mp4"], "there is no video file none.mp4"),
        (["bad.mp4"], "bad.mp4"),
        ([], "a file or at a camera"),
        (["bad.mp4", "--camera", "0"], "a file or at a camera"),
        (["--camera", "nothing-like-it"], "nothing-like-it"),
    ],
)
def test_what_cannot_be_looked_at_ends_with_2_and_one_line(args, said, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    done = doppelcam("verify", *args, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr and done.stderr.count("error:") == 1 and "Traceback" not in done.stderr
