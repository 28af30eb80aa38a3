"""Real browsers for tests: Debian's Chromium by Playwright, with a file as its camera, and Firefox by Marionette."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import cv2
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@contextmanager
def chromium(camera=None):
    """A headless Chromium; `camera`: a .y4m file that getUserMedia gives, allowed without asking."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian / Ubuntu: apt install chromium)")
    flags = [*_QUIET]
    if camera is not None:
        flags += ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        flags += [f"--use-file-for-fake-video-capture={camera}"]
    with playwright.sync_playwright() as run:
        browser = run.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            yield browser
        finally:
            browser.close()


class Firefox:
    """A headless Firefox, driven by its own protocol: texts of JSON with their length before them."""

    def __init__(self, folder):
        program = shutil.which("firefox-esr") or shutil.which("firefox")
        if program is None:
            pytest.skip("Firefox is not installed (Debian / Ubuntu: apt install firefox-esr)")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        quiet = {
            "marionette.port": port,
            "app.update.enabled": False,
            "network.captive-portal-service.enabled": False,
            "network.connectivity-service.enabled": False,
            "media.gmp-manager.updateEnabled": False,
            "services.settings.server": "http://127.0.0.1:9/",
        }
        lines = (f"user_pref({json.dumps(key)}, {json.dumps(value)});\n" for key, value in quiet.items())
        (folder / "user.js").write_text("".join(lines))
        self._process = subprocess.Popen(
            [program, "--headless", "--marionette", "--no-remote", "--profile", str(folder)],
            env=os.environ | {"HOME": str(folder)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._number = 0
        self._socket = self._connect(port)
        self._file = self._socket.makefile("rb")
        self._answer()
        self._ask("WebDriver:NewSession", {})

    def go(self, url):
        self._ask("WebDriver:Navigate", {"url": url})

    def js(self, function):
        """What this function of the page's own world returns."""
        return self._ask("WebDriver:ExecuteScript", {"script": f"return ({function})()", "args": []})["value"]

    def close(self):
        self._process.terminate()
        self._process.wait(20)
        self._socket.close()

    def _connect(self, port):
        end = time.monotonic() + 60
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=60)
            except OSError:
                assert time.monotonic() < end and self._process.poll() is None, "Firefox does not start"
                time.sleep(0.2)

    def _ask(self, command, parameters):
        self._number += 1
        text = json.dumps([0, self._number, command, parameters]).encode()
        self._socket.sendall(str(len(text)).encode() + b":" + text)
        _, _, error, result = self._answer()
        assert error is None, error
        return result

    def _answer(self):
        length = b""
        while (byte := self._file.read(1)) != b":":
            assert byte, "Firefox ended"
            length += byte
        return json.loads(self._file.read(int(length)))


def write_y4m(path, pictures, fps=30):
    """BGR pictures of an even size as a file that Chromium takes for its camera; it begins again at the end."""
    height, width = pictures[0].shape[:2]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
        for picture in pictures:
            file.write(b"FRAME\n" + cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).tobytes())
    return path
