"""`doppelcam verify`: did this video come from doppelcam, where in it, and when was it made?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from engines.errors import BadInput
from live.cli.screen import err, out


def verify(
    file: Annotated[
        Path | None, typer.Argument(help="A video, or a picture (JPEG, PNG, WebP, BMP).", show_default=False)
    ] = None,
    camera: Annotated[
        str | None, typer.Option(help="Look at a camera instead: a number, /dev/video path or (part of) its name.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long to look at the camera.", min=0.5, max=600)] = 4.0,
    as_json: Annotated[bool, typer.Option("--json", help="Everything that was found, as JSON.")] = False,
) -> None:
    """Tell whether a video came from doppelcam: its watermark, its signature and its label for China.

    Exit codes: 0 it did, 1 nothing was found, 2 it could not be looked at. Nothing is sent anywhere.
    """
    from live.verify import inspect_camera, inspect_file

    if (file is None) == (camera is None):
        raise BadInput("verify looks at a file or at a camera: give one of them", hint="doppelcam verify talk.mp4")
    with err.status("looking ..."):
        found = inspect_file(file) if file is not None else inspect_camera(str(camera), seconds)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _tell(found)
    raise typer.Exit(0 if found["from_doppelcam"] else 1)


def _tell(found: dict[str, Any]) -> None:
    mark = found["watermark"]
    answer = "[bold]comes from doppelcam[/]" if found["from_doppelcam"] else "shows no sign of doppelcam"
    lines = [f"{escape(found['looked_at'])} {answer}"]
    for stretch in mark["stretches"]:
        limit = mark["threshold" if stretch["whole_picture"] else "threshold_of_a_part"]
        line = f"{_clock(stretch['from_s'])} to {_clock(stretch['to_s'])}: "
        line += f"score {stretch['score']:.1f} (found from {limit:g})"
        if not stretch["whole_picture"]:
            line += ", in a part of the picture or a mirrored one"
        if "session" in stretch:
            line += f"; session {stretch['session']}, version {stretch['version']}, begun in the hour from "
            line += f"{stretch['begun_in_hour'][:16].replace('T', ' ')} UTC"
        if "own_session" in stretch:
            line += f"; it is in your own record: {stretch['own_session']['started']}"
        lines.append(f"watermark    {line}")
    if not mark["stretches"]:
        lines.append(f"watermark    none: score {mark['best_score']:.1f} (found from {mark['threshold']:g})")
    lines.append(f"             false positives: {mark['false_positives']}")
    if "credentials" in found:
        lines.append(f"credentials  {_credentials(found)}")
        label = found["aigc_label"]
        told = "none" if label is None else f"{label.get('ContentProducer', '')}, {label.get('ProduceID', '')}"
        lines.append(f"AIGC label   {escape(told)}")
    for line in lines:
        out.print(line, soft_wrap=True)


def _credentials(found: dict[str, Any]) -> str:
    signed = found["credentials"]
    if signed is None:
        return escape(found.get("credentials_unread", "none"))
    words = {
        "Trusted": "whole, signed by somebody who is vouched for",
        "Valid": "whole, but nobody vouches for who signed it",
        "Invalid": "[bold red]changed after it was signed[/]",
    }
    kind = signed["source_type"].rpartition("/")[2]
    actions = ", ".join(action.removeprefix("c2pa.") for action in signed["actions"])
    who = escape(f"{signed['signer']}; made with {signed['made_with']}; {actions}; {kind}")
    return f"{words.get(signed['state'], signed['state'])}: {who}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{seconds % 60:04.1f}"
