"""`doppelcam list`: what every kind offers, and what is not available here because of what; cameras and their modes."""

from __future__ import annotations

import sys
from contextlib import suppress
from itertools import groupby
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from engines.errors import DoppelcamError
from live.cli.screen import out


def list_parts(
    settings: Annotated[bool, typer.Option("--settings", help="Also list every setting, for --set and TOML.")] = False,
    cameras: Annotated[bool, typer.Option("--cameras", help="Only the cameras, with their ids and modes.")] = False,
) -> None:
    """List sources, finders, swappers, blenders, sinks, runtimes, cameras and sample faces."""
    if cameras:
        _cameras()
        return
    from engines.door import RUNTIMES
    from live.personas import sample_names
    from live.run import KINDS, SECTIONS, SHORT

    table = Table("kind", "name", "state", box=None, pad_edge=False, header_style="bold")
    classes: dict[str, type] = dict(SECTIONS)
    for section, kind in [*KINDS.items(), ("runtimes", RUNTIMES)]:
        for name in kind.names():
            short = next((s for s, full in SHORT.items() if full == name), None)
            error = kind.why_not(name)
            state = (
                "[green]ok[/]"
                if error is None
                else f"[yellow]{escape(error.message)}[/]" + (f"\n{escape(error.hint)}" if error.hint else "")
            )
            table.add_row(kind.kind, f"{name} ({short})" if short else name, state)
            if section in KINDS:
                with suppress(DoppelcamError):  # its reason is in the table
                    classes[f"{section}.{name}"] = kind.load(name)
    out.print(table)
    out.print()
    with suppress(ImportError):
        from live.sources.camera.which import cameras as found
        from live.sources.camera.which import in_words

        out.print(f"[bold]cameras[/]  {escape(in_words(found()))}   (more: doppelcam list --cameras)")
    out.print("[bold]sample faces[/]  " + ", ".join(f"sample:{name}" for name in sample_names()))
    if settings:
        out.print()
        _settings(classes)


def _settings(classes: dict[str, type]) -> None:
    from live.settings import settings_of

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


def _cameras() -> None:
    """Each camera with what it may be called, and its sizes and rates; a star at what would be taken of them."""
    from live.sources.camera import Camera
    from live.sources.camera.device import cannot_open
    from live.sources.camera.modes import PIXELS, Mode, best, modes_of
    from live.sources.camera.which import cameras, id_of

    if sys.platform != "linux":
        out.print("this system lists no cameras without opening them: try camera:0, camera:1 ...")
        return
    wish = Mode("", Camera.width, Camera.height, float(Camera.fps))
    found = cameras()
    if not found:
        out.print("no camera is connected")
    for device in found:
        kind = "   [dim]virtual camera[/]" if device.virtual else ""
        out.print(f"[bold]{escape(device.path)}[/]  {escape(device.name)}{kind}", soft_wrap=True)
        if stable := id_of(device):
            out.print(f"  --source camera:{escape(stable)}", soft_wrap=True)
        if device.trouble is not None:
            error = cannot_open(device, device.trouble)
            out.print(f"  [yellow]{escape(error.message)}[/]\n  {escape(error.hint)}", soft_wrap=True)
            continue
        rows = Table.grid(padding=(0, 2, 0, 0), pad_edge=True)
        modes = [mode for mode in modes_of(device, wish) if mode.pixels in PIXELS]
        chosen = best(modes, wish)
        for pixels, those in groupby(modes, key=lambda mode: mode.pixels):
            fastest: dict[tuple[int, int], float] = {}
            for mode in those:
                size = (mode.width, mode.height)
                fastest[size] = max(mode.fps, fastest.get(size, 0.0))
            sizes = [
                f"{w}x{h}{f' at {fps:.4g}' if fps else ''}"
                + (" *" if chosen and (pixels, w, h) == (chosen.pixels, chosen.width, chosen.height) else "")
                for (w, h), fps in fastest.items()
            ]
            rows.add_row("", pixels, ", ".join(sizes))
        if rows.row_count:
            out.print(rows)
        elif device.virtual:
            out.print("  nothing feeds it")
    if found:
        out.print(f"* taken when {wish.width}x{wish.height} at {wish.fps:g} is asked for, as it is by default")
