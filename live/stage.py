"""A thread that opens its parts, repeats its step until nothing comes any more, and closes its parts."""

from __future__ import annotations

import threading
from collections.abc import Callable

from engines.errors import DoppelcamError
from live.mailbox import Closed


class Stage:
    """One thread of the loop.

    `open` runs first (its failure is kept in `error` and the step never runs), then `step` again and again until
    it raises Closed or something else (kept in `error`), then `close`, always. `done` is called last, whatever
    happened. Everything runs on the stage's own thread. With `go`, the first step waits for that event.
    """

    def __init__(
        self,
        name: str,
        *,
        open: Callable[[], None],
        step: Callable[[], None],
        close: Callable[[], None],
        done: Callable[[], None],
        go: threading.Event | None = None,
    ) -> None:
        self.name = name
        self.error: BaseException | None = None
        self.opened = threading.Event()
        self._open, self._step, self._close, self._done, self._go = open, step, close, done, go
        self._thread = threading.Thread(target=self._run, name=f"doppelcam-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout_s: float | None = None) -> bool:
        """True when the thread has ended (or never started)."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._open()
        except BaseException as error:
            self.error = error
        self.opened.set()
        try:
            if self.error is None:
                if self._go is not None:
                    self._go.wait()
                while True:
                    self._step()
        except Closed:
            pass
        except BaseException as error:
            self.error = error
        finally:
            try:
                self._close()
            except BaseException as error:
                self.error = self.error or error
            self._done()


def wait_opened(stages: list[Stage]) -> None:
    """Wait until all these have opened their parts. Raises all reasons if some could not."""
    for stage in stages:
        stage.opened.wait()
    errors = errors_of(stages)
    if len(errors) > 1 and all(isinstance(error, DoppelcamError) for error in errors):
        lines = [f"{e.message}{f' ({e.hint})' if e.hint else ''}" for e in errors if isinstance(e, DoppelcamError)]
        raise type(errors[0])("; ".join(lines))
    if errors:
        raise errors[0]


def errors_of(stages: list[Stage]) -> list[BaseException]:
    """Why stages failed; without those that only say that another one, on which they wait, could not open."""
    errors = [stage.error for stage in stages if stage.error is not None]
    return [error for error in errors if not isinstance(error, Closed)] or errors
