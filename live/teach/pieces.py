"""Sealed pieces of a step's work: arrays of a few dozen frames in a file, written whole or not at all.

A step that was interrupted goes on after the last piece that is there.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.engine import Array
from engines.errors import BadInput
from live.sealed import SealedReader, SealedWriter

_WHAT = "workshop"


@dataclass(frozen=True, slots=True)
class Pieces:
    """The files `STEP-0000.sealed`, `STEP-0001.sealed` ... in `folder`. Their errors are BadInput."""

    folder: Path
    step: str

    def __len__(self) -> int:
        count = 0
        while self._path(count).exists():
            count += 1
        return count

    def __iter__(self) -> Iterator[dict[str, Array]]:
        return (self.read(number) for number in range(len(self)))

    def read(self, number: int) -> dict[str, Array]:
        """The arrays of one piece. Raises BadInput: not there, damaged, not this user's."""
        path = self._path(number)
        reader = SealedReader(path, what=_WHAT)
        content = b"".join(reader)
        if not reader.whole:
            raise BadInput(f"{path} broke off", hint=f"it was changed; --again makes the {self.step} anew")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)

    def add(self, **arrays: Array) -> None:
        """Write the next piece. Raises BadInput, and leaves what was there."""
        path = self._path(len(self))
        part = path.with_suffix(".part")
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]
        try:
            writer = SealedWriter(part, what=_WHAT)
            try:
                writer.write(content.getvalue())
            finally:
                writer.close()
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise cannot_write(path, error) from None

    def clear(self) -> None:
        """Raises BadInput."""
        remove(self.folder.glob(f"{self.step}-*"))

    def _path(self, number: int) -> Path:
        return self.folder / f"{self.step}-{number:04d}.sealed"


def cannot_write(path: Path, error: OSError) -> BadInput:
    """Where a disk is full or a folder closed: nothing that was made before is lost."""
    return BadInput(
        f"{path} cannot be written: {error.strerror or error}",
        hint="make room for it; the same command then goes on where it stopped",
    )


def remove(paths: Iterator[Path]) -> None:
    """Delete these files. Raises BadInput."""
    for path in list(paths):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise BadInput(f"{path} cannot be deleted: {error.strerror or error}") from None
