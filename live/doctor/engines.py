"""Checks of the runtimes, of graphics cards, and of whether drivers and libraries of NVIDIA's fit together."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from engines.door import RUNTIMES
from live.doctor.finding import Finding, fault, in_short, note, ok

_NOT_LOCAL = ("fake", "open_inference")
_PCI = Path("/sys/bus/pci/devices")
_MAKERS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
_DRIVER = "install NVIDIA's driver (Debian / Ubuntu: sudo apt install nvidia-driver) and start the machine again"


def runtimes() -> Iterator[Finding]:
    """Each runtime, and that there is at least one on this machine."""
    working = []
    for name in RUNTIMES.names():
        if name == "fake":
            continue
        try:
            error = RUNTIMES.why_not(name)
            version = "" if error else str(getattr(RUNTIMES.load(name), "version", str)())
        except Exception as failure:
            yield note(f"{name} does not load: {in_short(failure)}", f"install {name} again")
            continue
        if error is None:
            working.append(name)
            yield ok(f"{name} {version}".strip())
        elif name in ("tensor_rt",) and not has_nvidia():
            yield ok(f"{name} is for NVIDIA GPUs; there is none here")
        else:
            yield note(error.message, error.hint)
    if all(name in _NOT_LOCAL for name in working):
        yield fault("no runtime runs the nets on this machine", 'pip install "doppelcam[cpu]"')
    both = [name for name in ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml") if _version(name)]
    if len(both) > 1:
        yield note(f"{' and '.join(both)} are both installed and overwrite each other", f"pip uninstall {both[0]}")


def graphics() -> Iterator[Finding]:
    """Which GPUs there are, and whether NVIDIA's driver and libraries work."""
    cards = _cards()
    if not has_nvidia():
        others = ", ".join(sorted(set(cards))) or "none that is known"
        yield ok(f"no NVIDIA GPU; others: {others}")
        return
    yield from _driver()
    if _version("onnxruntime-gpu"):
        yield _cuda_of_onnx_runtime(_version("onnxruntime-gpu"))
    if not any(_version(package) for package in ("onnxruntime-gpu", "tensorrt")):
        yield note("there is an NVIDIA GPU, and nothing that uses it", 'pip install "doppelcam[nvidia]"')


def has_nvidia() -> bool:
    """A card is there, or at least its driver's library or tool."""
    return "NVIDIA" in _cards() or Path("/proc/driver/nvidia/version").exists() or bool(shutil.which("nvidia-smi"))


def _driver() -> Iterator[Finding]:
    """What nvidia-smi says of the cards, and which CUDA the driver brings."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield note("there is an NVIDIA GPU without NVIDIA's driver", _DRIVER)
        return
    query = [tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=15, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield note(f"nvidia-smi does not answer: {in_short(error)}", "start the machine again")
        return
    lines = said.stdout.strip().splitlines()
    if said.returncode or not lines:
        why = (said.stdout + said.stderr).strip().splitlines()
        yield note(f"NVIDIA's driver does not work: {why[0] if why else 'it says nothing'}", _DRIVER)
        return
    for line in lines:
        yield ok(f"{line} (name, driver, memory)")
    try:
        cuda, version = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"), ctypes.c_int()
        status = cuda.cuInit(0) or cuda.cuDriverGetVersion(ctypes.byref(version))
    except OSError as error:
        yield note(f"libcuda cannot be loaded: {in_short(error)}", _DRIVER)
        return
    text = f"{version.value // 1000}.{version.value % 1000 // 10}"
    if status:
        yield note(f"CUDA does not start (error {status})", "start the machine again; after an update that is needed")
    elif version.value < 12000:
        yield note(f"the driver brings CUDA {text}; 12.0 or newer is needed", _DRIVER)
    else:
        yield ok(f"the driver brings CUDA {text}")


def _cuda_of_onnx_runtime(version: str) -> Finding:
    """Load what ONNX Runtime would load for CUDA: the system's loader then names the first library that is missing."""
    found = importlib.util.find_spec("onnxruntime")
    folder = Path(found.origin if found and found.origin else "").parent / "capi"
    try:
        for name in ("shared", "cuda"):
            for library in folder.glob(f"*onnxruntime_providers_{name}.*"):
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return note(
            f"onnxruntime-gpu {version} cannot use CUDA: {str(error).partition(': ')[0]} is missing",
            "install the CUDA or cuDNN that brings it (the number after .so is its version)",
        )
    return ok(f"onnxruntime-gpu {version} finds CUDA's libraries")


def _cards() -> list[str]:
    """Makers of the display controllers on the PCI bus (Linux)."""
    found = []
    for device in sorted(_PCI.glob("*")):
        with suppress(OSError):
            if (device / "class").read_text().startswith("0x03"):
                maker = (device / "vendor").read_text().strip()
                found.append(_MAKERS.get(maker, maker))
    return found


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
