"""`doppelcam bench loop`: the real loop on a clip: age, time and processor time of each step, drops, memory."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.table import Table

from engines.errors import BadInput
from live.cli.output import check_target, write_whole
from live.cli.screen import err, out

if TYPE_CHECKING:
    from live.cli.bench.gauge import Gauge
    from live.cli.bench.serial import Cost
    from live.run import Run
    from live.spans import Spans

_PERCENTS = (50, 95, 99)


def loop(
    clip: Annotated[str, typer.Argument(help="A video's path, or sample.")] = "sample",
    face: Annotated[str, typer.Option(help="As for doppelcam run.")] = "sample",
    sink: Annotated[list[str] | None, typer.Option(help="As for doppelcam run; null if none is given.")] = None,
    seconds: Annotated[float, typer.Option(help="How long is measured.", min=1, max=86_400)] = 20.0,
    warm_up: Annotated[float, typer.Option(help="Seconds before that.", min=0, max=600)] = 3.0,
    fast: Annotated[
        bool, typer.Option("--fast", help="Not at the clip's own pace but every frame of it, as fast as it goes.")
    ] = False,
    engine: Annotated[str | None, typer.Option(help="What runs the nets, as for doppelcam run.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the figures as JSON too.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots (one file, nothing from the net).")] = None,
    trace: Annotated[Path | None, typer.Option(help="Write what each thread did when, for ui.perfetto.dev.")] = None,
    profile: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="One setting. May be given again.")] = None,
) -> None:
    """Measure the loop on a clip, which is played over and over.

    First a pass on one thread, which tells what each step costs by itself and which whole pictures it allocates; then
    the real loop. Measure with nothing else running; the yardstick tells how fast the machine was just then.
    """
    for path, what in ((json_, "the figures"), (html, "the page"), (trace, "the trace")):
        if path is not None:
            check_target(path, what)

    from live.cli.bench.gauge import yardstick_ms
    from live.cli.bench.plots import page
    from live.run import read_run
    from live.spans import Spans, chrome_trace

    flags: dict[str, Any] = {"source": clip, "face": face, "sink": sink or "null", "engine": engine}
    run = read_run(profile, set_ or [], flags)
    _play_over_and_over(run)
    spans = Spans(on=True)
    with err.status("one frame after the other ...") as status:
        before = yardstick_ms()
        steps = _serial(run, lambda n: status.update(f"one frame after the other: {n}"))
        status.update("the loop ...")
        report, gauge = _measure(run, spans, warm_up, seconds, fast)
        after = yardstick_ms()
    tree = _figures(report, gauge, spans, steps, (before, after))
    _print(tree)
    if json_ is not None:
        write_whole(json_, (json.dumps(tree, indent=2) + "\n").encode(), "the figures")
    if html is not None:
        write_whole(html, page(tree, list(spans)).encode(), "the page")
    if trace is not None:
        write_whole(trace, json.dumps(chrome_trace(spans)).encode(), "the trace")


def _play_over_and_over(run: Run) -> None:
    """Set the source to begin again at its end. Raises BadInput where it has none."""
    from live.run import KINDS

    name = run.source.partition(":")[0]
    name = name if name in KINDS["sources"].names() else "video_file"
    if name not in ("sample", "video_file"):
        raise BadInput(f"only a file can be measured again and again, not the source {run.source!r}")
    run.tree.setdefault("sources", {}).setdefault(name, {})["repeat"] = True


def _serial(run: Run, tell: Any) -> dict[str, Cost]:
    from dataclasses import replace

    from live.app import build
    from live.cli.bench.serial import costs

    return costs(build(replace(run, fast=True)), 150, tell)


def _measure(run: Run, spans: Spans, warm_up: float, seconds: float, fast: bool) -> tuple[dict[str, Any], Gauge]:
    from dataclasses import replace

    from live.app import build
    from live.cli.bench.gauge import Gauge
    from live.trace import clock

    loop = build(replace(run, fast=fast), spans=spans)
    gauge, began, warm = Gauge(), clock(), False
    reports: list[dict[str, Any]] = []

    def status() -> None:
        nonlocal warm
        if not warm and (clock() - began) / 1e9 >= warm_up:
            warm = True
            loop.ledger.restart()
            spans.clear()
            gauge.start()
        elif warm and (clock() - began) / 1e9 >= warm_up + seconds:
            gauge.read()  # while the threads are still there
            reports.append(loop.ledger.report())
            loop.stop()

    began = clock()
    loop.run(status=status)
    if not reports:
        raise BadInput(f"{run.source} ended before anything was measured", hint="take a longer clip, or less --seconds")
    return reports[0], gauge


def _figures(
    report: dict[str, Any], gauge: Gauge, spans: Spans, steps: dict[str, Cost], yardstick: tuple[float, float]
) -> dict[str, Any]:
    frames = max(1, report["frames"]["processed"])
    spent: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for span in spans:
        spent[f"{span.thread}: {span.name}"].append((span.ms, span.cpu_ns / 1e6))
    cpu_ms = gauge.cpu_s * 1e3 / frames
    read_ms = steps["read"].cpu_ms if "read" in steps else 0.0
    return {
        **{key: report[key] for key in ("seconds", "frames", "dropped", "covers", "age_ms", "percent_in_time",
                                        "period_ms", "late_by_2_periods", "engines", "errors")},
        "sinks": report["sinks"],
        "steps_ms": {
            name: {
                **{f"p{p}": round(float(np.percentile([ms for ms, _ in times], p)), 2) for p in _PERCENTS},
                "cpu": round(float(np.mean([cpu for _, cpu in times])), 2),
                "count": len(times),
            }
            for name, times in spent.items()
        },
        "waits_ms": {"entrance": report["steps_ms"]["wait"]},
        "cpu_ms_per_frame": {
            "all": round(cpu_ms, 2),
            "without_source": round(cpu_ms - read_ms, 2),
            "threads": {name: round(s * 1e3 / frames, 2) for name, s in sorted(gauge.threads_s.items())},
            "cores_busy": round(gauge.cpu_s / gauge.wall_s, 2),
        },
        "alone": {
            name: {"cpu_ms": round(cost.cpu_ms, 2), "ms": round(cost.wall_ms, 2), "pictures": round(cost.pictures, 2)}
            for name, cost in steps.items()
        },
        "memory_mb": {"start": round(gauge.rss_start_mb, 1), "end": round(gauge.rss_end_mb, 1)},
        "yardstick_ms": {"before": round(yardstick[0], 2), "after": round(yardstick[1], 2)},
    }  # fmt: skip


def _print(tree: dict[str, Any]) -> None:
    age, frames, cpu, memory = tree["age_ms"], tree["frames"], tree["cpu_ms_per_frame"], tree["memory_mb"]
    out.print(
        f"{frames['per_second']:.1f} frames/s shown of {frames['in'] / max(tree['seconds'], 1e-9):.1f} that came in; "
        f"[bold]age p50 {age['p50']:.1f}  p95 {age['p95']:.1f}  p99 {age['p99']:.1f} ms[/]; "
        f"{tree['percent_in_time']:.1f} % within a period of {tree['period_ms']:.1f} ms",
        soft_wrap=True,
    )
    dropped = ", ".join(f"{count} at {place}" for place, count in tree["dropped"].items() if count) or "none"
    covers = ", ".join(f"{count} x {reason}" for reason, count in tree["covers"].items()) or "none"
    out.print(f"dropped: {dropped}; covers: {covers}", soft_wrap=True)
    out.print(
        f"[bold]processor {cpu['all']:.1f} ms a frame[/] on all threads, {cpu['without_source']:.1f} without the "
        f"source; "
        f"{cpu['cores_busy']:.2f} cores busy; memory {memory['start']:.0f} MB, at the end {memory['end']:.0f}",
        soft_wrap=True,
    )
    threads = Table("thread: step", "p50", "p95", "p99", "processor", box=None, pad_edge=False)
    for name, step in tree["steps_ms"].items():
        threads.add_row(name, *(f"{step[key]:.2f}" for key in ("p50", "p95", "p99", "cpu")))
    alone = Table("a step alone", "ms", "processor", "whole pictures", box=None, pad_edge=False)
    for name, cost in tree["alone"].items():
        alone.add_row(name, f"{cost['ms']:.2f}", f"{cost['cpu_ms']:.2f}", f"{cost['pictures']:.1f}")
    for table in (threads, alone):
        for column in table.columns[1:]:
            column.justify = "right"
        out.print()
        out.print(table)
    yardstick = tree["yardstick_ms"]
    out.print(f"\nyardstick {yardstick['before']:.1f} ms before, {yardstick['after']:.1f} after")
    for line, count in tree["errors"].items():
        err.print(f"[yellow]{count} x[/] {line}", soft_wrap=True)
