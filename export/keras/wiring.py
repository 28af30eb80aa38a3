"""Reads how the layers of a Keras model hang together, from the JSON beside its weights, in Keras 2's form and 3's."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engines.errors import ModelError
from export.keras.settings import Settings, is_number, short

_DEEPEST = 60  # lists and objects within each other; a model in a model in a model has about 20
_MOST_LAYERS = 5000
_NETS = ("Functional", "Model")
_SILENT = ("mask", "training", "name")  # arguments of a call that say nothing about the numbers


@dataclass(frozen=True, slots=True)
class Ref:
    """Output `tensor` of the `call`th use of a layer, both from 0."""

    layer: str
    call: int
    tensor: int


Operand = Ref | float


@dataclass(frozen=True, slots=True)
class Layer:
    """`kind` is Keras' class, `folder` its place in a .keras file; `calls` are its uses and what goes into each."""

    name: str
    kind: str
    folder: str
    settings: Settings
    calls: tuple[tuple[Operand, ...], ...]
    net: Net | None = None


@dataclass(frozen=True, slots=True)
class Net:
    """A model: its layers by name, in order; which of them are its inputs; what its outputs are."""

    layers: Mapping[str, Layer]
    inputs: tuple[str, ...]
    outputs: tuple[Ref, ...]


def read_net(text: str | bytes) -> Net:
    """The model in a JSON text. Raises ModelError that says what is wrong and, where it is a layer, names it."""
    try:
        held = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"its architecture is no readable JSON: {str(error)[:80]}") from None
    _demand_flat(held)
    return _net(held, "")


def _net(held: object, where: str) -> Net:
    kind, config = _part(held, "class_name", str), _part(held, "config", dict)
    if kind not in _NETS:
        raise ModelError(f"it is a {short(kind)}; a Functional model is expected")
    described = _part(config, "layers", list)
    if len(described) > _MOST_LAYERS:
        raise ModelError(f"it has {len(described)} layers, more than {_MOST_LAYERS}")
    counted: Counter[str] = Counter()
    layers: dict[str, Layer] = {}
    for layer in described:
        read = _layer(layer, where, counted)
        if read.name in layers:
            raise ModelError(f"layer {where}{read.name} is there twice")
        layers[read.name] = read
    inputs = tuple(ref.layer for ref in _refs(config.get("input_layers")))
    for name in inputs:
        if name not in layers or layers[name].kind != "InputLayer":
            raise ModelError(f"its input {where}{short(name)} is no input layer")
    # Keras 2 counts the uses of a model from 1, for its own making is the first; Keras 3 does so for outputs only.
    listed = not any(isinstance(call, dict) for layer in described for call in layer["inbound_nodes"])
    inner = [ref for layer in layers.values() for call in layer.calls for ref in call if isinstance(ref, Ref)]
    shifts = _shifts(layers, inner, 1 if listed else 0, where)
    wired = {
        name: Layer(
            name, layer.kind, layer.folder, layer.settings,
            tuple(tuple(_shifted(ref, shifts) for ref in call) for call in layer.calls), layer.net,
        )
        for name, layer in layers.items()
    }  # fmt: skip
    outputs = _refs(config.get("output_layers"))
    shifts = _shifts(layers, outputs, 1, where)
    if not inputs or not outputs:
        raise ModelError(f"{where or 'it'} has no {'outputs' if inputs else 'inputs'}")
    return Net(wired, inputs, tuple(Ref(ref.layer, ref.call - shifts[ref.layer], ref.tensor) for ref in outputs))


def _layer(held: object, where: str, counted: Counter[str]) -> Layer:
    config, kind = _part(held, "config", dict), _part(held, "class_name", str)
    name = held["name"] if isinstance(held, dict) and isinstance(held.get("name"), str) else config.get("name")
    if not all(isinstance(word, str) and word.isprintable() and 0 < len(word) <= 120 for word in (name, kind)):
        raise ModelError(f"a layer of {where or 'the model'} has no sane name or kind: {short(name)}, {short(kind)}")
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)).lower()
    folder = f"{words}_{counted[words]}" if counted[words] else words
    counted[words] += 1
    try:
        calls = tuple(tuple(_operands(call)) for call in _part(held, "inbound_nodes", list))
    except ModelError as error:
        raise ModelError(f"layer {where}{name}: {error.message}") from None
    net = _net(held, f"{where}{name}/") if kind in _NETS else None
    return Layer(name, kind, folder, Settings(config), calls, net)


