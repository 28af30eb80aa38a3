"""Opens a Keras model of whole-model HDF5 (Keras 2) or .keras (Keras 3), and writes its net into a graph."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from math import prod
from pathlib import Path

from engines.errors import ModelError
from export.graph import Graph, Value
from export.keras.layers import LAYERS
from export.keras.settings import short
from export.keras.step import Step, keras_shape
from export.keras.weights import Weights
from export.keras.wiring import Layer, Net, Ref, read_net
from export.safe_files import MAX_TEXT, open_h5, read_zip

_LARGEST = 1 << 28  # numbers of one tensor
_MOST_STEPS = 20_000  # layers, each as often as it is used

_REFUSED = {
    "Lambda": "it is a program kept in the file, which is never run",
    "SlicingOpLambda": "slices of tensors are not supported",
    "Sequential": "only Functional models are supported",
    "MultiHeadAttention": "attention (CLIP encoders) is not supported",
}


class Model:
    """One model, of which the architecture was read; `run` reads the numbers, once."""

    def __init__(self, path: Path, net: Net, old_bilinear: bool) -> None:
        self.path = path
        self._net, self._old_bilinear = net, old_bilinear
        self._weights = Weights(path)
        self._read: set[tuple[int, ...]] = set()

    @property
    def inputs(self) -> dict[str, tuple[object, ...]]:
        """Names and shapes as Keras keeps them, without the batch: {"face_in_a": (64, 64, 3)}."""
        with _naming(self.path):
            return {name: _input_shape(self._net.layers[name]) for name in self._net.inputs}

    @property
    def outputs(self) -> int:
        return len(self._net.outputs)

    @property
    def parameters(self) -> int:
        """How many numbers the layers have that were run."""
        return self._weights.parameters

    def net_inside(self, layer: str) -> str | None:
        """The name of the first model within the model `layer`: "efficientnetb4"; None: it has none."""
        outer = self._net.layers.get(layer)
        inner = outer.net.layers.values() if outer and outer.net else ()
        return next((held.name for held in inner if held.net), None)

    def run(self, graph: Graph, feeds: Sequence[Value], wanted: Sequence[int] | None = None) -> list[Value]:
        """Write what leads from `feeds`, one for each input, to the outputs `wanted` (all). Raises ModelError."""
        numbers = tuple(range(self.outputs) if wanted is None else wanted)
        with _naming(self.path), nullcontext() if numbers in self._read else self._weights.opened():
            run = _Run(graph, self._weights, self._old_bilinear)
            values = _Frame(run, self._net, (), feeds).get([self._net.outputs[k] for k in numbers])
        self._read.add(numbers)
        return values


def open_model(path: Path) -> Model:
    """The model in `path`: .keras, or else HDF5. Raises ModelError, naming the file."""
    with _naming(path):
        if path.suffix == ".keras":
            return Model(path, read_net(read_zip(path, "config.json")["config.json"]), False)
        with open_h5(path) as file:
            text, version = _attribute(file.attrs, "model_config"), _attribute(file.attrs, "keras_version")
            if not text or "model_weights" not in file:
                raise ModelError("it holds weights alone", hint="a whole Keras model is expected")
            if len(text) > MAX_TEXT:
                raise ModelError("its architecture is longer than that of any net")
        return Model(path, read_net(text), re.match(r"2\.[0-2]\.\d+$", version) is not None)


def _attribute(attributes: Mapping[str, object], name: str) -> str:
    value = attributes.get(name, "")
    if isinstance(value, bytes):
        return value.decode("utf8", "replace")
    return value if isinstance(value, str) else ""


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except ModelError as error:
        if error.message.startswith(str(path)):
            raise
        raise ModelError(f"{path}: {error.message}", hint=error.hint) from error


class _Run:
    """What all models in a model share while it is written."""

    def __init__(self, graph: Graph, weights: Weights, old_bilinear: bool) -> None:
        self.graph, self.weights, self.old_bilinear = graph, weights, old_bilinear
        self._steps = 0

    def count(self) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise ModelError(f"its layers are used more than {_MOST_STEPS} times")


class _Frame:
    """One use of a model: what is known of its tensors. Only what is asked for is written, so nothing dead is."""

    def __init__(self, run: _Run, net: Net, place: tuple[Layer, ...], feeds: Sequence[Value]) -> None:
        self._run, self._net, self._place = run, net, place
        self._done: dict[Ref, Value] = {}
        self._inner: dict[tuple[str, int], _Frame] = {}
        self._where = "".join(f"{layer.name}/" for layer in place)
        if len(feeds) != len(net.inputs):
            raise ModelError(f"{self._where or 'the model'} has {len(net.inputs)} inputs, and is fed with {len(feeds)}")
        for name, value in zip(net.inputs, feeds, strict=True):
            shape = _input_shape(net.layers[name])
            if len(shape) + 1 != len(value.shape) or any(
                n is not None and n != m for n, m in zip(shape, keras_shape(value), strict=True)
            ):
                raise ModelError(
                    f"layer {self._where}{name} takes {short(list(shape))}, and is fed with {list(keras_shape(value))}"
                )
            self._done[Ref(name, 0, 0)] = value

    def get(self, wanted: Sequence[Ref]) -> list[Value]:
        # Not by recursion: a chain may have thousands of layers.
        path, pending = set(), list(wanted)
        while pending:
            ref = pending[-1]
            if ref in self._done:
                pending.pop()
                continue
            layer = self._net.layers[ref.layer]
            operands = layer.calls[ref.call] if layer.calls else ()
            missing = [other for other in operands if isinstance(other, Ref) and other not in self._done]
            if not missing:
                self._done[ref] = self._apply(ref, layer)
                continue
            if ref in path:
                raise ModelError(f"layer {self._where}{layer.name} is fed with what comes out of it")
            path.add(ref)
            pending += missing
        return [self._done[ref] for ref in wanted]

    def _apply(self, ref: Ref, layer: Layer) -> Value:
        self._run.count()
        operands = [
            self._done[other] if isinstance(other, Ref) else other for other in (layer.calls or ((),))[ref.call]
        ]
        if layer.net is None:
            try:
                return self._written(layer, operands)
            except ModelError as error:
                raise ModelError(
                    f"layer {self._where}{layer.name} ({layer.kind}): {error.message}", hint=error.hint
                ) from None
        key = (ref.layer, ref.call)
        if key not in self._inner:
            feeds = [value for value in operands if isinstance(value, Value)]
            self._inner[key] = _Frame(self._run, layer.net, (*self._place, layer), feeds)
        return self._inner[key].get([layer.net.outputs[ref.tensor]])[0]

    def _written(self, layer: Layer, operands: Sequence[Value | float]) -> Value:
        if layer.kind not in LAYERS:
            raise ModelError(_REFUSED.get(layer.kind, "layers of this kind are not supported"))
        if layer.settings.get("data_format") == "channels_first":
            raise ModelError("channels_first is not supported", hint="open and save it in faceswap on the CPU once")
        place = (*self._place, layer)
        step = Step(
            self._run.graph,
            layer.settings,
            tuple(operands),
            lambda *names: self._run.weights.take(place, names),
            self._run.old_bilinear,
        )
        value = LAYERS[layer.kind](step)
        if min(value.shape) < 1 or prod(value.shape) > _LARGEST:
            raise ModelError(f"it would give {list(keras_shape(value))}, which no net does")
        return value


def _input_shape(layer: Layer) -> tuple[object, ...]:
    shape = layer.settings.get("batch_input_shape") or layer.settings.get("batch_shape")
    if not isinstance(shape, list) or len(shape) not in (2, 4):
        raise ModelError(f"layer {layer.name} takes {short(shape)}; a map or a vector is expected")
    return tuple(shape[1:])
