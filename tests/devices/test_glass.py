"""`doppelcam bench glass` between two loopback devices: the figure is there, and it is a sane one."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.devices.bed import CAMERA, VIRTUAL


def test_glass_to_glass_is_measured(tmp_path, record_property):
    command = [sys.executable, "-c", "from live.cli import main; main()", "bench", "glass", "--json", "g.json"]
    command += ["--camera", str(CAMERA), "--virtual", str(VIRTUAL), "--seconds", "5", "--wait", "150"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=175, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "g.json").read_text())
    for what, value in figures.items():
        record_property(what, value)
    age = figures["glass_to_glass_ms"]
    assert 0 < age["p50"] <= age["p95"] <= age["max"] < 5000
    assert figures["frames_per_second"] > 1  # what a busy machine must give, too
    assert figures["without_marker"] < figures["frames_read"]
