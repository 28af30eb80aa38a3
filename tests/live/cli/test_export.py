"""`doppelcam export` as a user runs it on what other programs wrote, and the whole chain up to a video."""

from __future__ import annotations

import json
import shutil

import av
import pytest

from engines.card import read_card
from engines.runtimes._trt_graph import fit
from tests import command

# The models that the whole chain is tried with; one of each kind more with `pytest -m long`.
CHAIN = ["saehd_liae_ud"]
MORE = [
    "fakeapp", "dfl1_h64", "dfl1_h128", "dfl1_df", "dfl1_liaef128", "dfl1_sae_df", "dfl1_sae_liae_nomask",
    "dfl1_saehd_df", "saehd_df_udt", "amp", "fs1_original", "fs2_villain", "fs3_dfaker", "fs3_iae",
]  # fmt: skip


def doppelcam(*args, cwd):
    return command.doppelcam(*args, cwd=cwd, columns=100)


@pytest.mark.parametrize("name", [*CHAIN, *(pytest.param(name, marks=pytest.mark.long) for name in MORE)])
def test_from_the_checkpoint_to_the_video(reference, tmp_path, two_seconds, name):
    done = doppelcam("export", reference(name), "--out", "model", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "face type" in done.stdout and "GFLOP" in done.stdout and "ms a face on" in done.stdout
    card = read_card(tmp_path / "model")
    assert card.family == "trained" and fit(card.model(), name)
    args = ["--face", "model", "--source", two_seconds, "--sink", "out.mp4", "--fast", "--seconds", "3"]
    done = doppelcam("run", *args, "--engine", "onnx_runtime:cpu:fp32", "--report", "report.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["frames"]["live"] > 10 and report["frames"]["failed"] == 0 and not report["errors"]
    assert card.name in report["engines"]
    with av.open(str(tmp_path / "out.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) > 10


def test_by_name_into_the_users_models(reference, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    done = doppelcam("export", reference("dfl1_h64_light"), "--name", "aunt", "--licence", "hers", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--face aunt" in done.stdout
    assert "aunt" in doppelcam("models", "list", cwd=tmp_path).stdout
    assert doppelcam("models", "check", "aunt", cwd=tmp_path).returncode == 0
    again = doppelcam("export", reference("dfl1_h64_light"), "--name", "aunt", cwd=tmp_path)
    assert again.returncode == 2 and "there is a model called aunt already" in again.stderr


def test_inspect_only_looks(reference, tmp_path):
    done = doppelcam("export", reference("saehd_df_ud"), "--inspect", cwd=tmp_path)
    assert done.returncode == 0 and "SAEHD" in done.stdout and "96 px" in done.stdout and "iterations" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["gone"], "there is no gone"),
        (["empty"], "holds no trained model"),
        (["MODEL", "--precision", "int4"], "--precision takes fp32, fp16, int8"),
        (["MODEL", "--precision", "int8"], "int8 needs pictures"),
        (["MODEL", "--options", "crop"], "--options takes KEY=VALUE"),
        (["MODEL", "--options", "frob=1"], "no option 'frob'"),
        (["MODEL", "--name", "../up"], "../up"),
        (["MODEL", "--out", "empty"], "exists already"),
    ],
)
def test_bad_input_is_one_clear_line_and_leaves_nothing(reference, tmp_path, args, words):
    (tmp_path / "empty").mkdir()
    args = [str(reference("dfl1_h64_light")) if arg == "MODEL" else arg for arg in args]
    done = doppelcam("export", *args, cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty"] and not list((tmp_path / "empty").iterdir())


def test_tensorrt_without_a_gpu_says_so(reference, tmp_path):
    if shutil.which("nvidia-smi"):
        pytest.skip("there is an NVIDIA driver here")
    done = doppelcam("export", reference("dfl1_h64_light"), "--out", "model", "--tensorrt", cwd=tmp_path)
    assert done.returncode == 2 and "tensor_rt" in done.stderr
    assert read_card(tmp_path / "model").family == "trained"  # what was exported stays
