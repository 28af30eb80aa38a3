"""`doppelcam release`: what it lets go of, what it says, and what it leaves to a run."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest

from live import sentinel
from tests.command import doppelcam

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sentinel is for Linux")

ROOT = Path(__file__).parents[3]


def release(*args):
    return doppelcam("release", *args, cwd=ROOT)


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """kept(name): a device that a sentinel holds, and doppelcam's connection to it."""
    folder = tempfile.mkdtemp(prefix="dc", dir="/tmp")
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    connections = []

    def make(name):
        handle = os.open(tmp_path / name, os.O_RDWR | os.O_CREAT)
        held = sentinel.start(f"/dev/{name}", handle, b"cover")
        os.close(handle)
        connections.append(held)
        end = time.monotonic() + 10
        while f"/dev/{name}" not in sentinel.held():
            assert time.monotonic() < end
            time.sleep(0.02)
        return held

    yield make
    for held in connections:
        held.release()
    shutil.rmtree(folder, ignore_errors=True)


def test_all_that_are_kept_are_released_and_those_in_use_are_not(kept):
    kept("video18").leave()
    kept("video19")
    done = release()
    assert done.returncode == 0
    assert done.stdout == "/dev/video18 is free\n/dev/video19 is in use: doppelcam runs\n"
    assert sentinel.held() == ["/dev/video19"]


def test_one_of_them(kept):
    for name in ("video18", "video19"):
        kept(name).leave()
    done = release("/dev/video19")
    assert (done.returncode, done.stdout) == (0, "/dev/video19 is free\n")
    assert sentinel.held() == ["/dev/video18"]
    done = release("/dev/video20")
    assert done.returncode == 2 and "/dev/video20 is not kept by doppelcam" in done.stderr
    assert "kept are: /dev/video18" in done.stderr


def test_one_that_is_in_use_is_told(kept):
    kept("video18")
    done = release("/dev/video18")
    assert done.returncode == 2 and "is in use: doppelcam runs" in done.stderr and "Ctrl-C" in done.stderr


def test_nothing_is_kept(kept):
    done = release()
    assert (done.returncode, done.stdout) == (0, "nothing is kept\n")
