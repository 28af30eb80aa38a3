"""Handing over one frame between two threads: post, hand, take, credit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar, overload

T = TypeVar("T")

_NO_TIME_S = 1e-6  # what rounding leaves


class Closed(Exception):
    """Nothing comes any more (for a taker), or nobody takes any more (for a giver)."""


class Mailbox(Generic[T]):
    """One slot. A giver either replaces what lies in it (`post`) or waits until it is free (`hand`).

    With `credits`, `take` uses one and waits while there is none: what was taken is "inside" until `credit()`
    gives it back. That bounds how many frames are on their way, and lets the newest win at the entrance.
    """

    def __init__(self, credits: int | None = None) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._credits = credits
        self._closed = False

    def post(self, item: T) -> bool:
        """Put `item` into the slot; True if an unread one was replaced. Raises Closed."""
        with self._changed:
            if self._closed:
                raise Closed
            replaced = self._item is not None
            self._item = item
            self._changed.notify_all()
            return replaced

    def hand(self, item: T) -> None:
        """Wait until the slot is free, then put `item` into it. Raises Closed."""
        with self._changed:
            while self._item is not None and not self._closed:
                self._changed.wait()
            if self._closed:
                raise Closed
            self._item = item
            self._changed.notify_all()

    @overload
    def take(self, *, hold_s: Callable[[], float] | None = None) -> T: ...

    @overload
    def take(self, timeout_s: float | None, hold_s: Callable[[], float] | None = None) -> T | None: ...

    def take(self, timeout_s: float | None = None, hold_s: Callable[[], float] | None = None) -> T | None:
        """Wait for an item (and a credit); None after `timeout_s`. Raises Closed when closed and empty.

        `hold_s` says how long an item that could be taken shall lie there still; it is asked again whenever anything
        changes.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while True:
                pause = None
                if self._item is not None and self._credits != 0:
                    pause = 0.0 if hold_s is None or self._closed else hold_s()
                    if pause <= 0:
                        break
                elif self._closed and self._item is None:
                    raise Closed
                left = None if end is None else end - time.monotonic()
                if left is not None and left < _NO_TIME_S:
                    return None
                self._changed.wait(min((t for t in (pause, left) if t is not None), default=None))
            item, self._item = self._item, None
            if self._credits is not None:
                self._credits -= 1
            self._changed.notify_all()
            return item

    def credit(self) -> None:
        """Give back the credit of an item that was taken."""
        with self._changed:
            if self._credits is not None:
                self._credits += 1
                self._changed.notify_all()

    def nudge(self) -> None:
        """Ask `hold_s` again: something has changed that it looks at."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing more comes in; what lies in the slot can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Close it, and drop what lies in it: nobody behind goes on, so that no credit would ever come back."""
        with self._changed:
            self._item = None
            self.close()
