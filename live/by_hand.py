"""Covering by hand: what the panic key, the API and a button do, at once and for every sink."""

from __future__ import annotations

from live.guard import Guard
from live.outlets import Outlets
from live.trace import Clock

_HELD_NS = 1_000_000_000  # presses that come closer together are one: a key held down, or a nervous hand


class ByHand:
    """For any thread, but for no signal handler: it takes locks that the interrupted thread may hold."""

    def __init__(self, guard: Guard, outlets: Outlets, clock: Clock, *, lossless: bool) -> None:
        self._guard, self._outlets, self._clock, self._lossless = guard, outlets, clock, lossless
        self._pressed_ns = clock() - _HELD_NS

    def cover(self, on: bool) -> None:
        """When it returns, every picture that a sink begins to write is a cover, also where a live one was coming."""
        shown = self._guard.cover(on)
        if shown is not None and not self._lossless:  # where every frame counts, each of them becomes a cover
            self._outlets.deliver(shown)
        if on:
            self._outlets.settle()

    def key(self) -> None:
        """The key was pressed: cover, or show again. One that is held down or hit in panic only covers."""
        now = self._clock()
        since_ns, self._pressed_ns = now - self._pressed_ns, now
        if not self._guard.by_hand:
            self.cover(True)
        elif since_ns >= _HELD_NS:
            self.cover(False)
