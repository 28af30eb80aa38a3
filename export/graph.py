"""Writes a net as ONNX, node by node: NCHW, batch 1, static shapes, opset 13; a picture in, pictures out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.errors import ModelError
from engines.tidy import EXACT

Numbers = NDArray[Any]
Padding = Literal["same", "valid"] | int

OPSET = 13
_KINDS = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.uint8): TensorProto.UINT8}


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor in the graph: float32, and its static shape with the batch of 1 in front."""

    name: str
    shape: tuple[int, ...]


class Graph:
    """Grows a net. Shapes are followed at each step: what does not fit raises ModelError that names both.

    `fused`: the face comes in as a u8 [R, R, 3] BGR crop and pictures go out as u8, so that no float copies are made
    outside. Otherwise float32 [1, 3, R, R] and [1, C, R, R], 0..1, for comparing with the original program.
    """

    def __init__(self, fused: bool = False) -> None:
        self.fused = fused
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._kernels: dict[tuple[bytes, str, tuple[int, ...]], Value] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._flip = False
        self._exact = False

    # ---- in and out

    def face(self, size: int, colour: Literal["BGR", "RGB"] = "BGR") -> Value:
        """The crop of the face to replace, [1, 3, size, size], 0..1, in the net's colour order. Once a graph."""
        self._flip = colour == "RGB"
        if not self.fused:
            return self._flipped(self.input("face", (1, 3, size, size)))
        bytes_in = self._input("face", (size, size, 3), np.uint8)
        floats = self.node("Cast", [bytes_in], bytes_in.shape, to=TensorProto.FLOAT)
        picture = self.reshape(self.transpose(floats, (2, 0, 1)), (1, 3, size, size))
        return self._flipped(self.scale(picture, 1 / 255))

    def input(self, name: str, shape: tuple[int, ...]) -> Value:
        """Any other float32 input, such as "morph" (1,)."""
        return self._input(name, shape, np.float32)

    def finish(self, **outputs: Value) -> bytes:
        """The model, as bytes. `outputs`: `image` [1, 3, R, R] and masks [1, 1, R, R], 0..1, as the net gives them.

        Fused, they become u8 [R, R, 3] BGR and u8 [R, R]; clipped and rounded.
        """
        infos = []
        for name, value in outputs.items():
            if len(value.shape) != 4 or value.shape[1] not in (1, 3):
                raise ModelError(f"the net's {name} has shape {list(value.shape)}; a picture or a mask is expected")
            value = self._flipped(value) if value.shape[1] == 3 else value
            value = self._to_bytes(value) if self.fused else value
            kind = TensorProto.UINT8 if self.fused else TensorProto.FLOAT
            # A Cast comes last, since TensorRT lets nothing else touch bytes; to float it does nothing.
            self._nodes.append(helper.make_node("Cast", [value.name], [name], name=f"out/{name}", to=kind))
            infos.append(helper.make_tensor_value_info(name, kind, value.shape))
        graph = helper.make_graph(self._nodes, "doppelcam", self._inputs, infos, self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        model.producer_name = "doppelcam"
        return bytes(model.SerializeToString(deterministic=True))

    # ---- layers

    def conv(
        self,
        x: Value,
        kernel: Numbers,
        bias: Numbers | None = None,
        *,
        stride: int = 1,
        pad: Padding = "same",
        dilation: int = 1,
        group: int = 1,
    ) -> Value:
        """`kernel` is HWIO as Keras and leras keep it ([kh, kw, in / group, out]).

        `pad` "same" is TensorFlow's rule, which puts the odd pixel of a strided convolution behind; a number pads all
        four sides alike.
        """
        kh, kw, cin, cout = self._rank(kernel, 4, "a convolution's kernel")
        if x.shape[1] != cin * group:
            raise ModelError(f"a kernel of shape {list(kernel.shape)} meets {x.shape[1]} channels")
        before, after = zip(
            *(_pads(size, k, stride, dilation, pad) for size, k in zip(x.shape[2:], (kh, kw), strict=True)), strict=True
        )
        size = [
            (n + b + a - dilation * (k - 1) - 1) // stride + 1
            for n, b, a, k in zip(x.shape[2:], before, after, (kh, kw), strict=True)
        ]
        inputs = [x, self.weight(kernel.transpose(3, 2, 0, 1))]
        if bias is not None:
            self._fits(bias, (cout,), "a convolution's bias")
            inputs.append(self.weight(bias))
        return self.node(
            "Conv", inputs, (1, cout, *size),
            kernel_shape=[kh, kw], strides=[stride] * 2, dilations=[dilation] * 2, group=group, pads=[*before, *after],
        )  # fmt: skip

    def dense(self, x: Value, kernel: Numbers, bias: Numbers | None = None) -> Value:
        """`x` is [1, n], `kernel` [n, m]."""
        rows, columns = self._rank(kernel, 2, "a dense layer's kernel")
        if x.shape != (1, rows):
            raise ModelError(f"a dense kernel of shape {list(kernel.shape)} meets {list(x.shape)}")
        if bias is not None:
            self._fits(bias, (columns,), "a dense layer's bias")
            return self.node("Gemm", [x, self.weight(kernel), self.weight(bias)], (1, columns))
        return self.node("MatMul", [x, self.weight(kernel)], (1, columns))

    def pool(self, kind: Literal["AveragePool", "MaxPool"], x: Value, size: int, stride: int, pad: Padding) -> Value:
        """Over size x size pixels; those that `pad` adds do not count."""
        before, after = zip(*(_pads(n, size, stride, 1, pad) for n in x.shape[2:]), strict=True)
        shape = [(n + b + a - size) // stride + 1 for n, b, a in zip(x.shape[2:], before, after, strict=True)]
        return self.node(
            kind, [x], (*x.shape[:2], *shape), kernel_shape=[size] * 2, strides=[stride] * 2, pads=[*before, *after]
        )

    def reduce(self, kind: Literal["ReduceMean", "ReduceMax", "ReduceMin"], x: Value, axes: Sequence[int]) -> Value:
        """The mean, largest or smallest along `axes`, which stay, with length 1."""
        shape = tuple(1 if k in axes else n for k, n in enumerate(x.shape))
        return self.node(kind, [x], shape, axes=list(axes), keepdims=1)

    def leaky(self, x: Value, alpha: float) -> Value:
        return self.node("LeakyRelu", [x], x.shape, alpha=alpha)

    def unary(self, kind: str, x: Value) -> Value:
        """Relu, Sigmoid, Tanh, Cos, Sqrt, Reciprocal, Floor ..., as ONNX calls it."""
        return self.node(kind, [x], x.shape)

    def add(self, a: Value, b: Value) -> Value:
        return self._pair("Add", a, b)

    def subtract(self, a: Value, b: Value) -> Value:
        return self._pair("Sub", a, b)

    def multiply(self, a: Value, b: Value) -> Value:
        return self._pair("Mul", a, b)

    def divide(self, a: Value, b: Value) -> Value:
        return self._pair("Div", a, b)

    def scale(self, x: Value, factor: float, offset: float = 0.0) -> Value:
        """x * factor + offset."""
        y = self.node("Mul", [x, self.weight(np.float32(factor))], x.shape) if factor != 1 else x
        return self.node("Add", [y, self.weight(np.float32(offset))], x.shape) if offset else y

    def concat(self, values: Sequence[Value], axis: int = 1) -> Value:
        shape = list(values[0].shape)
        for value in values[1:]:
            if [n for k, n in enumerate(value.shape) if k != axis] != [n for k, n in enumerate(shape) if k != axis]:
                raise ModelError(f"shapes {[list(v.shape) for v in values]} cannot be joined along axis {axis}")
        shape[axis] = sum(value.shape[axis] for value in values)
        return self.node("Concat", list(values), tuple(shape), axis=axis)

    def depth_to_space(self, x: Value, block: int = 2) -> Value:
        """TensorFlow's order, ONNX's DCR: channel (dy * block + dx) * out + c."""
        _, channels, height, width = x.shape
        if channels % block**2:
            raise ModelError(f"{channels} channels are no {block}x{block} blocks")
        shape = (1, channels // block**2, height * block, width * block)
        return self.node("DepthToSpace", [x], shape, blocksize=block, mode="DCR")

    def space_to_depth(self, x: Value, block: int = 2) -> Value:
        """TensorFlow's order."""
        _, channels, height, width = x.shape
        if height % block or width % block:
            raise ModelError(f"a map of {height}x{width} has no {block}x{block} blocks")
        shape = (1, channels * block**2, height // block, width // block)
        return self.node("SpaceToDepth", [x], shape, blocksize=block)

    def flatten(self, x: Value, order: Literal["CHW", "HWC"]) -> Value:
        """[1, C, H, W] as [1, n]; HWC is the order of Keras nets, CHW that of leras."""
        x = self.transpose(x, (0, 2, 3, 1)) if order == "HWC" else x
        return self.reshape(x, (1, prod(x.shape)))

    def unflatten(self, x: Value, channels: int, size: int, order: Literal["CHW", "HWC"]) -> Value:
        """[1, n] as [1, channels, size, size]."""
        if order == "CHW":
            return self.reshape(x, (1, channels, size, size))
        return self.transpose(self.reshape(x, (1, size, size, channels)), (0, 3, 1, 2))

    def reshape(self, x: Value, shape: tuple[int, ...]) -> Value:
        if prod(shape) != prod(x.shape):
            raise ModelError(f"{list(x.shape)} cannot be read as {list(shape)}")
        return self.node("Reshape", [x, self.weight(np.array(shape, np.int64))], shape)

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        return self.node("Transpose", [x], tuple(x.shape[k] for k in order), perm=list(order))

    # ---- anything else

    def node(self, kind: str, inputs: Sequence[Value], shape: tuple[int, ...], **attributes: Any) -> Value:
        """Any ONNX operator with one output, whose shape is `shape`."""
        name = f"t{len(self._nodes)}"
        label = f"{EXACT if self._exact else ''}{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, [x.name for x in inputs], [name], name=label, **attributes))
        return Value(name, shape)

    def weight(self, array: Numbers | np.float32) -> Value:
        """A constant; floats are stored as float32. A kernel is stored once, however often the net uses it."""
        array = np.ascontiguousarray(array)
        array = array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array
        mark = (hashlib.sha256(array.data).digest(), array.dtype.str, array.shape)
        if mark in self._kernels:
            return self._kernels[mark]
        value = Value(f"w{len(self._weights)}", array.shape)
        self._weights.append(numpy_helper.from_array(array, value.name))
        if array.ndim > 1:  # what is small may stay apart: quantisers want a bias for each layer
            self._kernels[mark] = value
        return value

    def exact(self) -> _Island:
        """`with graph.exact():` what is added inside stays fp32 in every precision (a square mean of a large map)."""
        return _Island(self)

    # ---- inside

    def _input(self, name: str, shape: tuple[int, ...], kind: Any) -> Value:
        self._inputs.append(helper.make_tensor_value_info(name, _KINDS[np.dtype(kind)], shape))
        return Value(name, shape)

    def _flipped(self, picture: Value) -> Value:
        if not self._flip:
            return picture
        return self.node("Gather", [picture, self.weight(np.array([2, 1, 0], np.int64))], picture.shape, axis=1)

    def _to_bytes(self, picture: Value) -> Value:
        """[1, C, R, R] floats 0..1 as whole floats 0..255, [R, R, 3] or [R, R]."""
        _, channels, height, width = picture.shape
        low, high = self.weight(np.float32(0)), self.weight(np.float32(255))
        scaled = self.node("Clip", [self.scale(picture, 255), low, high], picture.shape)
        rounded = self.unary("Round", scaled)
        flat = (channels, height, width) if channels > 1 else (height, width)
        picture = self.reshape(rounded, flat)
        return self.transpose(picture, (1, 2, 0)) if channels > 1 else picture

    def _pair(self, kind: str, a: Value, b: Value) -> Value:
        try:
            shape = np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            raise ModelError(f"{kind} of shapes {list(a.shape)} and {list(b.shape)}") from None
        return self.node(kind, [a, b], shape)

    @staticmethod
    def _rank(array: Numbers, rank: int, what: str) -> tuple[int, ...]:
        if array.ndim != rank:
            raise ModelError(f"{what} has shape {list(array.shape)}; {rank} dimensions are expected")
        return array.shape

    @staticmethod
    def _fits(array: Numbers, shape: tuple[int, ...], what: str) -> None:
        if array.shape != shape:
            raise ModelError(f"{what} has shape {list(array.shape)}, not {list(shape)}")


class Shapes(Graph):
    """Follows the shapes and keeps no numbers: to find what does not fit before anything large is made."""

    def weight(self, array: Numbers | np.float32) -> Value:
        return Value("", np.shape(array))


class _Island:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __enter__(self) -> None:
        self._graph._exact = True

    def __exit__(self, *_: object) -> None:
        self._graph._exact = False


def _pads(size: int, kernel: int, stride: int, dilation: int, pad: Padding) -> tuple[int, int]:
    """Pixels before and after, along one axis."""
    if pad == "valid":
        return 0, 0
    if pad != "same":
        return int(pad), int(pad)
    reach = dilation * (kernel - 1) + 1
    total = max(0, (-(-size // stride) - 1) * stride + reach - size)
    return total // 2, total - total // 2
