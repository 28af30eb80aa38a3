"""`doppelcam run`: open a source, wear a face, write to sinks until the source ends or Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from engines.errors import BadInput, LoopFailed
from live.cli.screen import StatusLine, err


def run(
    source: Annotated[
        str | None, typer.Option(help="camera, camera:1, camera:/dev/video9, camera:NAME, sample, a path or a URL.")
    ] = None,
    face: Annotated[
        str | None, typer.Option(help="A picture's path (group.jpg#2 for its second face), or sample[:name].")
    ] = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(help="virtual, virtual:/dev/video19, window, null, a path ending in .mp4. May be given again."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds.", min=0.0)] = None,
    on_no_face: Annotated[
        str | None, typer.Option(help="While no face is found: cover (default), hold or show the bare picture.")
    ] = None,
    profile: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, e.g. sources.camera.width=640. May be given again.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write frames, drops, covers, ages and step times as JSON.")
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="No real time: every frame of a file, as fast as it goes.")
    ] = False,
) -> None:
    """Swap your face live.

    For example: [bold]doppelcam run --source sample --face sample --sink swapped.mp4[/]
    """
    from live.app import build, read_run

    flags: dict[str, Any] = {"source": source, "face": face, "sink": sink or None, "fast": fast or None}
    if on_no_face is not None:
        flags["guard"] = {"on_no_face": on_no_face}
    loop = build(read_run(profile, set_ or [], flags))
    if report is not None and not report.expanduser().parent.is_dir():
        raise BadInput(f"the report {report} lies in no folder: {report.parent} does not exist")

    interrupted: list[int] = []

    def stop(number: int, _: object) -> None:
        if interrupted:  # a second Ctrl-C: do not wait for anything
            os._exit(130)
        interrupted.append(number)
        loop.stop()

    handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    failure: LoopFailed | None = None
    try:
        with StatusLine(loop.ledger) as status:
            loop.run(seconds=seconds, status=status)
    except LoopFailed as error:
        failure = error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    tree = loop.ledger.report()
    if report is not None:
        write_report(report.expanduser(), tree)
    _sum_up(tree)
    if failure is not None:
        raise failure


def write_report(path: Path, tree: dict[str, Any]) -> None:
    """Whole or not at all. Raises BadInput."""
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise BadInput(f"the report {path} cannot be written: {error.strerror}") from None


def _sum_up(tree: dict[str, Any]) -> None:
    frames, age = tree["frames"], tree["age_ms"]
    dropped = sum(tree["dropped"].values())
    covers = sum(tree["covers"].values())
    err.print(
        f"{frames['processed']} frames in {tree['seconds']:.1f} s ({frames['per_second']:.1f} a second): "
        f"{frames['live']} live, {frames['held']} held, {covers} covers, {dropped} dropped; "
        f"age p50 {age['p50']:.1f} ms, p95 {age['p95']:.1f} ms",
        soft_wrap=True,
    )
    for line, count in tree["errors"].items():
        err.print(f"[yellow]{count} x[/] {line}", soft_wrap=True)
