"""`doppelcam teach`: a personal engine, which puts one face on one wearer: all steps in one command, or one by one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from engines.errors import BadInput
from live.cli.faces import counted, sure
from live.cli.screen import err, out

if TYPE_CHECKING:
    from live.teach.workshop import Workshop

app = typer.Typer(
    name="teach",
    help="Teach a small net of your own to put one face on you: slow to make, fast to wear.",
    rich_markup_mode="rich",
)

_Name = Annotated[str, typer.Argument(help="What the engine is called.", show_default=False)]
_Source = Annotated[
    str, typer.Option(help="You, as you are: a clip, a session, camera, camera:1 ... (it is recorded first), sample.")
]
_Who = Annotated[str, typer.Option(help="Where several people are in the footage: left, right or largest is you.")]
_Persona = Annotated[
    str,
    typer.Option(
        help="Footage of whose face is put on, instead of a teacher: a clip, a session, or a folder of photos; "
        "left=CLIP where several people are in it."
    ),
]
_Face = Annotated[str, typer.Option(help="Whose face is put on: as for doppelcam run.")]
_Teacher = Annotated[str, typer.Option(help="What makes the lessons: auto, mesh, one_photo (--model), trained.")]
_Model = Annotated[str, typer.Option(help="The one-photo model that is the teacher.")]
_Set = Annotated[list[str] | None, typer.Option("--set", help="One setting of the teacher. May be given again.")]
_Size = Annotated[str, typer.Option(help="The net's side in pixels: auto, 128, 192 or 256.")]
_Minutes = Annotated[float, typer.Option(help="Train for so long.", min=0.05, max=10_000)]
_Seconds = Annotated[float, typer.Option(help="Record the camera for so long.", min=60, max=180)]
_Keep = Annotated[bool, typer.Option("--keep", help="Keep footage and lessons when the engine is made.")]
_Again = Annotated[bool, typer.Option("--again", help="Do this step anew, and those after it.")]

SECONDS, MINUTES = 100.0, 20.0


@app.callback(invoke_without_command=True)
def teach(
    context: typer.Context,
    source: _Source = "",
    face: _Face = "",
    name: Annotated[str, typer.Option(help="What the engine is called, and --face later.")] = "",
    who: _Who = "",
    persona: _Persona = "",
    minutes: _Minutes = MINUTES,
    size: _Size = "",
    teacher: _Teacher = "",
    model: _Model = "",
    set_: _Set = None,
    seconds: _Seconds = SECONDS,
    keep: _Keep = False,
) -> None:
    """Do all steps: record, faces, targets, train, export. What is done already is not done again.

    For example: [bold]doppelcam teach --source me.mp4 --face aunt.jpg --name me_as_aunt[/], then
    [bold]doppelcam run --face me_as_aunt[/]. Where there is footage of the persona: [bold]--persona aunt.mp4[/] too.
    """
    if context.invoked_subcommand is not None:
        return
    if not name:
        raise BadInput("what shall the engine be called?", hint="--name NAME, and with it --source CLIP --face FACE")
    from live.cli.teach import shown
    from live.teach.steps import demand_torch, more_of
    from live.teach.workshop import alone, names

    with alone(name):
        if name not in names() and not (source and face):
            raise BadInput(f"{name!r} is not begun yet", hint="--source CLIP or camera, and --face FACE")
        workshop = shown.begun(name)
        if workshop.engine and not workshop.footage:
            raise BadInput(f"the engine {name!r} is made already", hint=more_of(name))
        demand_torch()
        shown.wish(workshop, face, teacher, model, set_ or [], size, persona)
        shown.check_teacher(workshop)
        shown.bring(workshop, source, who, seconds, persona=persona)
        shown.finish(workshop, minutes, keep)


@app.command()
def record(
    name: _Name, source: _Source = "camera", seconds: _Seconds = SECONDS, who: _Who = "", again: _Again = False
) -> None:
    """Step 1: record yourself before the camera, who does what the script says. A clip needs no recording."""
    from live.cli.teach import shown
    from live.teach.footage import is_live
    from live.teach.workshop import alone

    if not is_live(source):
        raise BadInput(
            f"{source} is recorded already", hint=f"doppelcam teach faces {name} --source {source} takes it as it is"
        )
    with alone(name):
        workshop = shown.begun(name)
        shown.bring(workshop, source, who, seconds, again)
        shown.next_step(f"faces {name}")


@app.command()
def faces(name: _Name, source: _Source = "", who: _Who = "", persona: _Persona = "", again: _Again = False) -> None:
    """Step 2: find your face in the footage, and the persona's in theirs; leave out what cannot be learnt from."""
    from live.cli.teach import shown
    from live.teach.footage import is_live
    from live.teach.workshop import alone

    if source and is_live(source):
        raise BadInput(f"{source} must be recorded first", hint=f"doppelcam teach record {name} --source {source}")
    with alone(name):
        workshop = shown.begun(name)
        shown.wish(workshop, persona=persona)
        if source or persona:
            shown.bring(workshop, source, who, 0, again, persona=persona)
        elif again:
            shown.forget_faces(workshop, who)
        for number in range(len(workshop.footage)):
            shown.faces(workshop, number)
        if not workshop.footage:
            raise BadInput(f"{name!r} has no footage yet", hint="--source CLIP, or doppelcam teach record")
        shown.next_step(f"targets {name}" + ("" if workshop.face else " --face FACE"))


