"""The user's own models: folders that are added whole or not at all, checked against their checksums, and removed.

    <data folder>/models/NAME/card.json, model files
    <data folder>/models/.adding-*       being written; a killed process leaves one, the next `add` clears it away
    <data folder>/models/.lock           one process at a time adds or removes

A folder is written under a hidden name, forced to disk and renamed, so whoever looks sees all of it or nothing.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import platformdirs

from engines.card import CARD_FILE, ModelCard, read_card
from engines.errors import BadInput, DoppelcamError, ModelError

_ADDING = ".adding-"
_LOCK_WAIT_S = 60.0
_SPARE_BYTES = 64 << 20  # left free on the disk
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Device names that Windows sees in every folder, whatever their ending.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Store:
    """The model folders in `root`, which is made when the first one is added."""

    root: Path

    def names(self) -> list[str]:
        """Names of the models, sorted. A folder whose card is broken is named too. Raises BadInput."""
        try:
            return sorted(path.name for path in self.root.iterdir() if path.is_dir() and not path.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BadInput(f"the models' folder {self.root} cannot be read: {error.strerror or error}") from error

    def card(self, name: str) -> ModelCard:
        """The card of this model. BadInput: there is none of this name. ModelError: its card is broken."""
        return read_card(self.folder(name))

    def add_file(
        self, name: str, file: Path, card: Mapping[str, Any], extras: Mapping[str, bytes] | None = None
    ) -> ModelCard:
        """Add one model file with the card made for it and small files to lie beside it.

        `card` is the tree of card.json; its name and its checksums are filled in here, and its `files` must name the
        file as it is called now. Raises BadInput (name taken, no room, unreadable) and ModelError (no such card).
        """
        size = _size(file)
        with self._new(name, size) as folder:
            sha256 = {file.name: _copy(file, folder / file.name)}
            for extra, data in (extras or {}).items():
                _write(folder / extra, data)
                sha256[extra] = hashlib.sha256(data).hexdigest()
            _write_card(folder, {**card, "name": name, "sha256": sha256})
        return self.card(name)

    def add_folder(self, source: Path, name: str = "") -> ModelCard:
        """Add a copy of a model folder: its card and the files that the card vouches for, each checked on the way.

        Raises BadInput, and ModelError where the card is broken, a file is missing or it is not what the card says.
        """
        card = read_card(source)
        tree = json.loads((source / CARD_FILE).read_text(encoding="utf-8"))
        name = name or card.name
        for file in card.files.values():
            if file not in card.sha256:
                raise ModelError(f"the card of model {card.name!r} does not vouch for a file {file!r}")
        for file in card.sha256:
            if Path(file).name != file or (source / file).is_symlink():
                raise ModelError(f"the card of model {card.name!r} names {file!r}, which is no file in its folder")
        with self._new(name, sum(_size(source / file) for file in card.sha256)) as folder:
            for file, wanted in card.sha256.items():
                copied = _copy(source / file, folder / file)
                if not (source / file).stat().st_mode & 0o077:
                    (folder / file).chmod(0o600)  # what is for nobody else's eyes stays so
                if copied != wanted:
                    raise ModelError(
                        f"{source / file} is not the file that its card describes (sha256 differs)",
                        hint="the file is damaged or was replaced: fetch the model folder again",
                    )
            _write_card(folder, {**tree, "name": name})
        return self.card(name)

    def check(self, name: str) -> dict[str, str]:
        """What is wrong with each file that the card vouches for: "" (it is as it was), "changed" or "missing"."""
        card = self.card(name)
        return {file: _wrong(card.folder / file, wanted) for file, wanted in card.sha256.items()}

    def remove(self, name: str) -> None:
        """Delete this model. Raises BadInput."""
        folder = self.folder(name)
        with self._alone():
            # Renamed first: from then on it is not listed, even if deleting it is cut short.
            gone = Path(tempfile.mkdtemp(prefix=_ADDING, dir=self.root)) / "gone"
            try:
                folder.rename(gone)
            except OSError as error:
                raise BadInput(f"model {name!r} cannot be removed: {error.strerror or error}") from error
            finally:
                shutil.rmtree(gone.parent, ignore_errors=True)

    def folder(self, name: str) -> Path:
        """Where this model lies. Raises BadInput."""
        if name not in self.names():
            raise BadInput(
                f"no model {name!r} is installed", hint=f"installed are: {', '.join(self.names()) or 'none'}"
            )
        return self.root / name

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While nobody else adds or removes; what a killed process left half-done is cleared away."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.root / ".lock")
            lock.acquire(timeout=_LOCK_WAIT_S)
        except filelock.Timeout:
            raise BadInput(
                "another doppelcam is adding or removing a model", hint="wait until it has finished, then try again"
            ) from None
        except OSError as error:
            raise BadInput(f"the models' folder {self.root} cannot be used: {error.strerror or error}") from error
        try:
            for stale in self.root.glob(f"{_ADDING}*"):
                shutil.rmtree(stale, ignore_errors=True)
            yield
        finally:
            lock.release()

    @contextmanager
    def _new(self, name: str, size: int) -> Iterator[Path]:
        """A hidden folder to fill, which becomes model `name` at the end, or vanishes when something goes wrong."""
        check_name(name)
        with self._alone():
            for other in self.names():
                if other.casefold() == name.casefold():
                    raise BadInput(
                        f"there is a model {other!r} already",
                        hint=f"doppelcam models remove {other}, or add it under another name: --name",
                    )
            check_room(self.root, size)
            folder = Path(tempfile.mkdtemp(prefix=_ADDING, dir=self.root))
            try:
                yield folder
                read_card(folder)
                folder.chmod(0o755)  # mkdtemp makes it private
                _to_disk(folder)
                folder.rename(self.root / name)
                _to_disk(self.root)
            except OSError as error:
                room = " (the disk is full)" if error.errno == errno.ENOSPC else ""
                raise BadInput(f"model {name!r} cannot be added: {error.strerror or error}{room}") from error
            finally:
                shutil.rmtree(folder, ignore_errors=True)  # it is gone where all went well


def user_store() -> Store:
    """The store in this user's data folder; XDG_DATA_HOME and its like on other systems decide where."""
    return Store(data_folder() / "models")


