"""Layers that normalise, and those that sum a map up: Keras' own and faceswap's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engines.errors import ModelError
from export.graph import Value
from export.keras.settings import is_number, short
from export.keras.step import Step, graph_axes


def batch(step: Step) -> Value:
    """With the means of the training, it is a scale and an offset a channel."""
    x, settings = step.x, step.settings
    axes = step.axes(x)
    scale, centre = settings.flag("scale", True), settings.flag("center", True)
    names = [*["gamma"] * scale, *["beta"] * centre, "moving_mean", "moving_variance"]
    held = {name: array.astype(np.float64) for name, array in zip(names, step.take(*names), strict=True)}
    shapes, variance = {array.shape for array in held.values()}, held["moving_variance"]
    epsilon = settings.number("epsilon")
    if len(shapes) != 1 or not (variance + epsilon > 0).all():
        raise ModelError(f"its arrays have shapes {[list(shape) for shape in shapes]}, or its variance is negative")
    factor = held.get("gamma", 1.0) / np.sqrt(variance + epsilon)
    offset = held.get("beta", 0.0) - held["moving_mean"] * factor
    return step.graph.add(step.graph.multiply(x, step.along(x, factor, axes)), step.along(x, offset, axes))


def layer(step: Step) -> Value:
    if step.settings.get("rms_scaling"):
        raise ModelError("rms_scaling is not supported")
    x = step.x
    axes = step.axes(x)
    return _affine(step, _normal(step, x, graph_axes(x, axes), step.settings.number("epsilon")), axes)


def instance(step: Step) -> Value:
    """faceswap's: over the whole map, channels too, unless it has an axis; the epsilon is added to the deviation."""
    x = step.x
    axes = () if step.settings.get("axis") is None else step.axes(x)
    return _affine(step, _by_deviation(step, x, axes), axes)


def adaptive_instance(step: Step) -> Value:
    """A map, what is added to it, and before that what it is multiplied with, once normalised."""
    if len(step.tensors) != 3 or len(step.operands) != 3:
        raise ModelError(f"it is fed with {len(step.operands)} things; a map and two styles are expected")
    x, offset, factor = step.tensors
    axes = () if step.settings.get("axis") is None else step.axes(x)
    return step.graph.add(step.graph.multiply(_by_deviation(step, x, axes), factor), offset)


def group(step: Step) -> Value:
    """Keras' ("groups") and faceswap's ("group")."""
    x, settings = step.map, step.settings
    if step.axes(x) != (3,):
        raise ModelError(f"axis {settings.get('axis')} is not supported; the channels are")
    groups = settings.whole("group" if settings.get("group") is not None else "groups", 32, low=-1)
    groups = x.shape[1] if groups == -1 else groups
    if groups < 1 or x.shape[1] % groups:
        raise ModelError(f"{x.shape[1]} channels are no {groups} groups")
    rows = step.graph.reshape(x, (1, groups, x.shape[1] // groups * x.shape[2] * x.shape[3]))
    normal = _normal(step, rows, (2,), settings.number("epsilon", default=1e-6))
    return _affine(step, step.graph.reshape(normal, x.shape), (3,))


def root_mean_square(step: Step) -> Value:
    """Keras' and faceswap's, which may have an offset."""
    x, settings = step.x, step.settings
    if settings.number("partial", default=0) not in (0, 1):
        raise ModelError("partial is not supported")
    axes, graph = step.axes(x), step.graph
    offset = settings.flag("bias", False)
    arrays = step.take("scale", *["offset"] * offset)
    with graph.exact():
        square = graph.reduce("ReduceMean", graph.multiply(x, x), graph_axes(x, axes))
        root = graph.unary("Sqrt", graph.scale(square, 1, settings.number("epsilon", default=1e-8)))
        y = graph.divide(x, root)
    y = graph.multiply(y, step.along(x, arrays[0], axes))
    return graph.add(y, step.along(x, arrays[1], axes)) if offset else y


def unit_length(step: Step) -> Value:
    x, graph = step.x, step.graph
    axes = graph_axes(x, step.axes(x))
    count = np.prod([x.shape[k] for k in axes])
    with graph.exact():
        square = graph.scale(graph.reduce("ReduceMean", graph.multiply(x, x), axes), float(count))
        floor = graph.weight(np.full([1] * len(x.shape), 1e-12, np.float32))
        return graph.divide(x, graph.unary("Sqrt", graph.node("Max", [square, floor], square.shape)))


def by_statistics(step: Step) -> Value:
    """Normalization: the mean and the variance of a data set, kept as weights or as settings."""
    x, settings = step.x, step.settings
    axes = step.axes(x)
    if settings.flag("invert", False):
        raise ModelError("invert is not supported")
    noted = [settings.get(name) for name in ("mean", "variance")]
    if all(isinstance(values, list) and all(map(is_number, values)) for values in noted):
        mean, variance = (np.array(values, np.float32) for values in noted)
    elif noted == [None, None]:
        mean, variance, _ = step.take("mean", "variance", "count")
    else:
        raise ModelError(f"its mean is {short(noted[0])} and its variance {short(noted[1])}; numbers are expected")
    if not (variance >= 0).all():
        raise ModelError("its variance is negative")
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    return step.graph.divide(step.graph.subtract(x, step.along(x, mean, axes)), step.along(x, deviation, axes))


def summary(kind: str) -> Callable[[Step], Value]:
    """A whole map in a number a channel: its mean, its largest, its smallest, its deviation."""

    def global_pool(step: Step) -> Value:
        x, graph = step.map, step.graph
        if kind == "deviation":
            with graph.exact():
                y = graph.unary("Sqrt", _centred(step, x, (2, 3))[1])
        else:
            y = graph.reduce(kind, x, (2, 3))  # type: ignore[arg-type]
        return y if step.settings.flag("keepdims", False) else graph.reshape(y, x.shape[:2])

    return global_pool


def _affine(step: Step, x: Value, axes: tuple[int, ...]) -> Value:
    """Times gamma, plus beta, where the layer has them."""
    settings, graph = step.settings, step.graph
    names = [name for name, flag in (("gamma", "scale"), ("beta", "center")) if settings.flag(flag, True)]
    for name, array in zip(names, step.take(*names), strict=True):
        spread = step.along(x, array.reshape(-1) if len(axes) == 1 else array, axes)
        x = graph.multiply(x, spread) if name == "gamma" else graph.add(x, spread)
    return x


def _by_deviation(step: Step, x: Value, kept: tuple[int, ...]) -> Value:
    """(x - mean) / (deviation + epsilon), over all axes but `kept` (Keras')."""
    graph = step.graph
    axes = graph_axes(x, tuple(k for k in range(1, len(x.shape)) if k not in kept))
    with graph.exact():
        centred, variance = _centred(step, x, axes)
        deviation = graph.scale(graph.unary("Sqrt", variance), 1, step.settings.number("epsilon"))
        return graph.divide(centred, deviation)


def _normal(step: Step, x: Value, axes: tuple[int, ...], epsilon: float) -> Value:
    """(x - mean) / sqrt(variance + epsilon), over the graph's `axes`."""
    graph = step.graph
    with graph.exact():
        centred, variance = _centred(step, x, axes)
        return graph.divide(centred, graph.unary("Sqrt", graph.scale(variance, 1, epsilon)))


def _centred(step: Step, x: Value, axes: tuple[int, ...]) -> tuple[Value, Value]:
    """x - mean, and the variance."""
    graph = step.graph
    centred = graph.subtract(x, graph.reduce("ReduceMean", x, axes))
    return centred, graph.reduce("ReduceMean", graph.multiply(centred, centred), axes)
