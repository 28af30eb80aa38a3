"""The wearer's colours on the new face: mean and spread in Lab brought to the wearer's (Reinhard et al., 2001).

What that does to the colours of a face is, within a level or two, one affine map of BGR. That map is found on small
pictures, is applied to the large one in one pass and without the steps of Lab in bytes, and can be steadied over time.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from live.frame import Floats, Image, Mask

SMALL_PX = 48
_LEAST = 90  # pixels of the small picture below which nothing is learned
_CALM, _JUMP = 0.15, 40.0  # how much of a new map is taken over at once; a change by so many levels is, wholly

Map = npt.NDArray[np.float32]


def colour_map(new: Image, old: Image, seen: Mask) -> Map | None:
    """The map float32 [3, 4] of levels that gives `new` the colours of `old`; None where too little is `seen`.

    u8 [SMALL_PX, SMALL_PX, 3] twice, and u8 [SMALL_PX, SMALL_PX]: where both show skin of the face.
    """
    at = seen > 127
    if int(at.sum()) < _LEAST:
        return None
    before = new[at].astype(np.float32)
    lab, wearer = (_lab(picture[at]) for picture in (new, old))
    spread = np.clip((wearer.std(0) + 1e-3) / (lab.std(0) + 1e-3), 0.5, 2)
    wanted = (lab - lab.mean(0)) * spread + wearer.mean(0)
    after = np.clip(cv2.cvtColor(wanted[None].astype(np.float32), cv2.COLOR_Lab2BGR)[0] * 255, 0, 255)
    # Least squares for the change, with a soft pull to none: a face of one colour tells no slope.
    middle = before.mean(0)
    off, change = before - middle, after - before
    slope = np.linalg.solve(off.T @ off / len(off) + np.eye(3, dtype=np.float32), off.T @ change / len(off)).T
    return np.hstack([np.eye(3) + slope, (change.mean(0) - slope @ middle)[:, None]]).astype(np.float32)


def eased(before: Map, now: Map) -> Map:
    """The map some way from `before` to `now`: far where a middle grey would change much, else a little."""
    step = now - before
    size = float(np.abs(step @ (128, 128, 128, 1)).max())
    return before + step * np.float32(min(1.0, _CALM + size / _JUMP))


def recoloured(picture: Image, map: Map) -> Image:
    """`picture` u8 [h, w, 3] with other colours."""
    return np.asarray(cv2.transform(picture, map), np.uint8)


def _lab(pixels: npt.NDArray[np.uint8]) -> Floats:
    """u8 [n, 3] as Lab float32 [n, 3]."""
    return np.asarray(cv2.cvtColor(pixels[None].astype(np.float32) / 255, cv2.COLOR_BGR2Lab)[0], np.float32)
