"""The way out of the loop: a slot and a thread for each sink, so that a slow or lost one holds up nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from engines.errors import SinkLost
from live.frame import Format, SafeFrame
from live.mailbox import Closed, Mailbox
from live.parts import Sink
from live.reopen import reopen
from live.trace import Ledger

_TRIES = 5

Outlet = tuple[str, Callable[[], None], Callable[[], None], Callable[[], None], Mailbox[SafeFrame]]
"""What a stage is made of: name, open, step, close, and the mailbox that it empties."""


class Outlets:
    """Hands each safe frame to every sink. With `lossless` it waits for the slowest one, else the newest wins."""

    def __init__(self, sinks: dict[str, Sink], ledger: Ledger, stopping: threading.Event, *, lossless: bool) -> None:
        self._sinks, self._ledger, self._stopping, self._lossless = sinks, ledger, stopping, lossless
        self._boxes: dict[str, Mailbox[SafeFrame]] = {name: Mailbox(credits=1) for name in sinks}

    @property
    def boxes(self) -> list[Mailbox[SafeFrame]]:
        return list(self._boxes.values())

    def deliver(self, shown: SafeFrame) -> None:
        for name, box in self._boxes.items():
            try:
                if self._lossless:
                    box.hand(shown)
                elif box.post(shown):
                    self._ledger.dropped(name)
            except Closed:
                continue  # this sink is gone, the others go on

    def stages(self, format: Format) -> Iterator[Outlet]:
        """What each sink's own thread does."""
        for name, sink in self._sinks.items():
            self._ledger.add_sink(name)
            yield self._outlet(name, sink, format)

    def _outlet(self, name: str, sink: Sink, format: Format) -> Outlet:
        box = self._boxes[name]

        def open_sink() -> None:
            sink.open(format)

        def step() -> None:
            shown = box.take()
            assert shown is not None, "take without a time limit gives a frame"
            try:
                sink.write(shown)
                self._ledger.shown(name, shown.trace)
            except SinkLost as error:
                self._ledger.error(error.message)
                if error.closed:
                    raise Closed from None
                reopen(sink.close, open_sink, self._stopping, _TRIES)
            finally:
                box.credit()

        return f"sink {name}", open_sink, step, sink.close, box
