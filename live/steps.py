"""The steps of a frame: find, swap, blend, mark; and what becomes of it where one fails. The loop has the threads."""

from __future__ import annotations

from collections.abc import Callable

from engines.errors import DoppelcamError, EngineLost, LoopFailed
from live.abreast import Abreast
from live.cast import Roles
from live.frame import Frame, Persona
from live.guard import STILL_BARE, Guard, covers_face, glimpse, still_bare
from live.parts import Finder, Parts, Swapper
from live.spans import Spans
from live.trace import Clock, Ledger
from live.track import Tracks
from live.wardrobe import Wardrobe

ENGINE_LOST = "engine lost, looking for it"


class Steps:
    """Each step changes the frame that it is given, and stamps it. `gave_up` says why the loop had to stop, if so."""

    def __init__(
        self,
        parts: Parts,
        guard: Guard,
        tracks: Tracks,
        roles: Roles,
        ledger: Ledger,
        spans: Spans,
        give_up_after: int,
        clock: Clock,
    ) -> None:
        self._parts, self._guard, self._tracks, self._ledger, self._spans = parts, guard, tracks, ledger, spans
        self._give_up_after, self._clock = give_up_after, clock
        self._roles, self._failures = roles, 0
        self._abreast = Abreast()
        self.gave_up: str | None = None
        self.wardrobe = Wardrobe(ledger)
        self.worn: Persona | None = None  # set before the first swap
        self._marked: Persona | None = None  # whom the marks know

    def close(self) -> None:
        """After the last frame."""
        self._abreast.close()

    def find(self, frame: Frame) -> None:
        self.wardrobe.make(self._parts.finder, lambda who: self._parts.check_told(who.name, who.disclosure))
        if hasattr(self._parts.finder, "irises"):
            self._parts.finder.irises = getattr(self._parts.swapper, "wants_irises", True)
        with self._spans("find", frame.number):
            found = self._parts.finder.find(frame.image, self._tracks.faces)
        with self._spans("track", frame.number):
            faces, frame.lost = self._tracks.update(found, frame.position_s, frame.image)
            frame.faces = self._roles.cast(faces, frame.image, frame.position_s)
        frame.trace.stamp("found", self._clock())

    def swap(self, frame: Frame) -> None:
        parts = self._parts
        parts.swapper, self.worn = self.wardrobe.change(parts.swapper, self.worn, self.put_on)
        frame.worn = self.worn
        if hasattr(parts.swapper, "spare"):
            parts.swapper.spare = frame.spare
        with self._spans("swap", frame.number):
            frame.patches = self._abreast.swap(parts.swapper, frame.image, frame.faces)
        if frame.faces and getattr(parts.swapper, "stood_in", False):
            self._ledger.count("stood_in")
        frame.trace.stamp("swapped", self._clock())

    def put_on(self, swapper: Swapper, persona: Persona) -> None:
        """Open this swapper and let it wear this persona."""
        swapper.open()
        swapper.wear(persona)
        self._ledger.engines_of(swapper)

    def blend(self, frame: Frame) -> None:
        pairs = list(zip(frame.faces, frame.patches, strict=True))
        if all(covers_face(face, patch, frame.image) for face, patch in pairs):
            before = [glimpse(patch, frame.image) for patch in frame.patches]
            with self._spans("blend", frame.number):
                for face, patch in pairs:
                    self._parts.blender.blend(frame.image, face, patch)
            bare = any(still_bare(patch, old, frame.image) for patch, old in zip(frame.patches, before, strict=True))
            frame.safe, frame.trouble = not bare, STILL_BARE if bare else None
        frame.trace.stamp("blended", self._clock())

    def mark(self, frame: Frame) -> None:
        if frame.worn is not None and frame.worn is not self._marked:
            self._guard.wear(frame.worn)
            self._marked = frame.worn
        with self._spans("mark", frame.number):
            self._guard.mark(frame)
        frame.trace.stamp("marked", self._clock())
        self._failures = 0

    def catch_up(self, part: Finder | Swapper) -> None:
        """Let this part learn from its last frame, which is on its way. What it must know it asks for again in the next
        one, so that a failure is seen to there.
        """
        if not hasattr(part, "catch_up"):
            return
        try:
            with self._spans("catch up"):
                part.catch_up()
        except Exception as error:
            self._ledger.error(_line(error))

    def attempt(self, frame: Frame, words: str, step: Callable[[Frame], None]) -> EngineLost | None:
        """Run this step unless one before it failed. A failure is noted in the frame, so that the guard covers it.

        A lost engine is given back: the frame goes on first, then the thread that owns the engine opens it again.
        """
        if frame.trouble is not None:
            return None
        try:
            step(frame)
        except EngineLost as error:
            frame.trouble, frame.safe = ENGINE_LOST, False
            self._ledger.count("failed")
            self._ledger.count("engine_lost")
            return error
        except Exception as error:
            self._failed(frame, words, error)
        return None

    def _failed(self, frame: Frame, words: str, error: Exception) -> None:
        """Mark the frame; give up when too many fail in a row."""
        frame.trouble, frame.safe = words, False
        line = _line(error)
        self._ledger.count("failed")
        self._ledger.error(f"{words}: {line}")
        self._failures += 1
        if self._failures >= self._give_up_after:
            self.gave_up = words
            raise LoopFailed(
                f"{self._failures} frames failed in a row; the last: {words}: {line}",
                hint="the cover was shown instead; see --report for the errors",
            ) from error


def _line(error: Exception) -> str:
    return error.message if isinstance(error, DoppelcamError) else f"{type(error).__name__}: {error}"
