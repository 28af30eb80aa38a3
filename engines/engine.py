"""The promise of an engine: named arrays in, named arrays out, checked at the door; and the ways to run one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from engines.card import ModelCard
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


PRECISIONS = ("fp32", "bf16", "fp16", "int8")


@dataclass(frozen=True, slots=True, order=True)
class Variant:
    """One way to run a model: on which runtime and device, in which precision, with how many threads.

    `device` is "cpu", "cuda" ..., as the runtime calls it; for a remote runtime the server's address.
    """

    runtime: str
    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 1

    def __str__(self) -> str:
        threads = f", {self.threads} thread{'s' if self.threads > 1 else ''}" if self.device == "cpu" else ""
        return f"{self.runtime} {self.device} {self.precision}{threads}"


class Engine(Protocol):
    """A loaded model. Opened, run and closed on one thread.

    `run` takes one array for each input (exact name, shape and dtype) and gives one array for each output. It raises
    EngineError when this run went wrong, EngineLost when only opening the model again may help. The outputs belong to
    the engine until the next `run`: copy what must live longer.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    variant: Variant  # what it really runs on
    model: str = ""  # its card's name; this and the next are written by the door
    fallback: str = ""  # why that is not what was asked for; empty when it is

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]: ...

    def close(self) -> None: ...


class Runtime(Protocol):
    """What a class in engines/runtimes/ is: called with a card and a variant it gives an Engine.

    The call raises BadInput for a device or precision that it has never heard of, NotAvailable for one that this
    machine lacks, ModelError for a file that it cannot load.
    """

    # What may stand behind the runtime's name: "onnx_runtime:cuda". Empty: the device is an address.
    devices: ClassVar[tuple[str, ...]]

    def __call__(self, card: ModelCard, variant: Variant) -> Engine: ...

    def variants(self, card: ModelCard, cores: int) -> list[Variant]:
        """The ways of running this model that are worth measuring here. None where nobody asked for a network."""

    def version(self) -> str:
        """Version of the library, and of the driver under it: a choice that was measured holds for these only."""


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


def thread_counts(cores: int) -> list[int]:
    """Numbers of threads worth measuring on a machine with so many cores: 1, 2, 4 ... and all of them."""
    return sorted({cores, *(1 << k for k in range(cores.bit_length()))} - {0})
