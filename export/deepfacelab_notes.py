"""What DeepFaceLab notes beside its nets: the options that a model was begun with, and how long it was trained."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import ModelError
from engines.plain_file import read_plain
from export.safe_files import load_pickle

_MAX_SUMMARY = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Notes:
    """The notes of one model and the `file` that they are from; None: there are none."""

    file: Path | None
    options: Mapping[str, Any]
    iterations: int | None = None

    def whole(self, name: str) -> int | None:
        """A whole number; None where it is not noted. Raises ModelError."""
        value = self.options.get(name)
        if value is None:
            return None
        try:
            if int(value) == value:  # NumPy's numbers too
                return int(value)
        except (TypeError, ValueError, OverflowError):
            pass
        raise ModelError(f"{self.file}: option {name} is {str(value)[:60]!r}; a whole number is expected")

    def one_of(self, name: str, *words: str) -> str | None:
        """One of these words; None where it is not noted. Raises ModelError."""
        value = self.options.get(name)
        if value is None or (isinstance(value, str) and value in words):
            return value
        raise ModelError(f"{self.file}: option {name} is {str(value)[:60]!r}; one of {', '.join(words)} is expected")

    def flag(self, name: str) -> bool | None:
        """Yes or no; None where it is not noted. Raises ModelError."""
        value = self.options.get(name)
        if value is None or str(value) in ("True", "False"):
            return None if value is None else str(value) == "True"
        raise ModelError(f"{self.file}: option {name} is {str(value)[:60]!r}; True or False is expected")


def read_notes(stem: Path) -> Notes:
    """From STEM_data.dat, else STEM_summary.txt, which says the same as text. Raises ModelError: damaged."""
    data, summary = (stem.with_name(stem.name + end) for end in ("_data.dat", "_summary.txt"))
    if os.path.lexists(data):
        held = load_pickle(data)
        if not isinstance(held, dict) or not isinstance(held.get("options", {}), dict):
            raise ModelError(f"{data} is not what DeepFaceLab notes: a dictionary with options is expected")
        counts = Notes(data, {"iter": held.get("iter", held.get("epoch"))})
        return Notes(data, held.get("options", {}), counts.whole("iter"))
    if not os.path.lexists(summary):
        return Notes(None, {})
    lines = read_plain(summary, _MAX_SUMMARY).decode("utf-8", "replace").splitlines()
    found = [re.fullmatch(r"==\s*([^:]+?): (.*?)\s*==", line.strip()) for line in lines]
    options = {match[1]: _value(match[2]) for match in found if match}
    return Notes(summary, options, Notes(summary, options).whole("Current iteration"))


def _value(text: str) -> Any:
    return int(text) if re.fullmatch(r"-?\d{1,18}", text) else text
