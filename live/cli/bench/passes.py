"""The two passes over a clip: the first finds the moments worth a look, the second swaps and keeps only those."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from engines.errors import BadInput
from live.app import build, loop_of, parts_of
from live.cli.bench.excerpt import Excerpt
from live.cli.bench.moments import Moment, Window, choose, head_window, scan
from live.cli.bench.sheet import CELL_PX, Column, cut_window
from live.frame import Captured, Format, Image, SafeFrame, State
from live.run import Run

Stretch = tuple[float, float]
"""From this second of the clip up to, not including, that one (inf: to its end)."""


@dataclass(frozen=True)
class Scouted:
    """What the first pass found. `portrait` is the persona's head as u8 [CELL_PX, CELL_PX, 3], BGR."""

    name: str
    portrait: Image
    moments: list[Moment]
    frames: int


def scout(run: Run, stretch: Stretch, count: int) -> Scouted:
    """Choose `count` moments of the clip. Raises BadInput where the portrait or the clip shows no face."""
    loop = build(run)
    source, finder = loop.parts.source, loop.parts.finder
    if getattr(source, "repeat", False) and math.isinf(stretch[1]):
        raise BadInput("a clip that is repeated has no end", hint="say with --to where to stop")
    with ExitStack() as stack:
        for part in (source, finder):
            stack.callback(part.close)
            part.open()
        persona = loop.parts.persona(finder)
        moments = scan(Excerpt(source, *stretch), finder, loop.tracks)
    if not moments:
        times = "" if stretch == (0.0, math.inf) else f" between {stretch[0]:g} s and {stretch[1]:g} s"
        raise BadInput(f"no face was found in {run.source}{times}", hint="take a clip that shows a face from the front")
    portrait = np.zeros((CELL_PX, CELL_PX, 3), np.uint8)  # a trained model has none
    if persona.views:
        portrait = cut_window(persona.image, head_window(persona.face))
    return Scouted(persona.name, portrait, choose(moments, count), len(moments))


def swap(run: Run, stretch: Stretch, moments: list[Moment]) -> tuple[list[Column], dict[str, Any]]:
    """Run the loop over the clip: the columns for these moments, and the ledger's report. Raises what the loop does."""
    keeper = _Keeper({moment.at_s: moment.window for moment in moments})
    parts = parts_of(run)
    parts.source = Excerpt(parts.source, *stretch, see=keeper.see)
    parts.sinks = {"sheet": keeper}
    loop = loop_of(run, parts)
    loop.run()
    if not keeper.wearer.keys() == keeper.shown.keys() == {moment.at_s for moment in moments}:
        raise BadInput(f"{run.source} gave other pictures the second time", hint="take a file that stays as it is")
    columns = [Column(m, keeper.wearer[m.at_s], *keeper.shown[m.at_s]) for m in moments]
    return columns, loop.ledger.report()


@dataclass
class _Keeper:
    """Sink that cuts its windows out of what is shown, and, told by the source, out of the wearer's own picture.

    Only these cuts stay in memory: a clip may be long. The keys are the frames' times.
    """

    outgoing: ClassVar[bool] = False

    windows: dict[float, Window]
    wearer: dict[float, Image] = field(default_factory=dict)
    shown: dict[float, tuple[Image, State]] = field(default_factory=dict)

    def see(self, captured: Captured) -> None:
        window = self.windows.get(captured.position_s)
        if window is not None:
            self.wearer[captured.position_s] = cut_window(captured.image, window)

    def open(self, format: Format) -> None:
        pass

    def write(self, frame: SafeFrame) -> None:
        window = None if frame.position_s is None else self.windows.get(frame.position_s)
        if window is not None and frame.position_s is not None:
            self.shown[frame.position_s] = (cut_window(frame.image, window), frame.state)

    def close(self) -> None:
        pass
