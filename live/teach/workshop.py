"""A workshop: the folder in which one personal engine is made, and what is known of each step.

    <data folder>/workshops/NAME/            only this user may look into it
        workshop.json                        the wishes, and what came of each step
        1/                                   the first footage; `teach more` and `--persona` add 2/ ...
            footage.session                  what was recorded, if it was: sealed
            faces-0000.sealed ...            where faces are, and which can be learnt from
            targets-0000.sealed ...          the lessons
            faces.png, targets.png           to look at
        portraits-0000.sealed                the pictures of the face that is put on, where it is not one of the gallery
        training                             weights and how far they are (export/teach/course.py)
        preview.png                          what the net makes of some pictures

What shows the wearer, or the persona, is deleted once the engine is made, unless it is to be kept.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import filelock

from engines import strict_json
from engines.errors import BadInput, ModelError
from engines.own_file import write_own
from engines.plain_file import read_plain
from engines.store import check_name, data_folder
from live.teach.footage import Footage
from live.teach.pieces import Pieces, cannot_write, remove

_FILE, PREVIEW = "workshop.json", "preview.png"
_MOST_BYTES = 1 << 20
_TYPES: dict[str, type] = {
    "name": str, "face": str, "teacher": str, "model": str, "size": int, "settings": list, "footage": list,
    "taught": dict, "learnt": dict, "engine": str,
}  # fmt: skip


@dataclass
class Workshop:
    """One engine to be. `face` as --face; `teacher`, `model` and `settings` (as --set) are how it is put on; a teacher
    "footage": as the persona's own pictures show. `size` is the net's side in pixels, 0: not decided yet. `taught` says
    whose face it is, as the model's card will; `learnt` what the card says of lessons that are gone; `engine` is the
    fingerprint of the engine that was made last.
    """

    folder: Path
    name: str
    face: str = ""
    teacher: str = "auto"
    model: str = ""
    size: int = 0
    settings: list[str] = field(default_factory=list)
    footage: list[Footage] = field(default_factory=list)
    taught: dict[str, Any] = field(default_factory=dict)
    learnt: dict[str, Any] = field(default_factory=dict)
    engine: str = ""

    def of(self, number: int) -> Path:
        """The folder of this footage, which counts from 0."""
        return self.folder / str(number + 1)

    def faces(self, number: int) -> Pieces:
        return Pieces(self.of(number), "faces")

    def targets(self, number: int) -> Pieces:
        return Pieces(self.of(number), "targets")

    def numbers(self, whose: str) -> list[int]:
        """Those of the wearer's ("") or the persona's footages."""
        return [number for number, footage in enumerate(self.footage) if footage.whose == whose]

    @property
    def portraits(self) -> Pieces:
        return Pieces(self.folder, "portraits")

    @property
    def training(self) -> Path:
        """Where training keeps its state."""
        return self.folder / "training"

    def room(self, number: int) -> Path:
        """The folder of this footage, made where it is not there. Raises BadInput."""
        _make(self.folder)
        _make(self.of(number))
        return self.of(number)

    def save(self) -> None:
        """Raises BadInput."""
        _make(self.folder)
        for number in range(len(self.footage)):
            self.room(number)
        try:
            tree = {key: value for key, value in asdict(self).items() if key != "folder"}
            write_own(self.folder / _FILE, (json.dumps(tree, indent=1) + "\n").encode())
        except OSError as error:
            raise cannot_write(self.folder, error) from None

    def forget_lessons(self) -> None:
        """Delete all that shows the wearer, and the persona's footage. Raises BadInput."""
        for number in range(len(self.footage)):
            _delete(self.of(number))
        remove(self.folder.glob(PREVIEW))
        self.footage = []
        self.save()

    def forget_training(self) -> None:
        """Delete what was learnt; the engine that was made of it stays. Raises BadInput."""
        remove(self.folder.glob(f"*{self.training.name}*"))


def workshops() -> Path:
    return data_folder() / "workshops"


def names() -> list[str]:
    """Names of the workshops that are there, sorted. Raises nothing."""
    try:
        return sorted(path.parent.name for path in workshops().glob(f"[!.]*/{_FILE}"))
    except OSError:
        return []


def open_workshop(name: str) -> Workshop:
    """Raises BadInput: there is none of this name, or it is broken."""
    check_name(name, "personal engine")
    folder = workshops() / name
    if not (folder / _FILE).exists():
        raise BadInput(
            f"there is no workshop {name!r}",
            hint=f"there are: {', '.join(names()) or 'none'}; doppelcam teach --source CLIP --face FACE --name {name}",
        )
    try:
        tree = strict_json.loads(read_plain(folder / _FILE, _MOST_BYTES).decode())
        if any(not isinstance(tree[key], kind) for key, kind in _TYPES.items()):
            raise TypeError
        footage = [Footage(**one) for one in tree.pop("footage")]
        return Workshop(folder=folder, footage=footage, **tree)
    except (ModelError, ValueError, KeyError, TypeError, AttributeError):
        raise BadInput(
            f"the workshop {name!r} is damaged: {folder / _FILE} is not as it was written",
            hint=f"doppelcam teach remove {name}, and begin again",
        ) from None


def new_workshop(name: str) -> Workshop:
    """One of which nothing is on the disk yet. Raises BadInput for a name that cannot be one."""
    check_name(name, "personal engine")
    return Workshop(workshops() / name, name)


def remove_workshop(name: str) -> None:
    """Delete it with all that it holds. Raises BadInput."""
    if name not in names():
        open_workshop(name)
    _delete(workshops() / name)


def remove_all() -> list[str]:
    """Delete all workshops, damaged ones too; their names. Raises BadInput."""
    gone = names()
    _delete(workshops())
    return gone


@contextmanager
def alone(name: str) -> Iterator[None]:
    """While no other process works at it. Raises BadInput."""
    check_name(name, "personal engine")
    root = workshops()
    try:
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o700)
        lock = filelock.FileLock(root / f".{name}.lock")
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise BadInput(f"another doppelcam is at work on {name!r}", hint="wait until it has finished") from None
    except OSError as error:
        raise BadInput(f"the workshops' folder {root} cannot be used: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise cannot_write(folder, error) from None


def _delete(folder: Path) -> None:
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise BadInput(f"{folder} cannot be deleted: {error.strerror or error}") from None
