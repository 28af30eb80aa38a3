"""Wires the layers of a Keras net whose file lists them but not how they hang together: early face swaps are chains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import isqrt, prod

from engines.errors import ModelError
from export.graph import Graph, Padding, Shapes, Value
from export.keras_weights import Layer
from export.trained import Build

LARGEST = 2048  # pixels of a face or picture; what is larger is no net of this kind
_PROBE = 256  # pixels

Encode = Callable[[Graph, Value], Value]


def walk(
    graph: Graph, x: Value, layers: Sequence[Layer], *, stride: int = 1, dilation: int = 1, channels: int = 0
) -> Value:
    """What comes out of a chain of layers; dense layers see Keras' order, HWC.

    `stride` and `dilation` are those of its convolutions, `channels` those of the map that its dense layers give, where
    no convolution tells. Leaky units have 0.1 in down- and upscales, else (residual blocks) 0.2. A convolution behind
    a zero_padding2d is padded alike on all sides, else by TensorFlow's "same". An add joins the start of its block:
    the latest upscale's or block's output of its shape. Raises ModelError that names the file and the layer.
    """
    starts = [x]
    for at, layer in enumerate(layers):
        try:
            x = _step(graph, x, layers, at, starts, (stride, dilation, channels))
        except ModelError as error:
            if error.message.startswith(str(layer.file)):
                raise
            raise layer.broken(error.message, error.hint) from None
    return x


def _step(
    graph: Graph, x: Value, layers: Sequence[Layer], at: int, starts: list[Value], of_convs: tuple[int, int, int]
) -> Value:
    layer = layers[at]
    before, after = (layers[k].kind if 0 <= k < len(layers) else "" for k in (at - 1, at + 1))
    stride, dilation, channels = of_convs
    match layer.kind:
        case "input":
            return x
        case "zero_padding2d" if after == "conv2d":
            return x
        case "conv2d":
            pad: Padding = "same"
            if before == "zero_padding2d":
                pad = layer.numbers.shape[0] // 2
            return graph.conv(x, layer.numbers, layer.bias, stride=stride, dilation=dilation, pad=pad)
        case "leaky_re_lu":
            scaling = stride > 1 or after in ("pixel_shuffler", "subpixel_downscaler")
            x = graph.leaky(x, 0.1 if scaling else 0.2)
            if before == "add":
                starts.append(x)
            return x
        case "pixel_shuffler":
            starts.append(graph.depth_to_space(x))
            return starts[-1]
        case "subpixel_downscaler":
            return graph.space_to_depth(x)
        case "add":
            start = next((value for value in reversed(starts) if value.shape == x.shape), None)
            if start is None:
                raise layer.broken(f"nothing before it has the shape {list(x.shape)}")
            return graph.add(x, start)
        case "flatten":
            return graph.flatten(x, "HWC")
        case "dense":
            return graph.dense(x, layer.numbers, layer.bias)
        case "reshape":
            channels = next((each.numbers.shape[-2] for each in layers[at:] if each.kind == "conv2d"), channels)
            return graph.unflatten(x, channels, isqrt(prod(x.shape) // max(channels, 1)), "HWC")
    raise layer.broken(
        f"layers of this kind are not supported ({layer.kind})",
        hint="it is of an experimental version of the program, which had its own net",
    )


def split(layers: Sequence[Layer], kind: str) -> tuple[list[Layer], list[Layer]]:
    """The layers up to the first of this kind, itself included, and the rest. Raises ModelError: there is none."""
    for at, layer in enumerate(layers, 1):
        if layer.kind == kind:
            return list(layers[:at]), list(layers[at:])
    raise ModelError(f"{layers[0].file} has no {kind} layer", hint="is it another net's file?")


def lanes(layers: Sequence[Layer], count: int) -> list[list[Layer]]:
    """`count` parallel branches of the same kinds of layers, which the file holds interleaved. Raises ModelError."""
    body = [layer for layer in layers if layer.kind != "input"]
    branches = [body[at::count] for at in range(count)]
    for together in zip(*branches, strict=False):
        for first, second in pairwise(together):
            if first.kind != second.kind:
                raise second.broken(f"{count} branches of the same layers are expected; beside it is {first.name}")
    if not body or len(body) % count:
        raise ModelError(f"{layers[0].file} holds {len(body)} layers, which are no {count} equal branches")
    return branches


def face_size(encode: Encode, behind: Sequence[Layer]) -> int:
    """Pixels of the face for which `encode` gives as many values as the first dense layer behind it takes.

    Raises ModelError where there is no such face.
    """
    dense, probe = split(behind, "dense")[0][-1], Shapes()
    values, rows = prod(encode(probe, probe.face(_PROBE)).shape), dense.numbers.shape[0]
    size = isqrt(_PROBE**2 * rows // values)
    if size**2 * values != rows * _PROBE**2 or not 0 < size <= LARGEST:
        raise dense.broken(f"it takes {rows} values, which the encoder before it gives for no square face")
    return size


def out_size(build: Build, where: str) -> int:
    """Try the net without its numbers and give the pixels of its image. Raises ModelError: something does not fit."""
    outputs = build(Shapes())
    size = outputs["image"].shape[-1]
    for name, value in outputs.items():
        wanted = (1, 3 if name == "image" else 1, size, size)
        if value.shape != wanted or size > LARGEST:
            raise ModelError(f"{where}: the net's {name} has shape {list(value.shape)}, not {list(wanted)}")
    return size
