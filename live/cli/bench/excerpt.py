"""A stretch of a clip, watched: what the loop is about to get can be looked at before the swap writes into it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from live.frame import Captured, Format
from live.parts import EndOfSource, Source


@dataclass
class Excerpt:
    """Source: another source's pictures from `start_s` up to, not including, `end_s` of its own timeline.

    `see` gets each of them before it is handed on, on the source's thread, and must copy what it wants to keep.
    """

    source: Source
    start_s: float = 0.0
    end_s: float = math.inf
    see: Callable[[Captured], None] | None = None

    def open(self) -> Format:
        return self.source.open()

    def read(self) -> Captured:
        while True:
            captured = self.source.read()
            if captured.position_s >= self.end_s:
                raise EndOfSource
            if captured.position_s >= self.start_s:
                if self.see is not None:
                    self.see(captured)
                return captured

    def close(self) -> None:
        self.source.close()
