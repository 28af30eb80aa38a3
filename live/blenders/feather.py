"""Sets the patch into the picture by its alpha, softened at its edges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit

from live.frame import Face, Image, Mask, Patch
from live.settings import setting


@dataclass
class Feather:
    """Blender: a soft edge, nothing else."""

    soften: float = setting(0.02, "width of the soft edge, as part of the patch's width", low=0, high=0.2, step=0.005)

    def open(self) -> None:
        mix(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8))

    def close(self) -> None:
        pass

    def blend(self, image: Image, face: Face, patch: Patch) -> None:  # noqa: ARG002
        height, width = patch.alpha.shape
        alpha: Mask = patch.alpha
        radius = int(self.soften * width / 2)
        if radius > 0:
            box = (2 * radius + 1, 2 * radius + 1)
            # Inward only: outside the patch's own shape there is nothing to show.
            inner = cv2.erode(alpha, np.ones(box, np.uint8))
            alpha = np.asarray(cv2.blur(inner, box, borderType=cv2.BORDER_REPLICATE), np.uint8)
        mix(image[patch.y : patch.y + height, patch.x : patch.x + width], patch.pixels, alpha)


@njit(nogil=True, cache=True, boundscheck=False)
def mix(below, above, alpha):  # type: ignore[no-untyped-def]
    """`below` += (`above` - `below`) * alpha / 255, in place. u8 [h, w, 3] twice, u8 [h, w]."""
    rows, columns = alpha.shape
    for y in range(rows):
        for x in range(columns):
            a = np.int32(alpha[y, x])
            if a == 0:
                continue
            for c in range(3):
                old = np.int32(below[y, x, c])
                # x / 255, rounded, for 0..65025: (x + 128 + ((x + 128) >> 8)) >> 8
                s = old * (255 - a) + np.int32(above[y, x, c]) * a + 128
                below[y, x, c] = np.uint8((s + (s >> 8)) >> 8)
