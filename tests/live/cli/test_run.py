"""`doppelcam run` as a user runs it: its exit code, what it prints and what it leaves; as a process of its own too."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time

import av
import cv2
import numpy as np
import pytest

from engines.errors import LoopFailed
from live import session
from live.cli.run import run
from live.personas import SAMPLE_PORTRAITS
from tests.command import COMMAND, doppelcam
from tests.doubles import ColourFinder, NumberedCamera, StayingWitness, make_loop
from tests.trained_nets import make_trained, tint


def process(*args, cwd):
    return subprocess.run([*COMMAND, *args], cwd=cwd, capture_output=True, text=True, timeout=100, input="")


def test_the_main_job_on_the_sample(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("first_use")))
    done = process(
        "run", "--source", "sample", "--face", "sample", "--sink", "swapped.mp4", "--sink", "null", "--fast",
        "--report", "report.json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "swapped.mp4"]
    report = json.loads((tmp_path / "report.json").read_text())
    frames = report["frames"]
    assert frames["in"] == frames["processed"] == 300
    assert frames["live"] >= 255  # the face is away for a second
    assert frames["live"] + frames["held"] + sum(report["covers"].values()) == 300
    assert report["sinks"]["swapped.mp4"]["shown"] == 300
    assert {"p50", "p95", "p99"} <= set(report["age_ms"])
    assert set(report["engines"]) == {"face_detector", "face_mesh", "iris", "occlusion"}
    assert all(facts.keys() == {"runs_on"} for facts in report["engines"].values())
    assert "first use of face_mesh" in done.stderr
    assert set(report["steps_ms"]) == {"wait", "find", "swap", "blend", "mark"}
    with av.open(str(tmp_path / "swapped.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 300


def test_a_trained_model_is_worn(tmp_path, two_seconds):
    make_trained(tmp_path / "anna", tint)
    done = doppelcam(
        "run", "--source", two_seconds, "--face", "anna", "--sink", "out.mp4", "--fast", "--report", "report.json",
        "--set", "swappers.trained.colour=off", "--engine", "onnx_runtime:cpu:fp32", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["anna", "out.mp4", "report.json"]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["frames"]["live"] >= 55 and report["errors"] == {}
    assert set(report["engines"]) == {"face_detector", "face_mesh", "iris", "occlusion", "anna"}
    with av.open(str(tmp_path / "out.mp4")) as video:
        frames = [frame.to_ndarray(format="bgr24") for frame in video.decode(video=0)]
    assert len(frames) == 60
    with av.open(str(SAMPLE_PORTRAITS.parent / "camera.mp4")) as video:
        bare = next(video.decode(video=0)).to_ndarray(format="bgr24")
    redder = frames[0][..., 2].astype(int) - frames[0][..., 0] - bare[..., 2] + bare[..., 0] > 20
    assert 0.02 < redder.mean() < 0.12


def test_a_fallback_must_be_asked_for_and_is_told_loudly(tmp_path):
    args = ["run", "--source", "sample", "--face", "sample", "--sink", "null", "--fast", "--seconds", "1"]
    args += ["--engine", "onnx_runtime:directml"]
    done = doppelcam(*args, "--set", "swappers.mesh.front=false", cwd=tmp_path)
    assert done.returncode == 2 and "has no DmlExecutionProvider" in done.stderr and "hint:" in done.stderr
    done = doppelcam(*args, "--set", "fallback=true", "--report", "report.json", cwd=tmp_path)
    assert done.returncode == 0 and "FALLBACK" in done.stderr
    facts = json.loads((tmp_path / "report.json").read_text())["engines"]["face_mesh"]
    assert "directml" not in facts["runs_on"]
    assert facts["fallback"].startswith("onnx_runtime:directml was asked for")


BAD = {
    "no source": (["--source", "gone.mp4", "--sink", "null"], "there is no video file gone.mp4"),
    "no video": (["--source", "text.mp4", "--sink", "out.mp4"], "is not a video"),
    "misspelt source": (["--source", "sampel", "--sink", "null"], "did you mean 'sample'"),
    "no camera": (["--source", "camera:/dev/video63", "--sink", "null"], "there is no camera"),
    "no picture": (["--face", "gone.jpg", "--sink", "out.mp4"], "there is no picture gone.jpg"),
    "picture is text": (["--face", "text.jpg", "--sink", "out.mp4"], "not a picture"),
    "no face": (["--face", "flat.png", "--sink", "out.mp4"], "no face was found in flat.png"),
    "two faces": (["--face", "group.jpg", "--sink", "out.mp4"], "which one?"),
    "no third face": (["--face", "group.jpg#3", "--sink", "out.mp4"], "has no face #3"),
    "no trained face": (["--face", "model", "--sink", "null"], "no trained face to wear"),
    "a wrong card": (["--face", "wrong", "--sink", "out.mp4"], "the fact 'size' must be a whole number"),
    "a model for mesh": (["--face", "wrong", "--sink", "null", "--set", "swapper=mesh"], "'mesh' wears pictures"),
    "a picture for trained": (["--sink", "null", "--set", "swapper=trained"], "wears trained models"),
    "no folder": (["--sink", "gone/out.mp4"], "does not exist"),
    "unknown sink": (["--sink", "out.avi"], "is no sink"),
    "no sink": ([], "where shall the picture go?"),
    "no device": (["--sink", "virtual:/dev/video62"], "there is no virtual camera /dev/video62"),
    "unknown key": (["--sink", "null", "--set", "guard.hold=1"], "did you mean 'hold_ms'"),
    "wrong value": (["--sink", "null", "--set", "guard.hold_ms=soon"], "takes a number from 0 to 2000"),
    "unknown flag": (["--sink", "null", "--frob"], "No such option: --frob"),
    "unknown engine": (["--sink", "null", "--engine", "onxruntime"], "there is no runtime called 'onxruntime'"),
    "unknown device": (["--sink", "null", "--engine", "openvino:tpu"], "neither a device nor a precision 'tpu'"),
    "wrong policy": (["--sink", "null", "--on-no-face", "pass"], "cover or hold or show"),
    "broken profile": (["--sink", "null", "--profile", "text.mp4"], "is not TOML"),
    "no report folder": (["--sink", "null", "--report", "gone/r.json"], "does not exist"),
    "no trace folder": (["--sink", "null", "--trace", "gone/t.json"], "does not exist"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    (folder / "text.mp4").write_text("this is no video")
    (folder / "text.jpg").write_text("this is no picture")
    cv2.imwrite(str(folder / "flat.png"), np.full((200, 200, 3), 128, np.uint8))
    make_trained(folder / "model", kind="detector")
    make_trained(folder / "wrong", size=16)
    card = folder / "wrong" / "card.json"
    card.write_text(card.read_text().replace('"size": 16', '"size": 0'))
    pair = [cv2.imread(str(SAMPLE_PORTRAITS / f"{name}.jpg")) for name in ("joel", "nia")]
    cv2.imwrite(str(folder / "group.jpg"), np.hstack(pair))
    return folder


@pytest.mark.parametrize(("args", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_told_in_one_line_with_exit_code_2_and_nothing_is_left(args, words, folder):
    before = sorted(folder.iterdir())
    defaults = [
        *([] if "--source" in args else ["--source", "sample"]),
        *([] if "--face" in args else ["--face", "sample"]),
    ]
    done = doppelcam("run", *defaults, *args, cwd=folder)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2  # the error and its hint
    assert done.stdout == ""
    assert sorted(folder.iterdir()) == before


def test_a_process_that_cannot_start_ends_the_same_way(folder):
    done = process("run", "--source", "sample", "--face", "flat.png", "--sink", "out.mp4", cwd=folder)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: no face was found in flat.png\nhint:  ") and done.stderr.count("\n") == 2


def test_ctrl_c_leaves_a_playable_recording(tmp_path):
    args = ["run", "--source", "sample", "--set", "sources.sample.repeat=true", "--face", "sample", "--sink", "out.mp4"]
    process = subprocess.Popen(
        [*COMMAND, *args],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    partial = tmp_path / ".out.mp4.part"
    deadline = time.monotonic() + 60
    while not partial.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    with av.open(str(tmp_path / "out.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) > 10


def test_after_a_failure_a_camera_keeps_its_cover_until_ctrl_c(monkeypatch, capsys):
    def broken(number, faces):
        raise ValueError("net is broken")

    device = StayingWitness()
    monkeypatch.setattr("live.outlets._REPEAT_S", 0.01)
    monkeypatch.setattr("live.run.read_run", lambda *_: None)

    def build(_, outlets, spans):
        loop = make_loop(NumberedCamera(1000), finder=ColourFinder(broken), sinks={"device": device}, outlets=outlets)
        loop.parts.session = session.begin("nobody", "synthetic")
        return loop

    monkeypatch.setattr("live.app.build", build)

    def interrupt():
        while len(device.seen) < 30:  # ten from the loop, the others while it holds on
            time.sleep(0.01)
        signal.getsignal(signal.SIGINT)(signal.SIGINT, None)  # what Ctrl-C does

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(LoopFailed, match="net is broken"):
        run()
    assert set(device.states()) == {"cover"}
    assert device.closed == 1
    assert "a cover stays on the camera until Ctrl-C" in " ".join(capsys.readouterr().err.split())
