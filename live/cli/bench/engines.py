"""`doppelcam bench engines`: how fast and how exact each way of running a model is on this machine."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from engines.errors import DoppelcamError
from live.cli.output import check_target, write_whole
from live.cli.screen import err, out

if TYPE_CHECKING:
    from engines.card import ModelCard
    from engines.choose import Row


def engines(
    models: Annotated[
        list[str] | None, typer.Argument(help="Names of models, or model folders. None: all that ship.")
    ] = None,
    engine: Annotated[str, typer.Option(help="Only these ways: RUNTIME[:DEVICE][:PRECISION].")] = "auto",
    seconds: Annotated[float, typer.Option(help="How long each way is timed.", min=0.05, max=60)] = 1.0,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the figures as JSON too.")] = None,
) -> None:
    """Time every runtime, precision and number of threads on a model, and compare its answers with fp32.

    A star marks what [bold]--engine auto[/] takes. Measure with nothing else running: a busy machine lies.
    """
    from engines.choose import cores, processor
    from engines.engine import thread_counts
    from engines.work import peak_gflops
    from live.models import shipped_names

    if json_ is not None:
        check_target(json_, "the figures")
    with err.status("timing a matrix product ...") as status:
        peaks = {threads: peak_gflops(threads) for threads in thread_counts(cores())}
        out.print(processor())
        out.print("peak    " + ", ".join(f"{gflops:.0f} GFLOP/s with {n}" for n, gflops in peaks.items()) + " threads")
        trees = []
        for name in models or shipped_names():
            status.update(f"measuring {name} ...")
            trees.append(_bench(name, engine, seconds, peaks))
    if json_ is not None:
        tree = {"processor": processor(), "peak_gflops": peaks, "models": trees}
        write_whole(json_, (json.dumps(tree, indent=2) + "\n").encode(), "the figures")


def _bench(name: str, engine: str, seconds: float, peaks: dict[int, float]) -> dict[str, Any]:
    from engines.choose import measure, pick
    from engines.door import candidates, open_variant, reference
    from engines.quarantine import admit
    from engines.work import flop
    from live.models import open_card

    card = open_card(name)
    admit(card)  # once, not for each way that is measured
    ways = candidates(card, engine)
    rows = measure(card, [*(way for way in reference(card) if way not in ways), *ways], open_variant, seconds)
    best = pick([row for row in rows if row.variant in ways])
    work = flop(card.model())
    tree: dict[str, Any] = {"model": card.name, "mflop": round(work / 1e6, 1), "ways": []}
    table = Table("", "ms p50", "p95", "load", "MB", "worst error", "of peak", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    for row in sorted(rows, key=lambda row: row.p50_ms):
        facts = {
            "way": str(row.variant),
            "p50_ms": _rounded(row.p50_ms),
            "p95_ms": _rounded(row.p95_ms),
            "load_ms": _rounded(row.load_ms),
            "memory_mb": None if row.refused else _memory_mb(card, row),
            "worst_error": _rounded(row.worst_error, 7),
            "psnr_db": _rounded(row.psnr_db),
            "refused": row.refused,
            "auto": row is best,
        }
        tree["ways"].append(facts)
        peak = peaks.get(row.variant.threads) if row.variant.device == "cpu" else None
        share = "" if peak is None or row.refused else f"{work / row.p50_ms / 1e6 / peak:.0%}"
        if not row.refused:
            table.add_row(
                f"{'[green]*[/]' if row is best else ' '} {row.variant}",
                f"{row.p50_ms:.2f}", f"{row.p95_ms:.2f}", f"{row.load_ms:.0f}",
                "" if facts["memory_mb"] is None else f"{facts['memory_mb']:.0f}", f"{row.worst_error:.2g}", share,
            )  # fmt: skip
    out.print(f"\n[bold]{card.name}[/]  {work / 1e6:.0f} MFLOP")
    out.print(table)
    for row in rows:
        if row.refused:
            out.print(f"  [yellow]refused[/] {row.variant}: {row.refused}", soft_wrap=True)
    return tree


def _rounded(value: float, digits: int = 3) -> float | None:
    return round(value, digits) if math.isfinite(value) else None


def _memory_mb(card: ModelCard, row: Row) -> float | None:
    """What opening and running it adds to a fresh process, at its peak; None where that process fails."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_grow_mb, card, row.variant).result(timeout=120)
        except (DoppelcamError, OSError, TimeoutError, RuntimeError):
            return None


def _grow_mb(card: ModelCard, variant: Any) -> float:
    import psutil

    from engines import gate
    from engines.door import RUNTIMES, open_variant

    RUNTIMES.load(variant.runtime)  # the library itself does not count
    process = psutil.Process()
    before = process.memory_info().rss
    engine = open_variant(card, variant)
    after_load = process.memory_info().rss
    for feeds in gate.probes(card, engine.inputs):
        engine.run(feeds)
    return float(max(after_load, process.memory_info().rss) - before) / 1e6
