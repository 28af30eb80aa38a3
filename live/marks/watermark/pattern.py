"""The watermark's pattern: which squares of the picture become a little lighter, and which a little darker.

A spread-spectrum mark as in broadcast monitoring (Cox et al. 1997; Kalker et al. 1999, "A video watermarking system
for broadcast monitoring"): the picture is divided into 160 x 90 squares, however large it is. Some of the energy is
a fixed field that tells a detector that the mark is there, and where; the rest carries the payload: every square
belongs to one of its bytes, and a byte's value says which of 256 patterns its squares show. Everything follows from a
key that is public, so that anybody can look for the mark.
"""

from __future__ import annotations

import hashlib
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from live.frame import Floats
from live.marks.watermark.payload import BYTES

WIDTH, HEIGHT = 640, 360
"""The grid on which patterns are made and looked for, whatever the size of the picture."""
CELL = 4  # its pixels to a square: smaller is lost in a strong compression, larger is seen
COLUMNS, ROWS = WIDTH // CELL, HEIGHT // CELL

_SYNC_SHARE = 0.4  # of the energy: the mark is still found where its payload cannot be read any more

PUBLIC_KEY = b"doppelcam public mark 1"


def _noise(key: bytes, tag: str, count: int) -> npt.NDArray[np.uint8]:
    """`count` bytes that follow from key and tag, the same for ever (NumPy's generators do not promise that)."""
    seed = hashlib.blake2b(tag.encode(), key=key, digest_size=32).digest()
    return np.frombuffer(hashlib.shake_256(seed).digest(count), np.uint8)


def _signs(key: bytes, tag: str, count: int) -> npt.NDArray[np.int8]:
    bits = np.unpackbits(_noise(key, tag, (count + 7) // 8))[:count]
    return np.asarray(2 * bits.astype(np.int8) - 1, np.int8)


def _smooth(squares: npt.NDArray[np.int8]) -> Floats:
    """Squares [ROWS, COLUMNS] as a field f32 [HEIGHT, WIDTH] of mean 0 and deviation 1, without what is coarse.

    Coarse changes are what the eye sees first, and where a picture's own light lies.
    """
    whole = cv2.resize(squares.astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    field = whole - cv2.GaussianBlur(whole, (0, 0), 2.0 * CELL)
    return np.asarray((field - field.mean()) / field.std(), np.float32)


@cache
def sync_field(key: bytes = PUBLIC_KEY) -> Floats:
    """The part that says that the mark is there: f32 [HEIGHT, WIDTH], mean 0, deviation 1."""
    return _smooth(_signs(key, "sync", ROWS * COLUMNS).reshape(ROWS, COLUMNS))


@cache
def owners(key: bytes = PUBLIC_KEY) -> npt.NDArray[np.intp]:
    """The squares (flat indices) of each byte, spread over the whole picture: [BYTES, ROWS * COLUMNS / BYTES]."""
    order = np.argsort(_noise(key, "owners", 8 * ROWS * COLUMNS).view("<u8"), kind="stable")
    return order.reshape(BYTES, -1)


@cache
def words(key: bytes = PUBLIC_KEY) -> npt.NDArray[np.int8]:
    """What the squares of each byte show for each of its values: +-1, [BYTES, 256, ROWS * COLUMNS / BYTES]."""
    return _signs(key, "words", 256 * ROWS * COLUMNS).reshape(BYTES, 256, -1)


def full_field(payload: bytes, key: bytes = PUBLIC_KEY) -> Floats:
    """Sync and payload together: f32 [HEIGHT, WIDTH], mean 0, deviation 1."""
    squares = np.empty(ROWS * COLUMNS, np.int8)
    for own, choice, value in zip(owners(key), words(key), payload, strict=True):
        squares[own] = choice[value]
    field = np.sqrt(_SYNC_SHARE) * sync_field(key) + np.sqrt(1 - _SYNC_SHARE) * _smooth(squares.reshape(ROWS, COLUMNS))
    return np.asarray(field / field.std(), np.float32)
