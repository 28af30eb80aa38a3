"""START HERE: the threads, the hand-overs between them, and the steps of a frame in order.

    camera thread    read, stamp, post at the entrance     an unread older frame is replaced and counted
    engine thread    take the newest, find, follow         at most `in_flight` frames are inside
                     swap, where a net does it
    pixels thread    swap, where it is drawn; blend        from here on the picture is read-only
                     then the guard decides
    a thread a sink  convert, write, stamp                 each has its own slot: a slow one drops its own frames
    main thread      watches: a cover when nothing comes, status, the end

One thread per resource, drops only at the entrance and at a slow sink. `lossless` (for files, as fast as it goes)
waits at those places instead, so that every frame that goes in comes out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2

from engines.errors import DoppelcamError, EngineLost, LoopFailed, SourceLost
from live.cast import Roles
from live.frame import Captured, Format, Frame, Persona, SafeFrame
from live.guard import STARTING, Guard, covers_face
from live.mailbox import Closed, Mailbox
from live.outlets import Outlets
from live.parts import Blender, EndOfSource, Finder, Sink, Source, Swapper
from live.reopen import reopen
from live.settings import setting
from live.stage import Stage, errors_of, start_all
from live.trace import Clock, Ledger, Trace, clock
from live.track import Tracks
from live.wardrobe import Wardrobe

_TICK_S = 0.05
_CAMERA_LOST, _ENGINE_LOST = "camera lost, looking for it", "engine lost, looking for it"


@dataclass
class LoopSettings:
    """How the loop itself behaves."""

    in_flight: int = setting(2, "frames inside at the same time", low=1, high=8)
    stall_ms: float = setting(
        500, "without a new picture for so long, the cover is shown", low=100, high=5000, step=100
    )
    give_up_after: int = setting(10, "frames that fail in a row before the loop stops", low=1, high=1000)


@dataclass
class Parts:
    """The parts of one loop. `persona` is made with the finder, on the engine thread, before anything runs."""

    source: Source
    finder: Finder
    swapper: Swapper
    blender: Blender
    sinks: dict[str, Sink]
    persona: Callable[[Finder], Persona]


class Loop:
    """Runs the parts until the source ends, `stop()` is called or something fails for good."""

    def __init__(
        self,
        parts: Parts,
        guard: Guard,
        tracks: Tracks,
        settings: LoopSettings,
        *,
        lossless: bool = False,
        ledger: Ledger | None = None,
        clock: Clock = clock,
        roles: Roles | None = None,
    ) -> None:
        self.parts, self.guard, self.tracks, self.settings = parts, guard, tracks, settings
        self.lossless = lossless
        self.roles = roles or Roles()
        self.ledger = ledger or Ledger(clock)
        self._clock = clock
        self._entrance: Mailbox[Frame] = Mailbox(credits=settings.in_flight)
        self._swapped: Mailbox[Frame] = Mailbox()
        self._worn: Mailbox[Persona] = Mailbox()  # from the engine thread, which has the finder, to a drawn swap
        self._go = threading.Event()
        self._stopping = threading.Event()
        self._outlets = Outlets(parts.sinks, self.ledger, self._stopping, lossless=lossless)
        self._format: Format | None = None
        self._number = 0
        self._failures = 0
        self._persona: Persona | None = None
        self._wardrobe = Wardrobe(self.ledger)
        self._absent: str | None = None  # why nothing comes right now
        self._delivered_ns = 0
        self._position_s: float | None = None

    # ---- the caller's side

    def run(self, seconds: float | None = None, status: Callable[[], None] | None = None) -> None:
        """Open everything, run, finish everything. Raises what kept it from starting or made it stop.

        `status` is called about twenty times a second on the calling thread.
        """
        camera = self._stage("camera", self._open_source, self._camera_step, self.parts.source.close, self._entrance)
        engine = self._stage(
            "engine", self._open_engine, self._engine_step, self._close_engine,
            self._entrance, self._swapped, self._worn,
        )  # fmt: skip
        pixels = self._stage(
            "pixels", self._open_pixels, self._pixels_step, self._close_pixels, self._swapped, *self._outlets.boxes
        )
        stages = [camera, engine, pixels]
        try:
            start_all(stages)
            assert self._format is not None, "an opened source has a format"
            self.guard.open(self._format, self.ledger)
            self.ledger.period_ms = 1000 / self._format.fps
            sinks = [self._stage(*outlet) for outlet in self._outlets.stages(self._format)]
            stages += sinks
            start_all(sinks)
            self._watch(stages, sinks, seconds, status)
        finally:
            self.stop()
            self._finish(stages)
        errors = errors_of(stages)
        if errors:
            raise errors[0]

    def stop(self) -> None:
        """End the run soon; frames that are inside are still shown. May be called from any thread or signal."""
        self._stopping.set()

    def wear(self, persona: Callable[[Finder], Persona], swapper: Swapper | None = None) -> None:
        """Put on another face while running, drawn by another swapper if one is given; from any thread, done soon.

        Until it is done the old face or a cover is shown; if it fails the old face stays, and the ledger tells why.
        BadInput: the swapper is of the kind that lives on another thread.
        """
        self._wardrobe.ask(persona, swapper, self.parts.swapper)

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

        return Stage(name, open=open, step=step, close=close, done=done, go=self._go)

    def _watch(
        self,
        stages: list[Stage],
        sinks: list[Stage],
        seconds: float | None,
        status: Callable[[], None] | None,
    ) -> None:
        end_ns = None if seconds is None else self._clock() + int(seconds * 1e9)
        self._delivered_ns = self._clock()
        if not self.lossless:
            self._deliver(self.guard.stand_in(STARTING))
        self._go.set()
        while not self._stopping.wait(_TICK_S):
            if any(not stage.alive for stage in stages[:3]) or not any(stage.alive for stage in sinks):
                return
            now = self._clock()
            if end_ns is not None and now >= end_ns:
                return
            silent_ms = (now - self._delivered_ns) / 1e6
            if not self.lossless and silent_ms > self.settings.stall_ms:
                position = None if self._position_s is None else self._position_s + silent_ms / 1000
                self._deliver(self.guard.stand_in(self._absent or "waiting for a picture", position), stamp=False)
            if status is not None:
                status()

    def _finish(self, stages: list[Stage]) -> None:
        """Let the frames inside run out, stage by stage; a camera that hangs in a read is left behind."""
        self._entrance.close()
        self._go.set()
        for stage in stages:
            stage.join(1.0 if stage.name == "camera" else 30.0)

    # ---- camera thread

    def _open_source(self) -> None:
        self._format = self.parts.source.open()

    def _camera_step(self) -> None:
        if self._stopping.is_set():
            raise Closed
        try:
            captured = self.parts.source.read()
        except EndOfSource:
            raise Closed from None
        except SourceLost as error:
            self.ledger.count("source_lost")
            self._find_again(_CAMERA_LOST, error, self.parts.source.close, self.parts.source.open)
            return
        self.ledger.count("captured")
        frame = self._admit(captured)
        if self.lossless:
            self._entrance.hand(frame)
        elif self._entrance.post(frame):
            self.ledger.count("dropped_entrance")

    def _admit(self, captured: Captured) -> Frame:
        """Number and size the picture: the sinks were opened for one size, whatever the camera does later."""
        assert self._format is not None, "an opened source has a format"
        image = captured.image
        if image.shape[:2] != (self._format.height, self._format.width):
            image = cv2.resize(image, (self._format.width, self._format.height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        self._number += 1
        return Frame(self._number, image, captured.position_s, Trace(captured.captured_ns))

    # ---- engine thread

    def _open_engine(self) -> None:
        self.parts.finder.open()
        self.roles.open(self.parts.finder)
        self._note_engines(self.parts.finder)
        self._note_engines(self.roles)
        if self._persona is None:  # opened for the first time
            self._persona = self.parts.persona(self.parts.finder)
            self._worn.post(self._persona)
        if not self.parts.swapper.drawn:
            self._open_swapper(self.parts.swapper, self._persona)

    def _open_swapper(self, swapper: Swapper, persona: Persona) -> None:
        swapper.open()
        swapper.wear(persona)
        self._note_engines(swapper)

    def _note_engines(self, part: Finder | Swapper | Roles) -> None:
        for engine in getattr(part, "engines", ()):
            self.ledger.engine(engine.model, str(engine.variant), engine.fallback)

    def _close_engine(self) -> None:
        if not self.parts.swapper.drawn:
            self.parts.swapper.close()
        self.roles.close()
        self.parts.finder.close()

    def _engine_step(self) -> None:
        frame = self._entrance.take()
        assert frame is not None, "take without a time limit gives a frame"
        frame.trace.stamp("taken", self._clock())
        lost = self._try(frame, "the swap failed", self._find)
        self._swapped.hand(frame)
        if lost is not None:
            self._find_again(_ENGINE_LOST, lost, self._close_engine, self._open_engine)

    def _find(self, frame: Frame) -> None:
        self._wardrobe.make(self.parts.finder)
        found = self.parts.finder.find(frame.image, self.tracks.faces)
        faces, frame.lost = self.tracks.update(found, frame.position_s, frame.image)
        frame.faces = self.roles.cast(faces, frame.image, frame.position_s)
        frame.trace.stamp("found", self._clock())
        if not self.parts.swapper.drawn:
            self._swap(frame)

    def _swap(self, frame: Frame) -> None:
        parts = self.parts
        parts.swapper, self._persona = self._wardrobe.change(parts.swapper, self._persona, self._open_swapper)
        frame.patches = [parts.swapper.swap(frame.image, face) for face in frame.faces]
        frame.trace.stamp("swapped", self._clock())

    # ---- pixels thread

    def _open_pixels(self) -> None:
        self.parts.blender.open()
        if self.parts.swapper.drawn:
            persona = self._persona or self._worn.take()
            assert persona is not None, "take without a time limit gives a persona"
            self._open_swapper(self.parts.swapper, persona)

    def _close_pixels(self) -> None:
        if self.parts.swapper.drawn:
            self.parts.swapper.close()
        self.parts.blender.close()

    def _pixels_step(self) -> None:
        frame = self._swapped.take()
        assert frame is not None, "take without a time limit gives a frame"
        lost = self._try(frame, "the swap failed", self._swap) if self.parts.swapper.drawn else None
        lost = self._try(frame, "the blend failed", self._blend) or lost
        self._position_s = frame.position_s
        shown = self.guard.judge(frame)
        self.ledger.processed(frame.trace)
        self._deliver(shown)
        self._entrance.credit()
        if lost is not None:
            self._find_again(_ENGINE_LOST, lost, self._close_pixels, self._open_pixels)

    def _blend(self, frame: Frame) -> None:
        pairs = list(zip(frame.faces, frame.patches, strict=True))
        if all(covers_face(face, patch, frame.image) for face, patch in pairs):
            for face, patch in pairs:
                self.parts.blender.blend(frame.image, face, patch)
            frame.safe = True
        frame.trace.stamp("blended", self._clock())
        self._failures = 0

    # ---- when something goes wrong

    def _try(self, frame: Frame, words: str, step: Callable[[Frame], None]) -> EngineLost | None:
        """Run this step unless one before it failed. A failure is noted in the frame, so that the guard covers it.

        A lost engine is given back: the frame goes on first, then the thread that owns the engine opens it again.
        """
        if frame.trouble is not None:
            return None
        try:
            step(frame)
        except EngineLost as error:
            frame.trouble, frame.safe = _ENGINE_LOST, False
            self.ledger.count("failed")
            self.ledger.count("engine_lost")
            return error
        except Exception as error:
            self._failed(frame, words, error)
        return None

    def _find_again(
        self, words: str, why: DoppelcamError, close: Callable[[], None], open: Callable[[], object]
    ) -> None:
        """Open the camera or a thread's parts again, however long that takes; the cover says what is missing."""
        self.ledger.error(why.message)
        self._absent = words
        reopen(close, open, self._stopping)
        self._absent = None

    def _failed(self, frame: Frame, words: str, error: Exception) -> None:
        """Mark the frame; give up when too many fail in a row."""
        frame.trouble, frame.safe = words, False
        line = error.message if isinstance(error, DoppelcamError) else f"{type(error).__name__}: {error}"
        self.ledger.count("failed")
        self.ledger.error(f"{words}: {line}")
        self._failures += 1
        if self._failures >= self.settings.give_up_after:
            raise LoopFailed(
                f"{self._failures} frames failed in a row; the last: {words}: {line}",
                hint="the cover was shown instead; see --report for the errors",
            ) from error

    def _deliver(self, shown: SafeFrame, *, stamp: bool = True) -> None:
        if stamp:
            self._delivered_ns = self._clock()
        self._outlets.deliver(shown)
