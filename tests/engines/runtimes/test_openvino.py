"""OpenVINO as it is loaded here: its telemetry stays off."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

WATCHED = """
import sys, time
seen = []
watched = ("os.fork", "os.posix_spawn", "subprocess.Popen", "socket.connect", "socket.getaddrinfo")
sys.addaudithook(lambda event, args: event in watched and seen.append(event))
import engines.runtimes.openvino
time.sleep(1)
print(seen)
"""


def test_importing_it_sends_nothing_starts_nothing_and_leaves_nothing(tmp_path):
    if find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed")
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3],
        env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []
