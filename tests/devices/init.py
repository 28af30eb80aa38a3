"""The guest's first process: mounts, runs the job, keeps its status, switches the machine off. See bed.py."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_POWER_OFF = 0x4321FEDC


def mount(kind: str, target: str, options: str = "") -> None:
    words = [text.encode() for text in (kind, target, kind)]
    if _LIBC.mount(*words, 0, options.encode() or None):
        number = ctypes.get_errno()
        if target != "/dev":  # the kernel may have done it
            raise OSError(number, os.strerror(number), target)


def main(folder: str) -> int:
    job = json.loads(Path(folder, "job.json").read_text())
    mount("proc", "/proc")
    mount("sysfs", "/sys")
    mount("devtmpfs", "/dev")
    Path("/dev/shm").mkdir(exist_ok=True)
    mount("tmpfs", "/dev/shm")
    mount("tmpfs", "/run")
    for writable in (folder, job["home"]):
        mount("hostfs", writable, writable)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    Path("/run/tmp").mkdir()
    home = job["home"]
    environment = {
        "HOME": home,
        "LC_ALL": "C.UTF-8",
        "TMPDIR": "/run/tmp",
        "NUMBA_CACHE_DIR": f"{home}/numba",
        "PYTHONDONTWRITEBYTECODE": "1",
        **job["environment"],
    }
    with Path(folder, "output.txt").open("wb") as output:
        try:
            done = subprocess.run(
                job["command"], cwd=job["cwd"], env=environment, timeout=job["timeout_s"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
            return done.returncode
        except subprocess.TimeoutExpired:
            return 124
        except OSError as error:
            output.write(f"{error}\n".encode())
            return 127


try:
    status = main(sys.argv[1])
except BaseException as error:
    print(f"init: {type(error).__name__}: {error}", flush=True)  # noqa: T201
    status = 125
Path(sys.argv[1], "status.txt").write_text(str(status))
os.sync()
_LIBC.reboot(ctypes.c_uint(_POWER_OFF))