def data_folder() -> Path:
    return Path(platformdirs.user_data_dir("doppelcam", appauthor=False))


def check_name(name: str, what: str = "model") -> None:
    """Raise BadInput unless `name` can be the name of a file or folder on every system."""
    if not _NAME.fullmatch(name) or name.endswith(".") or _RESERVED.fullmatch(name):
        raise BadInput(
            f"{name!r} cannot be the name of a {what}",
            hint="letters, digits, '.', '_' and '-', at most 64 of them, the first a letter or digit",
        )


def name_from(text: str) -> str:
    """A name for a model made of a file's name: what is not allowed in one becomes "_"."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")[:64].rstrip(".")
    return name if _NAME.fullmatch(name) and not _RESERVED.fullmatch(name) else f"model_{name}"[:64].rstrip("._-")


def check_room(folder: Path, size: int) -> None:
    """Raise BadInput unless `size` bytes more fit on the disk that `folder` lies on."""
    free = shutil.disk_usage(folder).free
    if free < size + _SPARE_BYTES:
        raise BadInput(
            f"{size / 1e6:.0f} MB are needed in {folder}, only {free / 1e6:.0f} MB are free there",
            hint="make room, or set XDG_DATA_HOME to a folder on a larger disk",
        )


def sha256_of(file: Path) -> str:
    """The sha256 of a regular file, in hex. Raises BadInput."""
    _size(file)
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror or error}") from error


def _size(file: Path) -> int:
    """Bytes of a regular file. A pipe or a device, which might never end, is refused."""
    try:
        if file.exists() and not file.is_file():
            raise BadInput(f"{file} is not a file")
        return file.stat().st_size
    except FileNotFoundError:
        raise BadInput(f"there is no file {file}") from None
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror or error}") from error


def _copy(source: Path, target: Path) -> str:
    """Copy, force to disk; answers the sha256 of what was written."""
    digest = hashlib.sha256()
    with source.open("rb") as stream, target.open("xb") as written:
        while block := stream.read(1 << 20):
            digest.update(block)
            written.write(block)
        written.flush()
        os.fsync(written.fileno())
    return digest.hexdigest()


def _write(target: Path, data: bytes) -> None:
    with target.open("xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _write_card(folder: Path, tree: Mapping[str, Any]) -> None:
    _write(folder / CARD_FILE, (json.dumps(tree, indent=2) + "\n").encode())


def _to_disk(folder: Path) -> None:
    """Force a folder's entries to disk; Windows cannot open a folder, and does it by itself."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _wrong(file: Path, wanted: str) -> str:
    try:
        return "" if sha256_of(file) == wanted else "changed"
    except DoppelcamError:
        return "missing"
