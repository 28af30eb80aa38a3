"""`doppelcam bench engines` as a user runs it: the table, the star, the refusals, the JSON, bad input."""

from __future__ import annotations

import json

import pytest

from engines.door import RUNTIMES
from live.models import shipped_names
from tests import command
from tests.engines.models import convolutions, folder_of

pytestmark = pytest.mark.skipif(RUNTIMES.why_not("onnx_runtime") is not None, reason="onnxruntime is not installed")


def doppelcam(*args, cwd):
    return command.doppelcam(*args, cwd=cwd, columns=100)


def test_the_table_and_the_figures(tmp_path):
    done = doppelcam("bench", "engines", "face_mesh", "--seconds", "0.1", "--json", "out.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    tree = json.loads((tmp_path / "out.json").read_text())
    (mesh,) = tree["models"]
    assert mesh["model"] == "face_mesh" and 60 < mesh["mflop"] < 80 and set(tree["peak_gflops"]) >= {"1"}
    good = [way for way in mesh["ways"] if not way["refused"]]
    assert all(way["p50_ms"] > 0 and way["p95_ms"] >= way["p50_ms"] for way in good)
    assert all(way["load_ms"] > 0 and way["memory_mb"] > 0 and way["worst_error"] <= 0.1 for way in good)
    (star,) = [way for way in mesh["ways"] if way["auto"]]
    assert f"* {star['way']}" in done.stdout and not star["refused"]
    assert "GFLOP/s" in done.stdout and all(way["way"] in done.stdout for way in mesh["ways"])


def test_a_model_folder_and_one_way_only(tmp_path):
    folder_of(tmp_path / "mine", convolutions(), name="mine")
    done = doppelcam("bench", "engines", "mine", "--engine", "onnx_runtime:cpu:fp32", "--seconds", "0.1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mine" in done.stdout and "onnx_runtime" in done.stdout and "openvino" not in done.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nobody"], "there is no model 'nobody'"),
        (["face_mesh", "--engine", "tensorflow"], "there is no runtime called 'tensorflow'"),
        (["face_mesh", "--json", "gone/out.json"], "does not exist"),
        (["face_mesh", "--seconds", "0"], "0.05"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, args, words):
    done = doppelcam("bench", "engines", *args, cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_shipped_nets_are_named():
    assert shipped_names() == ["face_detector", "face_mesh", "iris", "occlusion"]
