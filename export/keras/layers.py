"""Which layers of Keras and faceswap are known, by class name, and what each is in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from engines.errors import ModelError
from export.graph import Padding, Value
from export.keras import norms, units
from export.keras.settings import is_number, short
from export.keras.step import Step, keras_shape

Apply = Callable[[Step], Value]


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
    none = Value("", ())  # neither a region nor factors, which could be rounded to a pixel less
    return step.graph.node(
        "Resize", [x, none, none, step.graph.weight(np.array([*x.shape[:2], height, width], np.int64))],
        (*x.shape[:2], height, width), mode="nearest" if nearest else "linear", nearest_mode="floor",
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
    "Conv2D": units.conv, "DepthwiseConv2D": units.depthwise, "SeparableConv2D": units.separable,
    "Conv2DTranspose": units.transposed, "Dense": units.dense,
    "Activation": units.activation, "LeakyReLU": units.leaky, "ReLU": units.relu, "ELU": units.elu,
    "PReLU": units.prelu, "Swish": units.swish, "QuickGELU": units.quick_gelu,
    "Flatten": _flatten, "Reshape": _reshape, "Concatenate": _concatenate,
    "PixelShuffler": _shuffle, "UpSampling2D": _upsample, "KResizeImages": _upsample,
    "ReflectionPadding2D": _reflect, "ZeroPadding2D": _zeros,
    "AveragePooling2D": _pool("AveragePool"), "MaxPooling2D": _pool("MaxPool"),
    "GlobalAveragePooling2D": norms.summary("ReduceMean"), "GlobalMaxPooling2D": norms.summary("ReduceMax"),
    "GlobalMinPooling2D": norms.summary("ReduceMin"), "GlobalStdDevPooling2D": norms.summary("deviation"),
    "BatchNormalization": norms.batch, "LayerNormalization": norms.layer, "GroupNormalization": norms.group,
    "InstanceNormalization": norms.instance, "AdaInstanceNormalization": norms.adaptive_instance,
    "RMSNormalization": norms.root_mean_square, "L2Normalize": norms.unit_length,
    "Normalization": norms.by_statistics, "Rescaling": _rescale, "ScalarOp": _scalar, "TFOpLambda": _function,
    "Add": _arithmetic("Add"), "Subtract": _arithmetic("Sub"), "Multiply": _arithmetic("Mul"),
    "TrueDivide": _arithmetic("Div"), "Dropout": _same, "SpatialDropout2D": _same, "GaussianNoise": _same,
}  # fmt: skip
