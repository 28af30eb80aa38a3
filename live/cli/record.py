"""`doppelcam record`: a run that can be had again: the camera's pictures, times and settings in an encrypted file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engines.errors import BadInput
from live.cli.output import check_target
from live.cli.run import run_to_its_end
from live.cli.screen import ask_secret, err, sum_up

if TYPE_CHECKING:
    from live.run import Run


def record(
    session: Annotated[
        Path, typer.Argument(help="The session file to write. It shows your real face: it is encrypted.")
    ],
    source: Annotated[str | None, typer.Option(help="As for doppelcam run.")] = None,
    face: Annotated[str | None, typer.Option(help="As for doppelcam run.")] = None,
    sink: Annotated[list[str] | None, typer.Option(help="As for doppelcam run; null if none is given.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds.", min=0.0)] = None,
    engine: Annotated[str | None, typer.Option(help="As for doppelcam run.")] = None,
    profile: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="One setting. May be given again.")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="As for doppelcam run.")] = False,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for one, to open it elsewhere; else only this user opens it here.")
    ] = False,
) -> None:
    """Swap your face live, and keep what came in, losslessly, for [bold]doppelcam replay[/].

    Takes about 25 MB a second at 720p. Delete the file when it has served: it shows you as you are.
    """
    check_target(session, "the session")
    target = session.expanduser()
    if target.exists():
        raise BadInput(f"there is a session {session} already", hint="give another name, or delete it")

    from live.app import kind_of, loop_of, parts_of
    from live.outlets import Outlets
    from live.run import read_run
    from live.sealed import SealedWriter
    from live.session_file import Digests, Notes, Recorder, end

    flags: dict[str, Any] = {"source": source, "face": face, "sink": sink or "null", "engine": engine}
    run = read_run(profile, set_ or [], {**flags, "fast": fast or None})
    parts = parts_of(run)
    part = target.with_name(f".{target.name}.part")
    writer = SealedWriter(part, ask_secret("passphrase", twice=True) if passphrase else None)
    try:
        assert parts.session is not None, "parts_of() begins a session"
        marked = {"marks": [kind_of(mark) for mark in parts.marks], "session": parts.session.number}
        recorder = parts.source = Recorder(parts.source, writer, settings_of(run) | marked)
        digests = parts.sinks["session"] = Digests()
        notes = Notes()
        outlets = Outlets()
        failure = run_to_its_end(loop_of(run, parts, ledger=notes, outlets=outlets), outlets, seconds)
        recorder.finish()
        report = notes.report()
        end(writer, notes.taken, digests.seen, report)
        writer.close()
        part.replace(target)
    except OSError as error:
        raise BadInput(f"the session {session} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    sum_up(report)
    megabytes = target.stat().st_size / 1e6
    err.print(f"{session}: {recorder.written} pictures, {megabytes:.0f} MB", markup=False, soft_wrap=True)
    if recorder.lost:
        err.print(f"[yellow]{recorder.lost} pictures were left out: the disk or the processor could not keep up[/]")
    if failure is not None:
        raise failure


def settings_of(run: Run) -> dict[str, Any]:
    """What the run was made of, as JSON keeps it."""
    import hashlib
    from dataclasses import asdict

    path = Path(run.face.rpartition("#")[0] or run.face).expanduser()
    return {"run": asdict(run), "face_sha256": hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""}
