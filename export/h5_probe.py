"""HDF5's library trusts what it reads: a crafted file can hang it or crash it. It reads one in a limited process first.

Groups, attributes and small datasets are read there: what leads from one place of the file to another. The numbers of
large ones, which are plain rows of bytes, are left to the program.
"""

from __future__ import annotations

import io
import os
import sys
from functools import lru_cache
from pathlib import Path

import h5py

from engines.errors import ModelError, NotAvailable
from engines.quarantine.child import ask, limit_memory, limit_rest

SECONDS = 20.0  # for any file; and for large ones:
_SECONDS_PER_BYTE = 1 / 10e6
_MEMORY = 1 << 30
_SMALL = 1 << 20  # bytes
_HINT = "do not use this file"


def try_out(source: Path | bytes, name: str) -> None:
    """Raise ModelError if the library hangs or crashes over this file; what else is wrong shows when it is opened."""
    if isinstance(source, bytes):
        _try("", len(source), name, source)
    else:
        status = source.stat()
        _try_once(str(source.absolute()), status.st_mtime_ns, status.st_size, name)


@lru_cache(maxsize=64)
def _try_once(path: str, _changed_ns: int, size: int, name: str) -> None:
    """Readers open the same file several times."""
    _try(path, size, name, b"")


def _try(path: str, size: int, name: str, data: bytes) -> None:
    seconds = SECONDS + size * _SECONDS_PER_BYTE
    try:
        ended = ask("export.h5_probe:answer", path, str(int(seconds) + 1), seconds=seconds, most_bytes=1, feed=data)
    except OSError as error:
        raise NotAvailable(f"the check of {name} could not be started: {error}") from error
    if ended.late or ended.crash:
        why = f"takes more than {seconds:.0f} seconds" if ended.late else ended.crash
        raise ModelError(f"{name}: reading it {why}", hint=_HINT)


def answer(path: str, seconds: str) -> None:
    """The process: read the file at `path`, or standard input where that is empty."""
    source = path or io.BytesIO(sys.stdin.buffer.read())
    limit_rest(int(seconds))
    limit_memory(_MEMORY)
    try:
        with h5py.File(source, "r") as file:
            _read(file, set())
    except Exception:  # told where the file is opened for use
        pass
    os._exit(0)


def _read(group: h5py.Group, seen: set[object]) -> None:
    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            return  # refused where it is opened for use
        item = group[key]
        if item.id in seen:
            continue
        seen.add(item.id)
        if isinstance(item, h5py.Group):
            _read(item, seen)
        elif isinstance(item, h5py.Dataset) and item.nbytes <= _SMALL and not (item.external or item.is_virtual):
            item[()]
        _read_attributes(item)
    _read_attributes(group)


def _read_attributes(item: h5py.HLObject) -> None:
    for name in item.attrs:
        item.attrs[name]
