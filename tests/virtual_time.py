"""A clock of its own for real threads: the loop runs as it is, one thread at a time; time passes when all wait.

What `threading` and `time` give to live/mailbox, stage, loop is replaced; whoever works calls `World.work`. The same
run gives the same result always, on any machine, and a minute of it takes about a second.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from types import SimpleNamespace

import live.loop
import live.mailbox
import live.outlets
import live.stage


class World:
    def __init__(self):
        self.now_ns = 1_000_000_000
        self._ready = deque()
        self._timers = []
        self._numbers = itertools.count()
        self._me = threading.local()
        self._me.baton = threading.Semaphore(0)

    def install(self, monkeypatch):
        world = self
        fake = SimpleNamespace(
            Condition=lambda: _Condition(world),
            Event=lambda: _Event(world),
            Thread=lambda **k: _Thread(world, **k),
            RLock=threading.RLock,  # an outlet's own: nobody else comes for it here
        )
        for module in (live.mailbox, live.stage, live.loop, live.outlets):
            monkeypatch.setattr(module, "threading", fake)
        monkeypatch.setattr(live.mailbox, "time", SimpleNamespace(monotonic=lambda: world.now_ns / 1e9))
        return self

    def clock(self):
        return self.now_ns

    def work(self, seconds):
        """The calling thread is busy (or asleep, below 0) for so long."""
        if seconds:
            self.wait(_Place(), abs(seconds))

    def wait(self, place, seconds=None):
        """Sleep at a place until somebody wakes it, or so long."""
        sleeper = _Sleeper(self._me.baton)
        place.sleepers.append(sleeper)
        if seconds is not None:
            at = self.now_ns + max(0, round(seconds * 1e9))
            heapq.heappush(self._timers, (at, next(self._numbers), sleeper))
        self._hand_over(sleeper.baton)

    def wake(self, place):
        for sleeper in place.sleepers:
            if not sleeper.awake:
                sleeper.awake = True
                self._ready.append(sleeper.baton)
        place.sleepers.clear()

    def start(self, baton):
        self._ready.append(baton)

    def run_with(self, baton):
        """Called on a new thread: waits for its turn."""
        self._me.baton = baton
        baton.acquire()

    def leave(self):
        self._hand_over(None)

    def _hand_over(self, mine):
        if self._ready:
            following = self._ready.popleft()
        else:
            while True:
                assert self._timers, "every thread waits and nothing will wake them"
                at, _, sleeper = heapq.heappop(self._timers)
                if not sleeper.awake:
                    break
            sleeper.awake = True
            self.now_ns = max(self.now_ns, at)
            following = sleeper.baton
        if following is mine:
            return
        following.release()
        if mine is not None:
            mine.acquire()


class _Place:
    def __init__(self):
        self.sleepers = []


class _Sleeper:
    def __init__(self, baton):
        self.baton = baton
        self.awake = False


class _Condition(_Place):
    """No lock: only one thread runs at a time, and it is never interrupted."""

    def __init__(self, world):
        super().__init__()
        self._world = world

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def wait(self, timeout=None):
        self._world.wait(self, timeout)

    def notify_all(self):
        self._world.wake(self)


class _Event(_Place):
    def __init__(self, world):
        super().__init__()
        self._world, self._on = world, False

    def set(self):
        self._on = True
        self._world.wake(self)

    def is_set(self):
        return self._on

    def wait(self, timeout=None):
        if not self._on:
            self._world.wait(self, timeout)
        return self._on


class _Thread:
    def __init__(self, world, *, target, name, daemon):
        self._world, self._target = world, target
        self._baton = threading.Semaphore(0)
        self._over = _Event(world)
        self._thread = threading.Thread(target=self._run, name=name, daemon=daemon)

    @property
    def ident(self):
        return self._thread.ident

    def start(self):
        self._thread.start()
        self._world.start(self._baton)

    def is_alive(self):
        return self._thread.ident is not None and not self._over.is_set()

    def join(self, timeout=None):
        self._over.wait(timeout)

    def _run(self):
        self._world.run_with(self._baton)
        try:
            self._target()
        finally:
            self._over.set()
            self._world.leave()
