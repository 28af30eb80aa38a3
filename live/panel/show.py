"""The show: one loop at a time, begun, changed and ended from any thread. Cameras stay open, covered, in between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from engines.errors import BadInput, DoppelcamError, LoopFailed
from live.address import shown
from live.app import kind_of, loop_of, opened_finder, parts_of, recorded, source_of
from live.cast import each_of
from live.loop import Loop
from live.outlets import Outlets
from live.panel import controls
from live.panel.preview import Mirror, Preview
from live.panel.watchers import Watchers
from live.parts import Keyed, Parts, Source
from live.personas import enrol
from live.run import Run
from live.settings import settings_of

T = TypeVar("T")

_PAGES = ("browser", "mjpeg", "webrtc")  # parts with a page, whose address holds a secret


class Show:
    """`run` is what is wanted; `work` carries it out, on the main thread. Everything else may be called on any thread.

    Raises, where called, what is wrong with a wish; what goes wrong later is in `state()` as its trouble.
    """

    def __init__(self, run: Run, watchers: Watchers, preview: Preview | None = None) -> None:
        self.run = run
        self.preset = ""  # whose settings these are, where nothing was changed since
        self.watchers = watchers
        self.swappers: tuple[str, ...] = ("mesh",)  # the kinds in use
        self._preview = preview or Preview(watchers)
        self._outlets = Outlets()
        self._changed = threading.Condition()
        self._wishes = threading.Lock()
        self._wanted: Run | None = None
        self._playing: Run | None = None  # the wish that is being carried out
        self._over = False
        self._covered = False
        self._loop: Loop | None = None
        self._phase = "off"
        self._trouble: dict[str, str] | None = None
        self._task = ""  # of a challenge: what the person before the camera shall do

    # ---- wishes

    def start(self, run: Run | None = None) -> None:
        """Begin, or begin anew with other settings. Raises what is wrong with them."""
        if run is not None:
            parts_of(run, self._also)
        with self._changed:
            if run is not None and run != self.run:
                self.preset = ""
            self.run = replace(run or self.run)  # an object of its own: a wish is known by it
            self._wanted, self._trouble = self.run, None
            self._end_loop()

    def check(self) -> None:
        """Raises what is wrong with what is wanted."""
        self._set_swappers(parts_of(self.run, self._also))

    def complain(self, error: DoppelcamError) -> None:
        """Show this as trouble, until the next start."""
        self._trouble = _told(error)

    def change(self, wish: Callable[[Run], Run], preset: str = "") -> None:
        """Go on with what `wish` makes of the present run, that preset's if one is named: changed while it plays where
        that works, else begun anew; for the next start while it is off. Raises what is wrong with it.
        """
        with self._wishes:  # of two at the same time the second builds on the first
            run = wish(self.run)
            others = replace(run, tree={}) != replace(self.run, tree={})
            parts = parts_of(run, self._also) if others else None  # what is wrong is told to whoever asks
            with self._changed:
                loop, playing = self._loop, self._wanted is not None
                done = loop is not None and self._adapt(loop, run, parts)
                self.run, self.preset = run, preset
                if done:  # the wish goes on under its new name
                    self._wanted = self._playing = run
                    self._trouble = None
            if playing and not done:
                self.start(run)
            if parts is not None:
                self._set_swappers(parts)
        self.watchers.wake()

    def stop(self) -> None:
        with self._changed:
            self._wanted = None
            self._end_loop()

    def end(self) -> None:
        """Stop for good: `work` returns soon."""
        with self._changed:
            self._over, self._wanted = True, None
            self._end_loop()

    def cover(self, on: bool) -> None:
        """Show the cover everywhere, now and until told otherwise, through stops and starts."""
        with self._changed:
            self._covered, loop = on, self._loop
        if loop is not None:
            loop.cover(on)
        self.watchers.wake()

    def cover_key(self) -> None:
        """The key for it was pressed, on the terminal or in a window: cover, or show again."""
        with self._changed:
            loop = self._loop
        if loop is None:
            self.cover(not self._covered)
        else:
            loop.cover_key()
            self._covered = loop.covered
            self.watchers.wake()

    def challenge(self, photos: enrol.Photos) -> str:
        """Hold "is it you?" before the camera; what goes into the record. `state` has what to tell. Raises BadInput."""

        def hold(source: Source) -> str:
            enrol.demand_camera(source)
            with opened_finder() as finder:
                return enrol.challenge(source, finder, photos, self._tell).record

        try:
            return self._with_camera(hold)
        finally:
            self._tell("")

    def _tell(self, words: str) -> None:
        self._task = words
        self.watchers.wake()

    def _with_camera(self, work: Callable[[Source], T]) -> T:
        """Do something with the camera while the loop is off; it goes on afterwards."""
        with self._changed:
            before = self._wanted
            self._wanted = None
            self._end_loop()
            self._changed.wait_for(lambda: self._loop is None and self._phase != "starting")
        try:
            return work(source_of(self.run))
        finally:
            if before is not None:
                self.start()

    # ---- what pages show

    def state(self) -> dict[str, Any]:
        """What is so at the moment, as JSON."""
        with self._changed:
            loop, run = self._loop, self.run
            found: dict[str, Any] = {
                "phase": self._phase,
                "covered": self._covered,
                "task": self._task,
                "trouble": self._trouble,
                "source": shown(run.source),
                "sinks": [shown(sink) for sink in run.sinks],
                "face": run.face,
                "preset": self.preset,
                "swappers": self.swappers,
                "worn": None,
                "figures": None,
                "addresses": {},
            }
        if loop is not None:
            worn = loop.guard.worn
            if worn is not None:
                found["worn"] = {"name": worn.name, "disclosure": worn.disclosure}
            found["addresses"] = _addresses(loop)
            found["figures"] = {**loop.ledger.status(next(iter(loop.parts.sinks))), **_in_words(loop)}
        return found

    # ---- the main thread

    def work(self) -> None:
        """Carry out wishes until `end`."""
        try:
            while (run := self._next()) is not None:
                self._play(run)
        finally:
            self._outlets.close()

    def _next(self) -> Run | None:
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._wanted is not None)
            if not self._over:
                self._phase = "starting"
            self._playing = self._wanted
        self.watchers.wake()
        return None if self._over else self._playing

    def _play(self, run: Run) -> None:
        trouble: DoppelcamError | None = None
        try:
            parts = parts_of(run, self._also)
            parts.source = Mirror(parts.source, self.watchers)
            loop = loop_of(run, parts, outlets=self._outlets)
            for sink in parts.sinks.values():
                if isinstance(sink, Keyed):
                    sink.bind(self.cover_key)
            with self._changed:
                if self._wanted is not run:
                    return
                self._loop = loop
                self._set_swappers(parts)
                if self._covered:
                    loop.cover(True)
            with recorded(loop) as begun:
                loop.run(status=lambda: self._live(begun))
        except DoppelcamError as error:
            trouble = error
        except Exception as error:
            trouble = LoopFailed(f"{type(error).__name__}: {error}", hint="please report this")
        finally:
            with self._changed:
                self._loop = None
                if self._wanted is self._playing:  # it ended by itself
                    self._wanted = None
                self._phase = "off"
                if trouble is not None:
                    self._trouble = _told(trouble)
                self._changed.notify_all()
            self.watchers.wake()

    def _live(self, begun: Callable[[], None]) -> None:
        begun()
        if self._phase != "live":
            self._phase = "live"
            self.watchers.wake()

    @property
    def _also(self) -> dict[str, Any]:
        return {"preview": self._preview}

    def _end_loop(self) -> None:
        if self._loop is not None:
            self._phase = "stopping"
            self._loop.stop()
        self._changed.notify_all()
        self.watchers.wake()

    def _adapt(self, loop: Loop, run: Run, parts: Parts | None) -> bool:
        """Bring this loop to the new run while it plays; False where that takes a new one, or one is on its way."""
        old = self.run
        if self._wanted is None or self._wanted is not self._playing or not loop.began:
            return False
        if replace(run, face=old.face, tree={}) != replace(old, tree={}):
            return False
        if not controls.apply(loop, controls.differences(old, run)):
            return False
        if run.face == old.face:
            return True
        assert parts is not None, "another face takes other parts"
        return not run.more_faces and _change(loop, parts, lambda error: self._stays(loop, old, run, error))

    def _stays(self, loop: Loop, old: Run, run: Run, error: DoppelcamError) -> None:
        """The loop could not put on the face of `run` after all."""
        with self._changed:
            if self._loop is loop and self._wanted is self._playing and self.run.face == run.face:
                self.run = replace(self.run, face=old.face)
                self.preset = ""
                self._wanted = self._playing = self.run
                self._set_swappers(loop.parts)
            self._trouble = _told(error)
        self.watchers.wake()

    def _set_swappers(self, parts: Parts) -> None:
        self.swappers = tuple(dict.fromkeys(kind_of(one) for one in each_of(parts.swapper)))


def _told(error: DoppelcamError) -> dict[str, str]:
    return {"message": error.message, "hint": error.hint or ""}


def _change(loop: Loop, wanted: Parts, failed: Callable[[DoppelcamError], None]) -> bool:
    """Put the face of these parts on in this loop; False where that takes a new one."""
    old, new = each_of(loop.parts.swapper), each_of(wanted.swapper)
    alike = len(old) == len(new) and all(
        type(a) is type(b) and all(getattr(a, f.name) == getattr(b, f.name) for f in settings_of(type(a)))
        for a, b in zip(old, new, strict=True)
    )
    try:
        loop.wear(wanted.persona, None if alike else wanted.swapper, failed)
    except BadInput:
        return False
    return True


def _addresses(loop: Loop) -> dict[str, str]:
    """Where the pages of these parts are, by name."""
    source: Any = loop.parts.source
    parts: dict[str, Any] = {"browser": source.source if isinstance(source, Mirror) else source, **loop.parts.sinks}
    return {name: part.url for name, part in parts.items() if kind_of(part) in _PAGES and part.url}


def _in_words(loop: Loop) -> dict[str, Any]:
    notes = loop.ledger.notes()
    return {**notes, "period_ms": loop.ledger.period_ms}
