"""The command `doppelcam panel` as users start it: the address, the first picture's way, a busy port, Ctrl-C."""

from __future__ import annotations

import re
import signal
import ssl
import subprocess
import sys
import threading
import webbrowser
from pathlib import Path

import httpx
import pytest

from live.cli.panel import open_page
from live.local_server.keys import certificate
from live.panel import presets
from live.run import read_run
from tests.live.panel.conftest import until

COMMAND = [sys.executable, "-c", "from live.cli import main; main()", "panel", "--no-open"]


@pytest.fixture
def start():
    """Starts the command; its address, and what it has written. All are ended, as by Ctrl-C."""
    running = []

    def begin(*more):
        process = subprocess.Popen([*COMMAND, *more], stderr=subprocess.PIPE, text=True)
        running.append(process)
        lines = []
        threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True).start()
        url = until(lambda: re.search(r"http://127\.0\.0\.1:\d+/\S+/", "".join(lines)) or process.poll() is not None)
        return process, getattr(url, "group", lambda: "")(), lines

    yield begin
    for process in running:
        process.kill()
        process.wait()


def state(url):
    return httpx.get(url + "state").json()


def test_it_waits_for_go_live_where_no_source_is_given(start):
    process, url, _ = start("--port", "0")
    assert state(url)["phase"] == "off" and state(url)["face"] == "sample:joel"
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def test_without_flags_it_starts_with_what_was_kept_and_with_flags_as_they_say(start, config):
    presets.keep(read_run(None, ["guard.hold_ms=250"], {"source": "sample", "face": "sample:nia"}))
    _, url, _ = start("--port", "0")
    assert (state(url)["phase"], state(url)["source"], state(url)["face"]) == ("off", "sample", "sample:nia")
    _, url, _ = start("--port", "0", "--set", "guard.hold_ms=300")
    assert (state(url)["source"], state(url)["face"]) == ("camera", "sample:joel")


@pytest.mark.parametrize("text", ["source = ", 'source = "sample"\nface = "sample:nobody"'])
def test_what_was_kept_and_is_no_good_is_said_and_left_out(start, config, text):
    (config / "doppelcam").mkdir()
    (config / "doppelcam" / "panel.toml").write_text(text)
    _, url, lines = start("--port", "0")
    assert state(url)["face"] == "sample:joel" and state(url)["trouble"]["message"]
    assert "left out" in "".join(lines)


def test_a_source_starts_at_once_and_ctrl_c_ends_it(start):
    process, url, _ = start("--port", "0", "--source", "sample", "--engine", "onnx_runtime:cpu:fp32")
    until(lambda: state(url)["phase"] == "live")
    process.send_signal(signal.SIGUSR1)  # the panic key
    until(lambda: state(url)["covered"])
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_a_busy_port_is_one_clear_line_with_another_one(start):
    _, url, _ = start("--port", "0")
    port = url.split(":")[2].split("/")[0]
    process, _, lines = start("--port", port)
    assert process.wait(30) == 2
    until(lambda: f"--port {int(port) + 1}" in "".join(lines))
    assert f"cannot listen on port {port}" in "".join(lines)


@pytest.mark.parametrize(
    "flags", [["--face", "sample:nobody"], ["--sink", "x"], ["--set", "guard.x=1"], ["--port", "99999"]]
)
def test_what_cannot_be_is_said_before_anything_is_served(start, flags):
    process, url, lines = start(*flags)
    assert process.wait(30) == 2 and url == ""
    assert any("error" in line for line in lines)


def test_the_secret_is_on_no_command_line(monkeypatch):
    opened = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", opened.append)
    open_page("http://127.0.0.1:1/secret/")
    (uri,) = opened
    assert uri.startswith("file:///") and "secret" not in uri
    path = uri.removeprefix("file://")

    assert Path(path).stat().st_mode & 0o077 == 0
    assert "http://127.0.0.1:1/secret/" in Path(path).read_text()


def test_without_a_screen_no_browser_is_opened(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(webbrowser, "open", lambda url: pytest.fail("a browser in the terminal"))
    open_page("http://127.0.0.1:1/secret/")


# ---- other devices


WORDS = "correct horse battery"


@pytest.fixture
def password(tmp_path):
    path = tmp_path / "password"
    path.write_text(WORDS + "\n")
    path.chmod(0o600)
    return path


def test_other_devices_come_in_with_the_password_of_a_file(start, password):
    process, _, lines = start(
        "--port", "0", "--remote", "--host", "127.0.0.1", "--remote-port", "0", "--password-file", str(password)
    )
    address = until(lambda: re.search(r"https://127\.0\.0\.1:\d+/", "".join(lines)))[0]
    fingerprint = certificate()[1]
    until(lambda: fingerprint in "".join(lines))
    trusted = ssl.create_default_context(cafile=str(certificate()[0]))
    assert httpx.post(address + "sign-in", json={"password": WORDS}, verify=trusted).status_code == 200
    assert WORDS not in "".join(lines)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def test_the_password_may_come_by_standard_input(password):
    with password.open() as given:
        command = [*COMMAND, "--port", "0", "--remote", "--host", "127.0.0.1", "--remote-port", "0"]
        process = subprocess.Popen(command, stdin=given, stderr=subprocess.PIPE, text=True)
    lines = []
    threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True).start()
    try:
        until(lambda: "https://127.0.0.1:" in "".join(lines))
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("flags", "mode", "words"),
    [
        (["--remote"], 0o600, "the password is empty"),
        (["--remote", "--password-file", "{}"], 0o644, "others have access to it: mode 0644"),
        (["--remote", "--password-file", "{}.none"], 0o600, "No such file"),
        (["--remote", "--password-file", "{}.short"], 0o600, "12 letters or more"),
        (["--remote", "--password-file", "{}", "--host", "192.0.2.7"], 0o600, "cannot listen on port"),
        (["--host", "0.0.0.0"], 0o600, "only this machine comes in without --remote"),
        (["--password-file", "{}"], 0o600, "only this machine comes in without --remote"),
    ],
)
def test_without_both_it_does_not_listen_for_others(password, flags, mode, words):
    password.chmod(mode)
    short = password.with_name("password.short")
    short.write_text("hunter2")
    short.chmod(0o600)
    flags = [flag.format(password) for flag in flags]
    done = subprocess.run(
        [*COMMAND, "--port", "0", *flags], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and words in done.stderr and "https://" not in done.stderr
