"""`doppelcam list`: every part is listed, and why a missing one is missing."""

from __future__ import annotations

from typer.testing import CliRunner

from live.app import KINDS
from live.cli import app


def test_it_lists_every_part_and_sample_face():
    done = CliRunner().invoke(app, ["list"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    for kind in KINDS.values():
        assert all(name in done.stdout for name in kind.names())
    assert "sample:joel" in done.stdout


def test_it_says_why_a_window_cannot_be_opened(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "there is no screen" in CliRunner().invoke(app, ["list"], env={"COLUMNS": "200"}).stdout


def test_settings_are_listed_with_limits():
    out = CliRunner().invoke(app, ["list", "--settings"], env={"COLUMNS": "200"}).stdout
    assert "guard.on_no_face" in out
    assert "cover | hold | show" in out
    assert "sources.camera.width" in out
