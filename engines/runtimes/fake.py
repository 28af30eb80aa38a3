"""A runtime that runs nothing: zeros of the card's shapes, or what a function makes. For tests and benches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from engines.card import ModelCard
from engines.engine import Array, Engine, TensorSpec, Variant, check_feeds

Answer = Callable[[Mapping[str, Array]], dict[str, Array]]


class Fake(Engine):
    """Engine with the signature given in the card's facts `inputs` and `outputs`: {name: [dtype, shape]}."""

    devices: ClassVar[tuple[str, ...]] = ("cpu",)

    def __init__(self, card: ModelCard, variant: Variant, answer: Answer | None = None) -> None:
        self.variant = variant
        self.inputs = _specs(card.facts["inputs"])
        self.outputs = _specs(card.facts["outputs"])
        self._answer = answer

    @staticmethod
    def variants(card: ModelCard, cores: int) -> list[Variant]:  # noqa: ARG004
        """None: it must be asked for by name."""
        return []

    @staticmethod
    def version() -> str:
        return "1"

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        check_feeds(self.inputs, feeds)
        if self._answer is not None:
            return self._answer(feeds)
        return {spec.name: np.zeros(spec.shape, spec.dtype) for spec in self.outputs}

    def close(self) -> None:
        self._answer = None


def _specs(signature: dict[str, list[object]]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name, tuple(shape), np.dtype(dtype))  # type: ignore[arg-type, call-overload]
        for name, (dtype, shape) in signature.items()
    )
