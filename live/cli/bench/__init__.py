"""The commands `doppelcam bench ...`: they measure and judge. One file a command."""

from __future__ import annotations

import typer

from live.cli.bench import engines as engines_command
from live.cli.bench import glass as glass_command
from live.cli.bench import look as look_command
from live.cli.bench import loop as loop_command
from live.cli.bench import overload as overload_command
from live.cli.bench import student as student_command
from live.cli.bench import swap as swap_command

app = typer.Typer(help="Judge the swap on a clip, measure the nets and the loop.")
app.command("look")(look_command.look)
app.command("loop")(loop_command.loop)
app.command("engines")(engines_command.engines)
app.command("glass")(glass_command.glass)
app.command("overload")(overload_command.overload)
app.command("student")(student_command.student)
app.command("swap")(swap_command.swap)


@app.callback()
def _group() -> None:
    """Keeps `doppelcam bench look` a sub-command whatever the number of commands."""
