"""One run of doppelcam as its user's own record keeps it: what was worn, when, with which marks; never a picture.

The record is a file of JSON lines in the user's state folder that only the user can read. A run has a line when it
begins and one when it ends, so that a run which was killed is in it too. Old runs go when it gets too long.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import filelock
import platformdirs

from engines.errors import BadInput, ModelError
from engines.own_file import write_own
from engines.plain_file import read_plain
from live.frame import Disclosure

BITS = 24  # of a session's number: as many as the watermark carries
MOST_BYTES = 512 << 10  # of the record: two to three thousand runs
_LOCK_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Session:
    """`number` is random, 1 to 2**24 - 1, and no other's in the record; `started` is UTC, in whole seconds."""

    number: int
    started: datetime
    persona: str
    disclosure: Disclosure
    version: str

    @property
    def id(self) -> str:
        """The number as six hexadecimal digits."""
        return f"{self.number:06x}"


def begin(persona: str, disclosure: Disclosure) -> Session:
    """A new session. Nothing is written before `note_start`."""
    taken = {run["session"] for run in runs()}
    number = 0
    while number == 0 or f"{number:06x}" in taken:
        number = secrets.randbits(BITS)
    return Session(number, _now(), persona, disclosure, metadata.version("doppelcam"))


def note_start(session: Session, sinks: Iterable[str], marks: Iterable[str], reason: str = "") -> None:
    """Write that this session began: the names of its sinks and marks, and why there is no label where there is none.

    Raises BadInput where the record cannot be written.
    """
    _append({
        "session": session.id,
        "started": session.started.isoformat(),
        "persona": session.persona,
        "disclosure": session.disclosure,
        "version": session.version,
        "sinks": list(sinks),
        "marks": list(marks),
        **({"reason": reason} if reason else {}),
    })  # fmt: skip


def note_end(session: Session) -> None:
    """Write that it ended. Raises BadInput."""
    _append({"session": session.id, "ended": _now().isoformat()})


def runs() -> list[dict[str, Any]]:
    """All runs in the record, oldest first: the fields of `note_start`, and `ended` where the end is known.

    Lines that are not as `note_start` writes them are passed over.
    """
    try:
        lines = read_plain(path(), 4 * MOST_BYTES).decode("utf-8", "replace").splitlines()
    except ModelError:
        return []
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(entry, dict) or not isinstance(entry.get("session"), str):
            continue
        if _is_start(entry):
            found[entry["session"]] = entry
        elif entry["session"] in found and isinstance(entry.get("ended"), str):
            found[entry["session"]]["ended"] = entry["ended"]
    return list(found.values())


def run_of(number: int) -> dict[str, Any] | None:
    """The run with this number, as `runs` gives it."""
    return next((run for run in runs() if run["session"] == f"{number:06x}"), None)


def forget() -> int:
    """Delete the record; the number of runs that were in it. Raises BadInput."""
    count = len(runs())
    try:
        path().unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"the record {path()} cannot be deleted: {error.strerror or error}") from None
    return count


def path() -> Path:
    """Where the record lies."""
    return platformdirs.user_state_path("doppelcam", appauthor=False) / "sessions.jsonl"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _is_start(entry: dict[str, Any]) -> bool:
    texts = ("started", "persona", "disclosure", "version")
    lists = ("sinks", "marks")
    return all(isinstance(entry.get(key), str) for key in texts) and all(
        isinstance(entry.get(key), list) and all(isinstance(name, str) for name in entry[key]) for key in lists
    )


def _append(entry: dict[str, Any]) -> None:
    target = path()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(target.with_suffix(".lock"), timeout=_LOCK_WAIT_S):
            _make_room(target)
            handle = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
    except (OSError, filelock.Timeout) as error:
        why = getattr(error, "strerror", None) or error
        raise BadInput(f"the record of sessions {target} cannot be written: {why}") from None


def _make_room(target: Path) -> None:
    """Keep the newer half of a record that got too long."""
    if not target.exists() or target.stat().st_size < MOST_BYTES:
        return
    lines = target.read_bytes().splitlines(keepends=True)
    write_own(target, *lines[len(lines) // 2 :])
