"""The nets of DeepFaceLab 2, layer by layer: encoder, inter and decoder, written from the tensors of their files.

After core/leras/archis/DeepFakeArchi.py and models/Model_AMP of DeepFaceLab (commit 46fc239): NCHW, convolutions padded
by half their kernel on every side, dense layers in CHW order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import isqrt
from pathlib import Path
from typing import Literal

import numpy as np

from engines.errors import ModelError
from export.graph import Graph, Numbers, Value
from export.safe_files import load_pickle

Order = Literal["CHW", "HWC"]


class Part:
    """One file of a model, such as NAME_SAEHD_encoder.npy: a pickle that maps names to float32 or float16 tensors.

    Raises ModelError: damaged, or a tensor that is no numbers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.used: set[str] = set()
        held = load_pickle(path)
        if not isinstance(held, dict) or not held:
            raise ModelError(f"{path} holds no tensors by name, as a file of DeepFaceLab 2 does")
        for name, array in held.items():
            if (
                not isinstance(name, str)
                or not isinstance(array, np.ndarray)
                or array.dtype.str[1:] not in ("f4", "f2")
            ):
                kind = getattr(array, "dtype", type(array).__name__)
                raise ModelError(f"{path}: {str(name)[:60]!r} is {kind}; tensors of float32 or float16 are expected")
            if not np.isfinite(array).all():
                raise ModelError(
                    f"{path}: {name} holds values that are no numbers", hint="its training collapsed: take a backup"
                )
        self._tensors: dict[str, Numbers] = held

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def shape(self, name: str, rank: int) -> tuple[int, ...]:
        """The shape of a tensor of this many dimensions. Raises ModelError: not there, another number of them."""
        if name not in self._tensors:
            raise ModelError(f"{self.path} holds no {name}", hint="the file is not whole, or of another architecture")
        found = self._tensors[name].shape
        if len(found) != rank:
            raise ModelError(f"{self.path}: {name} has shape {list(found)}; {rank} dimensions are expected")
        return found

    def take(self, name: str, rank: int) -> Numbers:
        """A tensor, as float32. Raises ModelError like `shape`."""
        self.shape(name, rank)
        self.used.add(name)
        return np.asarray(self._tensors[name], np.float32)

    def weights(self, layer: str, rank: int) -> tuple[Numbers, Numbers]:
        """A layer's kernel and bias."""
        return self.take(f"{layer}/weight:0", rank), self.take(f"{layer}/bias:0", 1)

    def unused(self) -> list[str]:
        return [name for name in self._tensors if name not in self.used]

    def parameters(self) -> int:
        return sum(self._tensors[name].size for name in self.used)


