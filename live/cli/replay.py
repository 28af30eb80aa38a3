"""`doppelcam replay`: a recorded session once more: is each picture the same, and how do the figures compare?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from engines.errors import BadInput
from live.cli.output import check_target, write_whole
from live.cli.record import settings_of
from live.cli.run import run_to_its_end
from live.cli.screen import ask_secret, err, out

if TYPE_CHECKING:
    from live.session_file import Session


def replay(
    session: Annotated[Path, typer.Argument(help="A file that doppelcam record made.")],
    sink: Annotated[list[str] | None, typer.Option(help="As for doppelcam run; null if none is given.")] = None,
    live: Annotated[
        bool, typer.Option("--live", help="In the time in which it came: to compare ages and drops, not pictures.")
    ] = False,
    face: Annotated[str | None, typer.Option(help="Wear another face than then.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a setting. May be given again.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the comparison as JSON too.")] = None,
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Ask for the one it was recorded with.")] = False,
) -> None:
    """Run a recorded session again: the frames that the loop took then, all of them, as fast as it goes.

    On the same machine with the same version the pictures are the same, bit for bit; the exit code is 1 if not.
    """
    if json_ is not None:
        check_target(json_, "the comparison")

    from dataclasses import replace

    from live.app import loop_of, marks_of, parts_of
    from live.outlets import Outlets
    from live.run import Run, read_run
    from live.session_file import Digests, Notes, Replayed, read_session

    with err.status("checking the session ..."):
        known = read_session(session.expanduser(), ask_secret("passphrase", twice=False) if passphrase else None)
    try:
        recorded = Run(**known.settings["run"])
    except (KeyError, TypeError):
        raise BadInput(f"the session {session} is of another version of doppelcam") from None
    flags = {
        key: value for key, value in vars(recorded).items() if key not in ("sinks", "tree", "source", "more_faces")
    }
    flags["face"] = [recorded.face, *recorded.more_faces]
    flags |= {"source": "sample", "sink": sink or "null", "fast": not live or None, **recorded.tree}
    run = read_run(None, set_ or [], flags | ({"face": face} if face else {}))
    if settings_of(run)["face_sha256"] != known.settings.get("face_sha256") and face is None:
        err.print(f"[yellow]the picture {run.face} has changed since[/]", soft_wrap=True)
    parts = parts_of(replace(run, source="sample"))
    assert parts.session is not None, "parts_of() begins a session"
    parts.session = replace(parts.session, number=int(known.settings.get("session", 0)))
    parts.marks = marks_of(run, known.settings.get("marks", []))
    source = parts.source = Replayed(known, paced=live)
    digests = parts.sinks["session"] = Digests()
    notes = Notes()
    outlets = Outlets()
    loop = loop_of(run, parts, ledger=notes, spare=source.spares(), outlets=outlets)
    failure = run_to_its_end(loop, outlets, None)
    tree = compare(known, digests.seen, notes.report(), same=not live)
    _print(tree)
    if json_ is not None:
        write_whole(json_, (json.dumps(tree, indent=2) + "\n").encode(), "the comparison")
    if failure is not None:
        raise failure
    if not live and tree["pictures"]["different"]:
        raise typer.Exit(1)


def compare(known: Session, seen: dict[str, str], report: dict[str, Any], same: bool) -> dict[str, Any]:
    """What was shown then and now, picture by picture (`same`; ages say nothing then), and figures side by side."""
    tree: dict[str, Any] = {"figures": dict(_figures(known.report, report, ages=not same))}
    if same:
        then = known.digests
        equal = sum(then.get(at) == digest for at, digest in seen.items())
        unseen = sum(at not in then for at in seen)  # a sink of then had dropped it
        tree["pictures"] = {"same": equal, "different": len(seen) - equal - unseen, "not_shown_then": unseen}
    tree["whole"] = known.reader.whole
    return tree


def _figures(then: dict[str, Any] | None, now: dict[str, Any], ages: bool) -> Iterator[tuple[str, list[Any]]]:
    def both(name: str, *path: str) -> Iterator[tuple[str, list[Any]]]:
        pair = []
        for report in (then, now):
            value: Any = report
            for key in path:
                value = value.get(key) if isinstance(value, dict) else None
            pair.append(value)
        yield name, pair

    for key in ("processed", "live", "held", "bare", "failed", "per_second"):
        yield from both(key.replace("_", " "), "frames", key)
    yield from both("dropped at the entrance", "dropped", "entrance")
    for step in ("find", "swap", "blend"):
        yield from both(f"{step} p50 ms", "steps_ms", step, "p50")
    for part in ("p50", "p95") if ages else ():
        yield from both(f"age {part} ms", "age_ms", part)


def _print(tree: dict[str, Any]) -> None:
    if not tree["whole"]:
        err.print("[yellow]the session broke off: what was taken and shown then is not known[/]")
    table = Table("", "then", "now", box=None, pad_edge=False)
    for name, (then, now) in tree["figures"].items():
        table.add_row(name, *("" if value is None else f"{value:g}" for value in (then, now)))
    for column in table.columns[1:]:
        column.justify = "right"
    out.print(table)
    if "pictures" in tree:
        counts = tree["pictures"]
        colour = "red" if counts["different"] else "green"
        out.print(
            f"[{colour}]{counts['same']} pictures are the same bit for bit, {counts['different']} differ[/]"
            + (f"; {counts['not_shown_then']} had been dropped by the sink" if counts["not_shown_then"] else ""),
            soft_wrap=True,
        )
