"""JSON from a stranger: no doubled keys, no numbers that are none, no bottomless nesting."""

from __future__ import annotations

import json
import math
from typing import Any


def loads(text: str) -> dict[str, Any]:
    """The object that `text` holds. Raises ValueError that says what is wrong with it."""
    try:
        tree = json.loads(
            text, object_pairs_hook=_object, parse_int=_whole, parse_float=_finite, parse_constant=_finite
        )
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(tree, dict):
        raise ValueError("one JSON object is expected")
    return tree


def short(value: object) -> str:
    """A stranger's value for a message: not long."""
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):  # which of the two is meant is anybody's guess
        raise ValueError("a key is given twice: " + short([key for key, _ in pairs]))
    return tree


def _whole(text: str) -> int:
    if len(text) > 19:
        raise ValueError(f"{short(text)} is too large a number")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{short(text)} is no finite number")
    return value
