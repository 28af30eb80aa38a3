"""Looks for the watermark: averages a second or two of pictures and correlates them with the public pattern.

Each picture is brought to the pattern's grid and whitened, so that its own strong edges do not drown the mark; over
many pictures the mark, which stays, adds up more than what moves. Phase-only correlation (Kuglin and Hines 1975) then
tells for every shift how much the sum looks like the pattern. The score is the height of the peak in standard
deviations of all shifts, which for pictures without the mark are spread as chance spreads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from live.frame import Floats, Image
from live.marks.watermark.pattern import CELL, COLUMNS, HEIGHT, PUBLIC_KEY, ROWS, WIDTH, owners, sync_field, words
from live.marks.watermark.payload import Payload, unpack

FOUND = 6.0
"""A score that counts for a whole picture; 7.5 where cut, mirrored and resized ones were searched for, in millions
of places."""
FOUND_BY_SEARCH = 7.5

_SLACK = 2  # grid pixels that resizing may shift a picture by
_SCALES = tuple(np.round(np.arange(0.7, 1.1501, 0.0125), 4))
_FINER = (0.9938, 0.9969, 1.0031, 1.0063)


class Sum:
    """Pictures of one size added up, whitened: f32 [HEIGHT, WIDTH]."""

    def __init__(self, *, keep_shape: bool = False) -> None:
        """`keep_shape`: fit the picture into the grid as it is; else stretch it over the grid, as the mark was."""
        self._keep_shape = keep_shape
        self._total = np.zeros((HEIGHT, WIDTH), np.float32)
        self.count = 0

    def add(self, image: Image) -> None:
        """BGR u8 of any size."""
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        if grey.shape[0] > grey.shape[1]:
            grey = grey.T  # an upright picture is marked along its long side
        size = (WIDTH, HEIGHT)
        if self._keep_shape:
            scale = min(WIDTH / grey.shape[1], HEIGHT / grey.shape[0])
            size = (max(round(grey.shape[1] * scale), 8), max(round(grey.shape[0] * scale), 8))
        shrinks = grey.shape[0] > size[1]
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
        y, x = (HEIGHT - size[1]) // 2, (WIDTH - size[0]) // 2
        self._total[y : y + size[1], x : x + size[0]] += whiten(grey.astype(np.float32))
        self.count += 1

    @property
    def mean(self) -> Floats:
        return np.asarray(self._total / max(self.count, 1), np.float32)


def whiten(grey: Floats) -> Floats:
    """Every place about as strong as every other: what remains of a picture is at most 2.5 deviations."""
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 4.0)
    deviation = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 8.0)) + 1.0
    return np.clip(fine / deviation, -2.5, 2.5)


@dataclass(frozen=True, slots=True)
class Place:
    """How the marked picture lies in what was received: whole (stretched over it), or as a search found it."""

    stretched: bool = True
    scale: float = 1.0
    mirrored: bool = False

    def undo(self, mean: Floats) -> Floats:
        """Lay the marked picture over the grid again, but for a shift."""
        if self.mirrored:
            mean = np.ascontiguousarray(mean[:, ::-1])
        if self.scale != 1.0:
            turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 0.0, self.scale)
            mean = np.asarray(cv2.warpAffine(mean, turn, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR), np.float32)
        return mean


@dataclass(frozen=True, slots=True)
class Hit:
    """The best place for the pattern: its score, the shift (x, y) in grid pixels, and what the payload's bytes score.

    `votes` f32 [BYTES, 256]: how much each byte looks like each of its values; sums of votes read better than one.
    """

    score: float
    shift: tuple[int, int]
    votes: Floats


class Detector:
    """Looks for one key's pattern."""

    def __init__(self, key: bytes = PUBLIC_KEY) -> None:
        self._key = key
        pattern = np.conj(np.fft.rfft2(sync_field(key)))
        fy, fx = np.abs(np.fft.fftfreq(HEIGHT))[:, None], np.abs(np.fft.rfftfreq(WIDTH))[None, :]
        radius = np.hypot(fx, fy) * 2 * CELL
        self._band = ((radius > 0.25) & (radius < 1.26)).astype(np.float32)  # where the pattern has its energy
        self._pattern = (_phase(pattern, 1e-3) * self._band).astype(np.complex64)
        yy, xx = np.hanning(HEIGHT)[:, None], np.hanning(WIDTH)[None, :]
        self._window = ((yy * xx) ** 0.25).astype(np.float32)

    def surface(self, mean: Floats) -> Floats:
        """The score of every shift, f32 [HEIGHT, WIDTH]: at row y, column x, of y down and x to the right."""
        spectrum = _phase(np.fft.rfft2(mean * self._window), 1e-3)
        surface = np.fft.irfft2(spectrum * self._pattern, s=(HEIGHT, WIDTH))
        return np.asarray(surface / (surface.std() + 1e-12), np.float32)

    def look(self, mean: Floats, place: Place = Place()) -> Hit:
        """The mark where it must be if the picture lies so."""
        laid = place.undo(mean)
        surface = self.surface(laid)
        if place.stretched:
            near = np.roll(surface, (_SLACK, _SLACK), (0, 1))[: 2 * _SLACK + 1, : 2 * _SLACK + 1]
            y, x = (int(i) - _SLACK for i in np.unravel_index(near.argmax(), near.shape))
        else:
            y, x = (int(i) for i in np.unravel_index(surface.argmax(), surface.shape))
        return Hit(float(surface[y, x]), (x, y), self._votes(np.roll(laid, (-y, -x), (0, 1))))

    def search(self, mean: Floats) -> tuple[float, Place]:
        """The best score over parts, enlargements and mirrored pictures, and how they lie. `mean` kept its shape."""
        best, place = -1.0, Place(stretched=False)
        for scales in (_SCALES, _FINER):
            for scale in scales if scales is _SCALES else [round(place.scale * k, 5) for k in scales]:
                for mirrored in (False, True) if scales is _SCALES else (place.mirrored,):
                    tried = Place(False, float(scale), mirrored)
                    score = float(self.surface(tried.undo(mean)).max())
                    if score > best:
                        best, place = score, tried
        return best, place

    def _votes(self, laid: Floats) -> Floats:
        spectrum = np.fft.rfft2(laid)
        even = np.fft.irfft2(_phase(spectrum, 0.05) * self._band, s=(HEIGHT, WIDTH)).astype(np.float32)
        squares = np.asarray(cv2.resize(even, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA), np.float32).ravel()
        squares = squares / (np.sqrt((squares * squares).mean()) + 1e-12)
        pairs = zip(words(self._key), owners(self._key), strict=True)
        return np.stack([choice.astype(np.float32) @ squares[own] for choice, own in pairs])


def _phase(spectrum: Any, floor: float) -> Any:
    """The spectrum with all its magnitudes alike; `floor`: those far under the mean one stay smaller."""
    size = np.abs(spectrum)
    return (spectrum / (size + floor * size.mean() + 1e-20)).astype(np.complex64)


def read(votes: Floats) -> Payload | None:
    """The payload for which most of the votes are, None where its checksum is wrong."""
    return unpack(bytes(int(v) for v in votes.argmax(1)))
