"""The gate before the sinks: no frame with a bare face passes it. What is not known to be safe becomes a cover."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from live import frame as values
from live.align import CORE
from live.cover import draw_cover
from live.frame import Face, Format, Frame, Image, Patch, Persona, SafeFrame, State
from live.parts import Mark
from live.settings import setting
from live.trace import Ledger, Trace

STARTING = "starting"
ENDED = "stopped"
NO_FACE = "no face in sight"
LOST = "looking for the face"
NOT_COVERED = "the new face does not cover the old one"
NOT_MARKED = "the marks are missing"
STILL_BARE = "the new face is the old one"
BY_HAND = "covered by hand"

_GLIMPSE = 4  # every n-th pixel is looked at
_CHANGED = 3.0  # grey levels, root mean square: less is what resampling and rounding do to the same face


@dataclass
class Guard:
    """Marks each frame, then decides: live, the last live frame again, or a cover. No frame leaves without its marks.

    `mark` and `judge` are called on one thread, `stand_in`, `cover` and `last_look` on any.
    """

    on_no_face: str = setting(
        "cover",
        "what to show while there is no face: a cover, the last swapped picture, or the bare camera picture",
        choices=("cover", "hold", "show"),
        live=True,
    )
    hold_ms: float = setting(
        300, "how long the last swapped picture stays when a face is missed", low=0, high=2000, step=50, live=True
    )

    permit: Callable[[], str] = field(default_factory=lambda: lambda: "", init=False, repr=False)
    """Says in words why the face may not be shown any more, "" while it may; asked for each frame."""

    worn: Persona | None = field(default=None, init=False)
    """Who is in the pictures; None before the first one."""

    _ledger: Ledger | None = field(default=None, init=False)
    _format: Format | None = field(default=None, init=False)
    _covers: dict[str, Image] = field(default_factory=dict, init=False)
    _last: SafeFrame | None = field(default=None, init=False)
    _empty_since: float | None = field(default=None, init=False)
    _marks: Sequence[Mark] = field(default=(), init=False)
    _by_hand: bool = field(default=False, init=False)
    _position_s: float | None = field(default=None, init=False)  # of the last frame
    _covered: bool = field(default=True, init=False)  # the last picture that left is a cover
    _told: bool = field(default=True, init=False)  # and the marks know
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def open(self, format: Format, ledger: Ledger, marks: Sequence[Mark] = ()) -> None:
        """Set the size of the covers, where decisions are counted, and what is written into each picture."""
        with self._lock:
            self._format, self._ledger, self._marks = format, ledger, marks
            # Drawn beforehand: this one has to come at once.
            self._covers = {BY_HAND: draw_cover(format.width, format.height, BY_HAND)}
            self._last = self._empty_since = self._position_s = None
            self._covered = True
        for mark in marks:
            mark.open(format)

    def wear(self, persona: Persona) -> None:
        """This face is worn from now on: the marks are told, and its own permission counts."""
        self.worn, self.permit = persona, persona.why_not
        for mark in self._marks:
            mark.wear(persona)

    def mark(self, frame: Frame) -> None:
        """Write the marks into a safe frame: without them `judge` does not let it pass. Raises what a mark raises."""
        self._told = self._covered
        if frame.safe:
            for mark in self._marks:
                mark.apply(frame.image, frame.position_s, self._told)
            frame.marked = True

    def close(self) -> None:
        for mark in self._marks:
            mark.close()

    def judge(self, frame: Frame) -> SafeFrame:
        """What to show for this frame. The frame's image is taken over: nobody may write to it again."""
        with self._lock:
            self._position_s = frame.position_s
            if self._by_hand:
                return self._cover(BY_HAND, frame.position_s)
            if why := self.permit():
                self._last = None
                return self._cover(why, frame.position_s)
            if frame.trouble is not None or frame.faces or frame.lost:
                self._empty_since = None
            if frame.trouble is not None:
                return self._cover(frame.trouble, frame.position_s)
            if frame.faces and not frame.lost:
                if not (frame.safe and len(frame.patches) == len(frame.faces)):
                    return self._cover(NOT_COVERED, frame.position_s)
                shown = self._pass(frame, "live")
                if shown.state == "live":
                    self._last = shown
                return shown
            if frame.lost:
                return self._hold(frame.position_s, self.hold_ms, LOST)
            if self._empty_since is None:
                self._empty_since = frame.position_s
            if self.on_no_face == "show" and (frame.position_s - self._empty_since) * 1000 >= self.hold_ms:
                return self._pass(frame, "bare")
            forever = self.on_no_face == "hold"
            return self._hold(frame.position_s, float("inf") if forever else self.hold_ms, NO_FACE)

    def stand_in(self, reason: str, position_s: float | None = None) -> SafeFrame:
        """A cover for when there is no frame to judge: before the first one, camera gone, engine stalled."""
        with self._lock:
            return self._cover(reason, position_s)

    @property
    def by_hand(self) -> bool:
        """Whether everything is covered because somebody asked for it."""
        return self._by_hand

    def cover(self, on: bool) -> SafeFrame | None:
        """From now on nothing but covers, or no longer so. The first such cover, None where none can be shown yet."""
        with self._lock:
            self._by_hand, self._last = on, None
            return self._cover(BY_HAND, self._position_s) if on and self._format is not None else None

    def last_look(self, shown: SafeFrame) -> SafeFrame:
        """What a sink shall get instead of what was judged earlier: since then all may have been covered by hand."""
        if not self._by_hand or shown.state == "cover":
            return shown
        with self._lock:
            return self._cover(BY_HAND, shown.position_s)

    def _pass(self, frame: Frame, state: State) -> SafeFrame:
        if not frame.marked:
            return self._cover(NOT_MARKED, frame.position_s)
        self._covered = self._covered and not self._told  # a cover may have come after this frame was marked
        return self._mint(frame.image, state, frame.position_s, frame.trace)

    def _hold(self, position_s: float, hold_ms: float, reason: str) -> SafeFrame:
        last = self._last
        if last is not None and last.position_s is not None:
            age_ms = (position_s - last.position_s) * 1000
            if 0 <= age_ms <= hold_ms:
                return self._mint(last.image, "hold", position_s, None)
        return self._cover(reason, position_s)

    def _cover(self, reason: str, position_s: float | None) -> SafeFrame:
        assert self._format is not None and self._ledger is not None, "open() comes first"
        if reason not in self._covers:
            self._covers[reason] = draw_cover(self._format.width, self._format.height, reason)
        self._ledger.cover(reason)
        self._covered = True
        return self._mint(self._covers[reason], "cover", position_s, None)

    def _mint(self, image: Image, state: State, position_s: float | None, trace: Trace | None) -> SafeFrame:
        if self._ledger is not None and state != "cover":
            self._ledger.count({"hold": "held"}.get(state, state))
        return SafeFrame(values._GUARDS_KEY, image, state, position_s, trace)


