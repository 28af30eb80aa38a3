"""The command `doppelcam`: one file a command. Heavy packages are imported only by the command that needs them."""

from __future__ import annotations

import logging
import sys
from typing import Any

import typer

from engines.errors import BadInput, DoppelcamError, LoopFailed
from engines.plugins import import_failure
from live.cli import bench, consent, faces, lower, models, teach
from live.cli import doctor as doctor_command
from live.cli import export as export_command
from live.cli import list as list_command
from live.cli import panel as panel_command
from live.cli import record as record_command
from live.cli import release as release_command
from live.cli import replay as replay_command
from live.cli import run as run_command
from live.cli import verify as verify_command
from live.cli.screen import Notices, complain

app = typer.Typer(
    name="doppelcam",
    help="Wear another face while you are live: local, consented, and never the real face by accident.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("run")(run_command.run)
app.command("panel")(panel_command.panel)
app.command("record")(record_command.record)
app.command("release")(release_command.release)
app.command("replay")(replay_command.replay)
app.command("list")(list_command.list_parts)
app.command("doctor")(doctor_command.doctor)
app.command("export")(export_command.export)
app.add_typer(bench.app, name="bench")
models.app.command("lower")(lower.lower)
app.add_typer(models.app, name="models")
app.command("verify")(verify_command.verify)
app.add_typer(faces.app, name="faces")
app.add_typer(consent.app, name="consent")
app.add_typer(teach.app, name="teach")


# Typer has brought its own copy of click since 0.24: its errors are known only as the base of the one it exports.
_UsageError: Any = typer.BadParameter.__base__


@app.callback()
def _root() -> None:
    """Keeps `doppelcam run` a sub-command whatever the number of commands."""
    log = logging.getLogger("doppelcam")
    if not log.handlers:
        log.setLevel(logging.INFO)
        log.addHandler(Notices())


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed while running, 2 cannot start with what was given, 130 Ctrl-C."""
    try:
        code = app(args=sys.argv[1:] or ["--help"], prog_name="doppelcam", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except _UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "doppelcam"
        complain(BadInput(error.format_message(), hint=f"see {command} --help"))
        sys.exit(2)
    except LoopFailed as error:
        complain(error)
        sys.exit(1)
    except DoppelcamError as error:
        complain(error)
        sys.exit(2)
    except ImportError as error:
        complain(import_failure("doppelcam", error))
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
