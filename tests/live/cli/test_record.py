"""`doppelcam record` and `replay` as a user runs them: the same pictures again, from another process."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.command import COMMAND, doppelcam

PAIRS = ("--engine", "onnx_runtime:cpu:fp32")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("record")
    args = ["record", "s.session", "--source", "sample", "--face", "sample:nia", "--seconds", "2", *PAIRS]
    done = subprocess.run([*COMMAND, *args], cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["s.session"]
    return folder


def test_a_replay_gives_the_same_pictures(recorded):
    done = doppelcam("replay", "s.session", "--json", "r.json", cwd=recorded)
    assert done.returncode == 0, done.stderr + done.stdout
    tree = json.loads((recorded / "r.json").read_text())
    (recorded / "r.json").unlink()
    assert tree["whole"] and tree["pictures"]["different"] == 0 and tree["pictures"]["same"] >= 1
    then, now = tree["figures"]["processed"]
    assert then == now
    assert f"{tree['pictures']['same']} pictures are the same bit for bit" in done.stdout


@pytest.mark.long
def test_with_another_setting_the_pictures_differ(recorded):
    done = doppelcam("replay", "s.session", "--set", "swappers.mesh.light=0", cwd=recorded)
    assert done.returncode == 1, done.stderr
    assert " 0 pictures are the same" in f" {done.stdout.splitlines()[-1]}"


@pytest.mark.long
def test_live_it_compares_ages(recorded):
    done = doppelcam("replay", "s.session", "--live", cwd=recorded)
    assert done.returncode == 0, done.stderr
    assert "age p50 ms" in done.stdout and "bit for bit" not in done.stdout


@pytest.mark.long
def test_a_passphrase_is_asked_for(tmp_path):
    args = ("s.session", "--passphrase")
    done = doppelcam(
        "record", *args, "--source", "sample", "--face", "sample", "--seconds", 1, *PAIRS, cwd=tmp_path, stdin="hush\n"
    )
    assert done.returncode == 0, done.stderr
    assert doppelcam("replay", *args, cwd=tmp_path, stdin="hush\n").returncode == 0
    wrong = doppelcam("replay", *args, cwd=tmp_path, stdin="loud\n")
    assert wrong.returncode == 2 and "is this its passphrase" in wrong.stderr
    assert "hush" not in done.stderr + done.stdout


RECORD = ("record", "s.session", "--source", "sample", "--face")
BAD = {
    "no face": ([*RECORD, "gone.jpg"], "there is no picture gone.jpg"),
    "no folder": (["record", "gone/s", "--source", "sample", "--face", "sample"], "does not exist"),
    "there already": (
        ["record", "there", "--source", "sample", "--face", "sample"],
        "there is a session there already",
    ),
    "no session": (["replay", "gone"], "cannot be read"),
    "another file": (["replay", "there"], "is no session"),
    "empty passphrase": ([*RECORD, "sample", "--passphrase"], "the passphrase is empty"),
}


@pytest.mark.parametrize(("args", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_told_in_one_line_and_nothing_is_left(args, words, tmp_path):
    (tmp_path / "there").write_text("a letter")
    done = doppelcam(*args, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr and "Traceback" not in done.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("there", "a letter")]