def covers_face(face: Face, patch: Patch, image: Image) -> bool:
    """Does the patch replace the face in this picture?

    True when the patch is well formed and its alpha is above one half at three quarters of the face's core points
    that lie inside the picture (of its five points, where there is no mesh). Points that the patch says are hidden
    behind something need no new face, but a third of all must be covered even so: a patch that calls the whole face
    hidden is not believed.
    """
    height, width = image.shape[:2]
    rows, columns = patch.alpha.shape[:2]
    if (
        patch.pixels.shape != (rows, columns, 3)
        or patch.alpha.shape != (rows, columns)
        or patch.pixels.dtype != np.uint8
        or patch.alpha.dtype != np.uint8
        or (patch.hidden is not None and (patch.hidden.shape != (rows, columns) or patch.hidden.dtype != np.uint8))
        or not (0 <= patch.x <= width - columns and 0 <= patch.y <= height - rows)
    ):
        return False
    core = face.mesh[list(CORE), :2] if face.mesh is not None else face.points
    if not np.isfinite(core).all():
        return False
    x, y = np.rint(core).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x[inside] - patch.x, y[inside] - patch.y
    hit = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    x, y = x[hit], y[hit]
    covers = patch.alpha[y, x] > 127
    excused = 0 if patch.hidden is None else int((~covers & (patch.hidden[y, x] > 127)).sum())
    covered, needed = int(covers.sum()), int(inside.sum())
    return covered * 4 >= 3 * (needed - excused) and covered * 3 >= needed


def glimpse(patch: Patch, image: Image) -> Image:
    """A copy of every fourth pixel of the picture where the patch lies; for `still_bare`."""
    rows, columns = patch.alpha.shape
    return image[patch.y : patch.y + rows : _GLIMPSE, patch.x : patch.x + columns : _GLIMPSE].copy()


def still_bare(patch: Patch, before: Image, image: Image) -> bool:
    """Whether the picture shows, where the patch should have replaced it, what it showed `before` (a `glimpse`).

    So it is when a net gives back what it was given, a patch lies in the camera's own buffer, or nothing was blended.
    A net that mixes some of the old face into the new one is not told by this.
    """
    where = patch.alpha[::_GLIMPSE, ::_GLIMPSE] > 127
    change = cv2.absdiff(glimpse(patch, image), before)[where]
    return change.size == 0 or float(np.square(change, dtype=np.float32).mean()) < _CHANGED**2
