"""`doppelcam bench overload`: how the loop behaves when its parts are slow: frames shown, their age, order, drops."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.table import Table

from engines.errors import BadInput
from live.cli.output import check_target, write_whole
from live.cli.screen import err, out

if TYPE_CHECKING:
    from live.cli.bench.situations import Shown, Situation

_PART_OF_FPS = 0.95


@dataclass(frozen=True)
class Outcome:
    """What one sink got in one situation; ages in ms. `later_ms` is how much older frames got from the first to the
    second half.
    """

    situation: str
    sink: int
    work_ms: float
    fps: float
    allowed_fps: float
    age_p50: float
    age_p95: float
    bound_ms: float
    later_ms: float
    out_of_order: int
    dropped: int

    @property
    def faults(self) -> list[str]:
        """Which bounds are broken, in words; empty when all are met."""
        found = []
        if self.fps < _PART_OF_FPS * self.allowed_fps:
            found.append("frames")
        if self.age_p50 > self.bound_ms:
            found.append("age")
        if self.later_ms > 0.1 * self.bound_ms:
            found.append("grows")
        if self.out_of_order:
            found.append("order")
        return found


def judge(situation: Situation, sink: int, shown: Shown, seconds: float, dropped: int) -> Outcome:
    """What a sink saw, against the situation's bounds. The first half second, in which things start, is left out."""
    ages = np.array(shown.ages_ms or [float("inf")])
    half = len(ages) // 2
    later = float(np.median(ages[half:]) - np.median(ages[:half])) if half else 0.0
    return Outcome(
        situation.name, sink, situation.work_ms(sink), len(shown.ages_ms) / seconds, situation.allowed_fps(sink),
        float(np.median(ages)), float(np.percentile(ages, 95)), situation.bound_ms(sink), later, shown.out_of_order,
        dropped,
    )  # fmt: skip


def overload(
    seconds: Annotated[float, typer.Option(help="How long each situation runs.", min=1, max=600)] = 5.0,
    only: Annotated[str, typer.Option(help="Only situations whose name holds this.")] = "",
    spin: Annotated[
        bool, typer.Option("--spin", help="Keep cores busy instead of sleeping, as nets on CPUs do.")
    ] = False,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the figures as JSON too.")] = None,
) -> None:
    """Run the real loop on parts with given costs, and hold what comes out against the bounds.

    The median age may be 1.1 x the work + 4 ms, and half a period more where something is slower than the camera;
    frames shown: at least 95 % of what the slowest thread allows; none out of order; no older in the second half.
    """
    from live.cli.bench.situations import SITUATIONS, make, sleep
    from live.cli.bench.situations import spin as spinning

    if json_ is not None:
        check_target(json_, "the figures")
    chosen = [situation for situation in SITUATIONS if only.lower() in situation.name.lower()]
    if not chosen:
        raise BadInput(f"no situation is called {only!r}", hint="; ".join(s.name for s in SITUATIONS))
    outcomes = []
    with err.status("") as status:
        for n, situation in enumerate(chosen, 1):
            status.update(f"{n} of {len(chosen)}: {situation.name}")
            loop, shown = make(situation, spinning if spin else sleep)
            loop.run(seconds=seconds)
            report = loop.ledger.report()
            for k, seen in enumerate(shown):
                drops = report["dropped"]["entrance"] + report["sinks"][f"sink {k}"]["dropped"]
                outcomes.append(judge(situation, k, seen, seconds, drops))
    _print(outcomes)
    if json_ is not None:
        tree = [{**asdict(outcome), "faults": outcome.faults} for outcome in outcomes]
        write_whole(json_, (json.dumps(_rounded(tree), indent=2) + "\n").encode(), "the figures")


def _print(outcomes: list[Outcome]) -> None:
    table = Table("situation", "work", "fps", "of", "p50", "p95", "bound", "drops", "", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for column in table.columns[1:-1]:
        column.justify = "right"
    for one in outcomes:
        name = one.situation if not one.sink else f"  its sink {one.sink + 1}"
        verdict = f"[red]{', '.join(one.faults)}[/]" if one.faults else "[green]met[/]"
        table.add_row(
            name, f"{one.work_ms:.0f}", f"{one.fps:.1f}", f"{one.allowed_fps:.1f}", f"{one.age_p50:.1f}",
            f"{one.age_p95:.1f}", f"{one.bound_ms:.0f}", f"{one.dropped}", verdict,
        )  # fmt: skip
    out.print(table)
    unordered = sum(one.out_of_order for one in outcomes)
    met = sum(not one.faults for one in outcomes)
    out.print(f"ages and work in ms; {unordered} frames out of order; {met} of {len(outcomes)} met")


def _rounded(tree: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: round(v, 2) if isinstance(v, float) else v for k, v in one.items()} for one in tree]
