"""Follows a video and says in which stretches of it the watermark is, and what it says there."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from live.frame import Floats, Image
from live.marks.watermark.detector import FOUND, FOUND_BY_SEARCH, Detector, Hit, Place, Sum, read
from live.marks.watermark.pattern import HEIGHT, WIDTH
from live.marks.watermark.payload import Payload

WINDOW_S = 2.0  # pictures added up for one answer
_BLOCK = 5  # windows added up for a search, which takes a second of computing
_PERIOD_S = 1 / 16  # pictures closer together than this tell nothing new


@dataclass(slots=True)
class Stretch:
    """From this second up to that one the mark is there; `score` is the best of its windows.

    `payload` is None where the mark is too faint to be read. `place` says whether the whole picture is there.
    """

    from_s: float
    to_s: float
    score: float
    place: Place
    votes: Floats = field(repr=False)
    payload: Payload | None = None


@dataclass(slots=True)
class _Window:
    from_s: float
    to_s: float
    whole: Floats
    shaped: Floats


class Watch:
    """Give it the pictures of a video in order, then `finish`."""

    def __init__(self, detector: Detector | None = None) -> None:
        self._detector = detector or Detector()
        self._whole, self._shaped = Sum(), Sum()
        self._from_s: float | None = None
        self._last_s = self._taken_s = float("-inf")
        self._block: list[_Window] = []
        self.stretches: list[Stretch] = []
        self.best = 0.0
        """The best score of a whole picture so far, found or not."""

    def add(self, image: Image, at_s: float) -> None:
        """BGR u8, at this second of the video; times grow."""
        if self._from_s is not None and at_s - self._from_s >= WINDOW_S:
            self._end_window(at_s)
        self._last_s = at_s
        if at_s - self._taken_s < _PERIOD_S:
            return
        self._taken_s = at_s
        if self._from_s is None:
            self._from_s = at_s
            self._whole = Sum()
            long, short = max(image.shape[:2]), min(image.shape[:2])
            same = abs(long * HEIGHT - short * WIDTH) <= WIDTH * short // 50
            self._shaped = self._whole if same else Sum(keep_shape=True)
        self._whole.add(image)
        if self._shaped is not self._whole:
            self._shaped.add(image)

    def finish(self) -> list[Stretch]:
        """All stretches."""
        self._end_window(self._last_s)
        self._end_block()
        return self.stretches

    def _end_window(self, to_s: float) -> None:
        if self._from_s is not None:
            self._block.append(_Window(self._from_s, to_s, self._whole.mean, self._shaped.mean))
            self._from_s = None
        if len(self._block) == _BLOCK:
            self._end_block()

    def _end_block(self) -> None:
        hits = [self._detector.look(window.whole) for window in self._block]
        self.best = max([self.best, *(hit.score for hit in hits)])
        place = Place()
        if hits and not any(hit.score >= FOUND for hit in hits):
            place = self._place()
            hits = [self._detector.look(window.shaped, place) for window in self._block] if not place.stretched else []
        for window, hit in zip(self._block, hits, strict=False):
            if hit.score >= FOUND:
                self._note(window, hit, place)
        self._block = []

    def _place(self) -> Place:
        """Where a part of a marked picture, or a mirrored one, lies in this block; `Place()` if nowhere."""
        total = np.mean([window.shaped for window in self._block], axis=0, dtype=np.float32)
        score, place = self._detector.search(np.asarray(total, np.float32))
        return place if score >= FOUND_BY_SEARCH else Place()

    def _note(self, window: _Window, hit: Hit, place: Place) -> None:
        """Go on with the last stretch where this window belongs to it, else begin one."""
        payload = read(hit.votes)
        last = self.stretches[-1] if self.stretches else None
        if last is None or last.to_s < window.from_s or (payload and last.payload and payload != last.payload):
            self.stretches.append(Stretch(window.from_s, window.to_s, hit.score, place, hit.votes, payload))
            return
        last.to_s, last.score, last.votes = window.to_s, max(last.score, hit.score), last.votes + hit.votes
        last.payload = last.payload or payload or read(last.votes)
