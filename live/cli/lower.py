"""`doppelcam models lower`: the int8 or fp16 form of one of your models, kept only if it answers as fp32 does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engines.errors import BadInput
from live.cli.screen import err, out


def lower(
    name: Annotated[str, typer.Argument(help="One of your models, or a model folder.", show_default=False)],
    precision: Annotated[str, typer.Argument(help="int8 (for CPUs) or fp16 (for GPUs).", show_default=False)],
    probes: Annotated[
        Path, typer.Option(help="An .npz with a stack of inputs (8 or more), as the model meets them in use.")
    ],
) -> None:
    """Make a smaller, faster form of a model; [bold]--engine auto[/] takes it where it is the fastest.

    A few of the probes stay in the model's folder, so that every runtime can be judged by them.
    """
    from export.precision import lower as make
    from export.precision import probes_from_file
    from live.models import open_card, shipped_names

    if name in shipped_names():
        raise BadInput(
            f"{name} came with doppelcam and stays as it is", hint="copy its folder and give the copy's path"
        )
    card = open_card(name)
    held = probes_from_file(probes.expanduser(), card)
    with err.status(f"making {card.name} {precision} ..."):
        made = make(card, precision, held)
    out.print(
        f"{card.name} has an {precision} form now ({made.how}): "
        f"PSNR {made.verdict.psnr_db:.1f} dB, worst error {made.verdict.worst:.3g}",
        soft_wrap=True,
    )
    out.print(f"what it brings: doppelcam bench engines {name}", soft_wrap=True)
