"""The window, on a virtual screen: it shows the picture, and is closed by a key or its button."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engines.errors import NotAvailable
from live.frame import Format
from live.sinks.window import Window

ROOT = Path(__file__).parents[3]
TITLE = "a window for a test"

BEGIN = f"""
import sys
import time

import cv2
import numpy as np

from engines.errors import SinkLost
from live import frame as values
from live.frame import Format, SafeFrame
from live.sinks.window import Window

picture = np.full((120, 160, 3), (0, 0, 250), np.uint8)
shown = SafeFrame(values._GUARDS_KEY, picture, "live", 0.0, None)
sink = Window({TITLE!r})
sink.open(Format(160, 120, 30.0))


def write_until(done, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sink.write(shown)
        if done():
            return True
    return False
"""


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    """The DISPLAY of a virtual screen, and the file in which it keeps its pixels."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    folder = tmp_path_factory.mktemp("screen")
    reader, writer = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", "640x480x24", "-fbdir", str(folder), "-nolisten", "tcp"],
        pass_fds=(writer,),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    with os.fdopen(reader) as pipe:
        number = pipe.readline().strip()
    try:
        if not number:
            pytest.skip("Xvfb does not start here")
        yield f":{number}", folder / "Xvfb_screen0"
    finally:
        server.terminate()
        server.wait(10)


def run(script, screen):
    """Run this after BEGIN in a process of its own, as Qt wants it."""
    env = {key: value for key, value in os.environ.items() if key != "WAYLAND_DISPLAY"}
    env |= {"DISPLAY": screen[0], "PIXELS": str(screen[1]), "QT_QPA_PLATFORM": "xcb"}
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + script], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_picture_can_be_seen_on_the_screen(screen):
    text = """
import os
from pathlib import Path


def red():
    data = np.frombuffer(Path(os.environ["PIXELS"]).read_bytes()[-640 * 480 * 4 :], np.uint8).reshape(-1, 4)
    return int(((data[:, 2] > 200) & (data[:, 1] < 50) & (data[:, 0] < 50)).sum())


print(write_until(lambda: red() > 0.9 * 160 * 120))
"""
    assert run(text, screen) == "True\n"


@pytest.mark.parametrize("key", [27, ord("q")], ids=["Esc", "q"])
def test_a_key_closes_it_for_good(screen, key):
    text = f"""
assert write_until(lambda: True)
cv2.pollKey = lambda: {key}
try:
    sink.write(shown)
except SinkLost as lost:
    print(lost.closed)
"""
    assert run(text, screen) == "True\n"


def test_another_key_does_nothing(screen):
    text = """
keys = iter([ord("x"), -1, 255, 13])
cv2.pollKey = lambda: next(keys)
for _ in range(4):
    sink.write(shown)
print("open")
"""
    assert run(text, screen) == "open\n"


def test_its_button_closes_it_for_good(screen):
    text = """
assert write_until(lambda: cv2.getWindowProperty(sink.title, cv2.WND_PROP_VISIBLE) >= 1)
cv2.imshow = lambda *_: None
cv2.destroyWindow(sink.title)
try:
    sink.write(shown)
except SinkLost as lost:
    print(lost.closed)
sink.close()
print("closed")
"""
    assert run(text, screen) == "True\nclosed\n"


def test_closed_and_opened_again(screen):
    text = """
sink.write(shown)
sink.close()
sink.close()
sink.open(Format(160, 120, 30.0))
print(write_until(lambda: cv2.getWindowProperty(sink.title, cv2.WND_PROP_VISIBLE) >= 1))
sink.close()
"""
    assert run(text, screen) == "True\n"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a screen")
@pytest.mark.parametrize("display", [None, "", ":987", "unix:987.0"])
def test_without_a_screen_it_is_not_available(monkeypatch, display):
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    if display is not None:
        monkeypatch.setenv("DISPLAY", display)
    sink = Window()
    with pytest.raises(NotAvailable, match="no screen") as caught:
        sink.open(Format(64, 48, 30.0))
    assert "--sink" in caught.value.hint
    sink.close()
