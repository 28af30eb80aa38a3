"""The commands `doppelcam bench ...`: they measure and judge on clips. One file a command."""

from __future__ import annotations

import typer

from live.cli.bench import look as look_command

app = typer.Typer(help="Judge and measure the swap on a clip.")
app.command("look")(look_command.look)


@app.callback()
def _group() -> None:
    """Keeps `doppelcam bench look` a sub-command whatever the number of commands."""
