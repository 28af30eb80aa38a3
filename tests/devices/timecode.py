"""A time code in pixels: milliseconds and the number of the clip's frame, in a strip at the top and one at the bottom.

40 black or white cells: 20 bits of CLOCK_MONOTONIC in ms, 12 bits of the frame's number, 8 bits of check. They survive
YUV 4:2:0, VP8, H.264 and JPEG. Two strips tell a torn picture, whose upper half belongs to another frame.
"""

from __future__ import annotations

import time

import numpy as np

CELLS = 40


def now_ms():
    return time.monotonic_ns() // 1_000_000


def strip_px(width):
    return max(16, width // CELLS)


def burn(luma, number, at_ms=None):
    """Write the code into both strips of a luma plane u8 [h, w]."""
    code = ((now_ms() if at_ms is None else at_ms) & 0xFFFFF) << 12 | number
    word = code << 8 | _check(code)
    cells = np.array([word >> bit & 1 for bit in range(CELLS - 1, -1, -1)], np.uint8) * 219 + 16
    row = np.repeat(cells, luma.shape[1] // CELLS)
    high = strip_px(luma.shape[1])
    luma[:high, : row.size] = row
    luma[-high:, : row.size] = row


def read(luma):
    """(ms, number) of the upper strip and of the lower one; None for a strip that cannot be read."""
    high = strip_px(luma.shape[1])
    return _read(luma[:high]), _read(luma[-high:])


def _read(strip):
    cell = strip.shape[1] // CELLS
    middle = strip.shape[0] // 2
    line = strip[middle - 2 : middle + 3, : cell * CELLS].mean(0).reshape(CELLS, cell)
    bits = line[:, cell // 4 : 3 * cell // 4].mean(1) > 127
    word = int("".join("1" if bit else "0" for bit in bits), 2)
    code = word >> 8
    return (code >> 12, code & 0xFFF) if word & 0xFF == _check(code) else None


def _check(code):
    # Not zero for zero, so that black is no code.
    return (code ^ code >> 8 ^ code >> 16 ^ code >> 24 ^ 0xA5) & 0xFF
