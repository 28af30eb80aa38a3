"""An imagined machine with cameras, and a driver behind them, in place of the kernel's."""

from __future__ import annotations

import os
import sys

import pytest

from live import v4l2
from live.sources import camera
from live.sources.camera import device, which
from tests.live.sources.camera.fake_driver import FakeDriver, FakeMachine


@pytest.fixture
def machine(tmp_path, monkeypatch):
    if sys.platform != "linux":
        pytest.skip("only Linux lists cameras as files")
    made = FakeMachine()
    monkeypatch.setattr(v4l2, "CLASS", tmp_path / "class")
    monkeypatch.setattr(which, "_LINKS", (tmp_path / "by-id", tmp_path / "by-path"))
    monkeypatch.setattr(v4l2, "devices", lambda: made.devices)
    monkeypatch.setattr(v4l2, "ask", made.ask)
    monkeypatch.setattr(v4l2, "holders", lambda path: made.holders.get(path, ([], False)))
    return made


@pytest.fixture
def driver(machine, monkeypatch):
    """What stands behind every camera of the machine."""
    fake = FakeDriver()
    opened = os.open

    def open(path, flags, *more, **others):
        if not str(path).startswith("/dev/video"):
            return opened(path, flags, *more, **others)
        if "open" in fake.fails:
            raise OSError(fake.fails["open"], os.strerror(fake.fails["open"]))
        fake.queued, fake.full = [], []
        return os.dup(fake.handle)

    monkeypatch.setattr(os, "open", open)
    monkeypatch.setattr(v4l2, "ioctl", fake.ioctl)
    monkeypatch.setattr(device, "_ready", fake.ready)
    monkeypatch.setattr(device, "_FIRST_S", 0.2)
    monkeypatch.setattr(device, "_SILENT_S", 0.05)
    fake.now_ns = 1_000_000_000
    monkeypatch.setattr(camera, "clock", lambda: fake.now_ns)
    yield fake
    os.close(fake.handle)
