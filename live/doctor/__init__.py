"""The examination behind `doppelcam doctor`: small checks, each run in a process of its own.

A driver or library that crashes or hangs while it is asked is a finding, too, and hurts no other check.

    python.py     Python, packages, processor          cameras.py    cameras, virtual cameras
    engines.py    runtimes, graphics cards, drivers    models.py     model files, folders, other parts
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from engines.plugins import import_failure
from live.doctor.finding import Finding, fault, in_short

# Group -> module and function of the check; loaded only in the check's own process.
CHECKS = {
    "python": ("python", "packages"),
    "processor": ("python", "processor"),
    "graphics": ("engines", "graphics"),
    "runtimes": ("engines", "runtimes"),
    "models": ("models", "models"),
    "folders": ("models", "folders"),
    "cameras": ("cameras", "cameras"),
    "virtual cameras": ("cameras", "virtual_cameras"),
    "other parts": ("models", "parts"),
}
LIMIT_S = 30.0
_REPORT = "please report this with the output of: doppelcam doctor --json"


def examine(names: list[str], limit_s: float = LIMIT_S) -> dict[str, list[Finding]]:
    """The findings of these checks by name. Never raises; takes `limit_s` at most for each two of them."""
    commands = {name: [sys.executable, "-P", "-m", "live.doctor", name] for name in names}
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda name: _watched(name, commands[name], limit_s), names)
        return dict(zip(names, found, strict=True))


def guarded(name: str) -> Iterator[Finding]:
    """What this check finds, and what goes wrong in it as its last finding."""
    try:
        module, function = CHECKS[name]
        for finding in getattr(importlib.import_module(f"live.doctor.{module}"), function)():
            yield finding.tidy()
    except ImportError as error:
        missing = import_failure(f"the check of {name}", error)
        yield fault(missing.message, missing.hint).tidy()
    except Exception as error:
        yield fault(f"the check of {name} failed: {in_short(error)}", _REPORT).tidy()


def _watched(name: str, command: list[str], limit_s: float) -> list[Finding]:
    """Run one check in its process. What it found before it crashed or hung is kept."""
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            encoding="utf-8", errors="replace",
        )  # fmt: skip
    except OSError as error:
        return [fault(f"the check cannot be run: {in_short(error)}", _REPORT).tidy()]
    try:
        printed, _ = child.communicate(timeout=limit_s)
        broken = f"the check of {name} crashed (status {child.returncode})" if child.returncode else ""
    except subprocess.TimeoutExpired:
        child.kill()
        printed, _ = child.communicate()
        broken = f"the check of {name} hung for {limit_s:g} s"
    found = []
    for line in printed.splitlines():
        try:
            found.append(Finding(**json.loads(line)))
        except (ValueError, TypeError):
            continue  # a library has printed something
    return [*found, fault(f"{broken}: a driver or library is broken", _REPORT)] if broken else found
