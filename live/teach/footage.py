"""What `teach --source` and `--persona` mean: a clip, a session, the camera, photos; how its pictures are read
again, all of them.
"""

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
from live.teach.photos import Photos, photos_in

PERSONA = "persona"
RECORDED = "footage.session"
_CLIPS = ("sample", "video_file")


@dataclass
class Footage:
    """Pictures of the wearer, or of the persona, as `whose` says. `source` is as --source, a clip's path made absolute;
    "": recorded in the workshop.

    `who` says whose face of several: left, right, largest; "": there is only one. `print` tells that a file is still
    the same. `faces` and `targets` say what came of these steps, {} until they are done.
    """

    source: str
    who: str = ""
    print: list[int] = field(default_factory=list)
    faces: dict[str, Any] = field(default_factory=dict)
    targets: dict[str, Any] = field(default_factory=dict)
    whose: str = ""

    @property
    def apart(self) -> bool:
        """Whether its pictures are photos, of which none follows from the one before."""
        return bool(self.source) and Path(self.source).is_dir()


def footage_of(source: str, who: str = "", whose: str = "") -> Footage:
    """The footage that --source means, or --persona. Raises BadInput: no such file, an unknown --who."""
    if who not in ("", *PLACES[:-1]):
        raise BadInput(f"--who {who}: whose face is that?", hint=f"choose one of: {', '.join(PLACES[:-1])}")
    path = Path(source).expanduser().absolute()
    photos = path.is_dir() and not is_sealed(path)
    if photos and not whose:
        raise BadInput(f"--source {source} is a folder", hint="a clip, a session, sample, or camera")
    if not photos and is_live(source):
        if whose:
            raise BadInput(
                f"--persona {source}: that is no footage yet", hint="a clip, a session, or a folder of photos"
            )
        return Footage("", who)
    if source == "sample":
        return Footage(source, who, whose=whose)
    return Footage(str(path), who, _print(path), whose=whose)


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
    if footage.apart:
        return Photos(path)
    source: Source = source_of(read_run(None, [], {"source": footage.source, "fast": True}))
    return source


def _print(path: Path) -> list[int]:
    """Size and time of the last change; of photos, of all of them."""
    try:
        files = photos_in(path) if path.is_dir() else [path]
        all_ = [file.stat() for file in files]
        return [sum(one.st_size for one in all_), max((one.st_mtime_ns for one in all_), default=0)]
    except OSError:
        raise BadInput(f"there is no footage {path}", hint="a clip, a session, sample, or camera") from None