@app.command()
def targets(
    name: _Name,
    face: _Face = "",
    teacher: _Teacher = "",
    model: _Model = "",
    set_: _Set = None,
    size: _Size = "",
    again: _Again = False,
) -> None:
    """Step 3: let the teacher put the face on, frame by frame, as well as it can.

    Where there is footage of the persona, both faces are taken as they are instead.
    """
    from live.cli.teach import shown
    from live.teach.workshop import alone, open_workshop

    with alone(name):
        workshop = open_workshop(name)
        if again:
            shown.forget_targets(workshop)
        shown.wish(workshop, face, teacher, model, set_ or [], size)
        shown.check_teacher(workshop)
        for number in range(len(workshop.footage)):
            shown.targets(workshop, number)
        shown.next_step(f"train {name}")


@app.command()
def train(name: _Name, minutes: _Minutes = MINUTES, again: _Again = False) -> None:
    """Step 4: train the net. Ctrl-C keeps what it has learnt; the same command goes on."""
    from live.cli.teach import shown
    from live.teach.workshop import alone, open_workshop

    with alone(name):
        workshop = open_workshop(name)
        if again:
            workshop.forget_training()
        shown.train(workshop, minutes)
        shown.next_step(f"export {name}")


@app.command()
def export(name: _Name, keep: _Keep = False) -> None:
    """Step 5: make the engine, among your models; footage and lessons are deleted."""
    from live.cli.teach import shown
    from live.teach.workshop import alone, open_workshop

    with alone(name):
        shown.export(open_workshop(name), keep)


@app.command()
def more(
    name: _Name,
    source: _Source = "",
    who: _Who = "",
    persona: _Persona = "",
    minutes: _Minutes = MINUTES,
    seconds: _Seconds = SECONDS,
    keep: _Keep = False,
) -> None:
    """Learn more: new footage, and training that goes on from what the net knows.

    Old lessons that were not kept (--keep) are not learnt again: let the new footage show what the old one did too.
    """
    from live.cli.teach import shown
    from live.teach.steps import demand_torch
    from live.teach.workshop import alone, open_workshop

    with alone(name):
        workshop = open_workshop(name)
        if not source and not persona:
            raise BadInput("more of what?", hint="--source CLIP, or --persona CLIP")
        demand_torch()
        shown.wish(workshop, persona=persona)
        shown.check_teacher(workshop)
        shown.bring(workshop, source, who, seconds, more=True, persona=persona)
        shown.finish(workshop, minutes, keep)


@app.command()
def show(name: Annotated[str, typer.Argument(help="One of them; else all.", show_default=False)] = "") -> None:
    """Show what is in the workshops, and how far each is."""
    from live.teach.footage import PERSONA
    from live.teach.workshop import names, open_workshop

    table = Table("name", "face", "footage", "lessons", "on disk", "where", box=None, pad_edge=False)
    for one in [name] if name else names():
        workshop = open_workshop(one)
        lessons = sum(footage.targets.get("pairs", 0) for footage in workshop.footage)
        seconds = "+".join(
            f"{sum(workshop.footage[k].faces.get('seconds', 0) for k in workshop.numbers(whose)):.0f}"
            for whose in ("", PERSONA)[: 1 + bool(workshop.numbers(PERSONA))]
        )
        table.add_row(
            *map(escape, (one, workshop.face, f"{seconds} s", str(lessons), _size(workshop), str(workshop.folder)))
        )
    out.print(table if table.rows else "there are no workshops; doppelcam teach --help")


@app.command()
def remove(name: _Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Delete a workshop with all that it holds; the engine that was made stays (doppelcam models remove)."""
    from live.teach.workshop import alone, open_workshop, remove_workshop

    workshop = open_workshop(name) if not yes else None
    what = counted(len(workshop.footage), "footage") if workshop is not None else ""
    sure(f"Delete the workshop {name} with {what}?", yes)
    with alone(name):
        remove_workshop(name)
    err.print(f"removed {escape(name)}")


def _size(workshop: Workshop) -> str:
    files = [path for path in Path(workshop.folder).rglob("*") if path.is_file()]
    return f"{sum(path.stat().st_size for path in files) / 1e6:.0f} MB"
