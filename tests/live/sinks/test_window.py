"""The window on a real (virtual) screen, in a process of its own because its library wants one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageGrab

from engines.errors import NotAvailable
from live.sinks.window import available


@pytest.fixture
def screen():
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (Debian / Ubuntu: apt install xvfb)")
    number = next(n for n in range(90, 200) if not Path(f"/tmp/.X11-unix/X{n}").exists())
    server = subprocess.Popen(["Xvfb", f":{number}", "-screen", "0", "1400x900x24"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not Path(f"/tmp/.X11-unix/X{number}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    yield f":{number}"
    server.terminate()
    server.wait(10)


def test_the_swapped_sample_is_seen_on_the_screen(screen):
    args = ["run", "--source", "sample", "--set", "sources.sample.repeat=true", "--face", "sample", "--sink", "window"]
    window = subprocess.Popen(
        [sys.executable, "-c", "from live.cli import main; main()", *args, "--seconds", "60"],
        env={**os.environ, "DISPLAY": screen}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        seen, deadline = 0, time.monotonic() + 50
        while seen < 1000 and time.monotonic() < deadline:
            time.sleep(0.3)
            picture = np.asarray(ImageGrab.grab(xdisplay=screen).convert("RGB"))
            seen = len(np.unique(picture.reshape(-1, 3)[::7], axis=0))  # a cover has a handful of colours
        assert seen >= 1000
    finally:
        window.terminate()
        _, errors = window.communicate(timeout=30)
    assert window.returncode == 0, errors


@pytest.mark.parametrize(("display", "words"), [("", "DISPLAY is not set"), (":1234", "no screen at DISPLAY=:1234")])
def test_without_a_screen_it_says_so(monkeypatch, display, words):
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(NotAvailable, match=words):
        available()
