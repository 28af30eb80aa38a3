"""Throws every frame away: for measuring, and for trying settings out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from live.frame import Format, SafeFrame


@dataclass
class Null:
    """Sink: nothing."""

    outgoing: ClassVar[bool] = False

    def open(self, format: Format) -> None:
        pass

    def write(self, frame: SafeFrame) -> None:
        pass

    def close(self) -> None:
        pass
