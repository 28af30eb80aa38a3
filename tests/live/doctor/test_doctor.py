"""The examination: each check alone in its process, a crash or a hang is a finding, and no user's name is told."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from live import doctor
from live.doctor import CHECKS, _watched, examine, guarded
from live.doctor.finding import Finding, fault, note, ok


def script(text):
    return [sys.executable, "-c", text]


FOUND = json.dumps({"state": "ok", "line": "so far so good", "fix": ""})


def test_every_check_is_a_function_that_can_be_loaded():
    from importlib import import_module

    for module, function in CHECKS.values():
        assert callable(getattr(import_module(f"live.doctor.{module}"), function))


def test_a_check_that_crashes_keeps_what_it_found_and_hurts_no_other():
    crash = script(f"import os, signal; print('{FOUND}', flush=True); os.kill(os.getpid(), signal.SIGSEGV)")
    good, bad = _watched("graphics", crash, 20)
    assert good == ok("so far so good")
    assert bad.state == "fault" and "graphics crashed" in bad.line and str(-signal.SIGSEGV) in bad.line


def test_a_check_that_hangs_is_ended():
    good, bad = _watched("cameras", script(f"import time; print('{FOUND}', flush=True); time.sleep(600)"), 1.0)
    assert good == ok("so far so good")
    assert "cameras hung for 1 s" in bad.line


def test_what_a_library_prints_is_no_finding():
    noise = script(f"print('loading plugins'); print('[1]'); print('{{}}'); print('{FOUND}')")
    assert _watched("graphics", noise, 20) == [ok("so far so good")]


def test_a_check_that_cannot_be_started_is_a_finding():
    (bad,) = _watched("python", ["/nowhere/python"], 5)
    assert bad.state == "fault" and "cannot be run" in bad.line


@pytest.mark.parametrize(
    ("error", "words"),
    [(ZeroDivisionError("division\nby zero"), "check of it failed: ZeroDivisionError: division"),
     (ModuleNotFoundError("No module named 'cv2'", name="cv2"), "package cv2 is not installed")],
)  # fmt: skip
def test_a_check_that_fails_is_one_line(monkeypatch, error, words):
    def check():
        yield ok("first")
        raise error

    monkeypatch.setitem(CHECKS, "it", ("broken", "check"))
    monkeypatch.setattr(doctor.importlib, "import_module", lambda name: SimpleNamespace(check=check))
    first, bad = guarded("it")
    assert first.line == "first"
    assert bad.state == "fault" and words in bad.line and "by zero" not in bad.line and bad.fix


def test_a_folder_called_live_where_the_user_stands_is_not_run(tmp_path, monkeypatch):
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "__init__.py").write_text("raise SystemExit('wrong live')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(doctor.__file__).parents[2]))
    assert all(one.state != "fault" for one in examine(["models"])["models"])


def test_names_of_users_are_left_out(monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/srv/people/jane"))
    told = [
        fault("/srv/people/jane/.cache cannot be written to", "chown /srv/people/jane/.cache"),
        note("open in /home/mary.ann/bin/x", ""),
        ok("/Users/joe/Library and C:\\Users\\Joe\\AppData"),
    ]
    text = " ".join(one.tidy().line + one.tidy().fix for one in told)
    assert not any(name in text for name in ("jane", "mary", "joe", "Joe"))
    assert "~/.cache cannot be written to" in text and "~/bin/x" in text


def test_a_finding_is_one_line():
    assert Finding("note", "two\n lines", "a\tb").tidy() == Finding("note", "two lines", "a b")


def test_root_as_home_is_no_name_to_hide(monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path(os.sep))
    assert ok("/usr/lib").tidy().line == "/usr/lib"
