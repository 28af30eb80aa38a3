"""Works on pictures byte by byte, each alike and without a branch, so that the compiler makes it wide: compiled."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from numba import types

from live.compiled import compiled
from live.frame import Image, Mask

# For any rows, so that nothing is compiled later when a face is as wide as the picture, or is not.
_ROWS = types.Array(types.uint8, 2, "A")
_WHOLE, _CHANGE = (types.Array(kind, 2, "C", readonly=True) for kind in (types.uint8, types.int8))


def rows_of(image: Image) -> npt.NDArray[Any]:
    """The same memory as u8 [h, w * 3]. Raises ValueError where a row of pixels does not lie in one piece."""
    height, width = image.shape[:2]
    if image.shape != (height, width, 3) or image.strides[1:] != (3, 1) or image.dtype != np.uint8:
        raise ValueError(f"{image.dtype} {image.shape} is no picture in BGR whose rows lie in one piece")
    return np.lib.stride_tricks.as_strided(image, (height, 3 * width), (image.strides[0], 1))


def lay_in(below: Image, above: Image, alpha: Mask) -> None:
    """`below` += (`above` - `below`) * alpha / 255, in place; u8 [h, w, 3] twice and u8 [h, w]. Raises ValueError."""
    height = len(alpha)
    mix(rows_of(below), np.ascontiguousarray(above).reshape(height, -1), cv2.merge([alpha] * 3).reshape(height, -1))


@compiled(types.void(_ROWS, _WHOLE, _WHOLE))
def mix(below, above, alpha):  # type: ignore[no-untyped-def]
    """As `lay_in`, on all bytes of the rows, u8 [h, w] each."""
    rows, columns = alpha.shape
    for y in range(rows):
        for x in range(columns):
            a = np.uint32(alpha[y, x])
            # x / 255, rounded, for 0..65025: (x + 128 + ((x + 128) >> 8)) >> 8
            s = np.uint32(below[y, x]) * (np.uint32(255) - a) + np.uint32(above[y, x]) * a + np.uint32(128)
            below[y, x] = np.uint8((s + (s >> np.uint32(8))) >> np.uint32(8))


@compiled(types.void(_ROWS, _CHANGE))
def change(picture, by):  # type: ignore[no-untyped-def]
    """`picture` u8 [h, w] += `by` i8 [h, w], in place, from 0 to 255; in 16 bits: twice as many at once as in 32."""
    rows, columns = by.shape
    for y in range(rows):
        for x in range(columns):
            v = np.int16(np.int16(picture[y, x]) + np.int16(by[y, x]))
            v = v if v > 0 else np.int16(0)
            picture[y, x] = np.uint8(v if v < 255 else np.int16(255))
