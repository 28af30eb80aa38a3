"""Boots the test bed and runs one command in it: this machine's own files, read-only, with camera devices.

    python -m tests.devices.bed v4l2-ctl --list-devices

The guest's root is this machine's (by hostfs), so the command sees the same interpreter, packages and working tree. It
has one processor, at full speed, its own clock, and is root among nothing but its own devices.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.devices import kernel

# Loopback devices: two that stand for webcams, fed by tests, and two virtual cameras.
DEVICES = {"cam": 8, "cam2": 9, "doppelcam": 18, "other": 19}
CAMERA, CAMERA2, VIRTUAL, OTHER = (Path(f"/dev/video{number}") for number in DEVICES.values())
VIVID = Path("/dev/video0")
_ROOT = Path(__file__).parents[2]
_BOOT_S = 20
_MEMORY = "3G"

_LINE = [
    "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "con=null", "con0=null,fd:1", "quiet",
    "vivid.n_devs=1", "vivid.node_types=0x1", "vivid.num_inputs=1", "vivid.input_types=0x0",
    f"v4l2loopback.devices={len(DEVICES)}",
    f"v4l2loopback.video_nr={','.join(map(str, DEVICES.values()))}",
    "v4l2loopback.exclusive_caps=0,0,1,1",
    "v4l2loopback.max_buffers=4",
    f"v4l2loopback.card_label={','.join(DEVICES)}",
]  # fmt: skip


@dataclass(frozen=True)
class Bed:
    """A built kernel. `home` is kept from run to run: caches of compiled code and of engine choices."""

    kernel: Path
    home: Path

    def run(
        self,
        command: list[str],
        folder: Path,
        *,
        timeout_s: float = 90,
        environment: dict[str, str] | None = None,
    ) -> tuple[int, str]:
        """Exit status and output of `command`; only `folder` (and `home`) can be written to in there.

        A guest that hangs is killed: status 124.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        job = {
            "command": command,
            "folder": str(folder),
            "home": str(self.home),
            "cwd": str(_ROOT),
            "timeout_s": timeout_s,
            "environment": {"PATH": _path(), "PYTHONPATH": str(_ROOT), **(environment or {})},
        }
        (folder / "job.json").write_text(json.dumps(job))
        init = folder / "init"
        init.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).with_name("init.py")}" "{folder}"\n')
        init.chmod(0o755)
        line = [str(self.kernel), f"mem={_MEMORY}", *_LINE, f"init={init}"]
        environment_of_kernel = {**os.environ, "TMPDIR": _memory_folder()}
        with (folder / "console.txt").open("wb") as console:
            process = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=environment_of_kernel,
                start_new_session=True,
            )  # fmt: skip
            try:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout_s + _BOOT_S)
            finally:
                _end(process)
        said = [folder / name for name in ("output.txt", "console.txt")]
        output = "".join(path.read_text(errors="replace") for path in said if path.exists())
        status = folder / "status.txt"
        return (int(status.read_text()) if status.exists() else 124), output


def find_bed() -> Bed:
    """The bed with its kernel, which is built first if need be. Raises kernel.Missing."""
    return Bed(kernel.kernel(), kernel.CACHE / "home")


def _end(process: subprocess.Popen[bytes]) -> None:
    """The kernel's processes are one group, and all of them must go."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _path() -> str:
    return ":".join([str(Path(sys.executable).parent), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])


def _memory_folder() -> str:
    """Where the guest's memory is a file: in memory where there is room, else on the disk."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > 4 << 30 else tempfile.gettempdir()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        status, output = find_bed().run(sys.argv[1:], Path(name))
    sys.exit(output + f"\nstatus {status}" if status else print(output) or 0)  # noqa: T201
