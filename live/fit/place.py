"""Where in the frame the net's picture belongs, and how it is drawn there. Matrices lead from the frame to pictures."""

from __future__ import annotations

from math import ceil, floor

import cv2
import numpy as np

from live.align import box_of
from live.align.crops import resized
from live.frame import Floats, Image, Mask

_LARGER = 1.6


def moved(matrix: Floats, size: int, scale: float, x: float, y: float) -> Floats:
    """The matrix to a picture of `size` px that is shown `scale` % as large, and `x`, `y` % of its side aside, down."""
    zoom = np.float32(100 / scale)
    middle = (size - 1) / 2
    right, down = (float(middle - zoom * (middle + size / 100 * way)) for way in (x, y))
    return shifted(matrix * zoom, right, down)


def shifted(matrix: Floats, x: float, y: float) -> Floats:
    """The matrix to a picture with so many pixels more at its left and its top."""
    return matrix + np.array([[0, 0, x], [0, 0, y]], np.float32)


def from_corner(matrix: Floats, left: int, top: int) -> Floats:
    """The matrix from a part of the frame, whose top left pixel this is."""
    return shifted(matrix, *(matrix[:, :2] @ (left, top)))


def shown_in(alpha: Mask, matrix: Floats, image: Image) -> tuple[int, int, int, int]:
    """The rectangle x0, y0, x1, y1 of the frame, ends excluded, in which anything of `alpha` is shown."""
    x, y, wide, tall = cv2.boundingRect(alpha)
    x0, y0, x1, y1 = box_of(matrix, x, y, wide, tall)
    height, width = image.shape[:2]
    return max(0, floor(x0) - 1), max(0, floor(y0) - 1), min(width, ceil(x1) + 2), min(height, ceil(y1) + 2)


def drawn(picture: Image, matrix: Floats, size: tuple[int, int], how: int, border: int) -> cv2.typing.MatLike:
    """`picture` as seen from `size` pixels (width, height); one that is much larger is averaged down first."""
    coarse = int(np.hypot(matrix[0, 0], matrix[1, 0]))
    if coarse > 1:
        side = max(2, len(picture) // coarse)
        matrix, picture = resized(matrix, side / len(picture)), small(picture, side)
    return cv2.warpAffine(picture, matrix, size, flags=how | cv2.WARP_INVERSE_MAP, borderMode=border)


def finer(picture: Image, matrix: Floats, larger: float = _LARGER) -> tuple[Image, Floats]:
    """A picture that is to be drawn more than `larger` times as large as it is, doubled smoothly, and the matrix to
    that; else both as they are. Doubled first and then drawn by INTER_LINEAR it looks as by INTER_CUBIC, in a fifth of
    the time.
    """
    if float(np.hypot(matrix[0, 0], matrix[1, 0])) * larger >= 1:
        return picture, matrix
    twice = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    return np.asarray(twice, np.uint8), resized(matrix, 2)


def small(picture: Image, side: int) -> Image:
    """A square picture or mask, averaged down to `side` px."""
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
