"""`doppelcam release`: let go of virtual cameras that are kept there with a cover after a run."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from engines.errors import BadInput, NotAvailable
from live.cli.screen import out


def release(
    device: Annotated[str | None, typer.Argument(help="Only this one, e.g. /dev/video18; all if not given.")] = None,
) -> None:
    """Let go of the virtual cameras that doppelcam keeps there, with a cover, after it has ended (Linux).

    Leave the meeting, or choose another camera in it, first: a program whose camera disappears may take your real one.
    """
    if sys.platform != "linux":
        raise NotAvailable("only on Linux does a virtual camera outlive doppelcam")
    from live import sentinel

    kept = sentinel.held()
    if device is not None and device not in kept:
        raise BadInput(f"{device} is not kept by doppelcam", hint=f"kept are: {', '.join(kept) or 'none'}")
    for path in kept if device is None else [device]:
        if sentinel.release(path):
            out.print(f"{path} is free")
        elif device is not None:
            raise BadInput(f"{path} is in use: doppelcam runs", hint="end that run first, with Ctrl-C")
        else:
            out.print(f"{path} is in use: doppelcam runs")
    if not kept:
        out.print("nothing is kept")
