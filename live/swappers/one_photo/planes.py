"""Pictures to what a net takes, and back: bytes BGR side by side here, numbers RGB plane by plane there.

Compiled by numba without the GIL; compiled code is cached on disk after the first run.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from live.align import around
from live.compiled import compiled
from live.frame import Floats, Image

Packed = npt.NDArray[np.uint32]


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


def packed(picture: Image) -> Packed:
    """A picture u8 [h, w, 4] as numbers u32 [h, w] in the same memory: what compiled loops are made wide for.

    The first byte, blue, is the lowest one, as on all processors that the nets' runtimes are made for.
    """
    return picture.view(np.uint32)[..., 0]


@compiled(inline="always")
def pack(b, g, r, a):  # type: ignore[no-untyped-def]
    low, high = np.uint32(b) | (np.uint32(g) << np.uint32(8)), np.uint32(r) | (np.uint32(a) << np.uint32(8))
    return np.uint32(low | (high << np.uint32(16)))


@compiled(fastmath={"contract", "arcp", "nsz"})
def to_planes(crop, planes, scale, shift):  # type: ignore[no-untyped-def]
    """Fill `planes` f32 [k * k, 3, n, n], RGB, from `crop`, packed [k * n, k * n]: each k-th pixel of each k-th row.

    `scale` and `shift` f32 [3]: what becomes of a byte of each plane.
    """
    count, _, n, _ = planes.shape
    k = crop.shape[0] // n
    row = np.empty(n, np.uint32)  # side by side, so that the loop over it is made wide
    for one in range(count):
        for y in range(n):
            from_ = crop[y * k + one // k, one % k :]
            for x in range(n):
                row[x] = from_[x * k]
            for c in range(3):
                down, times, more = np.uint32(16 - 8 * c), scale[c], shift[c]
                for x in range(n):
                    byte = np.int32((row[x] >> down) & np.uint32(255))
                    planes[one, c, y, x] = np.float32(byte) * times + more


@compiled(fastmath={"contract", "arcp", "nsz"})
def to_pixels(planes, one, colours, margin, alpha, pixels):  # type: ignore[no-untyped-def]
    """Write `planes` f32 [3, n, n], RGB, into `pixels`, packed [k * n + 2 * margin, same], as their `one`-th part.

    `colours` f32 [3, 4]: the map from the planes, in the order BGR, to bytes BGR; `alpha` u8 of the size of `pixels`.
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
        at_y, at_x = margin + y * k + one // k, margin + one % k
        shown, place = alpha[at_y, at_x:], pixels[at_y, at_x:]
        if k == 1:  # without steps between pixels the loop is made wide
            for x in range(n):
                place[x] = pack(row[0, x], row[1, x], row[2, x], shown[x])
        else:
            for x in range(n):
                place[x * k] = pack(row[0, x], row[1, x], row[2, x], shown[x * k])


@compiled()
def fill_margin(pixels, margin, alpha):  # type: ignore[no-untyped-def]
    """Let the picture in `pixels`, packed [m, m], go on into its margin, with the `alpha` u8 [m, m] of there."""
    m = pixels.shape[0]
    last = m - 1 - margin
    for y in range(m):
        row = pixels[min(max(y, margin), last)]
        inside = margin <= y <= last
        for x in range(m):
            if not inside or x < margin or x > last:
                colour = row[min(max(x, margin), last)] & np.uint32(0xFFFFFF)
                pixels[y, x] = colour | (np.uint32(alpha[y, x]) << np.uint32(24))


@compiled()
def to_mask(likely, mask):  # type: ignore[no-untyped-def]
    """Fill `mask` u8 [n, n] from `likely` f32 [n, n], 0..1; what is no number is 0."""
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            value = likely[y, x] * np.float32(255) + np.float32(0.5)
            mask[y, x] = np.uint8(np.int32(min(value, np.float32(255)))) if value > 0 else np.uint8(0)


@compiled(fastmath={"contract", "arcp", "nsz"})
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


@compiled()
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


def compile_all() -> None:
    """Compile now, not in the first frame."""
    planes, wide = np.zeros((1, 3, 8, 8), np.float32), np.zeros((8, 8, 4), np.uint8)
    to_planes(packed(wide), planes, np.ones(3, np.float32), np.zeros(3, np.float32))
    pixels, alpha = packed(np.zeros((10, 10, 4), np.uint8)), np.zeros((10, 10), np.uint8)
    to_pixels(planes[0], 0, np.eye(3, 4, dtype=np.float32), 1, alpha, pixels)
    fill_margin(pixels, 1, alpha)
    to_mask(planes[0, 0], np.zeros((8, 8), np.uint8))
    small = np.zeros((4, 4, 3), np.float32)
    shrink(planes[0], small)
    span(small)
    span(small.astype(np.uint8))
