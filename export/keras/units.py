"""Layers with weights of their own, convolutions and dense ones, and the activations behind any layer."""

from __future__ import annotations

import numpy as np

from engines.errors import ModelError
from export.graph import Padding, Value
from export.keras.settings import short
from export.keras.step import Step, keras_shape
from export.keras.weights import Numbers

# ---- activations


def activated(step: Step, x: Value, name: object) -> Value:
    """`x` after an activation: its name, or Keras 3's description of that function."""
    if isinstance(name, dict) and isinstance(name.get("config"), str):
        name = name["config"]
    graph = step.graph
    match name or "linear":
        case "linear":
            return x
        case "relu" | "sigmoid" | "tanh" | "elu":
            return graph.unary(str(name).capitalize(), x)
        case "relu6":
            return _clipped(step, graph.unary("Relu", x), 6)
        case "swish" | "silu":
            return graph.multiply(x, graph.unary("Sigmoid", x))
        case "hard_silu":
            return graph.multiply(x, graph.node("HardSigmoid", [x], x.shape, alpha=1 / 6, beta=0.5))
    raise ModelError(f"activation {short(name)} is not supported")


def activation(step: Step) -> Value:
    return activated(step, step.x, step.settings.get("activation"))


def leaky(step: Step) -> Value:
    # To float32: Keras 2.2 kept 0.10000000149.
    return step.graph.leaky(step.x, step.settings.number("alpha", "negative_slope", default=0.3))


def relu(step: Step) -> Value:
    settings, x = step.settings, step.x
    if settings.number("threshold", default=0):
        raise ModelError("threshold is not supported")
    slope = settings.number("negative_slope", default=0)
    x = step.graph.leaky(x, slope) if slope else step.graph.unary("Relu", x)
    return x if settings.get("max_value") is None else _clipped(step, x, settings.number("max_value"))


def _clipped(step: Step, x: Value, high: float) -> Value:
    return step.graph.node("Min", [x, step.graph.weight(np.float32(high))], x.shape)


def elu(step: Step) -> Value:
    x = step.x
    return step.graph.node("Elu", [x], x.shape, alpha=step.settings.number("alpha", default=1))


def prelu(step: Step) -> Value:
    """A slope for each place, or the same along some axes."""
    x = step.x
    [alpha] = step.take("alpha")
    shape = keras_shape(x)
    if alpha.ndim != len(shape) or any(k not in (1, n) for k, n in zip(alpha.shape, shape, strict=True)):
        raise ModelError(f"its alpha has shape {list(alpha.shape)}; it meets {list(shape)}")
    slope = step.graph.weight(alpha.transpose(2, 0, 1) if alpha.ndim == 3 else alpha)
    return step.graph.node("PRelu", [x, slope], x.shape)


def swish(step: Step) -> Value:
    z = step.graph.scale(step.x, step.settings.number("beta", default=1))
    return step.graph.multiply(z, step.graph.unary("Sigmoid", z))


def quick_gelu(step: Step) -> Value:
    return step.graph.multiply(step.x, step.graph.unary("Sigmoid", step.graph.scale(step.x, 1.702)))


# ---- convolutions and dense layers


def conv(step: Step) -> Value:
    settings = step.settings
    kernel, *bias = _kernel(step, "kernel")
    if settings.get("filters") is not None and settings.whole("filters") != kernel.shape[-1]:
        raise ModelError(f"it has {settings.get('filters')} filters, but a kernel of {list(kernel.shape)}")
    return _convolved(step, step.map, kernel, bias, group=settings.whole("groups", 1))


def depthwise(step: Step) -> Value:
    x = step.map
    kernel, *bias = _kernel(step, "depthwise_kernel")
    return _convolved(step, x, _by_channel(kernel), bias, group=x.shape[1])


def separable(step: Step) -> Value:
    x = step.map
    depthwise, pointwise, *bias = _kernel(step, "depthwise_kernel", "pointwise_kernel")
    y = _strided(step, x, _by_channel(depthwise), None, group=x.shape[1])
    return activated(step, step.graph.conv(y, pointwise, *bias), step.settings.get("activation"))


