"""Files of this user alone, such as keys: written whole or not at all, read only where nobody else can touch them."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

OTHERS = stat.S_IRWXG | stat.S_IRWXO
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Unfit(Exception):
    """A file that is there, but that must not be used; says in words why."""


def read_own(path: Path, limit: int, forbidden: int = OTHERS) -> bytes:
    """The bytes of a plain file of this user that has none of the permissions `forbidden`.

    Raises FileNotFoundError, OSError (a link too), Unfit. The checks are made on the opened file, so that nobody can
    put another in its place. Windows has neither these owners nor these permissions.
    """
    # Neither followed (a link) nor waited for (a pipe without a writer).
    flags = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
    with open(os.open(path, os.O_RDONLY | flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Unfit("it is not a plain file")
        if os.name == "posix" and status.st_uid != os.geteuid():
            raise Unfit("it belongs to another user")
        if os.name == "posix" and status.st_mode & forbidden:
            raise Unfit(f"others have access to it: mode {stat.S_IMODE(status.st_mode):04o}")
        if status.st_size > limit:
            raise Unfit(f"it has {status.st_size} bytes")
        return file.read(status.st_size)


def write_own(path: Path, *pieces: bytes, replace: bool = True) -> None:
    """Write a file that only this user may read, whole or not at all, into a folder that is there.

    Raises OSError; FileExistsError where there is one already and it is not to be replaced: of two who write it at the
    same time the first wins.
    """
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)  # mode 0600
    try:
        with open(handle, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(part, path)
        else:
            os.link(part, path)
    finally:
        Path(part).unlink(missing_ok=True)
