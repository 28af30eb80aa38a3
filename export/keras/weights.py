"""The numbers of a Keras model's layers, found by the layer's name (.h5) or by its place (.keras)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from engines.errors import ModelError
from export.keras.wiring import Layer
from export.safe_files import open_h5, read_array, read_texts, read_zip

Numbers = NDArray[Any]


class Weights:
    """Reads a layer's numbers when they are first asked for, while the file is open, and keeps them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._by_place = path.suffix == ".keras"
        self._file: h5py.File | None = None
        self._kept: dict[tuple[str, ...], list[Numbers]] = {}
        self._groups: dict[str, dict[str, dict[str, h5py.Dataset]]] = {}

    @property
    def parameters(self) -> int:
        """How many numbers were asked for up to now."""
        return sum(array.size for arrays in self._kept.values() for array in arrays)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """While this lasts, numbers that were not asked for yet can be."""
        name = "model.weights.h5"
        with open_h5(read_zip(self._path, name)[name] if self._by_place else self._path) as file:
            self._file = file
            try:
                yield
            finally:
                self._file = None
                self._groups.clear()

    def take(self, place: Sequence[Layer], names: Sequence[str]) -> list[Numbers]:
        """The arrays `names` of the layer at the end of `place` (the models that it is in come first), float32.

        Raises ModelError: one is missing, there are others, or they are no finite numbers.
        """
        key = tuple(layer.name for layer in place)
        if key not in self._kept:
            held = self._placed(place) if self._by_place else self._named(place)
            # Keras 3 stores no names: the order in which a layer of a kind makes its weights tells.
            found = dict(zip(names, held.values(), strict=False)) if self._by_place else held
            if len(held) != len(names) or set(found) != set(names):
                words = ", ".join(held) or "nothing"
                raise ModelError(f"it holds {words} where {', '.join(names) or 'nothing'} is expected")
            self._kept[key] = [_floats(name, found[name]) for name in names]
        return self._kept[key]

    def _placed(self, place: Sequence[Layer]) -> dict[str, h5py.Dataset]:
        assert self._file is not None, "what was not asked for while the file was open"
        group = self._file.get("/".join(f"layers/{layer.folder}" for layer in place) + "/vars")
        if not isinstance(group, h5py.Group):
            return {}
        return {name: group[name] for name in sorted(group, key=lambda name: (len(name), name))}

    def _named(self, place: Sequence[Layer]) -> dict[str, h5py.Dataset]:
        top = place[0].name
        if top not in self._groups:
            self._groups[top] = self._read_group(top)
        layers = self._groups[top]
        if len(place) == 1:
            # A net of its own: all is the layer's, whatever name it had when it was made.
            return {what: data for held in layers.values() for what, data in held.items()}
        return layers.get(place[-1].name, {})

    def _read_group(self, top: str) -> dict[str, dict[str, h5py.Dataset]]:
        """By layer, by name: "conv_8_0_conv2d/kernel:0" -> kernel of conv_8_0_conv2d."""
        assert self._file is not None, "what was not asked for while the file was open"
        group = self._file["model_weights"].get(top)
        if not isinstance(group, h5py.Group):
            return {}
        layers: dict[str, dict[str, h5py.Dataset]] = {}
        for path in read_texts(group, "weight_names"):
            layer, _, what = re.sub(r":\d+$", "", path).rpartition("/")
            held = layers.setdefault(layer, {})
            if path not in group or what in held:
                raise ModelError(f"its weights {path[:60]} are listed twice or are not in the file")
            held[what] = group[path]
        return layers


def _floats(name: str, data: h5py.Dataset) -> Numbers:
    array = read_array(data)
    if array.dtype.kind not in "fiu" or not array.size:
        raise ModelError(f"its {name} is {array.dtype}{list(array.shape)}; numbers are expected")
    array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise ModelError(f"its {name} holds numbers that are not finite", hint="its training broke: take a backup")
    return array