def transposed(step: Step) -> Value:
    """Conv2DTranspose; its kernel is [kh, kw, out, in]."""
    x, settings = step.map, step.settings
    kernel, *bias = _kernel(step, "kernel")
    stride, (kh, kw, cout, cin) = settings.both("strides", 1), kernel.shape
    if settings.both("dilation_rate", 1) != 1 or settings.get("output_padding") is not None:
        raise ModelError("dilation_rate and output_padding are not supported")
    if cin != x.shape[1] or (bias and bias[0].shape != (cout,)):
        raise ModelError(f"a kernel of shape {list(kernel.shape)} meets {x.shape[1]} channels")
    # Twice as large, whatever the kernel: the rule of TensorFlow's "same" for the convolution that this one undoes.
    same = settings.word("padding", "valid", "same", "valid") == "same"
    cut = [max(0, k - stride) if same else 0 for k in (kh, kw)]
    more = [max(0, stride - k) for k in (kh, kw)]
    size = [(n - 1) * stride + k - c + m for n, k, c, m in zip(x.shape[2:], (kh, kw), cut, more, strict=True)]
    y = step.graph.node(
        "ConvTranspose", [x, *map(step.graph.weight, [kernel.transpose(3, 2, 0, 1), *bias])], (1, cout, *size),
        kernel_shape=[kh, kw], strides=[stride] * 2, output_padding=more,
        pads=[cut[0] // 2, cut[1] // 2, cut[0] - cut[0] // 2, cut[1] - cut[1] // 2],
    )  # fmt: skip
    return activated(step, y, settings.get("activation"))


def _kernel(step: Step, *names: str) -> list[Numbers]:
    """The kernels, and the bias where there is one."""
    held = step.take(*names, *["bias"] * step.settings.flag("use_bias", True))
    for array in held[: len(names)]:
        if array.ndim != 4:
            raise ModelError(f"its kernel has shape {list(array.shape)}; 4 dimensions are expected")
    size = step.settings.wholes("kernel_size", held[0].shape[:2])
    if (size * 2)[:2] != held[0].shape[:2]:
        raise ModelError(f"kernel_size is {list(size)}, but the kernel has shape {list(held[0].shape)}")
    return held


def _by_channel(kernel: Numbers) -> Numbers:
    """[kh, kw, channels, multiplier] as the kernel of a convolution with a group for each channel."""
    return kernel.reshape(*kernel.shape[:2], 1, -1)


def _strided(step: Step, x: Value, kernel: Numbers, bias: Numbers | None, group: int) -> Value:
    pad: Padding = "same" if step.settings.word("padding", "valid", "same", "valid") == "same" else "valid"
    if kernel.shape[3] % group:
        raise ModelError(f"a kernel of shape {list(kernel.shape)} is no {group} groups")
    stride, dilation = step.settings.both("strides", 1), step.settings.both("dilation_rate", 1)
    return step.graph.conv(x, kernel, bias, stride=stride, pad=pad, dilation=dilation, group=group)


def _convolved(step: Step, x: Value, kernel: Numbers, bias: list[Numbers], group: int) -> Value:
    y = _strided(step, x, kernel, bias[0] if bias else None, group)
    return activated(step, y, step.settings.get("activation"))


def dense(step: Step) -> Value:
    """On a map it works on the channels of each place."""
    x, settings = step.x, step.settings
    kernel, *bias = step.take("kernel", *["bias"] * settings.flag("use_bias", True))
    if kernel.ndim != 2 or (settings.get("units") is not None and settings.whole("units") != kernel.shape[1]):
        raise ModelError(f"it has {short(settings.get('units'))} units, but a kernel of shape {list(kernel.shape)}")
    graph = step.graph
    y = graph.conv(x, kernel[None, None], *bias) if len(x.shape) == 4 else graph.dense(x, kernel, *bias)
    return activated(step, y, settings.get("activation"))
