"""Throws every frame away: for measuring, and for trying settings out."""

from __future__ import annotations

from dataclasses import dataclass

from live.frame import Format, SafeFrame


@dataclass
class Null:
    """Sink: nothing."""

    def open(self, format: Format) -> None:
        pass

    def write(self, frame: SafeFrame) -> None:
        pass

    def close(self) -> None:
        pass
