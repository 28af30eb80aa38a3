"""`doppelcam panel`: a local page to see yourself, choose a face, and go live."""

from __future__ import annotations

import os
import signal
import sys
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engines.errors import BadInput, DoppelcamError
from live.cli.cover_key import CoverKey
from live.cli.screen import ask_secret, say

if TYPE_CHECKING:
    from live.local_server.remote.password import Password
    from live.panel.server import Panel
    from live.run import Run

PORT, REMOTE_PORT = 8770, 8774


def panel(
    source: Annotated[
        str | None, typer.Option(help="As for run: camera, camera:NAME, sample ... Given, it starts at once.")
    ] = None,
    face: Annotated[str | None, typer.Option(help="As for run; a sample if not given.")] = None,
    model: Annotated[str | None, typer.Option(help="Draw pictures' faces by this one-photo model of yours.")] = None,
    sink: Annotated[
        list[str] | None, typer.Option(help="As for run; may be given again. None: only the panel shows the picture.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="What runs the nets: auto or e.g. openvino.")] = None,
    profile: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="One setting, e.g. guard.hold_ms=200.")] = None,
    port: Annotated[int, typer.Option(help="Port of the page, 0: a free one.", min=0, max=65535)] = PORT,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser, only print the address.")] = False,
    remote: Annotated[
        bool, typer.Option("--remote", help="For other devices in this network too: over https, with a password.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="With --remote: the address to listen on; 0.0.0.0: every one. Else the usual one.")
    ] = "",
    remote_port: Annotated[int, typer.Option(help="With --remote: its port.", min=0, max=65535)] = REMOTE_PORT,
    password_file: Annotated[
        Path | None,
        typer.Option(help="With --remote: a file with the password, - for standard input."),
    ] = None,
) -> None:
    """Open a local page: preview, faces, settings, health. It fits into OBS as a custom browser dock too.

    For example: [bold]doppelcam panel --source sample[/]
    """
    from live.run import read_run

    flags: dict[str, Any] = {"source": source, "face": face, "model": model, "sink": sink or None, "engine": engine}
    if not remote and (host or password_file or remote_port != REMOTE_PORT):
        raise BadInput("only this machine comes in without --remote", hint="--host, --password-file go with it")
    run, kept = read_run(profile, set_ or [], flags), profile is None and not set_ and not any(flags.values())
    password = _password(password_file) if remote else None
    held = _panel(run, kept=kept, remote=remote)
    try:
        url = held.open(port)
    except BadInput as error:
        raise BadInput(error.message, hint=f"another one: --port {port + 1}; a free one: --port 0") from None
    show = held.show
    asked: list[int] = []

    key = CoverKey(show.cover_key)

    def end(number: int, _: object) -> None:
        if asked:  # a second Ctrl-C: do not wait for anything
            key.restore()
            os._exit(130)
        asked.append(number)
        show.end()

    handlers = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if password is not None:
            _admit(held, host, remote_port, password)
        if source is not None:
            show.start()
        if not no_open:
            open_page(url)
        say("space covers everything, Ctrl-C ends it" if key.listens else "Ctrl-C ends it")
        with key:
            show.work()
    finally:
        held.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _password(file: Path | None) -> Password:
    """The password for other devices, which is on no command line and in no variable. Raises BadInput."""
    from engines.own_file import Unfit, read_own
    from live.local_server.remote.password import Password

    if file is None or str(file) == "-":
        return Password(ask_secret("password", twice=True))
    try:
        return Password(read_own(file.expanduser(), 4096).decode().rstrip("\r\n"))
    except (OSError, Unfit, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadInput(f"the password file {file} is not used: {why}", hint=f"chmod 600 {file}") from None


def _admit(held: Panel, host: str, port: int, password: Password) -> None:
    try:
        held.admit(host, port, password)
    except BadInput as error:
        if "cannot listen" in error.message:
            raise BadInput(error.message, hint=f"another port: --remote-port {port + 1}; another --host") from None
        raise


def _panel(run: Run, *, kept: bool, remote: bool) -> Panel:
    """The panel for this run, or for the one that was kept for this time, where that is still good. Raises BadInput."""
    from live.panel import presets
    from live.panel.server import Panel
    from live.settings import merge

    def checked(run: Run) -> Panel:
        run.face = run.face or "sample:joel"
        run.tree = merge({"sources": {"sample": {"repeat": True}}}, run.tree)
        made = Panel(run, remote=remote)
        made.show.check()  # what is wrong with the flags is told here, not on the page
        return made

    try:
        found = presets.kept() if kept else None
        return checked(found or run)
    except DoppelcamError as error:
        if not kept:
            raise
        say(f"what was kept for this start is left out: {error.message}")
        made = checked(run)
        made.show.complain(error)
        return made


def open_page(url: str) -> None:
    """Open the user's browser on it, where there is a screen.

    By way of a file that only the user can read: every other user of this machine may read a command line.
    """
    from engines.own_file import write_own
    from live.local_server.keys import folder

    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    page = folder() / "panel.html"
    with suppress(OSError, webbrowser.Error):
        write_own(page, f'<!doctype html><meta http-equiv="refresh" content="0; url={url}">'.encode())
        webbrowser.open(page.as_uri())
