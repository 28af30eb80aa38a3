"""START HERE: the threads, the hand-overs between them, and the steps of a frame (steps.py) in order.

    camera thread    read, stamp, post at the entrance     an unread older frame is replaced and counted
    engine thread    take the newest, find, follow         as late as it can without making others wait (pace.py)
    swap thread      swap, where a net does it
    pixels thread    swap, where it is drawn; blend; mark  from here on the picture is read-only
                     then the guard decides
    sound thread     microphone -> virtual microphone      as late as the picture is
    a thread a sink  convert, write, stamp                 each has its own slot: a slow one drops its own frames
    main thread      watches: a cover when nothing comes, status, the end

One thread per resource, drops only at the entrance and at a slow sink. `lossless` (for files, as fast as it goes)
waits at those places instead, so that every frame that goes in comes out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2

from engines.errors import DoppelcamError, SourceLost
from live.by_hand import ByHand
from live.cast import Roles
from live.frame import Frame, Persona, SafeFrame
from live.guard import BY_HAND, ENDED, STARTING, Guard
from live.intake import Intake
from live.mailbox import Closed, Mailbox
from live.outlets import Outlets
from live.pace import Pace
from live.parts import Keyed, Parts, Swapper
from live.reopen import reopen
from live.settings import setting
from live.spans import Spans
from live.stage import Stage, errors_of, wait_opened
from live.steps import ENGINE_LOST, Steps
from live.trace import Clock, Ledger, clock
from live.track import Tracks
from live.wardrobe import Failed, Make

_TICK_S = 0.05
_CAMERA_LOST, _WAITING = "camera lost, looking for it", "waiting for a picture"


@dataclass
class LoopSettings:
    """How the loop itself behaves."""

    in_flight: int = setting(3, "frames inside at the same time, at most one a thread", low=1, high=3)
    stall_ms: float = setting(500, "without a new picture for so long, a cover is shown", low=100, high=5000, step=100)
    give_up_after: int = setting(10, "frames that fail in a row before the loop stops", low=1, high=1000)


class Loop:
    """Runs the parts until the source ends, `stop()` is called or something fails for good.

    With `outlets`, sinks that stay are left open with a cover on them, and whoever made the outlets closes them.
    """

    def __init__(
        self,
        parts: Parts,
        guard: Guard,
        tracks: Tracks,
        settings: LoopSettings,
        *,
        lossless: bool = False,
        ledger: Ledger | None = None,
        spans: Spans | None = None,
        clock: Clock = clock,
        spare: Callable[[], int] | None = None,
        outlets: Outlets | None = None,
        roles: Roles | None = None,
    ) -> None:
        self.parts, self.guard, self.tracks, self.settings = parts, guard, tracks, settings
        self.roles = roles or Roles()
        self.lossless = lossless
        self.ledger = ledger or Ledger(clock)
        self.spans = spans or Spans(on=False)
        self._clock = clock
        self._spare = spare or self._spare_now
        self._threads = ["engine", "pixels"] if parts.swapper.drawn else ["engine", "swap", "pixels"]
        self._pace = Pace(len(self._threads))
        self._entrance: Mailbox[Frame] = Mailbox(credits=min(settings.in_flight, len(self._threads)))
        self._found: Mailbox[Frame] = Mailbox()
        self._swapped: Mailbox[Frame] = self._found if parts.swapper.drawn else Mailbox()
        self._worn: Mailbox[Persona] = Mailbox()  # from the engine thread, which has the finder, to a drawn swap
        self._go = threading.Event()
        self.began = False  # did everything open, so that pictures were let through?
        self._stopping = threading.Event()
        self._outlets = outlets or Outlets()
        self._owns_outlets = outlets is None
        self._intake = Intake(parts, self.ledger, self.spans)
        self._steps = Steps(parts, guard, tracks, self.roles, self.ledger, self.spans, settings.give_up_after, clock)
        self._absent: str | None = None  # why nothing comes right now
        self._delivered_ns = 0
        self._position_s: float | None = None
        self._hand = ByHand(guard, self._outlets, clock, lossless=lossless)
        for sink in parts.sinks.values():
            if isinstance(sink, Keyed):
                sink.bind(self.cover_key)

    # ---- the caller's side

    def run(self, seconds: float | None = None, status: Callable[[], None] | None = None) -> None:
        """Open everything, run, finish everything. Raises what kept it from starting or made it stop.

        `status` is called about twenty times a second on the calling thread.
        """
        # Each thread does its own work: a pool inside of OpenCV wakes and spins for pieces that are too small for it.
        cv2.setNumThreads(1)
        stages = self._stages()
        try:
            self._start(stages)
            self._watch(stages, seconds, status)
        finally:
            self.stop()
            self._finish(stages)
        errors = errors_of([*stages, *self._outlets.stages])
        if errors:
            raise errors[0]

    def stop(self) -> None:
        """End the run soon; frames that are inside are still shown. May be called from any thread or signal."""
        self._stopping.set()

    @property
    def covered(self) -> bool:
        """Whether everything is covered by hand."""
        return self.guard.by_hand

    def cover(self, on: bool) -> None:
        """Cover every sink at once, until `cover(False)`; from any thread, also before the run. See by_hand.py."""
        self._hand.cover(on)

    def cover_key(self) -> None:
        """The key for it was pressed: cover, or show again, but not by a key that is held down."""
        self._hand.key()

    def wear(self, persona: Make, swapper: Swapper | None = None, failed: Failed | None = None) -> None:
        """Put on another face while running, drawn by another swapper if one is given; from any thread, done soon.

        Until it is done the old face or a cover is shown; if it fails the old face stays, the ledger tells why, and so
        does `failed`, on a thread of the loop. BadInput: the swapper is of the kind that lives on another thread.
        """
        self._steps.wardrobe.ask(persona, swapper, self.parts.swapper, failed)

    # ---- starting, watching, finishing

    def _stage(
        self,
        name: str,
        open: Callable[[], None],
        step: Callable[[], None],
        close: Callable[[], None],
        *mailboxes: Mailbox[Any],
    ) -> Stage:
        """A stage that closes the mailboxes at both its ends when it is over, so that its neighbours end too."""

        def done() -> None:
            for mailbox in mailboxes:
                mailbox.close()
            if name in ("swap", "pixels"):  # the engine thread may wait for a credit of theirs
                self._entrance.abandon()

        return Stage(name, open=open, step=step, close=close, done=done, go=self._go)

    def _stages(self) -> list[Stage]:
        sound = self.parts.sound
        found: list[Mailbox[Any]] = [self._entrance, self._found, self._worn]
        swap = self._stage("swap", self._open_swapper, self._swap_step, self._close_swapper, self._found, self._swapped)
        return [
            self._stage("camera", self._intake.open, self._camera_step, self.parts.source.close, self._entrance),
            self._stage("engine", self._open_engine, self._engine_step, self._close_engine, *found),
            *([] if self.parts.swapper.drawn else [swap]),
            self._stage("pixels", self._open_pixels, self._pixels_step, self._close_pixels, self._swapped),
            *([] if sound is None else [self._stage("sound", sound.open, self._sound_step, sound.close)]),
        ]

    def _start(self, stages: list[Stage]) -> None:
        """Open everything at once, but for two things: the sinks need to know the camera's format, and files are not
        begun before all the rest works. Raises what could not be opened."""
        for stage in stages:
            stage.start()
        look = self.guard.last_look
        self._outlets.begin(self.parts.sinks, self.ledger, self.spans, lossless=self.lossless, last_look=look)
        camera = stages[0]
        camera.opened.wait()
        format = self._intake.format
        if format is not None:
            self.guard.open(format, self.ledger, self.parts.marks)
            self.ledger.period_ms = 1000 / format.fps
            self._outlets.start(format, staying=True)
            if self._outlets.stages and not self.lossless:
                self._deliver(self.guard.stand_in(STARTING))
        wait_opened([*stages, *self._outlets.stages])
        assert format is not None, "an opened source has a format"
        marks = [type(mark).__name__.lower() for mark in self.parts.marks]
        self.ledger.marks(marks, format.session, self.parts.reason)
        self._outlets.start(format, staying=False)
        wait_opened(self._outlets.stages)

    def _watch(self, stages: list[Stage], seconds: float | None, status: Callable[[], None] | None) -> None:
        end_ns = None if seconds is None else self._clock() + int(seconds * 1e9)
        self._delivered_ns = self._clock()
        if not self.lossless:
            self._deliver(self.guard.stand_in(STARTING))
        self.began = True
        self._go.set()
        while not self._stopping.wait(_TICK_S):
            if any(not stage.alive for stage in stages) or not self._outlets.alive:
                return
            now = self._clock()
            if end_ns is not None and now >= end_ns:
                return
            silent_ms = (now - self._delivered_ns) / 1e6
            if not self.lossless and silent_ms > self.settings.stall_ms:
                position = None if self._position_s is None else self._position_s + silent_ms / 1000
                why = BY_HAND if self.covered else self._absent or self._intake.waiting or _WAITING
                self._deliver(self.guard.stand_in(why, position), stamp=False)
            if status is not None:
                status()

    def _finish(self, stages: list[Stage]) -> None:
        """Let the frames inside run out, stage by stage; a camera that hangs in a read is left behind."""
        self._entrance.close()
        self._go.set()
        for stage in stages:
            stage.join(1.0 if stage.name == "camera" else 30.0)
        self._steps.close()
        covered = self._intake.format is not None and self._outlets.stay
        self._outlets.end(self.guard.stand_in(self._steps.gave_up or ENDED) if covered else None)
        if self._owns_outlets:
            self._outlets.close()
        self.guard.close()

    # ---- camera thread

    def _camera_step(self) -> None:
        if self._stopping.is_set():
            raise Closed
        try:
            frame = self._intake.read()
        except SourceLost as error:
            self._find_again(_CAMERA_LOST, error, self.parts.source.close, self.parts.source.open)
            return
        if frame is None:
            return
        if self.lossless:
            self._entrance.hand(frame)
        else:
            self._pace.arrived(self._clock())
            if self._entrance.post(frame):
                self.ledger.count("dropped_entrance")

    # ---- engine thread

    def _open_engine(self) -> None:
        self.parts.finder.open()
        self.roles.open(self.parts.finder)
        self.ledger.engines_of(self.parts.finder)
        self.ledger.engines_of(self.roles)
        if self._steps.worn is None:  # opened for the first time
            self._worn.post(self.parts.persona(self.parts.finder))

    def _close_engine(self) -> None:
        self.roles.close()
        self.parts.finder.close()

    def _engine_step(self) -> None:
        hold = None if self.lossless else lambda: self._pace.hold_ns(self._clock()) / 1e9
        frame = self._entrance.take(self._pace.rest_ns() / 1e9, hold)
        if frame is None:  # the last one is out by now: any sooner, a machine of few cores would keep it waiting
            self._steps.catch_up(self.parts.finder)
            frame = self._entrance.take(hold_s=hold)
        frame.trace.stamp("taken", self._clock())
        frame.spare = frame.trace.spare = self._spare()
        with self._working("engine"):
            lost = self._steps.attempt(frame, "the swap failed", self._steps.find)
        self._found.hand(frame)
        if lost is not None:
            self._find_again(ENGINE_LOST, lost, self._close_engine, self._open_engine)

    def _spare_now(self) -> int:
        """What a swap that cannot keep up leaves out. Where every frame counts, and not its time: nothing."""
        extra_ns = int(getattr(self.parts.swapper, "extra_ms", 0.0) * 1e6)
        return 0 if self.lossless else self._pace.spare(1, self._clock(), extra_ns)

    # ---- the thread that swaps: its own for a net, the pixels thread for a drawn swap

    def _open_swapper(self) -> None:
        persona = self._steps.worn or self._worn.take()
        self._steps.put_on(self.parts.swapper, persona)
        self._steps.worn = persona

    def _close_swapper(self) -> None:
        self.parts.swapper.close()

    def _swap_step(self) -> None:
        frame = self._found.take()
        with self._working("swap"):
            lost = self._steps.attempt(frame, "the swap failed", self._steps.swap)
        self._swapped.hand(frame)
        self._steps.catch_up(self.parts.swapper)
        if lost is not None:
            self._find_again(ENGINE_LOST, lost, self._close_swapper, self._open_swapper)

    # ---- pixels thread

    def _open_pixels(self) -> None:
        self.parts.blender.open()
        if self.parts.swapper.drawn:
            self._open_swapper()

    def _close_pixels(self) -> None:
        if self.parts.swapper.drawn:
            self.parts.swapper.close()
        self.parts.blender.close()

    def _pixels_step(self) -> None:
        frame = self._swapped.take()
        with self._working("pixels"):
            lost = self._steps.attempt(frame, "the swap failed", self._steps.swap) if self.parts.swapper.drawn else None
            lost = self._steps.attempt(frame, "the blend failed", self._steps.blend) or lost
            self._steps.attempt(frame, "the marks failed", self._steps.mark)
            self._position_s = frame.position_s
            shown = self.guard.judge(frame)
            self.ledger.processed(frame.trace)
            self._deliver(shown)
            if self.parts.swapper.drawn:
                self._steps.catch_up(self.parts.swapper)
        self._entrance.credit()
        if lost is not None:
            self._find_again(ENGINE_LOST, lost, self._close_pixels, self._open_pixels)

    # ---- sound thread

    def _sound_step(self) -> None:
        sound = self.parts.sound
        assert sound is not None, "only a loop with sound has this thread"
        if self._stopping.is_set():
            raise Closed
        try:
            sound.step(self.ledger.sound_delay_ms)
        except SourceLost as error:
            self.ledger.error(error.message)
            reopen(sound.close, sound.open, self._stopping)

    @contextmanager
    def _working(self, thread: str) -> Iterator[None]:
        """Tell the pace how long this thread works on its frame, and the engine thread when it may start anew."""
        k = self._threads.index(thread)
        self._pace.begin(k, self._clock())
        try:
            yield
        finally:
            self._pace.end(k, self._clock())
            if k:
                self._entrance.nudge()

    # ---- when something goes wrong

    def _find_again(
        self, words: str, why: DoppelcamError, close: Callable[[], None], open: Callable[[], object]
    ) -> None:
        """Open the camera or a thread's parts again, however long that takes; the cover says what is missing."""
        self.ledger.error(why.message)
        self._absent = words
        reopen(close, open, self._stopping)
        self._absent = None

    def _deliver(self, shown: SafeFrame, *, stamp: bool = True) -> None:
        if stamp:
            self._delivered_ns = self._clock()
        self._outlets.deliver(shown)
