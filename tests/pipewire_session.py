"""A private PipeWire session for tests: its own bus, runtime folder, PipeWire and WirePlumber; no devices."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

NEEDED = ("dbus-daemon", "pipewire", "wireplumber", "pw-cli")
WHY_NOT = "no private PipeWire session can be made (Debian / Ubuntu: apt install pipewire wireplumber dbus-daemon)"


def installed():
    return all(shutil.which(program) for program in NEEDED)


class PipeWireSession:
    """Started when made; `environment` is what a program in the session gets."""

    def __init__(self, folder):
        self.folder = folder
        folder.chmod(0o700)
        self._children = {}
        home = {f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in ("CONFIG", "STATE", "CACHE", "DATA")}
        self.environment = {
            **os.environ,
            **home,
            "XDG_RUNTIME_DIR": str(folder),
            "PIPEWIRE_RUNTIME_DIR": str(folder),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={folder / 'bus'}",
        }
        self.environment.pop("PIPEWIRE_REMOTE", None)
        self._spawn("dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address=unix:path={folder / 'bus'}")
        self.start()

    def start(self):
        self._spawn("pipewire")
        wait_until(lambda: (self.folder / "pipewire-0").exists())
        self._spawn("wireplumber")
        wait_until(lambda: b"WirePlumber" in self.run("pw-cli", "ls", "Client"))

    def kill(self):
        """PipeWire and WirePlumber die as by kill -9; the bus stays."""
        for name in ("pipewire", "wireplumber"):
            child = self._children.pop(name)
            child.kill()
            child.wait()
        (self.folder / "pipewire-0").unlink(missing_ok=True)

    def stop(self):
        for child in self._children.values():
            child.kill()
            child.wait()

    def run(self, *args):
        """What the program prints."""
        return subprocess.run(args, env=self.environment, capture_output=True, timeout=20).stdout

    def _spawn(self, *args):
        self._children[args[0]] = subprocess.Popen(
            args, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )


def wait_until(true, seconds=15):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("the PipeWire session does not come up")
        time.sleep(0.05)
