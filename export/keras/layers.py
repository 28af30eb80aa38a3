"""Which layers of Keras and faceswap are known, by class name, and what each is in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from engines.errors import ModelError
from export.graph import Padding, Value
from export.keras import norms
from export.keras.settings import is_number, short
from export.keras.step import Step, keras_shape
from export.keras.weights import Numbers

Apply = Callable[[Step], Value]


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
    raise ModelError(f"activation {short(name)} is not supported")


def _activation(step: Step) -> Value:
    return activated(step, step.x, step.settings.get("activation"))


def _leaky(step: Step) -> Value:
    # To float32: Keras 2.2 kept 0.10000000149.
    return step.graph.leaky(step.x, step.settings.number("alpha", "negative_slope", default=0.3))


def _relu(step: Step) -> Value:
    settings, x = step.settings, step.x
    if settings.number("threshold", default=0):
        raise ModelError("threshold is not supported")
    slope = settings.number("negative_slope", default=0)
    x = step.graph.leaky(x, slope) if slope else step.graph.unary("Relu", x)
    return x if settings.get("max_value") is None else _clipped(step, x, settings.number("max_value"))


def _clipped(step: Step, x: Value, high: float) -> Value:
    return step.graph.node("Min", [x, step.graph.weight(np.float32(high))], x.shape)


def _elu(step: Step) -> Value:
    x = step.x
    return step.graph.node("Elu", [x], x.shape, alpha=step.settings.number("alpha", default=1))


def _prelu(step: Step) -> Value:
    """A slope for each place, or the same along some axes."""
    x = step.x
    [alpha] = step.take("alpha")
    shape = keras_shape(x)
    if alpha.ndim != len(shape) or any(k not in (1, n) for k, n in zip(alpha.shape, shape, strict=True)):
        raise ModelError(f"its alpha has shape {list(alpha.shape)}; it meets {list(shape)}")
    slope = step.graph.weight(alpha.transpose(2, 0, 1) if alpha.ndim == 3 else alpha)
    return step.graph.node("PRelu", [x, slope], x.shape)


def _swish(step: Step) -> Value:
    z = step.graph.scale(step.x, step.settings.number("beta", default=1))
    return step.graph.multiply(z, step.graph.unary("Sigmoid", z))


def _quick_gelu(step: Step) -> Value:
    return step.graph.multiply(step.x, step.graph.unary("Sigmoid", step.graph.scale(step.x, 1.702)))


# ---- convolutions and dense layers


def _conv(step: Step) -> Value:
    settings = step.settings
    kernel, *bias = _kernel(step, "kernel")
    if settings.get("filters") is not None and settings.whole("filters") != kernel.shape[-1]:
        raise ModelError(f"it has {settings.get('filters')} filters, but a kernel of {list(kernel.shape)}")
    return _convolved(step, step.map, kernel, bias, group=settings.whole("groups", 1))


def _depthwise(step: Step) -> Value:
    x = step.map
    kernel, *bias = _kernel(step, "depthwise_kernel")
    return _convolved(step, x, _by_channel(kernel), bias, group=x.shape[1])


def _separable(step: Step) -> Value:
    x = step.map
    depthwise, pointwise, *bias = _kernel(step, "depthwise_kernel", "pointwise_kernel")
    y = _strided(step, x, _by_channel(depthwise), None, group=x.shape[1])
    return activated(step, step.graph.conv(y, pointwise, *bias), step.settings.get("activation"))


def _transposed(step: Step) -> Value:
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


def _dense(step: Step) -> Value:
    """On a map it works on the channels of each place."""
    x, settings = step.x, step.settings
    kernel, *bias = step.take("kernel", *["bias"] * settings.flag("use_bias", True))
    if kernel.ndim != 2 or (settings.get("units") is not None and settings.whole("units") != kernel.shape[1]):
        raise ModelError(f"it has {short(settings.get('units'))} units, but a kernel of shape {list(kernel.shape)}")
    if len(x.shape) == 4:
        y = step.graph.conv(x, kernel[None, None], *bias)
    else:
        y = step.graph.dense(x, kernel, *bias)
    return activated(step, y, settings.get("activation"))


# ---- shapes


def _flatten(step: Step) -> Value:
    return step.x if len(step.x.shape) == 2 else step.graph.flatten(step.x, "HWC")


def _reshape(step: Step) -> Value:
    x = step.graph.flatten(step.x, "HWC") if len(step.x.shape) == 4 else step.x
    target = step.settings.get("target_shape")
    if not isinstance(target, list) or len(target) not in (1, 3) or not all(type(n) is int for n in target):
        raise ModelError(f"target_shape is {short(target)}; a vector or a map is expected")
    if target.count(-1) == 1:
        known = prod(n for n in target if n != -1)
        target = [x.shape[1] // known if known > 0 and n == -1 else n for n in target]
    if min(target) < 1 or prod(target) != x.shape[1]:
        raise ModelError(f"{x.shape[1]} numbers cannot be read as {short(step.settings.get('target_shape'))}")
    if len(target) == 1:
        return x
    return step.graph.transpose(step.graph.reshape(x, (1, *target)), (0, 3, 1, 2))


def _concatenate(step: Step) -> Value:
    ranks = {len(x.shape) for x in step.tensors}
    if len(ranks) != 1 or len(step.tensors) != len(step.operands):
        raise ModelError("what is to be joined is not of a kind")
    [axis] = step.axes(step.tensors[0])
    return step.graph.concat(step.tensors, {1: 2, 2: 3, 3: 1}[axis] if ranks == {4} else axis)


def _shuffle(step: Step) -> Value:
    return step.graph.depth_to_space(step.map, step.settings.both("size", 2))


def _upsample(step: Step) -> Value:
    x, settings = step.map, step.settings
    size = settings.get("size")
    sizes = size if isinstance(size, list) else [size, size]  # KResizeImages takes a fraction, too
    pair = [k for k in sizes if is_number(k) and 1 <= k <= 64]
    if len(sizes) != 2 or len(pair) != 2:
        raise ModelError(f"size is {short(size)}; a factor from 1 to 64 is expected")
    height, width = (round(n * k) for n, k in zip(x.shape[2:], pair, strict=True))
    nearest = settings.word("interpolation", "nearest", "nearest", "bilinear") == "nearest"
    if nearest and any(k != int(k) for k in pair):
        raise ModelError(f"size is {short(size)}; a whole number is expected with the nearest pixel")
    factors = [1, 1, height / x.shape[2], width / x.shape[3]]
    return step.graph.node(
        "Resize", [x, Value("", ()), step.graph.weight(np.array(factors, np.float32))], (*x.shape[:2], height, width),
        mode="nearest" if nearest else "linear", nearest_mode="floor",
        coordinate_transformation_mode="asymmetric" if nearest or step.old_bilinear else "half_pixel",
    )  # fmt: skip


def _reflect(step: Step) -> Value:
    """faceswap's ReflectionPadding2D: as much as the convolution behind it would add to stay of a size."""
    x = step.map
    stride, kernel = step.settings.both("stride", 2), step.settings.both("kernel_size", 5)
    total = [max(0, kernel - (n % stride or stride)) for n in x.shape[2:]]
    return _padded(step, x, "reflect", [(t // 2, t - t // 2) for t in total])


def _zeros(step: Step) -> Value:
    padding = step.settings.get("padding")
    sides = padding if isinstance(padding, list) else [padding, padding]
    flat = [n for side in sides for n in (side if isinstance(side, list) else [side, side])]
    pixels = [n for n in flat if isinstance(n, int) and 0 <= n < 1000]
    if len(sides) != 2 or len(flat) != 4 or len(pixels) != 4:
        raise ModelError(f"padding is {short(padding)}; pixels for each side are expected")
    return _padded(step, step.map, "constant", [(pixels[0], pixels[1]), (pixels[2], pixels[3])])


def _padded(step: Step, x: Value, mode: str, pads: list[tuple[int, int]]) -> Value:
    (top, bottom), (left, right) = pads
    if mode == "reflect" and max(top, bottom, left, right) >= min(x.shape[2:]):
        raise ModelError(f"a map of {x.shape[2]}x{x.shape[3]} is too small to be reflected")
    shape = (*x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right)
    sides = step.graph.weight(np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
    return step.graph.node("Pad", [x, sides], shape, mode=mode)


def _pool(kind: str) -> Apply:
    def pool(step: Step) -> Value:
        size = step.settings.both("pool_size", 2)
        stride = size if step.settings.get("strides") is None else step.settings.both("strides")
        pad: Padding = "same" if step.settings.word("padding", "valid", "same", "valid") == "same" else "valid"
        return step.graph.pool(kind, step.map, size, stride, pad)  # type: ignore[arg-type]

    return pool


# ---- arithmetic


def _arithmetic(kind: str) -> Apply:
    """Of tensors, in order, or of a tensor and a number."""

    def combine(step: Step) -> Value:
        operands, graph = step.operands, step.graph
        if len(operands) < 2 or (len(operands) > 2 and kind in ("Sub", "Div")) or not step.tensors:
            raise ModelError(f"it is fed with {len(operands)} things")
        if len({len(x.shape) for x in step.tensors}) != 1:
            raise ModelError("what it is fed with is not of a kind")
        rank = len(step.tensors[0].shape)
        values = [x if isinstance(x, Value) else graph.weight(np.full([1] * rank, x, np.float32)) for x in operands]
        y = values[0]
        for value in values[1:]:
            try:
                shape = np.broadcast_shapes(y.shape, value.shape)
            except ValueError:
                raise ModelError(f"it is fed with {[list(keras_shape(x)) for x in step.tensors]}") from None
            y = graph.node(kind, [y, value], shape)
        return y

    return combine


def _function(step: Step) -> Value:
    """TFOpLambda: the name of one function of TensorFlow, not a program."""
    name = step.settings.get("function")
    for word, kind in (("add", "Add"), ("subtract", "Sub"), ("sub", "Sub"), ("multiply", "Mul"), ("mul", "Mul")):
        if name in (f"math.{word}", f"__operators__.{word}"):
            return _arithmetic(kind)(step)
    if name in ("math.truediv", "math.divide", "__operators__.truediv"):
        return _arithmetic("Div")(step)
    raise ModelError(f"the function {short(name)} is not supported")


def _scalar(step: Step) -> Value:
    """faceswap's ScalarOp."""
    kinds = {"add": "Add", "subtract": "Sub", "multiply": "Mul", "truediv": "Div"}
    kind = kinds[step.settings.word("operation", "", *kinds)]
    x = step.x
    value = step.graph.weight(np.full([1] * len(x.shape), step.settings.number("value"), np.float32))
    return step.graph.node(kind, [x, value], x.shape)


def _rescale(step: Step) -> Value:
    """x * scale + offset; numbers, or one for each channel."""
    x = step.x
    for name, kind in (("scale", "Mul"), ("offset", "Add")):
        value = step.settings.get(name)
        values = value if isinstance(value, list) else [value]
        if not values or not all(is_number(k) for k in values):
            raise ModelError(f"{name} is {short(value)}; numbers are expected")
        x = step.graph.node(kind, [x, step.along(x, np.array(values, np.float32), (len(x.shape) - 1,))], x.shape)
    return x


def _same(step: Step) -> Value:
    """What works only while training."""
    return step.x


LAYERS: dict[str, Apply] = {
    "Conv2D": _conv, "DepthwiseConv2D": _depthwise, "SeparableConv2D": _separable, "Conv2DTranspose": _transposed,
    "Dense": _dense, "Flatten": _flatten, "Reshape": _reshape, "Concatenate": _concatenate,
    "PixelShuffler": _shuffle, "UpSampling2D": _upsample, "KResizeImages": _upsample,
    "ReflectionPadding2D": _reflect, "ZeroPadding2D": _zeros,
    "Activation": _activation, "LeakyReLU": _leaky, "ReLU": _relu, "ELU": _elu, "PReLU": _prelu, "Swish": _swish,
    "QuickGELU": _quick_gelu,
    "AveragePooling2D": _pool("AveragePool"), "MaxPooling2D": _pool("MaxPool"),
    "GlobalAveragePooling2D": norms.summary("ReduceMean"), "GlobalMaxPooling2D": norms.summary("ReduceMax"),
    "GlobalMinPooling2D": norms.summary("ReduceMin"), "GlobalStdDevPooling2D": norms.summary("deviation"),
    "BatchNormalization": norms.batch, "LayerNormalization": norms.layer, "GroupNormalization": norms.group,
    "InstanceNormalization": norms.instance, "RMSNormalization": norms.root_mean_square,
    "AdaInstanceNormalization": norms.adaptive_instance, "L2Normalize": norms.unit_length,
    "Normalization": norms.by_statistics, "Rescaling": _rescale, "ScalarOp": _scalar, "TFOpLambda": _function,
    "Add": _arithmetic("Add"), "Subtract": _arithmetic("Sub"), "Multiply": _arithmetic("Mul"),
    "Divide": _arithmetic("Div"), "TrueDivide": _arithmetic("Div"),
    "Dropout": _same, "SpatialDropout2D": _same, "GaussianNoise": _same, "GaussianDropout": _same,
}  # fmt: skip
