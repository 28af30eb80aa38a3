"""Where the new face is shown: the net's own masks or the hull of the points, never less than the core of the face.

A net that leaves out part of the face (it was taught so, or it fails) must not show the wearer there: the core, from
the brows to the mouth and what else the guard asks for, is always covered, as far as the crop reaches.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from engines.engine import Array
from live.frame import Floats, Mask


def face_alpha(masks: Sequence[Array], hull: Floats, core: Floats, size: int, grow: int, soft: int) -> Mask:
    """How much of the new picture is shown: u8 [size + 2 * m, size + 2 * m], a margin of m = `soft` + 1 pixels around
    it, in which the edge of what reaches the border fades.

    `masks` u8 [size, size] are multiplied; none: the `hull` float32 [n, 2] is taken. They are made wider by `grow`
    pixels (narrower, if below 0); `core` float32 [n, 2] is the outline that is covered anyhow; `soft` is the radius
    of the soft edge. Outlines are convex, in pixels of the picture.
    """
    alpha = np.zeros((size, size), np.uint8)
    if masks:
        alpha[:] = masks[0]
        for mask in masks[1:]:
            alpha = np.asarray(cv2.multiply(alpha, mask, scale=1 / 255), np.uint8)
    else:
        cv2.fillConvexPoly(alpha, _fixed(hull), 255, cv2.LINE_8, 4)
    if grow:
        shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(grow) + 1,) * 2)
        alpha = np.asarray((cv2.dilate if grow > 0 else cv2.erode)(alpha, shape), np.uint8)
    # Wider by what blur and warping take away again.
    cv2.fillConvexPoly(alpha, _fixed(core), 255, cv2.LINE_8, 4)
    cv2.polylines(alpha, [_fixed(core)], True, 255, 3 * soft + 5, cv2.LINE_8, 4)
    wide = cv2.copyMakeBorder(alpha, *(soft + 1,) * 4, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(cv2.blur(wide, (2 * soft + 1,) * 2), np.uint8)


def _fixed(outline: Floats) -> cv2.typing.MatLike:
    """Points in sixteenths of a pixel, convex, near enough for whole numbers."""
    return np.round(cv2.convexHull(np.clip(outline, -1e4, 1e4).astype(np.float32)) * 16).astype(np.int32)