def _operands(call: object) -> Iterator[Operand]:
    """What goes into one use of a layer, in order, from either form."""
    if isinstance(call, dict):  # Keras 3
        if call.get("class_name") == "__keras_tensor__":
            yield _ref(_part(_part(call, "config", dict), "keras_history", list))
        elif set(call) <= {"args", "kwargs"}:
            yield from _operands(call.get("args") or [])
            yield from _keywords(call.get("kwargs") or {})
        else:
            raise ModelError(f"it is fed with {short(call)}")
    elif isinstance(call, list) and call and isinstance(call[0], str):  # Keras 2
        if call[0] == "_CONSTANT_VALUE":
            yield _number(call[2] if len(call) > 2 else None)
        else:
            yield _ref(call[:3])
        if len(call) > 3:
            yield from _keywords(call[3])
    elif isinstance(call, list):
        for item in call:
            yield from _operands(item)
    elif call is not None:
        yield _number(call)


def _keywords(held: object) -> Iterator[Operand]:
    if not isinstance(held, dict):
        raise ModelError(f"it is called with {short(held)}")
    for name, value in held.items():
        if name in _SILENT or value is None:
            continue
        if name not in ("x", "x1", "x2", "y"):
            raise ModelError(f"it is called with {short(name)}, which is not supported")
        yield from _operands(value)


def _ref(held: object) -> Ref:
    if isinstance(held, list) and len(held) == 3 and isinstance(held[0], str):
        _, call, tensor = held
        if type(call) is int and type(tensor) is int and min(call, tensor) >= 0:
            return Ref(held[0], call, tensor)
    raise ModelError(f"{short(held)} names no tensor: a layer's name and two numbers are expected")


def _refs(held: object) -> list[Ref]:
    """["a", 0, 0], or a list of such, or lists of lists."""
    if not isinstance(held, list):
        raise ModelError(f"its inputs or outputs are {short(held)}; a list is expected")
    if held and isinstance(held[0], str):
        return [_ref(held)]
    return [ref for item in held for ref in _refs(item)]


def _shifts(layers: Mapping[str, Layer], refs: list[Ref], usual: int, where: str) -> dict[str, int]:
    """What the counting of each layer's uses begins with, so that all of `refs` are there. Raises ModelError."""
    shifts: dict[str, int] = {}
    used: dict[str, list[Ref]] = {}
    for ref in refs:
        used.setdefault(ref.layer, []).append(ref)
    for name, uses in used.items():
        if name not in layers:
            raise ModelError(f"layer {where}{short(name)} is used but is not there")
        layer, calls = layers[name], {ref.call for ref in uses}
        there = range(max(1, len(layer.calls)) if layer.kind == "InputLayer" else len(layer.calls))
        possible = (usual, 1 - usual) if layer.net else (0,)
        shift = next((shift for shift in possible if all(call - shift in there for call in calls)), None)
        outputs = len(layer.net.outputs) if layer.net else 1
        if shift is None or any(ref.tensor >= outputs for ref in uses):
            raise ModelError(f"layer {where}{name} is asked for an output that it does not give")
        shifts[name] = shift
    return shifts


def _shifted(operand: Operand, shifts: Mapping[str, int]) -> Operand:
    if isinstance(operand, Ref):
        return Ref(operand.layer, operand.call - shifts[operand.layer], operand.tensor)
    return operand


def _number(value: object) -> float:
    if not is_number(value):
        raise ModelError(f"it is fed with {short(value)}; a tensor or a number is expected")
    return float(value)


def _part(held: object, name: str, kind: type) -> Any:
    value = held.get(name) if isinstance(held, dict) else None
    if not isinstance(value, kind):
        raise ModelError(f"its architecture has {short(value)} where {name} is expected")
    return value


def _demand_flat(held: object) -> None:
    level, depth = [held], 0
    while level:
        level = [
            item
            for outer in level
            if isinstance(outer, dict | list)
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        depth += 1
        if depth > _DEEPEST:
            raise ModelError(f"its architecture nests more than {_DEEPEST} deep")
