"""Sharpness and grain: the new face is as soft and as noisy as the camera's picture around it.

Sharpness is read from how fine detail falls off: the mean strength of the finest band of a picture over that of the
next one. A portrait shrunk to the face's size is sharper than most webcams; so it is fetched from a smaller atlas until
both ratios agree. Grain is what the camera's finest band has more in its smooth places (its median, which edges do not
reach). All steps are small and slow: nobody sees them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from live.frame import Image

_EVERY = 3  # frames between two measurements, after the first second
_SOFTEST = 3.0
_LEAST_GRAIN, _MOST_GRAIN = 0.6, 12.0  # grey levels
_MOVING = 0.6  # the rest of what is fine and even in a picture is skin, which does not flicker
_TILE_PX = 512
_TILE_STRENGTH = 32
_FINE_OF_NOISE = 0.35  # strength that `_bands` finds in smooth places of noise of strength 1


@dataclass
class Detail:
    """What is remembered of one wearer: `softness` >= 1, how many times smaller the atlas is fetched; `grain`, the
    strength of the noise to add, in grey levels.
    """

    softness: float = 1.0
    grain: float = 0.0
    _frame: int = field(default=0, init=False)

    def compare(self, new: Image, here: Image) -> None:
        """Adapt to what was drawn (`new`) and what the camera saw in the same place, both u8 [h, w, 3]."""
        self._frame += 1
        if self._frame > 30 and self._frame % _EVERY:
            return
        rows, columns = new.shape[:2]
        if min(rows, columns) < 24:
            return
        part = slice(rows // 4, rows * 3 // 4), slice(columns // 4, columns * 3 // 4)
        fall_new, smooth_new = _bands(new[part])
        fall_here, smooth_here = _bands(here[part])
        pace = 0.5 if self._frame < 10 else 0.15
        self.softness = float(np.clip(self.softness * (fall_new / max(fall_here, 1e-3)) ** pace, 1.0, _SOFTEST))
        lacks = _MOVING * np.sqrt(max(smooth_here**2 - smooth_new**2, 0.0)) / _FINE_OF_NOISE
        self.grain += (float(min(lacks, _MOST_GRAIN)) - self.grain) * pace

    def add_grain(self, pixels: Image, tile: Noise) -> None:
        """Put the camera's noise on `pixels`, in place, another in each frame. `tile` is made by `noise`."""
        if self.grain >= _LEAST_GRAIN:
            tile.add_to(pixels, self._frame * 131, self._frame * 197, self.grain)


@dataclass
class Noise:
    """A tile of noise, int8 [_TILE_PX, _TILE_PX, 3]: mostly in the brightness, a little coarser than the pixels, as
    sensors and codecs leave it; of strength `_TILE_STRENGTH`.
    """

    tile: npt.NDArray[np.int8] = field(default_factory=lambda: _tile())
    _strength: int = field(default=0, init=False)
    _lighter: Image = field(init=False, repr=False)  # what is added and what is taken away, at that strength
    _darker: Image = field(init=False, repr=False)

    def add_to(self, pixels: Image, top: int, left: int, grain: float) -> None:
        """`pixels` u8 [h, w, 3] += the tile, repeated, from row `top` and column `left`; `grain` in grey levels."""
        strength = round(grain * 256 / _TILE_STRENGTH)
        if abs(strength - self._strength) * 10 > strength:  # less of a change is not seen in noise
            self._make(strength)
        y, x = top % _TILE_PX, left % _TILE_PX
        for y0 in range(0, pixels.shape[0], _TILE_PX):
            for x0 in range(0, pixels.shape[1], _TILE_PX):
                part = pixels[y0 : y0 + _TILE_PX, x0 : x0 + _TILE_PX]
                there = slice(y, y + part.shape[0]), slice(x, x + part.shape[1])
                cv2.add(part, self._lighter[there], dst=part)
                cv2.subtract(part, self._darker[there], dst=part)

    def _make(self, strength: int) -> None:
        """Twice as wide and high as the tile, so that a piece of its size begins anywhere."""
        self._strength = strength
        scaled = np.tile((self.tile.astype(np.int16) * strength) >> 8, (2, 2, 1))
        self._lighter = np.clip(scaled, 0, 255).astype(np.uint8)
        self._darker = np.clip(-scaled, 0, 255).astype(np.uint8)


def _tile() -> npt.NDArray[np.int8]:
    rng = np.random.default_rng(7)
    grey = np.asarray(cv2.GaussianBlur(rng.normal(0, 1, (_TILE_PX, _TILE_PX)), (0, 0), 0.6))
    colour = np.asarray(cv2.GaussianBlur(rng.normal(0, 1, (_TILE_PX, _TILE_PX, 3)), (0, 0), 1.0))
    tile = grey[..., None] / grey.std() + 0.35 * colour / colour.std()
    return np.asarray(np.clip(tile * (_TILE_STRENGTH / tile.std()), -127, 127), np.int8)


def _bands(picture: Image) -> tuple[float, float]:
    """How much of the next band's strength the finest has, and the finest's strength in smooth places."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    soft = cv2.GaussianBlur(grey, (3, 3), 0.8)
    softer = cv2.GaussianBlur(soft, (5, 5), 1.4)
    fine, coarse = cv2.absdiff(grey, soft), cv2.absdiff(soft, softer)
    counts = np.bincount(fine.ravel(), minlength=256).cumsum()
    half = counts[-1] / 2
    at = int(np.searchsorted(counts, half))
    before = counts[at - 1] if at else 0
    smooth = at - 0.5 + float((half - before) / max(counts[at] - before, 1))  # between whole levels
    return float(fine.mean() / max(coarse.mean(), 0.05)), max(smooth, 0.0)
