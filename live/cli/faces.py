"""`doppelcam faces`: your faces and who allowed them; what was worn when; leaving no trace of any."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from engines.errors import BadInput, DoppelcamError
from engines.store import name_from
from live.cli.screen import asks, err, out

app = typer.Typer(
    name="faces",
    help="Your faces: who allowed to wear them, for what, until when.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_Name = Annotated[str, typer.Argument(help="The face's name, as the list shows it.", show_default=False)]
_Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command()
def add(
    what: Annotated[str, typer.Argument(help="A picture, a folder of pictures of one person, or one of your models.")],
    name: Annotated[str, typer.Option("--name", help="What to call it; else as the file is called.")] = "",
    me: Annotated[bool, typer.Option("--me", help="It is you: a short challenge before your camera.")] = False,
    consent: Annotated[Path | None, typer.Option("--consent", help="The file by which the person agreed.")] = None,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="You declare that nobody looks like this.")] = False,
    until: Annotated[str, typer.Option("--until", help="Last day, e.g. 2027-03-31; at most twelve months.")] = "",
    camera: Annotated[str, typer.Option("--camera", help="The camera for --me, as for run --source.")] = "camera",
) -> None:
    """Keep a face, sealed, with what allows you to wear it.

    Without [bold]--me[/], [bold]--consent[/] or [bold]--synthetic[/] it is kept as unverified.
    """
    from live.app import opened_finder
    from live.models import PERSONAL
    from live.personas import enrol, model_of
    from live.personas.packs import user_packs
    from live.personas.signed import fingerprint

    if me + synthetic + (consent is not None) > 1:
        raise BadInput("--me, --consent and --synthetic exclude each other", hint="say how this person agreed")
    ends = enrol.last_day(until) if until else None
    packs, card, path = user_packs(), model_of(what), Path(what).expanduser()
    if card is not None and card.family == PERSONAL:
        raise BadInput(
            f"{card.name!r} is a personal engine: it may be worn as long as the face may be that it was taught",
            hint=f"wear it: doppelcam run --face {what}",
        )
    name = name or (card.name if card is not None else name_from(path.resolve().stem))
    enrol.demand_new(name, packs, card.name if card is not None else "")
    if card is not None and me:
        raise BadInput("a trained model has no picture to match you with", hint="--consent FILE, made for the model")
    document = read_document(consent, "consent") if consent is not None else b""
    with opened_finder() as finder:
        held = enrol.take(path, finder) if card is None else card
        if consent is not None:
            given = enrol.demand_consent(document, consent.name, packs, held)
            pack = enrol.store(packs, name, held, "consented", enrol.how_signed(given), ends, given)
            err.print(
                f"signed by [bold]{escape(given.person)}[/] with the key [bold]{fingerprint(given.key)}[/]: "
                "ask them, by phone or face to face, whether that is theirs",
                soft_wrap=True,
            )
        elif me and isinstance(held, enrol.Photos):
            pack = enrol.store(packs, name, held, "self", hold_challenge(held, camera, finder), ends)
        elif synthetic:
            pack = enrol.store(packs, name, held, "synthetic", enrol.DECLARED, ends)
        else:
            pack = enrol.store(packs, name, held, "unverified", enrol.UNKNOWN, ends)
            err.print("nobody's consent is known: the label on outgoing pictures is larger", soft_wrap=True)
    err.print(f"added {escape(name)}: {pack.disclosure}, until {pack.expires:%Y-%m-%d}", soft_wrap=True)


@app.command("list")
def list_faces() -> None:
    """List your faces."""
    from live.personas.packs import now, user_packs

    packs = user_packs()
    table = Table("name", "what", "disclosure", "until", "state", box=None, pad_edge=False, header_style="bold")
    for name in packs.names():
        try:
            pack = packs.open(name)
        except DoppelcamError as error:
            table.add_row(escape(name), "", "", "", f"[red]{escape(error.message)}[/]")
            continue
        what = f"model {pack.model}" if pack.model else counted(len(pack.photos), "portrait")
        why = pack.why_not(now())
        if packs.is_withdrawn(pack):
            why = "the consent was withdrawn"
        state = f"[red]{escape(why)}[/]" if why else "[green]ok[/]"
        table.add_row(escape(name), escape(what), pack.disclosure, f"{pack.expires:%Y-%m-%d}", state)
    out.print(table if table.rows else "no faces are kept; doppelcam faces add PICTURE --me keeps yours")


@app.command()
def show(name: _Name) -> None:
    """Show what allows a face to be worn."""
    from live.personas.consent import SCOPE
    from live.personas.packs import now, user_packs
    from live.personas.signed import fingerprint

    packs = user_packs()
    pack = packs.open(name)
    rows = {
        "what": f"the trained model {pack.model}" if pack.model else counted(len(pack.photos), "portrait"),
        "disclosure": pack.disclosure,
        "how": pack.how,
        "may": "; ".join(SCOPE[use] for use in pack.scope),
        "added": f"{pack.made:%Y-%m-%d %H:%M} UTC",
        "until": f"{pack.expires:%Y-%m-%d %H:%M} UTC",
    }
    if pack.consent is not None:
        rows["signed by"] = f"{pack.consent.person}, key {fingerprint(pack.consent.key)}"
    why = "the consent for this face was withdrawn" if packs.is_withdrawn(pack) else pack.why_not(now())
    rows["state"] = f"cannot be worn: {why}" if why else "can be worn"
    rows["sealed in"] = f"{packs.path(name)}, key in {packs.vault.place()}"
    for title, value in rows.items():
        out.print(f"[bold]{title:<11}[/] {escape(value)}", soft_wrap=True)


@app.command()
def remove(name: _Name, yes: _Yes = False) -> None:
    """Delete one face."""
    from live.personas.packs import user_packs

    packs = user_packs()
    packs.demand(name)
    sure(f"Delete the face {name}?", yes)
    err.print(f"removed {escape(name)}, {packs.remove(name) / 1e6:.1f} MB")


@app.command()
def withdraw(file: Annotated[Path, typer.Argument(help="The withdrawal that you were sent.")]) -> None:
    """Take in that somebody withdrew a consent: what hangs on it cannot be worn any more."""
    from live.personas.consent import read_withdrawal
    from live.personas.packs import user_packs

    hit = user_packs().withdraw(read_withdrawal(read_document(file, "withdrawal"), file.name))
    if hit:
        err.print(f"cannot be worn any more: {escape(', '.join(hit))} (doppelcam faces remove deletes them)")
    else:
        err.print("noted; none of your faces hangs on that consent")


@app.command()
def wipe(
    models: Annotated[bool, typer.Option("--models", help="Your trained models too: a face is in each.")] = False,
    sessions: Annotated[bool, typer.Option("--sessions", help="The record of what was worn too.")] = False,
    yes: _Yes = False,
) -> None:
    """Remove every trace of every face, the key first; workshops of personal engines too."""
    from live.personas import wipe as wiping
    from live.personas.packs import user_packs
    from live.teach.workshop import remove_all

    packs, trained = user_packs(), wiping.trained_models()
    also = f" and {counted(len(trained), 'trained model')}" if models and trained else ""
    err.print("consents that you gave to others cannot be withdrawn afterwards: do that first", soft_wrap=True)
    sure(f"Remove {counted(len(packs.names()), 'face')}{also} for good?", yes)
    gone = wiping.wipe(packs, models=models, sessions=sessions)
    gone += [f"the workshop {name}" for name in remove_all()]
    for line in gone:
        err.print(f"removed {escape(line)}", soft_wrap=True)
    if not gone:
        err.print("there was nothing to remove")
    if trained and not models:
        err.print(f"kept: the trained models {escape(', '.join(trained))} (--models removes them)", soft_wrap=True)
    if not sessions:
        err.print("kept: the record of sessions, which has no pictures (--sessions removes it)", soft_wrap=True)


@app.command("sessions")
def list_sessions(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """List what was worn when, newest first: your own record, which never leaves this machine."""
    from live.session import path, runs

    found = runs()[::-1]
    if as_json:
        print(json.dumps(found, indent=2))  # noqa: T201
        return
    table = Table("session", "began", "ended", "face", "disclosure", "to", "marks", box=None, pad_edge=False,
                  header_style="bold")  # fmt: skip
    for run in found:
        began, ended = clock(run["started"]), clock(run.get("ended", ""))
        marks = ", ".join(run["marks"]) or (f"none: {run['reason']}" if "reason" in run else "none")
        row = (run["session"], began, ended, run["persona"], run["disclosure"], ", ".join(run["sinks"]), marks)
        table.add_row(*map(escape, row))
    out.print(table if found else "no sessions are on record")
    if found:
        out.print(f"\nthe record lies in {escape(str(path()))}", soft_wrap=True)


# ---- shared with `doppelcam consent`


def hold_challenge(photos: object, camera: str, finder: object) -> str:
    """The challenge before this camera, told on the screen; what goes into the record. Raises BadInput."""
    from live.app import source_of
    from live.personas import enrol
    from live.run import read_run

    source = source_of(read_run(None, [], {"source": camera}))
    enrol.demand_camera(source)
    err.print("sit before your camera, alone and in good light; no picture of this is kept")

    def say(words: str) -> None:
        err.print(f"  [bold]{words}[/]")

    held = enrol.challenge(source, finder, photos, say)  # type: ignore[arg-type]
    err.print(f"passed: it looks like the photo ({held.score:.2f} by {escape(held.likeness.words)})", soft_wrap=True)
    err.print("this shows that you agreed, not who you are: a face swap could pass it too", soft_wrap=True)
    return held.record


def read_document(path: Path, what: str) -> bytes:
    """A consent or withdrawal file. Raises BadInput."""
    from engines.errors import ModelError
    from engines.plain_file import read_plain
    from live.personas.signed import MOST_BYTES

    if not path.expanduser().exists():
        raise BadInput(f"there is no {what} {path}", hint="check its path")
    try:
        return read_plain(path.expanduser(), MOST_BYTES)
    except ModelError as error:
        raise BadInput(f"{path} is no {what}: {error.message}") from None


def clock(text: str) -> str:
    """A time of the record on this machine's clock; what is no time stays as it is."""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return text


def counted(n: int, what: str) -> str:
    """1 portrait, 2 portraits."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def sure(question: str, yes: bool) -> None:
    """Ask before something is gone for good. Raises BadInput where nobody can be asked, typer.Abort for a no."""
    if yes:
        return
    if not asks():
        raise BadInput("nothing is removed without being asked for", hint="--yes, where nobody can be asked")
    typer.confirm(question, abort=True, err=True)
