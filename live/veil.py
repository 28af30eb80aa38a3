"""Covers the face of somebody who wears none: a few soft patches of colour, from which nobody is known."""

from __future__ import annotations

import cv2
import numpy as np

from live.align import outline_of
from live.frame import Face, Image, Patch

_GROWN = 1.3  # of the face's outline: ears and some hair too
_CELLS = 5  # patches across the face


def veil(image: Image, face: Face) -> Patch:
    """A patch that hides `face`; `image` is left alone. Raises ValueError for points that are no numbers."""
    outline = outline_of(face)
    if not np.isfinite(outline).all():
        raise ValueError("a face lies at places that are no numbers")
    middle = (outline.min(0) + outline.max(0)) / 2
    outline = np.clip(middle + (outline - middle) * np.float32(_GROWN), -1e4, 1e4)
    height, width = image.shape[:2]
    x0, y0 = np.clip(np.floor(outline.min(0)).astype(int), 0, (width - 1, height - 1)).tolist()
    x1, y1 = np.clip(np.ceil(outline.max(0)).astype(int) + 1, (x0 + 1, y0 + 1), (width, height)).tolist()
    part = image[y0:y1, x0:x1]
    cells = (_CELLS, max(1, round(_CELLS * (y1 - y0) / (x1 - x0))))
    coarse = cv2.resize(part, (min(cells[0], x1 - x0), min(cells[1], y1 - y0)), interpolation=cv2.INTER_AREA)
    pixels = cv2.resize(coarse, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    alpha = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillConvexPoly(alpha, np.round(cv2.convexHull((outline - (x0, y0)).astype(np.float32))).astype(np.int32), 255)
    return Patch(np.asarray(pixels, np.uint8), alpha, x0, y0)
