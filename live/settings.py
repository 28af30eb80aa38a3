"""One tree of settings: defaults < doppelcam.toml < flags. Unknown keys and wrong values are errors with a hint.

A part is a dataclass; its fields made with `setting()` are its settings, and carry what is needed to check a
value, to describe it and to draw a control for it.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from engines.errors import BadInput

T = TypeVar("T")

# What TOML can hold that must not be turned into a setting of this type by accident.
_NEVER: dict[type, tuple[type, ...]] = {int: (bool,), float: (bool,), str: (list, dict, bool)}


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    choices: tuple[str, ...] | None = None,
    argument: bool = False,
    live: bool = False,
) -> Any:
    """A dataclass field that is a setting. `argument`: also set by what follows the colon in `camera:1`. `live`: it is
    looked at anew for each picture, so that it may be set from any thread while the part works.
    """
    metadata = {
        "help": help,
        "low": low,
        "high": high,
        "step": step,
        "choices": choices,
        "argument": argument,
        "live": live,
    }
    return dataclasses.field(default=default, metadata=metadata)


def settings_of(part: type) -> list[dataclasses.Field[Any]]:
    """The fields of a part that are settings, in order."""
    return [f for f in dataclasses.fields(part) if "help" in f.metadata]


def argument_of(part: type) -> str | None:
    """The name of the setting that `kind:VALUE` sets, if the part has one."""
    return next((f.name for f in settings_of(part) if f.metadata["argument"]), None)


def make(part: type[T], values: dict[str, Any], where: str) -> T:
    """Make a part from settings. `where` ("sinks.recording") is named in errors. Raises BadInput."""
    fields = {f.name: f for f in settings_of(part)}
    types = get_type_hints(part)
    checked = {}
    for key, value in values.items():
        if key not in fields:
            raise unknown_key(f"{where}.{key}", key, list(fields))
        checked[key] = _check(f"{where}.{key}", value, types[key], fields[key].metadata)
    return part(**checked)


def unknown_key(path: str, key: str, known: list[str]) -> BadInput:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known) or 'no settings'}"
    return BadInput(f"unknown setting {path!r}", hint=hint)


def _check(path: str, value: Any, kind: Any, facts: Any) -> Any:
    """`value` as `kind`, inside its limits; text (from a flag) is converted."""
    if get_origin(kind) is not None:  # only unions with None are used: X | None
        if value is None or value == "":
            return None
        kind = next(k for k in get_args(kind) if k is not type(None))
    try:
        if kind is bool:
            value = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[str(value).lower()]
        elif (kind is int and isinstance(value, float) and value != int(value)) or (
            isinstance(value, _NEVER.get(kind, ()))
        ):
            raise ValueError
        else:
            value = kind(value)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise BadInput(f"setting {path!r} takes {_in_words(kind, facts)}, got {value!r}") from None
    low, high, choices = facts.get("low"), facts.get("high"), facts.get("choices")
    outside = isinstance(value, (int, float)) and not (
        (low is None or value >= low) and (high is None or value <= high)
    )
    if outside or (choices and value not in choices):
        raise BadInput(f"setting {path!r} takes {_in_words(kind, facts)}, got {value!r}")
    return value


def _in_words(kind: type, facts: Any) -> str:
    if facts.get("choices"):
        return " or ".join(facts["choices"])
    name = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}.get(kind, kind.__name__)
    low, high = facts.get("low"), facts.get("high")
    if low is not None and high is not None:
        return f"{name} from {low} to {high}"
    if low is not None:
        return f"{name}, {low} or more"
    return name


def read_toml(path: Path) -> dict[str, Any]:
    """The tree in a TOML file. Raises BadInput that names file, line and what was expected."""
    try:
        return parse_toml(path.read_bytes(), f"settings file {path}")
    except FileNotFoundError:
        raise BadInput(f"there is no settings file {path}") from None
    except OSError as error:
        raise BadInput(f"settings file {path} cannot be read: {error.strerror}") from error


def parse_toml(data: bytes, what: str) -> dict[str, Any]:
    """The tree in the bytes of a TOML file, which errors call `what`. Raises BadInput that names the line."""
    try:
        return tomllib.loads(data.decode().replace("\r\n", "\n"))
    except RecursionError:
        raise BadInput(f"{what} is nested too deep") from None
    except ValueError as error:  # not TOML, not UTF-8, or a number with thousands of digits
        raise BadInput(f"{what} is not TOML: {error}") from error


def assignments(pairs: list[str]) -> dict[str, Any]:
    """`["guard.hold_ms=200"]` as the tree `{"guard": {"hold_ms": "200"}}`. Raises BadInput."""
    tree: dict[str, Any] = {}
    for pair in pairs:
        path, equals, value = pair.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            raise BadInput(f"--set takes KEY=VALUE, got {pair!r}", hint="for example --set guard.hold_ms=200")
        branch = tree
        for key in keys[:-1]:
            branch = branch.setdefault(key, {})
            if not isinstance(branch, dict):
                raise BadInput(f"--set {pair!r}: {key!r} was already given a value")
        branch[keys[-1]] = value.strip()
    return tree


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both trees as one; where both say something, `above` wins."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
