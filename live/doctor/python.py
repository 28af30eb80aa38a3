"""Checks of Python, of the packages that doppelcam needs, and of the processor."""

from __future__ import annotations

import importlib
import os
import platform
import re
import struct
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from engines.plugins import import_failure
from live.doctor.finding import Finding, fault, in_short, note, ok

# Packages whose module is called differently.
_MODULES = {"opencv-python": "cv2", "opencv-python-headless": "cv2", "pillow": "PIL"}
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*(?:>=\s*([0-9.]+))?")


def packages() -> Iterator[Finding]:
    """Python itself; each package: there, new enough, and loading."""
    bits = struct.calcsize("P") * 8
    line = f"Python {platform.python_version()}, {bits} bit, {platform.system()} {platform.machine()}"
    yield ok(line) if bits == 64 else fault(f"{line}: 64 bit are needed", "install a 64-bit Python")
    try:
        wanted = metadata.requires("doppelcam") or []
    except metadata.PackageNotFoundError:
        yield note("doppelcam is not installed as a package: its packages cannot be compared", "pip install -e .")
        return
    good = 0
    for requirement in wanted:
        found = _REQUIREMENT.match(requirement)
        if found is None or "extra ==" in requirement:
            continue
        trouble = package_trouble(found[1], found[2] or "0")
        if trouble is None:
            good += 1
        else:
            yield trouble
    yield ok(f"{good} packages that doppelcam needs")


def package_trouble(name: str, least: str) -> Finding | None:
    """What is wrong with this package, or None."""
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return fault(f"the package {name} is not installed", f"pip install {name}")
    if _numbers(version) < _numbers(least):
        return fault(f"the package {name} is too old: {version}, needed {least}", f"pip install -U '{name}>={least}'")
    try:
        importlib.import_module(_MODULES.get(name.lower(), name.lower().replace("-", "_")))
    except ImportError as error:
        missing = import_failure(f"the package {name}", error)
        return fault(missing.message, missing.hint)
    except Exception as error:
        return fault(f"the package {name} does not load: {in_short(error)}", f"pip install --force-reinstall {name}")
    return None


def processor() -> Iterator[Finding]:
    """Cores, memory, and the instructions that make nets fast."""
    import psutil

    from engines.choose import cores

    name, flags = _cpu()
    yield ok(f"{name}, {cores()} of {os.cpu_count() or 1} cores may be used")
    if flags:
        known = {"AVX2": "avx2", "AVX-512": "avx512f", "VNNI": "avx512_vnni", "AVX-VNNI": "avx_vnni", "AMX": "amx_tile"}
        have = [word for word, flag in known.items() if flag in flags]
        if "AVX2" in have or platform.machine() not in ("x86_64", "AMD64"):
            yield ok(f"fast instructions: {', '.join(have) or 'those of ' + platform.machine()}")
        else:
            yield note("this processor has no AVX2: the nets are several times slower", "use a newer computer or a GPU")
    if cores() < 2:
        yield note("only one core may be used: expect dropped frames", "close other programs, or give it more cores")
    memory = psutil.virtual_memory()
    line = f"{memory.available / 1e9:.1f} GB of {memory.total / 1e9:.1f} GB memory are free"
    yield ok(line) if memory.available > 1e9 else note(f"only {line}", "close other programs")


def _cpu() -> tuple[str, set[str]]:
    """The processor's name and its instruction flags; no flags where the system does not tell."""
    name, flags = platform.processor() or platform.machine(), set()
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags = set(value.split())
    return name, flags


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:4])
