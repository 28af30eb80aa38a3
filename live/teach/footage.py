"""What `teach --source` means: a clip, a session or the camera; and how its pictures are read again, all of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engines.errors import BadInput
from live.app import kind_of, source_of
from live.cast import PLACES
from live.parts import Source
from live.run import read_run
from live.sealed import is_sealed
from live.session_file import Replayed, read_session

RECORDED = "footage.session"
_CLIPS = ("sample", "video_file")


@dataclass
class Footage:
    """Pictures of the wearer. `source` is as --source, a clip's path made absolute; "": recorded in the workshop.

    `who` says whose face of several: left, right, largest; "": there is only one. `print` tells that a file is still
    the same. `faces` and `targets` say what came of these steps, {} until they are done.
    """

    source: str
    who: str = ""
    print: list[int] = field(default_factory=list)
    faces: dict[str, Any] = field(default_factory=dict)
    targets: dict[str, Any] = field(default_factory=dict)


def footage_of(source: str, who: str = "") -> Footage:
    """The footage that --source means. Raises BadInput: no such file, an unknown --who."""
    if who not in ("", *PLACES[:-1]):
        raise BadInput(f"--who {who}: whose face is that?", hint=f"choose one of: {', '.join(PLACES[:-1])}")
    if is_live(source):
        return Footage("", who)
    if source == "sample":
        return Footage(source, who)
    path = Path(source).expanduser().absolute()
    return Footage(str(path), who, _print(path))


def is_live(source: str) -> bool:
    """Whether it must be recorded before it can be learnt from. Raises BadInput and NotAvailable."""
    if is_sealed(Path(source).expanduser()):
        return False
    return kind_of(source_of(read_run(None, [], {"source": source}))) not in _CLIPS


def open_footage(footage: Footage, folder: Path) -> Source:
    """Its pictures as a source, not opened, that gives all of them as fast as it goes; `folder`: where recorded ones
    lie. Raises BadInput.
    """
    path = folder / RECORDED if not footage.source else Path(footage.source)
    if is_sealed(path):
        return Replayed(replace(read_session(path), taken=None))
    if not footage.source:
        raise BadInput("nothing is recorded yet", hint="doppelcam teach record NAME")
    if footage.print and _print(path) != footage.print:
        raise BadInput(f"{path} has changed since its faces were taken", hint="--again takes them anew")
    source: Source = source_of(read_run(None, [], {"source": footage.source, "fast": True}))
    return source


def _print(path: Path) -> list[int]:
    """Size and time of the last change."""
    try:
        status = path.stat()
    except OSError:
        raise BadInput(f"there is no footage {path}", hint="a clip, a session, sample, or camera") from None
    return [status.st_size, status.st_mtime_ns]
