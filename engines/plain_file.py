"""Opens a file that came from a stranger: a plain file of bounded size; never a link, a pipe or a device."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from engines.errors import ModelError

# Not waited for (a pipe without a writer), not inherited, no link followed; a flag is 0 where the system lacks it.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_FLAGS = os.O_RDONLY | _NO_LINK | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

MAX_FILE = 1 << 30  # bytes of a model file; the largest nets in use for live pictures have about 600 MB


def open_plain(path: Path, limit: int, links: bool = False) -> BufferedReader:
    """Open `path` for reading in binary; `links`: it may be a link to a plain file. Never blocks on anything else.

    Raises ModelError: not there, not readable, not a plain file, or larger than `limit` bytes.
    """
    try:
        # Looked at before it is opened: opening a device can do something by itself.
        _demand_plain(path, os.stat(path, follow_symlinks=links).st_mode)
        file = os.open(path, _FLAGS & ~_NO_LINK if links else _FLAGS)
        try:
            status = os.fstat(file)
            _demand_plain(path, status.st_mode)
            if status.st_size > limit:
                raise ModelError(f"{path} has {megabytes(status.st_size)}; the limit is {megabytes(limit)}")
            return os.fdopen(file, "rb")
        except BaseException:
            os.close(file)
            raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        why = getattr(error, "strerror", None) or error
        raise ModelError(f"cannot be read: {why}: {path}", hint="fetch or install the model again") from error


def read_plain(path: Path, limit: int, links: bool = False) -> bytes:
    """The bytes of `path`, at most `limit`. Raises ModelError like `open_plain`."""
    with open_plain(path, limit, links) as file:
        try:
            # No more than it has: `read` makes room for all that is asked for.
            data = file.read(min(limit, os.fstat(file.fileno()).st_size) + 1)
        except OSError as error:
            raise ModelError(f"cannot be read: {error.strerror or error}: {path}") from error
    if len(data) > limit:  # it grew since it was opened
        raise ModelError(f"{path} has more than {megabytes(limit)}")
    return data


def megabytes(size: int) -> str:
    """A size in bytes for people: "12 MB"; never "0 MB" for something."""
    return f"{size / 1e6:.0f} MB" if size >= 1_000_000 else f"{size} bytes"


def _demand_plain(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "no plain file")
        raise ModelError(f"{path} is {kind}, not a file", hint="a model folder holds plain files: copy the file itself")
