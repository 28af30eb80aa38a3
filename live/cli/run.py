"""`doppelcam run`: open a source, wear a face, write to sinks until the source ends or Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from engines.errors import LoopFailed
from live.cli.output import check_target, write_whole
from live.cli.screen import StatusLine, sum_up


def run(
    source: Annotated[
        str | None, typer.Option(help="camera, camera:1, camera:/dev/video9, camera:NAME, sample, a path or a URL.")
    ] = None,
    face: Annotated[
        list[str] | None,
        typer.Option(
            help="A picture's path (group.jpg#2 for its second face), a trained model, or sample[:name]. For several "
            "people again and again as WHO=FACE: left, right, largest, everyone or a picture of the wearer."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Draw that picture's face by this one-photo model of yours (models list).")
    ] = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(help="virtual, virtual:/dev/video19, window, null, a path ending in .mp4. May be given again."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds.", min=0.0)] = None,
    on_no_face: Annotated[
        str | None, typer.Option(help="While no face is found: cover (default), hold or show the bare picture.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="What runs the nets: auto (measured once) or e.g. openvino, onnx_runtime:cuda.")
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

    flags: dict[str, Any] = {
        "source": source,
        "face": face or None,
        "model": model,
        "sink": sink or None,
        "engine": engine,
    }
    flags["fast"] = fast or None
    if on_no_face is not None:
        flags["guard"] = {"on_no_face": on_no_face}
    loop = build(read_run(profile, set_ or [], flags))
    if report is not None:
        check_target(report, "the report")

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
        write_whole(report, (json.dumps(tree, indent=2) + "\n").encode(), "the report")
    sum_up(tree)
    if failure is not None:
        raise failure
