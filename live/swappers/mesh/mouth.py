"""The inside of the mouth stays the wearer's own: teeth, tongue and the dark between, moved along with the lips."""

from __future__ import annotations

from math import ceil, floor

import cv2
import numpy as np

from live.align import INNER_LIPS
from live.bytewise import lay_in
from live.frame import Floats, Image, Mask

_LIPS = list(INNER_LIPS)


def keep_mouth(pixels: Image, alpha: Mask, here: Image, old: Floats, points: Floats) -> None:
    """Fill what lies between the inner lips of the new face from the picture, in place.

    `here` u8 [h, w, 3]: the camera's picture under the patch; `old` and `points` [468, 3]: the wearer's mesh and the
    new face's, in pixels of the patch.
    """
    outline = points[_LIPS, :2]
    x0, y0, x1, y1 = box_in(outline, alpha)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    outline = outline - np.array([x0, y0], np.float32)
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    fill_outline(mask, outline, 255)
    back = affine(outline, old[_LIPS, :2])
    inside = cv2.warpAffine(
        here, back, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    lay_in(pixels[y0:y1, x0:x1], np.asarray(inside, np.uint8), mask)
    np.maximum(alpha[y0:y1, x0:x1], mask, out=alpha[y0:y1, x0:x1])


def affine(start: Floats, end: Floats) -> Floats:
    """The 2x3 matrix that brings points [n, 2] nearest to others, in least squares; it hardly scales across a line on
    which all of them lie (a shut mouth).
    """
    both = np.hstack([start, end])
    middle = both.sum(0) / len(both)
    off = both - middle
    (a, b, c, d), (_, e, f, g), *_ = (off.T @ off).tolist()
    pull = 0.02 * (a + e) + 1e-3
    a, c, e, g = a + pull, c + pull, e + pull, g + pull
    size = a * e - b * b
    turn = ((e * c - b * f) / size, (a * f - b * c) / size), ((e * d - b * g) / size, (a * g - b * d) / size)
    x, y, to_x, to_y = middle.tolist()
    return np.array([[p, q, to - p * x - q * y] for (p, q), to in zip(turn, (to_x, to_y), strict=True)], np.float32)


def box_in(outline: Floats, mask: Mask) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the pixels of `mask` in which an outline [n, 2] with soft edges lies."""
    (x0, y0), (x1, y1) = outline.min(0).tolist(), outline.max(0).tolist()
    rows, columns = mask.shape
    return max(floor(x0) - 1, 0), max(floor(y0) - 1, 0), min(ceil(x1) + 2, columns), min(ceil(y1) + 2, rows)


def fill_outline(mask: Mask, outline: Floats, value: int) -> None:
    """Draw a polygon [n, 2] (pixels) into `mask`, in place, with soft edges."""
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], value, cv2.LINE_AA, 4)
