"""What a layer's JSON says of it, asked for by name and type, so that no stranger's value goes further unseen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard

from engines.errors import ModelError


class Settings:
    """The "config" of one layer. Every question raises ModelError for a value of another kind or out of bounds."""

    def __init__(self, held: Mapping[str, object]) -> None:
        self._held = held

    def get(self, name: str) -> object:
        return self._held.get(name)

    def number(self, *names: str, default: float | None = None) -> float:
        """The first of `names` that is there (they change between versions of Keras)."""
        value = next((self._held[name] for name in names if self._held.get(name) is not None), default)
        if not is_number(value):
            raise ModelError(f"{names[0]} is {short(value)}; a number is expected")
        return float(value)

    def whole(self, name: str, default: int | None = None, low: int = 1) -> int:
        value = self._held.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= 1 << 20:
            raise ModelError(f"{name} is {short(value)}; a whole number is expected")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self._held.get(name, default)
        if not isinstance(value, bool):
            raise ModelError(f"{name} is {short(value)}; true or false is expected")
        return value

    def word(self, name: str, default: str, *allowed: str) -> str:
        value = self._held.get(name) or default
        if value not in allowed:
            raise ModelError(f"{name} is {short(value)}, which is not supported; {' or '.join(allowed)} is")
        return str(value)

    def wholes(self, name: str, default: object = None, low: int = 1) -> tuple[int, ...]:
        """A whole number or a list of them."""
        value = self._held.get(name)
        value = default if value is None else value
        values = value if isinstance(value, list | tuple) else [value]
        if not all(type(k) is int and low <= k <= 1 << 20 for k in values):
            raise ModelError(f"{name} is {short(value)}; whole numbers are expected")
        return tuple(values)

    def both(self, name: str, default: int | None = None) -> int:
        """A number for height and width alike: 2 or [2, 2]."""
        values = self.wholes(name, default)
        if len(values) > 2 or len(set(values)) != 1:
            raise ModelError(f"{name} is {short(list(values))}; the same for height and width is expected")
        return values[0]

    def axes(self, name: str, rank: int, default: int = -1) -> tuple[int, ...]:
        """Axes of a Keras tensor of `rank` dimensions, as 1..rank - 1 (0 is the batch), ascending."""
        value = self._held.get(name)
        value = default if value is None else value
        values = value if isinstance(value, list | tuple) else [value]
        axes = [k for k in values if isinstance(k, int) and -rank < k < rank and k % rank]
        if not values or len(axes) != len(values):
            raise ModelError(f"{name} is {short(value)}; axes of a tensor of {rank} dimensions are expected")
        return tuple(sorted({k % rank for k in axes}))


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a number that float32 can hold; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 3e38


def short(value: object) -> str:
    """A stranger's value, fit for a message."""
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
