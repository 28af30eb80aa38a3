"""Opens a lost camera, sink or engine again, with growing pauses, until it works or the run ends."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from engines.errors import DoppelcamError
from live.mailbox import Closed

PAUSES_S = (0.2, 0.5, 1.0)
"""Pauses before the tries; the last one is repeated. A camera that is plugged in again shall be back within 2 s."""


def reopen(
    close: Callable[[], None], open: Callable[[], object], stopping: threading.Event, tries: int | None = None
) -> None:
    """Close, pause, open, again and again until `open` raises no DoppelcamError. Without `tries` it never gives up.

    Raises Closed when the run stops meanwhile, and the error of the last try where that was the last one.
    """
    for attempt in itertools.count():
        close()
        if stopping.wait(PAUSES_S[min(attempt, len(PAUSES_S) - 1)]):
            raise Closed
        try:
            open()
            return
        except DoppelcamError:
            if attempt + 1 == tries:
                raise
