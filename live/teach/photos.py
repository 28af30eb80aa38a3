"""A folder of photos as a source: each picture on its own, none following from the one before."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from engines.errors import BadInput
from live.frame import Captured, Format
from live.parts import EndOfSource
from live.pictures import SUFFIXES, read_picture


def photos_in(folder: Path) -> list[Path]:
    """The pictures of a folder, by name. Raises BadInput where it cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise BadInput(f"the folder {folder} cannot be read: {error.strerror or error}") from None


@dataclass
class Photos:
    """Source: the photos of a folder, by name; they may differ in size."""

    folder: Path
    _left: list[Path] = field(default_factory=list, init=False, repr=False)

    def open(self) -> Format:
        """Raises BadInput: there are none, or the first is no picture."""
        self._left = photos_in(self.folder)
        if not self._left:
            raise BadInput(f"the folder {self.folder} holds no pictures", hint=f"expected {', '.join(SUFFIXES)}")
        height, width = read_picture(self._left[0]).shape[:2]
        return Format(width, height, 1.0)

    def read(self) -> Captured:
        """Raises EndOfSource; BadInput for a file that is no picture."""
        if not self._left:
            raise EndOfSource
        return Captured(read_picture(self._left.pop(0)), 0, 0.0)

    def close(self) -> None:
        self._left = []
