"""The promise of an engine: named arrays in, named arrays out, checked at the door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from engines.errors import EngineError

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, shape and dtype of one input or output. Shapes are static: doppelcam's models have batch 1."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"


class Engine(Protocol):
    """A loaded model. Opened, run and closed on one thread.

    `run` takes one array for each input (exact name, shape and dtype) and gives one array for each output.
    The outputs belong to the engine until the next `run`: copy what must live longer.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]: ...

    def close(self) -> None: ...


def check_feeds(inputs: tuple[TensorSpec, ...], feeds: Mapping[str, Array]) -> None:
    """Raise EngineError unless `feeds` holds exactly what `inputs` asks for."""
    if len(feeds) != len(inputs):
        raise EngineError(f"the model takes {_names(inputs)}, it was fed {sorted(feeds) or 'nothing'}")
    for spec in inputs:
        array = feeds.get(spec.name)
        if array is None:
            raise EngineError(f"the model's input {spec} is missing; it was fed {sorted(feeds)}")
        if array.shape != spec.shape or array.dtype != spec.dtype:
            raise EngineError(f"the model takes {spec}, it was fed {array.dtype}{list(array.shape)}")


def _names(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(str(spec) for spec in specs)
