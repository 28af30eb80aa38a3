"""`doppelcam doctor`: the table, the JSON, the exit code."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from live import doctor
from live.cli import app
from live.cli.screen import out
from live.doctor.finding import fault, note, ok

LONG = "a virtual camera cannot be opened because the module v4l2loopback is not loaded on this machine [yet]"


@pytest.fixture
def found(monkeypatch):
    tree = {"python": [ok("Python 3.11")], "virtual cameras": [note(LONG, "sudo modprobe v4l2loopback")]}
    monkeypatch.setattr(doctor, "examine", lambda names: tree)
    return tree


def run(*args):
    return CliRunner().invoke(app, ["doctor", *args])


def test_it_fits_in_80_columns_and_says_everything(found, monkeypatch):
    monkeypatch.setattr(out, "width", 80)
    done = run()
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "[yet]" in done.stdout and "sudo modprobe v4l2loopback" in done.stdout
    assert "doppelcam can run here: 1 note" in done.stdout


def test_a_fault_makes_it_fail(found):
    found["models"] = [fault("the model iris is changed", "pip install it again")]
    done = run()
    assert done.exit_code == 1
    assert "doppelcam cannot run here: 1 fault, 1 note" in done.stdout


def test_json_holds_every_finding(found):
    found["models"] = [fault("the model iris is changed", "pip install it again")]
    done = run("--json")
    tree = json.loads(done.stdout)
    assert done.exit_code == 1 and tree["can_run"] is False
    assert tree["findings"][1] == {
        "group": "virtual cameras", "state": "note", "line": LONG, "fix": "sudo modprobe v4l2loopback"
    }  # fmt: skip
    assert set(tree) == {"doppelcam", "system", "can_run", "findings"}


@pytest.mark.long
def test_the_command_itself_runs_on_this_machine():
    line = [sys.executable, "-c", "from live.cli import main; main()", "doctor", "--json"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    tree = json.loads(done.stdout)
    assert done.returncode == (0 if tree["can_run"] else 1)
    assert {one["group"] for one in tree["findings"]} == set(doctor.CHECKS)
    for one in tree["findings"]:
        assert one["line"] and "\n" not in one["line"] + one["fix"]
        assert one["state"] == "ok" or (one["state"] in ("note", "fault") and one["fix"])
        assert "the check of" not in one["line"]
    assert "Traceback" not in done.stdout + done.stderr
