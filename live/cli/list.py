"""`doppelcam list`: what every kind offers, and what is not available here because of what."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer
from rich.table import Table

from engines.errors import DoppelcamError
from live.cli.screen import out


def list_parts(
    settings: Annotated[bool, typer.Option("--settings", help="Also list every setting, for --set and TOML.")] = False,
) -> None:
    """List sources, finders, swappers, blenders, sinks, runtimes, cameras and sample faces."""
    from engines.door import RUNTIMES
    from live.app import KINDS, SECTIONS, SHORT
    from live.personas import sample_names
    from live.settings import settings_of

    table = Table("kind", "name", "state", box=None, pad_edge=False, header_style="bold")
    classes: dict[str, type] = dict(SECTIONS)
    for section, kind in [*KINDS.items(), ("runtimes", RUNTIMES)]:
        for name in kind.names():
            short = next((s for s, full in SHORT.items() if full == name), None)
            error = kind.why_not(name)
            state = (
                "[green]ok[/]"
                if error is None
                else f"[yellow]{error.message}[/]" + (f"\n{error.hint}" if error.hint else "")
            )
            table.add_row(kind.kind, f"{name} ({short})" if short else name, state)
            if section in KINDS:
                with suppress(DoppelcamError):  # its reason is in the table
                    classes[f"{section}.{name}"] = kind.load(name)
    out.print(table)
    out.print()
    try:
        from live.sources.camera import list_cameras

        cameras = list_cameras()
    except ImportError:
        cameras = []
    out.print("[bold]cameras[/]  " + (", ".join(f"{path} ({name})" for path, name in cameras) or "none found"))
    out.print("[bold]sample faces[/]  " + ", ".join(f"sample:{name}" for name in sample_names()))
    if not settings:
        return
    out.print()
    rows = Table(box=None, pad_edge=False, header_style="bold")
    rows.add_column("setting", no_wrap=True)
    rows.add_column("default", max_width=24, no_wrap=True, overflow="ellipsis")
    rows.add_column("what it does")
    for where, part in classes.items():
        for f in settings_of(part):
            facts = f.metadata
            limits = " | ".join(facts["choices"]) if facts["choices"] else ""
            if facts["low"] is not None or facts["high"] is not None:
                limits = f"{facts['low']} .. {facts['high']}"
            rows.add_row(f"{where}.{f.name}", str(f.default), facts["help"] + (f" ({limits})" if limits else ""))
    out.print(rows)
