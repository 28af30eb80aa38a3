"""One use of one layer: what goes in, what its JSON says, its numbers; and where Keras' axes lie in the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engines.errors import ModelError
from export.graph import Graph, Value
from export.keras.settings import Settings
from export.keras.weights import Numbers


@dataclass(frozen=True, slots=True)
class Step:
    """Maps are [1, C, H, W] in the graph where Keras has [1, H, W, C]; vectors are [1, n] in both."""

    graph: Graph
    settings: Settings
    operands: tuple[Value | float, ...]
    take: Callable[..., list[Numbers]]
    """`take("kernel", "bias")`: exactly these arrays are the layer's. Raises ModelError."""
    old_bilinear: bool
    """Bilinear scaling as TensorFlow 1 did it, which put the first pixels' middles on each other's."""

    @property
    def tensors(self) -> list[Value]:
        return [operand for operand in self.operands if isinstance(operand, Value)]

    @property
    def x(self) -> Value:
        """The one tensor that goes in."""
        if len(self.operands) != 1 or not self.tensors:
            raise ModelError(f"it is fed with {len(self.operands)} things; one tensor is expected")
        return self.tensors[0]

    @property
    def map(self) -> Value:
        """The one map that goes in."""
        if len(self.x.shape) != 4:
            raise ModelError(f"it is fed with {list(keras_shape(self.x))}; a map is expected")
        return self.x

    def axes(self, x: Value, name: str = "axis", default: int = -1) -> tuple[int, ...]:
        """Keras' axes in the settings `name` (1.. of `x`, ascending)."""
        return self.settings.axes(name, len(x.shape), default)

    def along(self, x: Value, array: Numbers, axes: tuple[int, ...]) -> Value:
        """A constant whose axes are Keras' `axes` of `x`, so that it can be multiplied with `x`."""
        shape = keras_shape(x)
        if array.size != 1 and list(array.shape) != [shape[k - 1] for k in axes]:
            raise ModelError(f"numbers of shape {list(array.shape)} meet {list(shape)}")
        if array.size == 1:
            return self.graph.weight(array.reshape([1] * len(x.shape)))
        spread = array.reshape([1, *(n if k in axes else 1 for k, n in enumerate(shape, 1))])
        return self.graph.weight(spread.transpose(0, 3, 1, 2) if len(x.shape) == 4 else spread)


def graph_axes(x: Value, axes: tuple[int, ...]) -> tuple[int, ...]:
    """Keras' axes (1..) as those of `x` in the graph."""
    return tuple(sorted({1: 2, 2: 3, 3: 1}[k] for k in axes)) if len(x.shape) == 4 else axes


def keras_shape(x: Value) -> tuple[int, ...]:
    """The shape that Keras would name, without the batch: (H, W, C) or (n,)."""
    return (*x.shape[2:], x.shape[1]) if len(x.shape) == 4 else x.shape[1:]
