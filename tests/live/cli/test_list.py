"""`doppelcam list`: every part is listed, and why a missing one is missing."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from live.cli import app
from live.cli.screen import out
from live.run import KINDS


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch):
    monkeypatch.setattr(out, "width", 200)


def listed(*args):
    done = CliRunner().invoke(app, ["list", *args])
    assert done.exit_code == 0
    return done.stdout


def test_it_lists_every_part_and_sample_face():
    text = listed()
    for kind in KINDS.values():
        assert all(name in text for name in kind.names())
    assert "sample:joel" in text


def test_it_says_why_a_window_cannot_be_opened(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "there is no screen" in listed()


def test_settings_are_listed_with_limits():
    text = listed("--settings")
    assert "guard.on_no_face" in text
    assert "cover | hold | show" in text
    assert "sources.camera.width" in text
