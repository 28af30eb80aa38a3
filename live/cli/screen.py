"""What the commands print with: errors in one line with a hint, the live status line, the sum of a run."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from engines.errors import BadInput, DoppelcamError
from live.trace import Ledger

out = Console(highlight=False, emoji=False)  # in a fingerprint, :AB: is no emoji
err = Console(stderr=True, highlight=False, emoji=False)


def asks() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty()


def ask_secret(what: str, *, twice: bool) -> str:
    """A passphrase or password: asked on the terminal, unseen; a line of standard input where there is none.

    Raises BadInput when it is empty.
    """
    if asks():
        given = str(typer.prompt(what, hide_input=True, confirmation_prompt=twice, err=True))
    else:
        given = sys.stdin.readline().rstrip("\n")
    if not given:
        raise BadInput(f"the {what} is empty")
    return given


def complain(error: DoppelcamError) -> None:
    """One line to stderr: what was wrong; a second one, where there is a hint, with what to do."""
    err.print(f"[bold red]error:[/] {escape(error.message)}", soft_wrap=True)
    if error.hint:
        err.print(f"[bold]hint:[/]  {escape(error.hint)}", soft_wrap=True)


def say(line: str) -> None:
    """One line to stderr that the user should not miss."""
    err.print(f"[bold yellow]{escape(line)}[/]", soft_wrap=True)


def sum_up(tree: dict[str, Any]) -> None:
    """The ledger's report in one line to stderr, and a line for each kind of error."""
    frames, age = tree["frames"], tree["age_ms"]
    dropped = sum(tree["dropped"].values())
    covers = sum(tree["covers"].values())
    err.print(
        f"{frames['processed']} frames in {tree['seconds']:.1f} s ({frames['per_second']:.1f} a second): "
        f"{frames['live']} live, {frames['held']} held, {covers} covers, {dropped} dropped; "
        f"age p50 {age['p50']:.1f} ms, p95 {age['p95']:.1f} ms; sound +{tree['sound_delay_ms']:.0f} ms",
        soft_wrap=True,
    )
    if frames["stood_in"]:
        share = 100 * frames["stood_in"] / max(1, frames["processed"])
        err.print(f"the mesh swap stood in for the personal engine in {share:.0f} % of the frames", soft_wrap=True)
    for model, facts in tree["engines"].items():
        if "fallback" in facts:
            err.print(
                f"[bold yellow]FALLBACK[/] {model} ran on {facts['runs_on']}; {escape(facts['fallback'])}",
                soft_wrap=True,
            )
    for line, count in tree["errors"].items():
        err.print(f"[yellow]{count} x[/] {line}", soft_wrap=True)


class Notices(logging.Handler):
    """What the packages below say while they start, on the screen: "first use: measuring", "fallback"."""

    def emit(self, record: logging.LogRecord) -> None:
        style = getattr(record, "style", None) or ("bold yellow" if record.levelno >= logging.WARNING else "dim")
        err.print(f"[{style}]{escape(record.getMessage())}[/]", soft_wrap=True)


class StatusLine:
    """fps, age and drops on one line that renews itself; nothing where the output is no terminal."""

    def __init__(self, ledger: Ledger, covered: Callable[[], bool], key: bool) -> None:
        """`covered`: is all covered by hand? `key`: the space bar does that."""
        self._ledger, self._covered = ledger, covered
        self._shows = "space shows again   " if key else ""
        self._ends = f"{'space covers, ' if key else ''}Ctrl-C ends"
        self._was_covered = False
        self._live = Live(Text("starting ..."), console=err, auto_refresh=False, transient=True)
        self._next = 0.0

    def __enter__(self) -> Callable[[], None]:
        if not err.is_terminal:
            return lambda: None
        self._live.start()
        return self._update

    def __exit__(self, *_: object) -> None:
        if err.is_terminal:
            self._live.stop()

    def _update(self) -> None:
        now = time.monotonic()
        covered = self._covered()
        if now < self._next and covered == self._was_covered:
            return
        self._next, self._was_covered = now + 0.25, covered
        status = self._ledger.status()
        line = Text.assemble(
            ("live ", "bold green"),
            f"{status['fps']:5.1f} fps   ",
            f"age p50 {status['age_p50']:5.1f}  p95 {status['age_p95']:5.1f} ms   ",
            f"sound +{status['sound_delay']:.0f} ms   ",
            f"dropped {status['dropped']:.0f}   covers {status['covers']:.0f}   ",
            (self._ends, "dim"),
        )
        if covered:
            line = Text.assemble(
                ("covered by hand", "bold yellow"), "   nothing is shown   ", (f"{self._shows}Ctrl-C ends", "dim")
            )
        elif status["fps"] == 0:
            line = Text.assemble(("cover", "bold yellow"), "   no swapped picture right now   ", (self._ends, "dim"))
        self._live.update(line, refresh=True)
