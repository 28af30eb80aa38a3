"""A folder of files is a registry: one part a file, its name the file's name, imported when asked for."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from dataclasses import dataclass
from typing import Any

from engines.errors import BadInput, DoppelcamError, NotAvailable


@dataclass(frozen=True, slots=True)
class Plugins:
    """The plugins of one kind: `Plugins("sink", "live.sinks")`.

    Each module defines exactly one public class with the file's name in CamelCase (`video_file` -> `VideoFile`).
    """

    kind: str
    package: str

    def names(self) -> list[str]:
        """File names, sorted; nothing is imported but the (empty) package."""
        folder = importlib.import_module(self.package)
        return sorted(m.name for m in pkgutil.iter_modules(folder.__path__) if not m.name.startswith("_"))

    def load(self, name: str) -> Any:
        """The class. BadInput: no such plugin. NotAvailable: it cannot be imported here, and why."""
        if name not in self.names():
            near = difflib.get_close_matches(name, self.names(), n=1)
            raise BadInput(
                f"there is no {self.kind} called {name!r}",
                hint=f"did you mean {near[0]!r}?" if near else f"choose one of: {', '.join(self.names())}",
            )
        try:
            module = importlib.import_module(f"{self.package}.{name}")
        except ImportError as error:
            raise import_failure(f"{self.kind} {name!r}", error) from error
        return getattr(module, "".join(word.capitalize() for word in name.split("_")))

    def why_not(self, name: str) -> DoppelcamError | None:
        """None when the plugin can be used here, else the reason.

        A plugin may define a module function `available()` that raises NotAvailable.
        """
        try:
            self.load(name)
            probe = getattr(importlib.import_module(f"{self.package}.{name}"), "available", None)
            if probe is not None:
                probe()
        except DoppelcamError as error:
            return error
        return None


# What a missing shared library is called in an ImportError, and the Debian / Fedora package that brings it.
_LIBRARIES = {
    "libGL.so": ("libgl1", "mesa-libGL"),
    "libgthread": ("libglib2.0-0", "glib2"),
    "libglib": ("libglib2.0-0", "glib2"),
    "libSM.so": ("libsm6", "libSM"),
    "libXext": ("libxext6", "libXext"),
    "libX11": ("libx11-6", "libX11"),
    "libxcb": ("libxcb1", "libxcb"),
    "libgomp": ("libgomp1", "libgomp"),
    "libcuda.so": ("the NVIDIA driver", "the NVIDIA driver"),
    "libcudart": ("the CUDA runtime", "the CUDA runtime"),
    "libnvinfer": ("the libraries of TensorRT (pip install tensorrt)",) * 2,
    "libnvonnxparser": ("the libraries of TensorRT (pip install tensorrt)",) * 2,
}

# Which extra of doppelcam brings a package.
_EXTRAS = {
    "onnxruntime": "cpu (or nvidia)",
    "openvino": "openvino",
    "tensorrt": "nvidia",
    "pycuda": "nvidia",
    "tritonclient": "remote",
    "grpc": "remote",
    "aiortc": "web",
    "c2pa": "credentials",
    "torch": "teach",
}


def import_failure(what: str, error: ImportError) -> NotAvailable:
    """Turn an ImportError into one line that names the missing package or library and how to get it."""
    text = str(error)
    for stem, (debian, fedora) in _LIBRARIES.items():
        if stem in text:
            hint = f"Debian / Ubuntu: apt install {debian}   Fedora: dnf install {fedora}"
            if debian.startswith("the "):
                hint = f"install {debian}"
            return NotAvailable(
                f"{what} is not available: the system library {text.split(':')[0]} is missing", hint=hint
            )
    package = (error.name or "").split(".")[0]
    if isinstance(error, ModuleNotFoundError) and package:
        extra = _EXTRAS.get(package)
        hint = f'pip install "doppelcam[{extra.split()[0]}]"' if extra else f"pip install {package}"
        return NotAvailable(f"{what} is not available: the package {package} is not installed", hint=hint)
    return NotAvailable(f"{what} is not available: {text}", hint="install doppelcam again")
