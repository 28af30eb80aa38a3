"""Settings as controls: drawn from the parts' own fields, checked by them, and applied while live where that works."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_type_hints

from engines.errors import DoppelcamError
from live import settings
from live.app import kind_of
from live.cast import each_of
from live.loop import Loop
from live.run import KINDS, SECTIONS, Run, typed

# What a page may not change: what opens the network, which ports, what runs the nets (a question of the machine).
_NOT_HERE = {"engine", "fallback", "threads", "port", "lan", "paced"}
_UNITS = ("ms", "s", "px")


def controls(run: Run, swappers: tuple[str, ...]) -> list[dict[str, Any]]:
    """Every setting that a page may change for these swappers, in groups, each as JSON.

    `key` is as for `--set`. Only numbers with limits, switches and choices: no text, so that no path is among them.
    """
    groups = []
    for title, where in _places(run, swappers):
        part = _class_of(where)
        values = _values_at(run, where)
        own = [_control(f"{where}.{f.name}", f, part, values) for f in settings.settings_of(part)] if part else []
        found = [control for control in own if control is not None]
        if found:
            groups.append({"title": title, "controls": found})
    return groups


def adjusted(run: Run, swappers: tuple[str, ...], values: dict[str, Any]) -> Run:
    """The run with these settings {key: value}. Raises BadInput: a key that is no control, a value outside."""
    offered = {control["key"] for group in controls(run, swappers) for control in group["controls"]}
    tree = run.tree
    for key, value in values.items():
        if key not in offered:
            raise settings.unknown_key(key, key, sorted(offered))
        where, _, name = key.rpartition(".")
        part = _class_of(where)
        assert part is not None, "what is offered can be loaded"
        checked = getattr(settings.make(part, {name: value}, where), name)
        branch: dict[str, Any] = {name: checked}
        for word in reversed(where.split(".")):
            branch = {word: branch}
        tree = settings.merge(tree, branch)
    return replace(run, tree=tree)


def apply(loop: Loop, values: dict[str, Any]) -> bool:
    """Set these, already checked, in a loop that runs; False (and nothing done) where one of them takes a new loop."""
    todo = []
    for key, value in values.items():
        where, _, name = key.rpartition(".")
        parts = _parts_at(loop, where)
        field = next((f for part in parts for f in settings.settings_of(type(part)) if f.name == name), None)
        if field is None or not field.metadata["live"]:
            return False
        checked = getattr(settings.make(type(parts[0]), {name: value}, where), name)
        todo += [(part, name, checked) for part in parts]
    for part, name, value in todo:
        setattr(part, name, value)
    return True


def differences(old: Run, new: Run) -> dict[str, Any]:
    """The settings {key: value} of `new` that `old` has other ones of; the default where `new` says nothing."""
    before, after = _flat(typed(old.tree)), _flat(typed(new.tree))
    return {
        key: value
        for key in sorted(before.keys() | after.keys())
        if (value := after.get(key, _default(key))) != before.get(key, _default(key))
    }


def _flat(tree: dict[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {above + key: value}
    return found


def _default(key: str) -> Any:
    where, _, name = key.rpartition(".")
    part = _class_of(where)
    return None if part is None else next(f.default for f in settings.settings_of(part) if f.name == name)


def _places(run: Run, swappers: tuple[str, ...]) -> list[tuple[str, str]]:
    source = run.source.partition(":")[0]
    return [
        *(("Face", f"swappers.{name}") for name in swappers),
        ("Edge", f"blenders.{run.blender}"),
        ("No face in sight", "guard"),
        ("Other people", "who"),
        ("Following", "track"),
        ("Label", "marks.badge"),
        *([("Camera", f"sources.{source}")] if source in KINDS["sources"].names() else []),
    ]


def _class_of(where: str) -> type | None:
    section, _, name = where.partition(".")
    if not name:
        return SECTIONS[section]
    try:
        found: type = KINDS[section].load(name)
    except DoppelcamError:
        return None
    return found


def _values_at(run: Run, where: str) -> dict[str, Any]:
    found = run.tree
    for word in where.split("."):
        found = found.get(word, {})
    return found


def _parts_at(loop: Loop, where: str) -> list[Any]:
    section, _, name = where.partition(".")
    if section == "swappers":
        return [part for part in each_of(loop.parts.swapper) if kind_of(part) == name]
    others: dict[str, list[Any]] = {
        "blenders": [loop.parts.blender],
        "guard": [loop.guard],
        "track": [loop.tracks],
    }
    return others.get(section, [])


def _control(key: str, field: Any, part: type, values: dict[str, Any]) -> dict[str, Any] | None:
    facts, kind = field.metadata, get_type_hints(part)[field.name]
    if field.name in _NOT_HERE:
        return None
    if facts["choices"]:
        shape: dict[str, Any] = {"type": "choice", "choices": list(facts["choices"])}
    elif kind is bool:
        shape = {"type": "switch"}
    elif kind in (int, float) and facts["low"] is not None and facts["high"] is not None:
        step = facts["step"] or (1 if kind is int else (facts["high"] - facts["low"]) / 100)
        shape = {"type": "range", "low": facts["low"], "high": facts["high"], "step": step}
    else:
        return None
    value = getattr(settings.make(part, {k: v for k, v in values.items() if k == field.name}, key), field.name)
    return {
        "key": key, "name": _named(field.name), "help": facts["help"], "value": value,
        "default": field.default, "live": facts["live"], **shape,
    }  # fmt: skip


def _named(name: str) -> str:
    """`hold_ms` as "hold (ms)"."""
    words = name.split("_")
    return " ".join([*words[:-1], f"({words[-1]})"]) if len(words) > 1 and words[-1] in _UNITS else " ".join(words)
