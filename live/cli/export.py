"""`doppelcam export`: a trained model of another program becomes a model folder that the live loop runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from engines.errors import BadInput
from live.cli.screen import err, out

if TYPE_CHECKING:
    from engines.card import ModelCard
    from export.folder import Found

_STEPS = {"fp32": 3, "fp16": 4, "int8": 4}  # what `export.folder` tells, and reading before it


def export(
    model: Annotated[Path, typer.Argument(help="The folder that holds the trained model's files, or a .dfm.")],
    target: Annotated[
        Path | None, typer.Option("--out", help="The model folder to write; else it is added to your models.")
    ] = None,
    name: Annotated[str, typer.Option(help="What to call it; else as its folder is called.")] = "",
    precision: Annotated[str, typer.Option(help="fp32, or fp16 (GPUs) or int8 (CPUs) beside it.")] = "fp32",
    faces: Annotated[
        Path | None, typer.Option(help="For int8: a folder of aligned faces, as the model was trained with.")
    ] = None,
    tensorrt: Annotated[bool, typer.Option("--tensorrt", help="Also build the plan for this machine's GPU.")] = False,
    options: Annotated[
        list[str] | None, typer.Option("--options", help="KEY=VALUE for what the files do not tell. May be repeated.")
    ] = None,
    licence: Annotated[str, typer.Option(help="What its maker lets people do, for its card.")] = "",
    inspect: Annotated[bool, typer.Option("--inspect", help="Only look: write nothing.")] = False,
) -> None:
    """Make a model folder of a trained face swap: FakeApp, faceswap, DeepFaceLab, .dfm.

    Nothing in its files is executed. Then: [bold]doppelcam run --face NAME[/]
    """
    from engines.store import check_name, name_from, user_store
    from export.folder import export as write
    from export.folder import find
    from live.models import shipped_names

    if precision not in _STEPS:
        raise BadInput(f"--precision takes {', '.join(_STEPS)}, got {precision!r}")
    model = model.expanduser()
    called = name or name_from(model.resolve().stem)
    check_name(called)
    store = user_store()
    if target is None and not inspect and called in [*store.names(), *shipped_names()]:
        raise BadInput(f"there is a model called {called} already", hint="give another --name, or --out FOLDER")
    steps = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=err, transient=True)
    with steps as progress:
        task = progress.add_task("reading", total=1 if inspect else _STEPS[precision])
        found = find(model, _pairs(options or []))
        progress.advance(task)
        _show(found)
        if inspect:
            return

        def tell(words: str) -> None:
            progress.update(task, description=words)
            progress.advance(task)

        place = target.expanduser() if target is not None else store.root / called
        card = write(found, place, called, licence, precision, faces, tell)
    out.print(f"written: {escape(str(place))}", soft_wrap=True)
    time_it(card)
    if tensorrt:
        _plan(card, precision)
    out.print(f"wear it: doppelcam run --face {escape(called if target is None else str(place))}", soft_wrap=True)


def _pairs(options: list[str]) -> dict[str, str]:
    pairs = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not key or not equals:
            raise BadInput(f"--options takes KEY=VALUE, got {option!r}", hint="for example --options crop=full")
        pairs[key] = value
    return pairs


def _show(found: Found) -> None:
    from export.folder import gflop

    trained = found.trained
    size = f"{trained.size} px" + (f" in, {trained.out_size} px out" if trained.out_size != trained.size else "")
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("program", trained.program)
    table.add_row("model", trained.model)
    table.add_row("resolution", size)
    table.add_row("face type", f"{trained.crop[0].replace('_', ' ')} ({trained.crop[1]})")
    table.add_row("parameters", f"{trained.parameters / 1e6:.2f} million")
    table.add_row("arithmetic", f"{gflop(trained):.2f} GFLOP a frame")
    table.add_row("iterations", "unknown" if trained.iterations is None else f"{trained.iterations:,}")
    for key, value in trained.facts.items():
        table.add_row(key.replace("_", " "), escape(str(value)))
    out.print(table)
    for warning in trained.warnings:
        out.print(f"[yellow]note:[/] {escape(warning)}", soft_wrap=True)


def time_it(card: ModelCard) -> None:
    """What it takes on this machine, on the best of what is here."""
    from engines.choose import measure, pick
    from engines.door import candidates, open_variant

    with err.status("timing it ..."):
        best = pick(measure(card, candidates(card), open_variant))
    if best is not None:
        out.print(f"on this machine: {best.p50_ms:.1f} ms a face on {best.variant}", soft_wrap=True)


def _plan(card: ModelCard, precision: str) -> None:
    from engines.door import open_engine

    with err.status("building the plan: this may take minutes ..."):
        engine = open_engine(card, f"tensor_rt:cuda:{precision}")
    out.print(f"the plan for this GPU is built: {engine.variant}")
    engine.close()
