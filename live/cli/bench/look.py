"""`doppelcam bench look`: a contact sheet of the swap on a clip, so that one look tells what is good and bad."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from engines.errors import BadInput
from live.cli.output import check_target, write_whole
from live.cli.screen import err, sum_up


def look(
    clip: Annotated[str, typer.Argument(help="A video's path, or sample.")],
    portrait: Annotated[
        str,
        typer.Argument(help="A picture's path (group.jpg#2 for its second face), a trained model, or sample[:name]."),
    ],
    out: Annotated[Path, typer.Option(help="The sheet to write (PNG). It shows faces: mind where it goes.")] = Path(
        "look.png"
    ),
    model: Annotated[str | None, typer.Option(help="The one-photo model that draws the face.")] = None,
    columns: Annotated[int, typer.Option(help="How many moments to show.", min=1, max=24)] = 8,
    start: Annotated[float, typer.Option("--from", help="Leave out what lies before this second.", min=0.0)] = 0.0,
    end: Annotated[float | None, typer.Option("--to", help="Leave out what lies from this second on.", min=0.0)] = None,
    profile: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, e.g. swappers.mesh.light=0.5. May be given again.")
    ] = None,
) -> None:
    """Draw a contact sheet of the swap: the portrait, then moments of the clip, the wearer above, the swap below.

    The moments are spread over the time in which a face is found; the most turned ones, the widest mouth and the
    most shut lids are among them. For example: [bold]doppelcam bench look sample sample:nia[/]
    """
    _check_out(out, clip, portrait)
    stretch = (start, math.inf if end is None else end)
    if not stretch[0] < stretch[1]:
        raise BadInput(f"nothing lies between --from {start:g} and --to {end:g}", hint="--from comes before --to")

    from live.cli.bench.passes import scout, swap
    from live.cli.bench.sheet import draw_sheet
    from live.run import read_run

    run = read_run(
        profile, set_ or [], {"source": clip, "face": portrait, "model": model, "sink": "null", "fast": True}
    )
    with err.status("looking for faces ...") as status:
        scouted = scout(run, stretch, columns)
        status.update(f"swapping {scouted.frames} faces ...")
        drawn, report = swap(run, stretch, scouted.moments)
    notes = [Path(clip).name, "above: the wearer; below: the swap", *_counts(report), *(set_ or [])]
    write_whole(out, draw_sheet(scouted.name, scouted.portrait, notes, drawn), "the sheet")
    sum_up(report)
    err.print(f"{out}: {len(drawn)} of {scouted.frames} frames with a face", markup=False, soft_wrap=True)


def _check_out(out: Path, *inputs: str) -> None:
    check_target(out, "the sheet")
    if out.suffix.lower() != ".png":
        raise BadInput(f"the sheet {out} is written as PNG", hint="give a path that ends in .png")
    target = out.expanduser()
    for given in inputs:
        for path in (Path(given).expanduser(), Path(given.rpartition("#")[0] or given).expanduser()):
            if path.exists() and target.exists() and path.samefile(target):
                raise BadInput(f"the sheet would replace {given}", hint="give another path with --out")


def _counts(report: dict[str, Any]) -> list[str]:
    """What became of the frames, a line each."""
    frames = report["frames"]
    lines = [f"{frames['processed']} frames: {frames['live']} live, {frames['held']} held"]
    lines += [f"{count} covers: {reason}" for reason, count in report["covers"].items()]
    return lines + [f"{count} x {error}" for error, count in report["errors"].items()]
