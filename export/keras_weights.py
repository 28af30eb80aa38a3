"""Reads weights-only Keras HDF5 files: the layers of one net in order, their kinds and numbers; not their wiring."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from engines.errors import ModelError
from engines.plain_file import megabytes
from export.safe_files import open_h5, read_array

Numbers = NDArray[Any]

MAX_NET = 2 << 30  # bytes of all numbers of a net; ONNX cannot hold more
_RANKS = {"conv2d": 4, "dense": 2}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a net: "conv2d_6" in H64_decoder_src.h5 is of kind "conv2d". No kernel: it holds no numbers."""

    file: Path
    name: str
    kind: str
    kernel: Numbers | None = None
    bias: Numbers | None = None

    def broken(self, problem: str, hint: str = "") -> ModelError:
        """The error that names the file and this layer."""
        return ModelError(f"{self.file}: {self.name}: {problem}", hint=hint)

    @property
    def numbers(self) -> Numbers:
        """The kernel. Raises ModelError where the layer has none."""
        if self.kernel is None:
            raise self.broken("it holds no weights")
        return self.kernel

    @property
    def parameters(self) -> int:
        return sum(array.size for array in (self.kernel, self.bias) if array is not None)


def read_layers(path: Path) -> list[Layer]:
    """The layers of a net as Keras' save_weights wrote them, in its order (by depth, so parallel branches interleave).

    Kernels are [kh, kw, in, out] or [in, out], as float. Raises ModelError that names the file and the layer.
    """
    with open_h5(path) as file:
        names = _texts(file, "layer_names", path)
        if not names:
            raise ModelError(f"{path} lists no layers", hint="the weights of a Keras net are expected")
        layers = [_layer(file, path, name) for name in names]
    if (size := 4 * sum(layer.parameters for layer in layers)) > MAX_NET:
        raise ModelError(f"{path} holds {megabytes(size)} of weights, more than an ONNX file can")
    return layers


def _layer(file: h5py.File, path: Path, name: str) -> Layer:
    group = file.get(name)
    layer = Layer(path, name, re.sub(r"_\d+$", "", name))
    if not isinstance(group, h5py.Group):
        raise layer.broken("it is listed but is not in the file")
    held = {}
    for weight in _texts(group, "weight_names", path):
        what = re.sub(r":\d+$", "", weight).rsplit("/", 1)[-1]
        if weight not in group or what in held:
            raise layer.broken(f"its weights {weight} are listed twice or are not in the file")
        held[what] = _floats(layer, weight, read_array(group[weight]))
    if set(held) - {"kernel", "bias"}:
        return layer  # whoever walks the net refuses such a kind by its name
    rank = _RANKS.get(layer.kind)
    if rank and ("kernel" not in held or held["kernel"].ndim != rank):
        shape = list(held["kernel"].shape) if "kernel" in held else "none"
        raise layer.broken(f"its kernel has shape {shape}; {rank} dimensions are expected")
    return Layer(path, name, layer.kind, held.get("kernel"), held.get("bias"))


def _floats(layer: Layer, weight: str, array: Numbers) -> Numbers:
    if array.dtype.kind != "f" or not array.size:
        raise layer.broken(f"{weight} is {array.dtype}{list(array.shape)}; floats are expected")
    if not np.isfinite(array).all():
        raise layer.broken(f"{weight} holds numbers that are not finite", hint="its training broke: take a backup")
    return array


def _texts(group: h5py.Group, name: str, path: Path) -> list[str]:
    """A list of texts; long ones are kept in parts, NAME0, NAME1 ..., and h5py 2 wrote bytes."""
    parts = [name] if name in group.attrs else []
    while f"{name}{len(parts)}" in group.attrs:
        parts.append(f"{name}{len(parts)}")
    if not parts:
        raise ModelError(
            f"{path}: {group.name} has no {name}",
            hint="the weights of a Keras net are expected; is this file of another program, or of a whole model?",
        )
    texts = [text for part in parts for text in np.ravel(group.attrs[part]).tolist()]
    if not all(isinstance(text, str | bytes) for text in texts):
        raise ModelError(f"{path}: {name} of {group.name} must list names")
    return [text if isinstance(text, str) else text.decode() for text in texts]
