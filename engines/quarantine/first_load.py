"""What runs inside the quarantine: limits itself, checks a file, loads and runs it once, answers in one line of JSON.

Started by the package in a process of its own; it never runs in the program itself.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from engines.card import ModelCard
from engines.engine import Variant
from engines.errors import DoppelcamError, ModelError
from engines.plain_file import megabytes
from engines.plugins import Plugins
from engines.quarantine.child import limit_memory, limit_rest
from engines.quarantine.onnx_file import OnnxFile, read_onnx
from engines.quarantine.rules import clip

# Python, NumPy, ONNX and a runtime take 100 to 200 MB of this; the rest is for checking and for small nets.
FLOOR_BYTES = 640 << 20
# Of the weights, while they are loaded: the file, the parsed copy, the runtime's own, those packed for the processor.
COPIES = 5
# What ONNX, ONNX Runtime and OpenVINO say when they get no more memory.
_NO_MEMORY = re.compile("bad.alloc|(failed|unable) to (allocate|serialize)|out of memory", re.IGNORECASE)


def answer(path: str, seconds: str) -> None:
    """The process: check the file at `path`, write {"file": ...} or {"error": ..., "hint": ...} to standard output."""
    # Libraries that write to standard output must not write into the answer.
    sys.stdout.flush()
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    limit_rest(int(seconds))
    allowed = limit_memory(FLOOR_BYTES)
    told: dict[str, object]
    try:
        file = read_onnx(Path(path))
        spare = file.memory_bytes - file.weight_bytes
        allowed = limit_memory(FLOOR_BYTES + COPIES * file.weight_bytes + 2 * spare)
        if all(port.static for port in file.inputs):
            _try_out(Path(path), file)
        told = {"file": asdict(file)}
    except Exception as error:  # whatever a library raises over a file that it cannot take
        told = {"error": f"{path}: {_words(error)}", "hint": ""}
        if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
            told["error"] = f"{path}: checking and loading it takes more than {megabytes(allowed)} of memory"
        elif isinstance(error, ModelError):
            told = {"error": error.message, "hint": error.hint}
    pipe.write(json.dumps(told))
    pipe.close()
    os._exit(0)  # what a runtime does while it is taken down is of no interest


def _try_out(path: Path, file: OnnxFile) -> None:
    """Load the file on the first runtime there is and run it on zeros. Raises DoppelcamError."""
    runtimes = Plugins("runtime", "engines.runtimes")
    name = next((name for name in ("onnx_runtime", "openvino") if runtimes.why_not(name) is None), None)
    if name is None:  # nothing here can load it, now or later
        return
    card = ModelCard(path.parent, path.name, "", {"onnx": path.name}, {}, "", False, "", {path.name: file.sha256})
    engine = runtimes.load(name)(card, Variant(name))
    engine.run({spec.name: np.zeros(spec.shape, spec.dtype) for spec in engine.inputs})
    engine.close()


def _words(error: Exception) -> str:
    kind = "" if isinstance(error, DoppelcamError) else f"{type(error).__name__}: "
    return f"it cannot be loaded and run: {kind}{clip(str(error))[1:-1]}"
