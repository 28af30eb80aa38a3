"""Pictures to what a net takes, and back: bytes BGR side by side here, numbers RGB plane by plane there.

Compiled by numba without the GIL; compiled code is cached on disk after the first run.
"""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit

from live.align import around
from live.frame import Floats, Image


def cut_wide(image: Image, matrix: Floats, size: int) -> Image | None:
    """The crop u8 [size, size, 4], BGR and a byte of no meaning; outside the picture its border goes on. None where
    nothing of it lies in the picture.

    Four bytes a pixel, since OpenCV warps them twice as fast as three.
    """
    near = around(image, matrix, size)
    if near is None:
        return None
    part, matrix = near
    wide = cv2.cvtColor(part, cv2.COLOR_BGR2BGRA)
    return cv2.warpAffine(wide, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


@njit(nogil=True, cache=True, boundscheck=False, fastmath={"contract", "arcp", "nsz"})
def to_planes(crop, planes, scale, shift):  # type: ignore[no-untyped-def]
    """Fill `planes` f32 [k * k, 3, n, n], RGB, from `crop` u8 [k * n, k * n, 4]: each k-th pixel of each k-th row.

    `scale` and `shift` f32 [3]: what becomes of a byte of each plane.
    """
    count, _, n, _ = planes.shape
    k = crop.shape[0] // n
    for one in range(count):
        for y in range(n):
            for c in range(3):
                for x in range(n):
                    byte = crop[y * k + one // k, x * k + one % k, 2 - c]
                    planes[one, c, y, x] = np.float32(byte) * scale[c] + shift[c]


@njit(nogil=True, cache=True, boundscheck=False, fastmath={"contract", "arcp", "nsz"})
def to_pixels(planes, one, colours, margin, pixels):  # type: ignore[no-untyped-def]
    """Write `planes` f32 [3, n, n], RGB, into `pixels` u8 [k * n + 2 * margin, same, 4] as its `one`-th part, BGR.

    `colours` f32 [3, 4]: the map from the planes, in the order BGR, to bytes BGR.
    """
    n = planes.shape[1]
    k = (pixels.shape[0] - 2 * margin) // n
    row = np.empty((3, n), np.uint8)
    for y in range(n):
        for c in range(3):
            b, g, r, more = colours[c, 0], colours[c, 1], colours[c, 2], colours[c, 3] + np.float32(0.5)
            for x in range(n):
                value = planes[2, y, x] * b + planes[1, y, x] * g + planes[0, y, x] * r + more
                row[c, x] = np.uint8(np.int32(min(max(value, np.float32(0)), np.float32(255))))
        place = pixels[margin + y * k + one // k]
        for x in range(n):
            at = margin + x * k + one % k
            place[at, 0] = row[0, x]
            place[at, 1] = row[1, x]
            place[at, 2] = row[2, x]


@njit(nogil=True, cache=True, boundscheck=False, fastmath={"contract", "arcp", "nsz"})
def shrink(planes, small):  # type: ignore[no-untyped-def]
    """Add `planes` f32 [3, n, n], RGB, averaged down, to `small` f32 [m, m, 3], BGR; n is a multiple of m."""
    n, m = planes.shape[1], small.shape[0]
    k = n // m
    part = np.float32(1) / np.float32(k * k)
    row = np.empty(n, np.float32)
    for c in range(3):
        for y in range(m):
            row[:] = planes[c, y * k]
            for i in range(1, k):
                for x in range(n):
                    row[x] += planes[c, y * k + i, x]
            for x in range(m):
                total = np.float32(0)
                for i in range(k):
                    total += row[x * k + i]
                small[y, x, 2 - c] += total * part


@njit(nogil=True, cache=True, boundscheck=False)
def span(picture):  # type: ignore[no-untyped-def]
    """How far apart the levels of a small picture [h, w, 3] lie, in the colour in which they do most."""
    most = 0.0
    for c in range(3):
        low = high = np.float64(picture[0, 0, c])
        for y in range(picture.shape[0]):
            for x in range(picture.shape[1]):
                value = np.float64(picture[y, x, c])
                low, high = min(low, value), max(high, value)
        most = max(most, high - low)
    return most


@njit(nogil=True, cache=True, boundscheck=False)
def with_alpha(pixels, margin, alpha):  # type: ignore[no-untyped-def]
    """Set the fourth byte of `pixels` u8 [m, m, 4] to `alpha` u8 [m, m], and let its picture's edge go on outside."""
    m = pixels.shape[0]
    last = m - 1 - margin
    for y in range(m):
        from_y = min(max(y, margin), last)
        for x in range(m):
            if y < margin or y > last or x < margin or x > last:
                from_x = min(max(x, margin), last)
                pixels[y, x, 0] = pixels[from_y, from_x, 0]
                pixels[y, x, 1] = pixels[from_y, from_x, 1]
                pixels[y, x, 2] = pixels[from_y, from_x, 2]
            pixels[y, x, 3] = alpha[y, x]


def compile_all() -> None:
    """Compile now, not in the first frame."""
    planes, wide = np.zeros((1, 3, 8, 8), np.float32), np.zeros((8, 8, 4), np.uint8)
    to_planes(wide, planes, np.ones(3, np.float32), np.zeros(3, np.float32))
    pixels = np.zeros((10, 10, 4), np.uint8)
    to_pixels(planes[0], 0, np.eye(3, 4, dtype=np.float32), 1, pixels)
    with_alpha(pixels, 1, np.zeros((10, 10), np.uint8))
    small = np.zeros((4, 4, 3), np.float32)
    shrink(planes[0], small)
    span(small)
    span(small.astype(np.uint8))
