"""Sharpness and grain: the new face is as soft and as noisy as the camera's picture around it.

Both are read from how fine detail falls off: the mean strength of the finest band of a picture over that of the next
one. A portrait shrunk to the face's size is sharper than most webcams; so it is fetched from a smaller atlas until
both ratios agree. Steps are small and slow: nobody sees them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from live.frame import Image

_EVERY = 3  # frames between two measurements
_SOFTEST = 3.0


@dataclass
class Detail:
    """What is remembered of one wearer: `softness` >= 1, how many times smaller the atlas is fetched."""

    softness: float = 1.0
    grain: float = 0.0
    _wearer: float = field(default=0.0, init=False)
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
        fell = _fall_off(new[part]) / max(_fall_off(here[part]), 1e-3)
        pace = 0.5 if self._frame < 10 else 0.15
        self.softness = float(np.clip(self.softness * fell**pace, 1.0, _SOFTEST))


def _fall_off(picture: Image) -> float:
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    soft = cv2.GaussianBlur(grey, (3, 3), 0.8)
    softer = cv2.GaussianBlur(soft, (5, 5), 1.4)
    fine, coarse = cv2.absdiff(grey, soft), cv2.absdiff(soft, softer)
    return float(fine.mean() / max(coarse.mean(), 0.05))