class Net:
    """Writes parts into a graph. `letters`: what the architecture has of u, d, t and c; `order`: of dense layers."""

    def __init__(self, graph: Graph, letters: str, order: Order = "CHW") -> None:
        self.graph = graph
        self._letters = letters
        self._order: Order = order

    def encoder(self, part: Part, face: Value) -> Value:
        """[1, 3, R, R] as a flat code [1, n]."""
        x = face
        if "t" in self._letters:
            x = self._residual(part, "res1", self._down(part, "down1", x))
            for k in range(2, 6):
                x = self._down(part, f"down{k}", x)
            x = self._residual(part, "res5", x)
        else:
            for k in range(4):
                x = self._down(part, f"down1/downs_{k}", x)
        flat = self.graph.flatten(x, self._order)
        return self._pixel_norm(flat) if "u" in self._letters else flat

    def dense(self, part: Part, name: str, x: Value) -> Value:
        kernel, bias = part.weights(name, 2)
        with _named(part, name):
            return self.graph.dense(x, kernel, bias)

    def inter(self, part: Part, code: Value, channels: int) -> Value:
        """A code as a map; AMP's file has neither the first dense layer, which is in its encoder, nor the upscale."""
        x = self.dense(part, "dense1", code) if "dense1/weight:0" in part else code
        x = self.dense(part, "dense2", x)
        with _named(part, "dense2"):
            x = self.graph.unflatten(x, channels, inter_size(part, channels), self._order)
        return self._up(part, "upscale1", x) if "t" not in self._letters else x

    def image(self, part: Part, x: Value) -> Value:
        """[1, 3, R, R], 0..1."""
        for k in range(self._upscales):
            x = self._residual(part, f"res{k}", self._up(part, f"upscale{k}", x))
        if "d" in self._letters:
            heads = [self._conv(part, name, x) for name in ("out_conv", "out_conv1", "out_conv2", "out_conv3")]
            x = self.graph.depth_to_space(self.graph.concat(heads))
        else:
            x = self._conv(part, "out_conv", x)
        return self.graph.unary("Sigmoid", x)

    def mask(self, part: Part, x: Value) -> Value:
        """[1, 1, R, R], 0..1."""
        for k in range(self._upscales + ("d" in self._letters)):
            x = self._up(part, f"upscalem{k}", x)
        return self.graph.unary("Sigmoid", self._conv(part, "out_convm", x))

    # ---- blocks

    @property
    def _upscales(self) -> int:
        return 4 if "t" in self._letters else 3

    def _conv(self, part: Part, name: str, x: Value, stride: int = 1) -> Value:
        kernel, bias = part.weights(name, 4)
        with _named(part, name):
            return self.graph.conv(x, kernel, bias, stride=stride, pad=kernel.shape[0] // 2)

    def _down(self, part: Part, name: str, x: Value) -> Value:
        return self._activated(self._conv(part, f"{name}/conv1", x, stride=2), 0.1)

    def _up(self, part: Part, name: str, x: Value) -> Value:
        x = self._activated(self._conv(part, f"{name}/conv1", x), 0.1)
        with _named(part, name):
            return self.graph.depth_to_space(x)

    def _residual(self, part: Part, name: str, x: Value) -> Value:
        y = self._activated(self._conv(part, f"{name}/conv1", x), 0.2)
        y = self._conv(part, f"{name}/conv2", y)
        with _named(part, name):
            return self._activated(self.graph.add(x, y), 0.2)

    def _activated(self, x: Value, alpha: float) -> Value:
        if "c" in self._letters:
            return self.graph.multiply(x, self.graph.unary("Cos", x))
        return self.graph.leaky(x, alpha)

    def _pixel_norm(self, flat: Value) -> Value:
        graph = self.graph
        with graph.exact():  # the squares of a large map do not fit into half precision
            mean = graph.node("ReduceMean", [graph.multiply(flat, flat)], (1, 1), axes=[1], keepdims=1)
            root = graph.unary("Sqrt", graph.scale(mean, 1, 1e-6))
            return graph.multiply(flat, graph.unary("Reciprocal", root))


def blend(graph: Graph, new: Value, own: Value, morph: Value) -> Value:
    """AMP's mixture: the first floor(channels * morph) channels of `new`, the others of `own`; sizes stay static."""
    channels = new.shape[1]
    index = graph.weight(np.arange(channels, dtype=np.float32).reshape(1, channels, 1, 1))
    with graph.exact():  # half precision would count some channels wrongly
        many = graph.unary("Floor", graph.scale(morph, channels))
        chosen = graph.node("Less", [index, many], index.shape)
    return graph.node("Where", [chosen, new, own], new.shape)


def inter_size(part: Part, channels: int) -> int:
    """How many pixels wide the map is that an inter's second dense layer makes. Raises ModelError."""
    columns = part.shape("dense2/weight:0", 2)[1]
    size = isqrt(columns // max(channels, 1))
    if size < 1 or channels * size**2 != columns:
        raise ModelError(
            f"{part.path}: dense2/weight:0 has {columns} columns, which is no square of {channels} channels"
        )
    return size


@contextmanager
def _named(part: Part, layer: str) -> Iterator[None]:
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{part.path}: {layer}: {error.message}", hint=error.hint) from error
