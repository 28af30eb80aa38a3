"""What a check finds: a state, one line of what, and one line that fixes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["ok", "note", "fault"]

# Homes of this and other users: their names are nobody's business.
_HOMES = re.compile(r"(?:/home/|/Users/|[A-Za-z]:\\Users\\)[^/\\\s:]+")


@dataclass(frozen=True, slots=True)
class Finding:
    """`state`: ok; note (doppelcam runs, something is missing or slow); fault (something that it needs is missing)."""

    state: State
    line: str
    fix: str = ""

    def tidy(self) -> Finding:
        """One line each, and no user's name in any path."""
        return Finding(self.state, _tidy(self.line), _tidy(self.fix))


def ok(line: str) -> Finding:
    return Finding("ok", line)


def note(line: str, fix: str = "") -> Finding:
    return Finding("note", line, fix)


def fault(line: str, fix: str) -> Finding:
    return Finding("fault", line, fix)


def in_short(error: BaseException) -> str:
    """An error's kind and first line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _tidy(text: str) -> str:
    home = str(Path.home())
    text = " ".join(text.split())
    return _HOMES.sub("~", text.replace(home, "~") if len(home) > 1 else text)
