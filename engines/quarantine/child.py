"""A process of its own for what a stranger's file may do to a library: little memory, little time, no files written.

Linux limits the memory, the processor time and the clock time of the process, and forbids it to write files. macOS
does the same but for the memory, which it does not enforce. On Windows a separate process and the clock remain. The
process is no wall against an attacker who takes over the library: it has the rights of the user.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

# The places that hold this process's packages (a venv, --user, a checkout) and nothing else: -I leaves out the working
# directory and PYTHONPATH, from where a stranger's files could be imported.
START = (
    "import importlib, json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "module, _, name = sys.argv[2].partition(':'); "
    "getattr(importlib.import_module(module), name)(*sys.argv[3:])"
)
_KEPT = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
# Each thread of a maths library takes memory out of the limit.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Ended:
    """How the process ended: its exit code (below 0: a signal), what it wrote, and whether its time was up."""

    code: int
    told: bytes
    late: bool

    @property
    def crash(self) -> str:
        """In words, where a signal ended it: "crashes (SIGSEGV)", "takes too long"; else empty."""
        if self.code >= 0:
            return ""
        if sys.platform != "win32" and -self.code == signal.SIGXCPU:
            return "takes too long"
        try:
            return f"crashes ({signal.Signals(-self.code).name})"
        except ValueError:
            return f"crashes (signal {-self.code})"


def ask(entry: str, *arguments: str, seconds: float, most_bytes: int, feed: bytes = b"") -> Ended:
    """Run `entry` ("module:function") on `arguments` in a process of its own; nothing of it is left running.

    `feed` is its standard input; of its standard output at most `most_bytes` are read. The function has to limit
    itself first (`limit_rest`, `limit_memory`). Raises OSError where no process can be started.
    """
    places = json.dumps([place for place in sys.path if os.path.isabs(place)])
    late = threading.Event()
    child = subprocess.Popen(
        [sys.executable, "-I", "-B", "-c", START, places, entry, *arguments],
        stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _KEPT if name in os.environ} | _ENVIRONMENT,
        cwd=Path(sys.executable).anchor,
        start_new_session=True,
    )

    def give_up() -> None:
        late.set()
        _kill(child)

    assert child.stdout is not None
    timer = threading.Timer(seconds, give_up)
    timer.start()
    try:
        if child.stdin is not None:
            with contextlib.suppress(OSError), child.stdin:  # it may end before it has read all
                child.stdin.write(feed)
        told = child.stdout.read(most_bytes)  # until the process ends or is killed, or has said too much
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(1)
    finally:
        timer.cancel()
        _kill(child)
        child.stdout.close()
    return Ended(child.wait(), told, late.is_set())


def limit_rest(seconds: int) -> None:
    """In the process: no core file, no file at all; an end, too, when the one who watches the clock is gone."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def limit_memory(size: int) -> int:
    """In the process: from now on it may have `size` bytes of memory of its own.

    RLIMIT_DATA counts what can be written to, but neither the libraries' code nor mapped files, as RLIMIT_AS does.
    """
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (size if hard < 0 else min(size, hard), hard))
    return size


def _kill(child: subprocess.Popen[bytes]) -> None:
    """The process and all that it started, which may outlive it and hold its pipe."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
