"""The command `doppelcam`: one file a command. Heavy packages are imported only by the command that needs them."""

from __future__ import annotations

import sys

import typer

from engines.errors import DoppelcamError, LoopFailed
from engines.plugins import import_failure
from live.cli import list as list_command
from live.cli import run as run_command
from live.cli.screen import complain

app = typer.Typer(
    name="doppelcam",
    help="Wear another face while you are live: local, consented, and never the real face by accident.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("run")(run_command.run)
app.command("list")(list_command.list_parts)


@app.callback()
def _root() -> None:
    """Keeps `doppelcam run` a sub-command whatever the number of commands."""


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed while running, 2 cannot start with what was given, 130 Ctrl-C."""
    try:
        app(standalone_mode=True)
    except LoopFailed as error:
        complain(error)
        sys.exit(1)
    except DoppelcamError as error:
        complain(error)
        sys.exit(2)
    except ImportError as error:
        complain(import_failure("doppelcam", error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
