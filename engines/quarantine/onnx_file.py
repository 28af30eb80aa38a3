"""Looks into an ONNX file before any runtime sees it: what it takes and gives, and whether it is what it says.

A model file is data from a stranger. Runtimes are written for speed in C++, and read what they are given: so what can
be known without one is known first, here, from the file's structure alone (onnx_skeleton.py), and anything odd is
refused. What cannot be seen in the structure shows when the model is loaded in quarantine (quarantine.py).
"""

from __future__ import annotations

import hashlib
import mmap
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from engines.errors import ModelError
from engines.plain_file import MAX_FILE, megabytes, open_plain
from engines.quarantine.rules import Tally, check_graph, clip, tensor_port
from engines.quarantine.skeleton import skeleton

MAX_MEMORY = 3 << 30  # bytes that a net may need at the very least: its weights, inputs, outputs, largest tensor
MAX_PORTS = 64  # inputs, and outputs
OPSETS = range(7, onnx.defs.onnx_opset_version() + 1)  # runtimes promise nothing for opsets before 7


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output. `dtype` is numpy's name or "bfloat16"; None: an unknown size, or an unknown shape."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    @property
    def static(self) -> bool:
        return self.shape is not None and None not in self.shape


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """What an ONNX file that passed the checks holds. `domains` are those of its `operators`.

    `parameters`: how many numbers its weights are. `memory_bytes`: what running it takes at least, weights included.
    """

    sha256: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    opset: int
    domains: tuple[str, ...]
    operators: tuple[str, ...]
    nodes: int
    parameters: int
    weight_bytes: int
    memory_bytes: int
    producer: str


def read_onnx(path: Path) -> OnnxFile:
    """Check the ONNX file at `path`. Raises ModelError that names the file and what is wrong with it.

    Its weights are hashed and stepped over, never held in memory: any file whatever takes well under 1 GB.
    Refused is: what is no plain file, another format, a file over MAX_FILE; external data (weights in other files),
    functions, sparse tensors and training graphs, which single-file nets for inference do without; operators of foreign
    domains; tensors whose sizes and numbers disagree; graphs with cycles, doubled names, or names that nothing makes; a
    need of over MAX_MEMORY.
    """
    try:
        with open_onnx(path) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            # Not closed by hand: views of it live on in the traceback of an error.
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _checked(onnx.ModelProto.FromString(skeleton(memoryview(data))), sha256)
    except ModelError as error:
        named = error.message if str(path) in error.message else f"{path}: {error.message}"
        raise ModelError(named, hint=error.hint) from error
    except DecodeError as error:
        if "alloc" in str(error):  # what the parser says when it gets no more memory
            raise MemoryError from error
        raise ModelError(f"{path}: it is damaged or not ONNX: {clip(str(error))}") from error


def open_onnx(path: Path) -> BufferedReader:
    """Open `path` after a look at its kind, size and first bytes. Cheap and safe in any process. Raises ModelError."""
    file = open_plain(path, MAX_FILE)
    try:
        refuse_other_formats(file.read(1024))
        file.seek(0)
    except ModelError as error:
        file.close()
        raise ModelError(f"{path} {error.message}", hint=error.hint) from error
    return file


_MAGIC = {
    b"PK\x03\x04": "a zip archive (PyTorch checkpoints are such archives)",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"Rar!": "a rar archive",
    b"\x89HDF": "an HDF5 file (Keras weights)",
    b"\x93NUMPY": "a NumPy array",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"%PDF": "a PDF document",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"GGUF": "a GGUF file",
    b"ftrt": "a TensorRT plan",
    b"\x80\x02": "a Python pickle",
    b"\x80\x03": "a Python pickle",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
}


def refuse_other_formats(head: bytes) -> None:
    """Raise ModelError when the first bytes (1024 do) of a file are those of something else than ONNX."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        raise ModelError("is empty", hint="the download did not work: fetch the file again")
    if text.startswith(b"version https://git-lfs"):
        raise ModelError("is a git-lfs pointer, not the model", hint="download the file itself (git lfs pull)")
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise ModelError("is a web page, not the model", hint="download the file itself, not the page that shows it")
    kinds = [kind for magic, kind in _MAGIC.items() if head.startswith(magic)]
    if head[4:8] == b"TFL3":
        kinds.append("a TFLite model")
    if head[8:10] == b'{"':
        kinds.append("a safetensors file")
    if head[257:262] == b"ustar":
        kinds.append("a tar archive")
    if not kinds and all(byte >= 32 or byte in b"\t\r\n" for byte in head):
        kinds.append("text")
    if kinds:
        raise ModelError(f"is {kinds[0]}, not an ONNX model", hint="give the .onnx file itself, or convert it first")


def _checked(model: Any, sha256: str) -> OnnxFile:
    if not model.HasField("graph"):
        raise ModelError("it is damaged or not ONNX: it has no graph")
    if len(model.functions):
        raise ModelError(
            f"it defines operators of its own ({clip(model.functions[0].name)})",
            hint="save it with its functions inlined (onnx.inliner.inline_local_functions)",
        )
    if len(model.training_info):
        raise ModelError("it is a training graph", hint="export the model for inference")
    graph, tally = model.graph, Tally(_opset(model))
    check_graph(graph, tally)
    weights = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_port(value) for value in graph.input if value.name not in weights)
    outputs = tuple(_port(value) for value in graph.output)
    for what, ports in (("inputs", inputs), ("outputs", outputs)):
        if not 0 < len(ports) <= MAX_PORTS:
            raise ModelError(f"it has {len(ports)} {what}; 1 to {MAX_PORTS} are expected")
    need = tally.weight_bytes + tally.port_bytes + tally.largest
    if need > MAX_MEMORY:
        raise ModelError(f"it needs {megabytes(need)} of memory or more; the limit is {megabytes(MAX_MEMORY)}")
    return OnnxFile(
        sha256=sha256,
        inputs=inputs,
        outputs=outputs,
        opset=tally.opset,
        domains=tuple(sorted(tally.domains)),
        operators=tuple(sorted(tally.operators)),
        nodes=tally.nodes,
        parameters=tally.parameters,
        weight_bytes=tally.weight_bytes,
        memory_bytes=need,
        producer=clip(f"{model.producer_name} {model.producer_version}".strip())[1:-1],
    )


def _opset(model: Any) -> int:
    versions: dict[str, int] = {}
    for opset in model.opset_import:
        domain = "" if opset.domain == "ai.onnx" else opset.domain  # two spellings of the same
        if domain in versions:
            raise ModelError(f"it names two opsets for the domain {clip(domain or 'ai.onnx')}")
        versions[domain] = opset.version
    if "" not in versions:
        raise ModelError("it does not say which opset of ai.onnx it was written for")
    if versions[""] not in OPSETS:
        raise ModelError(
            f"it was written for opset {versions['']}; {OPSETS.start} to {OPSETS.stop - 1} are known here",
            hint="export it for opset 17, or update the onnx package",
        )
    return versions[""]


def _port(value: Any) -> Port:
    dtype, shape = tensor_port(value)
    return Port(value.name, dtype, shape)
