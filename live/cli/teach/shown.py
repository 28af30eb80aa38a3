"""The steps of teaching on the screen: how far each is, what came of it in a line, and what comes next."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from engines.errors import BadInput
from live.cast import split_who
from live.cli.export import time_it
from live.cli.faces import counted
from live.cli.screen import err, out
from live.models import FOOTAGE
from live.personas.packs import demand_free, user_packs
from live.teach import steps
from live.teach.engine import settled
from live.teach.footage import PERSONA, RECORDED, Footage, footage_of
from live.teach.record import Now
from live.teach.workshop import Workshop, names, new_workshop, open_workshop

if TYPE_CHECKING:
    from export.teach.course import Progress as TrainingProgress

SIZES = ("auto", "128", "192", "256")


def begun(name: str) -> Workshop:
    """The workshop of this name, or a new one. Raises BadInput where the name is taken."""
    workshop = open_workshop(name) if name in names() else new_workshop(name)
    if not workshop.engine:
        demand_free(name, user_packs())
    return workshop


def next_step(command: str) -> None:
    err.print(f"next: [bold]doppelcam teach {escape(command)}[/]", soft_wrap=True)


def wish(
    workshop: Workshop,
    face: str = "",
    teacher: str = "",
    model: str = "",
    settings: Sequence[str] = (),
    size: str = "",
    persona: str = "",
) -> None:
    """Take in what the user wishes now; "" leaves it as it was. Raises BadInput: unknown, or lessons are there already
    that were made in another way.
    """
    if (persona or workshop.teacher == FOOTAGE) and (teacher or model or settings):
        raise BadInput(
            "the persona's footage teaches: --persona needs no --teacher, --model or --set",
            hint=f"leave these out; or begin another one without --persona, under another name than {workshop.name}",
        )
    teacher = FOOTAGE if persona else teacher
    if size not in ("", *SIZES):
        raise BadInput(f"--size {size} is none of the nets", hint=f"choose one of: {', '.join(SIZES)}")
    wishes: dict[str, Any] = {"teacher": teacher, "model": model, "settings": list(settings)}
    wishes["face"] = settled(face) if face else ""
    wishes["size"] = int(size) if size not in ("", "auto") else 0
    changed = {key: new for key, new in wishes.items() if new and new != getattr(workshop, key)}
    if changed and any(len(workshop.targets(number)) for number in range(len(workshop.footage))):
        key, new = next(iter(changed.items()))
        old = getattr(workshop, key) or "none"
        raise BadInput(
            f"the lessons of {workshop.name} were made with another {key}: {old}, not {new}",
            hint=f"doppelcam teach targets {workshop.name} --again makes them anew; give it the {key} too",
        )
    for key, new in changed.items():
        setattr(workshop, key, new)
    if teacher not in ("", "one_photo") and not model:
        workshop.model = ""  # that of the teacher before


def check_teacher(workshop: Workshop) -> None:
    """Raise at once what would keep the teacher from starting: an unknown one, no face, one that may not be worn."""
    steps.teacher_and_face(workshop)


def bring(
    workshop: Workshop,
    source: str,
    who: str,
    seconds: float,
    again: bool = False,
    more: bool = False,
    persona: str = "",
) -> None:
    """See that the workshop has this footage: recorded, if it must be. `more`: beside what it has. Raises BadInput."""
    news = [(source, footage_of(source, who))] if source else []
    if persona:
        whose, clip = split_who(persona)
        news.append((clip, footage_of(clip, whose, PERSONA)))
    for spec, new in news:
        _bring(workshop, spec, new, seconds, again, more)


def _bring(workshop: Workshop, source: str, new: Footage, seconds: float, again: bool, more: bool) -> None:
    same_person = workshop.numbers(new.whose)
    before = [workshop.footage[number] for number in same_person]
    if more and new.source and any((old.source, old.print) == (new.source, new.print) for old in before):
        return  # it was brought before, and interrupted
    number = len(workshop.footage) if more or not same_person else same_person[0]
    if number < len(workshop.footage) and not again:
        old = workshop.footage[number]
        same = (old.source, old.who, old.print) == (new.source, new.who, new.print)
        if not same and (old.faces or not old.source):
            step = "record" if not new.source else "faces"
            option = "--persona" if new.whose else "--source"
            raise BadInput(
                f"{workshop.name} has other footage already: {old.source or 'recorded'}",
                hint=f"doppelcam teach more {workshop.name} {option} ... adds to it; "
                f"doppelcam teach {step} {workshop.name} --again {option} ... takes it instead",
            )
        if same and (old.source or (workshop.of(number) / RECORDED).exists()):
            return
    if not new.source:
        _record(workshop, number, source, seconds)
    elif number < len(workshop.footage):
        steps.again_faces(workshop, number)
    workshop.footage[number:] = [new, *workshop.footage[number + 1 :]]
    workshop.save()


def _record(workshop: Workshop, number: int, source: str, seconds: float) -> None:
    with _script() as tell:
        recorded = steps.record_footage(workshop, number, source, seconds, tell)
    if number < len(workshop.footage):
        steps.again_faces(workshop, number)
    lost = f"; {recorded.lost} were left out, the disk or the processor was too slow" if recorded.lost else ""
    _say(f"recorded: {recorded.seconds:.0f} s, {recorded.pictures} pictures{lost}, sealed in {workshop.of(number)}")
    if not recorded.whole:
        err.print("[yellow]it ended early; what came until then is kept[/]")


def faces(workshop: Workshop, number: int) -> None:
    done, whose = bool(workshop.footage[number].faces), workshop.footage[number].whose
    words = f"{whose}'s faces" if whose else "faces"
    with _bar(f"looking for {words}", None) as bar:
        footage = steps.take_faces(workshop, number, lambda frames: bar(frames, None))
    known = footage.faces
    left = "; left out: " + _counts(known["left_out"]) if known["left_out"] else ""
    _say(
        f"{words}{' (done before)' if done else ''}: {known['fit']} of {known['frames']} frames are learnt from{left}; "
        f"look at {steps.faces_sheet(workshop, number)}"
    )


def targets(workshop: Workshop, number: int) -> None:
    done = bool(workshop.footage[number].targets)
    words = "faces are taken as they are" if workshop.teacher == FOOTAGE else "the teacher draws"
    with _bar(words, workshop.footage[number].faces.get("fit")) as bar:
        footage = steps.make_targets(workshop, number, bar)
    known = footage.targets
    by = "as they are" if known["teacher"] == FOOTAGE else f"by the {known['teacher']} swap"
    left = "; left out: " + _counts(known["left_out"]) if known["left_out"] else ""
    _say(
        f"targets{' (done before)' if done else ''}: {counted(known['pairs'], 'lesson')} {by}{left}; "
        f"look at {steps.targets_sheet(workshop, number)}"
    )


def finish(workshop: Workshop, minutes: float, keep: bool) -> None:
    """All steps from footage to engine; what is done already is not done again."""
    steps.demand_both(workshop)
    for number in range(len(workshop.footage)):
        faces(workshop, number)
    for number in range(len(workshop.footage)):
        targets(workshop, number)
    train(workshop, minutes)
    export(workshop, keep)


def forget_faces(workshop: Workshop, who: str) -> None:
    for number, footage in enumerate(workshop.footage):
        steps.again_faces(workshop, number)
        if not footage.whose:
            footage.who = footage_of("sample", who or footage.who).who
    workshop.save()


def forget_targets(workshop: Workshop) -> None:
    for number in range(len(workshop.footage)):
        steps.again_targets(workshop, number)


def _say(line: str) -> None:
    err.print(escape(line), soft_wrap=True)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {why}" for why, count in counts.items())


@contextmanager
def _stopped() -> Iterator[threading.Event]:
    """Set by Ctrl-C and SIGTERM; a second Ctrl-C is one as ever."""
    event = threading.Event()

    def stop(*_: object) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def _bar(words: str, total: int | None) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar with the time that is left; nothing where the output is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(words, total=total)
        try:
            yield lambda done, of: progress.update(task, completed=done, total=of)
        except KeyboardInterrupt:
            progress.stop()
            err.print("interrupted; the same command goes on where it stopped")
            raise


@contextmanager
def _script() -> Iterator[Callable[[Now], None]]:
    """What to do now and for how long, what comes then; a line for each step where the output is no terminal."""
    last = ""

    def lines(now: Now) -> None:
        nonlocal last
        if now.step.words != last:
            last = now.step.words
            err.print(f"{now.at_s:5.0f} s  {last}", markup=False)

    if not err.is_terminal:
        yield lines
        return
    with Live(Text("starting ..."), console=err, transient=True, refresh_per_second=8) as live:

        def update(now: Now) -> None:
            left = now.step.end_s - now.at_s
            text = Text.assemble(
                ("\n  " + now.step.words, "bold"), f"   {max(left, 0):.0f} s\n\n",
                (f"  {max(now.of_s - now.at_s, 0):.0f} of {now.of_s:.0f} s left; Ctrl-C ends it", "dim"),
            )  # fmt: skip
            if not now.seen:
                text.append("\n  no face is seen: sit so that your whole face is in the picture", "bold yellow")
            live.update(text)

        yield update


def train(workshop: Workshop, minutes: float) -> None:
    """Raises KeyboardInterrupt after Ctrl-C, when what was learnt is kept."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress,
        _stopped() as stopped,
    ):
        task = progress.add_task("training", total=minutes * 60)

        def tell(now: TrainingProgress) -> None:
            words = f"training   {now.psnr_db:.1f} dB, best {now.best_db:.1f}" if now.step else "training"
            progress.update(task, completed=now.spent_s, description=words)

        model = "persona" if workshop.teacher == FOOTAGE else "teacher"
        last = steps.train(workshop, minutes * 60, tell, stopped.is_set)
    _say(
        f"trained: {last.step} steps in {last.spent_s / 60:.1f} minutes; {last.best_db:.1f} dB to the {model} "
        f"in pictures that it did not learn from; look at {steps.preview(workshop)}"
    )
    if stopped.is_set():
        err.print(f"interrupted; [bold]doppelcam teach train {escape(workshop.name)}[/] goes on", soft_wrap=True)
        raise KeyboardInterrupt


def export(workshop: Workshop, keep: bool) -> None:
    with err.status("making the engine ...") as status:
        card = steps.export(workshop, keep, lambda words: status.update(f"{words} ..."))
    gone = f"kept in {workshop.folder}" if keep else "deleted; weights to learn more with are kept"
    _say(f"made: {card.folder}; footage, lessons and their pictures are {gone}")
    time_it(card)
    out.print(f"wear it: doppelcam run --face {escape(workshop.name)}", soft_wrap=True)
