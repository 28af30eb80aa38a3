"""The inside of the mouth stays the wearer's own: teeth, tongue and the dark between, moved along with the lips."""

from __future__ import annotations

import cv2
import numpy as np

from live.align import INNER_LIPS
from live.frame import Floats, Image, Mask

_LIPS = list(INNER_LIPS)


def keep_mouth(pixels: Image, alpha: Mask, here: Image, old: Floats, points: Floats) -> None:
    """Fill what lies between the inner lips of the new face from the picture, in place.

    `here` u8 [h, w, 3]: the camera's picture under the patch; `old` and `points` [468, 3]: the wearer's mesh and the
    new face's, in pixels of the patch.
    """
    outline = points[_LIPS, :2]
    x0, y0 = np.maximum(np.floor(outline.min(0)).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(outline.max(0)).astype(int) + 2, (pixels.shape[1], pixels.shape[0]))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    fill_outline(mask, outline - (x0, y0), 255)
    if not mask.any():
        return
    back = affine(outline - (x0, y0), old[_LIPS, :2])
    inside = cv2.warpAffine(
        here, back, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    a = mask[..., None].astype(np.uint16)
    part = pixels[y0:y1, x0:x1]
    part[:] = (part * (255 - a) + inside * a + 127) // 255
    np.maximum(alpha[y0:y1, x0:x1], mask, out=alpha[y0:y1, x0:x1])


def affine(start: Floats, end: Floats) -> Floats:
    """The 2x3 matrix that brings points [n, 2] nearest to others, in least squares; it hardly scales across a line on
    which all of them lie (a shut mouth).
    """
    from_middle, to_middle = start.mean(0), end.mean(0)
    a, b = start - from_middle, end - to_middle
    pull = np.eye(2, dtype=np.float32) * np.float32(0.02 * (a * a).sum() + 1e-3)
    turn = np.linalg.solve(a.T @ a + pull, a.T @ b + pull).T
    return np.hstack([turn, (to_middle - turn @ from_middle)[:, None]]).astype(np.float32)


def fill_outline(mask: Mask, outline: Floats, value: int) -> None:
    """Draw a polygon [n, 2] (pixels) into `mask`, in place, with soft edges."""
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], value, cv2.LINE_AA, 4)
