"""Sets the patch into the picture by its alpha, softened at its edges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numba import types

from live.compiled import compiled
from live.frame import Face, Image, Mask, Patch
from live.settings import setting


@dataclass
class Feather:
    """Blender: a soft edge, nothing else."""

    soften: float = setting(
        0.02, "width of the soft edge, as part of the patch's width", low=0, high=0.2, step=0.005, live=True
    )

    def open(self) -> None:
        pass

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
        below = image[patch.y : patch.y + height, patch.x : patch.x + width]
        if below.shape != (height, width, 3) or below.strides[1:] != (3, 1) or below.dtype != np.uint8:
            raise ValueError(f"the patch {width}x{height} at {patch.x}, {patch.y} is not inside a picture in BGR")
        flat = np.lib.stride_tricks.as_strided(below, (height, 3 * width), (below.strides[0], 1))
        mix(flat, np.ascontiguousarray(patch.pixels).reshape(height, -1), cv2.merge([alpha] * 3).reshape(height, -1))


# For any rows, so that nothing is compiled later when a face is as wide as the picture, or is not.
_ROWS, _WHOLE = types.Array(types.uint8, 2, "A"), types.Array(types.uint8, 2, "C", readonly=True)


@compiled(types.void(_ROWS, _WHOLE, _WHOLE))
def mix(below, above, alpha):  # type: ignore[no-untyped-def]
    """`below` += (`above` - `below`) * alpha / 255, in place; all u8 [h, w * channels].

    Each byte alike and without a branch, so that the compiler makes it wide: four times as fast as pixel by pixel.
    """
    rows, columns = alpha.shape
    for y in range(rows):
        for x in range(columns):
            a = np.uint32(alpha[y, x])
            # x / 255, rounded, for 0..65025: (x + 128 + ((x + 128) >> 8)) >> 8
            s = np.uint32(below[y, x]) * (np.uint32(255) - a) + np.uint32(above[y, x]) * a + np.uint32(128)
            below[y, x] = np.uint8((s + (s >> np.uint32(8))) >> np.uint32(8))
