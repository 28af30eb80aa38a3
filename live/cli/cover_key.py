"""The panic key: space on the terminal, or SIGUSR1 from any hotkey program, told on a thread of its own."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_SPACE = b" "
_END, _SIGNAL = b"e", b"s"
_POLL_S = 0.02


class CoverKey:
    """Calls `press` for each press while its `with` block runs. `listens`: there is a terminal with keys.

    Ctrl-C and the terminal's other keys stay as they are; what is typed is not shown meanwhile.
    """

    def __init__(self, press: Callable[[], None], stdin: int | None = None) -> None:
        """`stdin`: the file descriptor of the keys; the program's own input where not given."""
        self._press = press
        self._keys = _terminal() if stdin is None else stdin
        self._modes: list[Any] | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="doppelcam-key", daemon=True)

    @property
    def listens(self) -> bool:
        return self._keys is not None

    def __enter__(self) -> CoverKey:
        if sys.platform != "win32":
            self._wake, self._waker = os.pipe()
            os.set_blocking(self._waker, False)
            # The handler takes no lock: the thread that it interrupts may hold it.
            self._before = signal.signal(signal.SIGUSR1, lambda *_: self._tell(_SIGNAL))
            self._take_keys()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        if sys.platform == "win32":
            self._thread.join()
            return
        signal.signal(signal.SIGUSR1, self._before)
        self._tell(_END)
        self._thread.join()
        self.restore()
        os.close(self._wake)
        os.close(self._waker)

    def restore(self) -> None:
        """Give the terminal back as it was; also for a program that ends at once."""
        if sys.platform != "win32" and self._modes is not None and self._keys is not None:
            import termios

            with suppress(termios.error):
                termios.tcsetattr(self._keys, termios.TCSANOW, self._modes)
            self._modes = None

    def _tell(self, what: bytes) -> None:
        with suppress(BlockingIOError):  # there are presses enough in the pipe
            os.write(self._waker, what)

    def _listen(self) -> None:
        while not self._ending.is_set():
            if self._pressed():
                self._press()

    if sys.platform == "win32":

        def _pressed(self) -> bool:
            import msvcrt

            if self._keys is not None and msvcrt.kbhit():
                return msvcrt.getch() == _SPACE
            self._ending.wait(_POLL_S)
            return False

    else:

        def _take_keys(self) -> None:
            """Have each key at once and unseen, Ctrl-C as ever. Not in the background: the system would stop us."""
            import termios
            import tty

            if self._keys is None or not _in_front(self._keys):
                self._keys = None
                return
            try:
                self._modes = termios.tcgetattr(self._keys)
                tty.setcbreak(self._keys, termios.TCSANOW)
            except termios.error:
                self._keys = None

        def _pressed(self) -> bool:
            keys = [] if self._keys is None else [self._keys]
            ready, _, _ = select.select([self._wake, *keys], [], [])
            if self._wake in ready:
                return _SIGNAL in os.read(self._wake, 4096)
            if self._keys is None or not _in_front(self._keys):
                self._ending.wait(_POLL_S)  # the shell reads them
                return False
            try:
                typed = os.read(self._keys, 4096)
            except OSError:
                typed = b""
            if not typed:  # the terminal is gone
                self._keys = None
            return _SPACE in typed


def _terminal() -> int | None:
    """The keys' file descriptor, where the program's input is a terminal."""
    try:
        return sys.stdin.fileno() if sys.stdin.isatty() else None
    except (AttributeError, OSError, ValueError):  # there may be no input at all
        return None


def _in_front(keys: int) -> bool:
    """Whether this program may read the terminal."""
    try:
        return os.tcgetpgrp(keys) == os.getpgrp()
    except OSError:  # not the terminal that rules us
        return True
