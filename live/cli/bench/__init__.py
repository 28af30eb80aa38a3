"""The commands `doppelcam bench ...`: they measure and judge. One file a command."""

from __future__ import annotations

import typer

from live.cli.bench import engines as engines_command
from live.cli.bench import look as look_command
from live.cli.bench import swap as swap_command

app = typer.Typer(help="Judge the swap on a clip, measure the nets.")
app.command("look")(look_command.look)
app.command("engines")(engines_command.engines)
app.command("swap")(swap_command.swap)


@app.callback()
def _group() -> None:
    """Keeps `doppelcam bench look` a sub-command whatever the number of commands."""
