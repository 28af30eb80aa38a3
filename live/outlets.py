"""The way out of the loop: a slot and a thread for each sink, so that a slow or lost one holds up nobody.

Sinks that `stays` (cameras that other programs look at) may outlive a loop: while none delivers, the last cover stays
on them, and the next loop that wants the same sink takes it over as it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from engines.errors import SinkLost
from live.frame import Format, SafeFrame
from live.mailbox import Closed, Mailbox
from live.parts import Beating, Sink
from live.reopen import reopen
from live.settings import settings_of
from live.spans import Spans
from live.stage import Stage
from live.trace import Ledger

_TRIES = 10  # 9 s with the pauses of reopen
_REPEAT_S = 0.2
_FINISH_S = 30.0
_SETTLE_S = 0.2

Look = Callable[[SafeFrame], SafeFrame]


class _Outlet:
    """One sink, its slot and its thread."""

    def __init__(self, name: str, sink: Sink, ledger: Ledger, spans: Spans, last_look: Look) -> None:
        self.name, self.sink, self.ledger, self.spans, self.last_look = name, sink, ledger, spans, last_look
        self.writing = threading.RLock()  # held from the last look on; re-entrant: a sink may have a key for the cover
        self.stays = bool(getattr(sink, "stays", False))
        self.box: Mailbox[SafeFrame] = Mailbox(credits=1)
        self.format: Format | None = None
        self.stage = Stage(f"sink {name}", open=self._open, step=self._step, close=sink.close, done=self.box.close)
        self._ending = threading.Event()
        self._last: SafeFrame | None = None

    def start(self, format: Format) -> None:
        self.format = format
        self.stage.start()

    def end(self) -> None:
        """What lies in the slot is still written, then the sink is closed."""
        self._ending.set()
        self.box.close()

    def _open(self) -> None:
        assert self.format is not None, "start() comes first"
        self.sink.open(self.format)

    def _step(self) -> None:
        shown = self.box.take(_REPEAT_S if self.stays else None)
        try:
            if shown is not None:
                with self.spans("write", shown.trace.number if shown.trace else 0), self.writing:
                    self._last = shown = self.last_look(shown)
                    self.sink.write(shown)
                self.ledger.shown(self.name, shown.trace)
            elif self._last is not None and self._last.state == "cover":
                self.sink.write(self._last)  # whoever looks sees that the camera lives
            elif isinstance(self.sink, Beating):
                self.sink.beat()
        except SinkLost as error:
            self.ledger.error(error.message)
            if error.closed:
                raise Closed from None
            reopen(self.sink.close, self._open, self._ending, None if self.stays else _TRIES)
        finally:
            if shown is not None:
                self.box.credit()


class Outlets:
    """Hands each safe frame to every sink of the loop that began last.

    With `lossless` it waits for the slowest sink, else the newest frame wins. Whoever made it calls `close()`.
    """

    def __init__(self) -> None:
        self._outlets: dict[str, _Outlet] = {}
        self._lossless = False

    def begin(
        self,
        sinks: dict[str, Sink],
        ledger: Ledger,
        spans: Spans,
        *,
        lossless: bool,
        last_look: Look = lambda shown: shown,
    ) -> None:
        """A loop takes over. A sink that stayed goes on where it is wanted with the same settings.

        `last_look` says what a sink gets instead of a frame, right before it is written, on the sink's thread.
        """
        self._lossless = lossless
        left, self._outlets = self._outlets, {}
        for name, sink in sinks.items():
            ledger.add_sink(name, timed=getattr(sink, "timed", False))
            old = left.get(name)
            if old is not None and old.stage.alive and _alike(old.sink, sink):
                self._outlets[name] = left.pop(name)
                old.ledger, old.spans, old.last_look = ledger, spans, last_look
            else:
                self._outlets[name] = _Outlet(name, sink, ledger, spans, last_look)
        _finish(list(left.values()))

    def start(self, format: Format, *, staying: bool) -> None:
        """Open, each on its own thread, the sinks that stay or the others; wait for their `stages` to be opened."""
        for name, outlet in self._outlets.items():
            if outlet.stays is staying:
                if outlet.format is not None and not _same_pictures(outlet.format, format):
                    _finish([outlet])
                    outlet = self._outlets[name] = _Outlet(
                        name, outlet.sink, outlet.ledger, outlet.spans, outlet.last_look
                    )
                if outlet.format is None:
                    outlet.start(format)

    @property
    def stages(self) -> list[Stage]:
        """The threads of the sinks that were started."""
        return [outlet.stage for outlet in self._outlets.values() if outlet.format is not None]

    @property
    def alive(self) -> bool:
        return any(stage.alive for stage in self.stages)

    @property
    def stay(self) -> bool:
        """Is there a sink that stays, and lives?"""
        return any(outlet.stays and outlet.stage.alive for outlet in self._outlets.values())

    def deliver(self, shown: SafeFrame) -> None:
        for outlet in list(self._outlets.values()):
            if outlet.format is None:
                continue
            try:
                if self._lossless:
                    outlet.box.hand(shown)
                elif outlet.box.post(shown):
                    outlet.ledger.dropped(outlet.name)
            except Closed:
                continue  # this sink is gone, the others go on

    def settle(self) -> None:
        """Wait until all that was written has had its last look after now. A slow sink that is in the middle of an
        older picture is not waited for."""
        end = time.monotonic() + _SETTLE_S
        for outlet in list(self._outlets.values()):
            if outlet.writing.acquire(timeout=max(end - time.monotonic(), 0)):
                outlet.writing.release()

    def end(self, cover: SafeFrame | None) -> None:
        """The loop leaves: what was written to the others is finished, and `cover` stays on those that stay."""
        for outlet in self._outlets.values():
            if outlet.stays and cover is not None:
                with suppress(Closed):
                    outlet.box.post(cover)
        _finish([outlet for outlet in self._outlets.values() if not outlet.stays])

    def close(self) -> None:
        _finish(list(self._outlets.values()))


def _finish(outlets: list[_Outlet]) -> None:
    for outlet in outlets:
        outlet.end()
    for outlet in outlets:
        outlet.stage.join(_FINISH_S)


def _same_pictures(one: Format, two: Format) -> bool:
    """A new session is no reason to take a camera away from whoever looks at it."""
    return (one.width, one.height, one.fps) == (two.width, two.height, two.fps)


def _alike(one: Sink, two: Sink) -> bool:
    """Parts of one kind with the same settings."""
    return type(one) is type(two) and all(getattr(one, f.name) == getattr(two, f.name) for f in settings_of(type(one)))
