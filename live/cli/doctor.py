"""`doppelcam doctor`: can doppelcam run here, and what to do where it cannot."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from importlib import metadata
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from live.cli.screen import err, out
from live.doctor.finding import Finding

_COLOURS = {"ok": "green", "note": "yellow", "fault": "bold red"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check Python, graphics, runtimes, models, folders, cameras and virtual cameras.

    Exit code 0: doppelcam can run here (notes say what is missing or slow). 1: something that it needs is missing.
    """
    from live.doctor import CHECKS, examine

    with err.status("looking ..."):
        found = examine(list(CHECKS))
    faults = sum(finding.state == "fault" for findings in found.values() for finding in findings)
    if as_json:
        tree = {
            "doppelcam": _version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "can_run": faults == 0,
            "findings": [{"group": group, **asdict(one)} for group, findings in found.items() for one in findings],
        }
        typer.echo(json.dumps(tree, indent=2))
    else:
        _show(found, faults)
    raise typer.Exit(1 if faults else 0)


def _show(found: dict[str, list[Finding]], faults: int) -> None:
    for group, findings in found.items():
        out.print(f"[bold]{group}[/]")
        rows = Table.grid(padding=(0, 1), pad_edge=True)
        rows.add_column(width=5)
        rows.add_column(overflow="fold")
        for finding in findings:
            colour = _COLOURS[finding.state]
            rows.add_row(f"[{colour}]{finding.state}[/]", escape(finding.line))
            if finding.fix:
                rows.add_row("", f"[cyan]{escape(finding.fix)}[/]")
        out.print(rows)
    notes = sum(finding.state == "note" for findings in found.values() for finding in findings)
    told = f"{notes} {'note' if notes == 1 else 'notes'}"
    if faults:
        out.print(f"\n[bold red]doppelcam cannot run here:[/] {faults} {'fault' if faults == 1 else 'faults'}, {told}")
    else:
        out.print(f"\n[bold green]doppelcam can run here:[/] {told}")


def _version() -> str:
    try:
        return metadata.version("doppelcam")
    except metadata.PackageNotFoundError:
        return "not installed"
