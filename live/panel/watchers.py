"""Who watches the panel: a mailbox for each page, in which the newest picture wins, a slow one delays nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

AFTER, BEFORE = "after", "before"
KINDS = (AFTER, BEFORE)
"""What can be watched: the picture that the sinks get; the camera's own."""

MOST = 16


class Watcher:
    """One open page. Used on the server's thread only."""

    def __init__(self, may: frozenset[str] = frozenset(KINDS)) -> None:
        """`may`: what this page may watch."""
        self.kinds: frozenset[str] = frozenset()
        self._may = may
        self.changed = asyncio.Event()
        self.stale = True  # the state that it was told is
        self._newest: dict[str, bytes] = {}
        self._taken = False  # a picture is on its way, and the page has not said that it came

    def watch(self, kinds: frozenset[str]) -> None:
        self.kinds = kinds & self._may
        self._newest = {kind: jpeg for kind, jpeg in self._newest.items() if kind in self.kinds}

    def offer(self, kind: str, jpeg: bytes) -> None:
        if kind in self.kinds:
            self._newest[kind] = jpeg
            self.changed.set()

    def take(self) -> tuple[str, bytes] | None:
        """The next picture for this page; None while there is none, or the last one is still on its way."""
        if self._taken or not self._newest:
            return None
        self._taken = True
        return next((kind, self._newest.pop(kind)) for kind in KINDS if kind in self._newest)

    def took(self) -> None:
        """The page has the last picture, and can take another."""
        self._taken = False
        self.changed.set()


class Watchers:
    """All of them. `post` runs a call on the server's thread."""

    def __init__(self, post: Callable[..., None]) -> None:
        self._post = post
        self._all: tuple[Watcher, ...] = ()  # replaced, never changed: it is read on other threads

    def add(self, may: frozenset[str] = frozenset(KINDS)) -> Watcher | None:
        """Server's thread; `may`: what it may watch. None: there are too many."""
        if len(self._all) >= MOST:
            return None
        watcher = Watcher(may)
        self._all = (*self._all, watcher)
        return watcher

    def remove(self, watcher: Watcher) -> None:
        """Server's thread."""
        self._all = tuple(one for one in self._all if one is not watcher)

    def wants(self, kind: str) -> bool:
        """Any thread: does anybody watch this?"""
        return any(kind in watcher.kinds for watcher in self._all)

    def show(self, kind: str, jpeg: bytes) -> None:
        """Any thread: a new picture of this kind."""
        self._post(self._offer, kind, jpeg)

    def wake(self) -> None:
        """Any thread: something has changed that pages show."""
        self._post(self._wake)

    def _offer(self, kind: str, jpeg: bytes) -> None:
        for watcher in self._all:
            watcher.offer(kind, jpeg)

    def _wake(self) -> None:
        for watcher in self._all:
            watcher.stale = True
            watcher.changed.set()
