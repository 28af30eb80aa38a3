"""`doppelcam run`: open a source, wear a face, write to sinks until the source ends or Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from live.cli.cover_key import CoverKey
from live.cli.output import check_target, write_whole
from live.cli.screen import StatusLine, say, sum_up

if TYPE_CHECKING:
    from live.loop import Loop
    from live.outlets import Outlets


def run(
    source: Annotated[
        str | None,
        typer.Option(help="camera, camera:1, camera:NAME, browser, sample, a path or a URL (rtsp, http)."),
    ] = None,
    face: Annotated[
        list[str] | None,
        typer.Option(
            help="A picture (group.jpg#2: its second face), one of your faces or models, sample[:name]. For several "
            "people again and again as WHO=FACE: left, right, largest, everyone or a picture of the wearer."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Draw that picture's face by this one-photo model of yours (models list).")
    ] = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(
            help="virtual, virtual:/dev/video19, pipewire, mjpeg, webrtc, window, null, a path ending in .mp4 or .mkv, "
            "an rtmp:// or udp:// address. May be given again."
        ),
    ] = None,
    sound: Annotated[
        str | None, typer.Option(help="A microphone to keep in step with the picture: auto, or (part of) its name.")
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
    trace: Annotated[
        Path | None,
        typer.Option(help="Write what each thread did when, as JSON for ui.perfetto.dev (newest half hour)."),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="No real time: every frame of a file, as fast as it goes.")
    ] = False,
) -> None:
    """Swap your face live.

    For example: [bold]doppelcam run --source sample --face sample --sink swapped.mp4[/]
    """
    from live.app import build
    from live.outlets import Outlets
    from live.run import read_run
    from live.spans import Spans, chrome_trace

    flags: dict[str, Any] = {
        "source": source,
        "face": face or None,
        "model": model,
        "sink": sink or None,
        "engine": engine,
        "sound": sound,
    }
    flags["fast"] = fast or None
    if on_no_face is not None:
        flags["guard"] = {"on_no_face": on_no_face}
    spans, outlets = Spans(on=trace is not None), Outlets()
    loop = build(read_run(profile, set_ or [], flags), spans=spans, outlets=outlets)
    for path, what in ((report, "the report"), (trace, "the trace")):
        if path is not None:
            check_target(path, what)

    failure = run_to_its_end(loop, outlets, seconds)
    tree = loop.ledger.report()
    if report is not None:
        write_whole(report, (json.dumps(tree, indent=2) + "\n").encode(), "the report")
    if trace is not None:
        write_whole(trace, json.dumps(chrome_trace(spans)).encode(), "the trace")
    sum_up(tree)
    if failure is not None:
        raise failure


def run_to_its_end(loop: Loop, outlets: Outlets, seconds: float | None) -> Exception | None:
    """Run until the source ends, so many seconds are over or Ctrl-C; answers why the loop failed, if it did.

    What keeps it from starting is raised. A second Ctrl-C ends the program at once. `outlets` are the loop's.
    """
    from live.app import recorded

    interrupted = threading.Event()
    key = CoverKey(loop.cover_key)

    def stop(*_: object) -> None:
        if interrupted.is_set():  # a second Ctrl-C: do not wait for anything
            key.restore()
            os._exit(130)
        interrupted.set()
        loop.stop()

    handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with key, recorded(loop) as begun, StatusLine(loop.ledger, lambda: loop.covered, key.listens) as line:

            def status() -> None:
                begun()
                line()

            loop.run(seconds=seconds, status=status)
    except Exception as error:
        if not loop.began:
            raise
        if outlets.stay and seconds is None:
            # A meeting that loses its camera takes the next one, which shows the bare face.
            say(f"stopped: {error}; a cover stays on the camera until Ctrl-C")
            interrupted.wait()
        return error
    finally:
        outlets.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return None
