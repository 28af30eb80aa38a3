"""Looks at one face in one frame: whether it can be learnt from, and how much it differs from the one before."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from export.teach import pairs
from live.align import cut_fine
from live.align.crops import Crop
from live.align.landmarks import landmarks
from live.frame import Face, Floats, Image

CROP = Crop(*pairs.CROP)
THUMB_PX = 96
_LOOK_PX = 128
_MIDDLE = slice(_LOOK_PX // 4, _LOOK_PX * 3 // 4)  # of the crop: brows to mouth

REASONS = ("", "too small", "cut off by the picture's edge", "turned too far", "too dark", "too bright", "blurred")
"""Why a face cannot be learnt from; the first means that it can."""
SMALL, CUT_OFF, TURNED, DARK, BRIGHT, BLURRED = range(1, len(REASONS))
_LEAST_PX = 80  # of the crop's side
_MOST_YAW, _MOST_PITCH = 42.0, 38.0  # degrees; the mesh breaks in profile, and so does every teacher
_CALM_PITCH = -9.0  # of a straight face
_LEAST_LIGHT, _MOST_LIGHT = 32.0, 225.0  # grey levels
_MOST_BURNT = 0.35  # part of the pixels at the upper end
_LEAST_SHARP = 0.5  # of the median over the footage


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen: an index of REASONS, the side of the crop in frame pixels, mean grey level, sharpness (comparable
    between frames of one footage), and the crop as a small picture u8 [THUMB_PX, THUMB_PX, 3].
    """

    reason: int
    crop_px: float
    light: float
    sharp: float
    thumb: Image


def look(image: Image, face: Face) -> Look:
    """Look at this face, which must have a mesh."""
    assert face.mesh is not None, "only finders with a mesh are used"
    matrix = CROP.matrix(landmarks(face.mesh), _LOOK_PX)
    crop = cut_fine(image, matrix, _LOOK_PX)
    crop_px = _LOOK_PX / float(np.hypot(matrix[0, 0], matrix[1, 0]))
    grey = cv2.cvtColor(crop[_MIDDLE, _MIDDLE], cv2.COLOR_BGR2GRAY)
    light = float(grey.mean())
    fine = cv2.Laplacian(grey, cv2.CV_32F)
    sharp = float(np.abs(fine).mean() / max(light, 1.0))  # of light: a lamp that is switched off blurs nothing
    thumb = np.asarray(cv2.resize(crop, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA), np.uint8)
    return Look(_reason(image, face, crop_px, light, float((grey > 250).mean())), crop_px, light, sharp, thumb)


def _reason(image: Image, face: Face, crop_px: float, light: float, burnt: float) -> int:
    x0, y0, x1, y1 = face.box
    height, width = image.shape[:2]
    yaw, pitch, _ = face.pose
    wrong = {
        SMALL: crop_px < _LEAST_PX,
        CUT_OFF: x0 < 0 or y0 < 0 or x1 > width - 1 or y1 > height - 1,
        TURNED: abs(yaw) > _MOST_YAW or abs(pitch - _CALM_PITCH) > _MOST_PITCH,
        DARK: light < _LEAST_LIGHT,
        BRIGHT: light > _MOST_LIGHT or burnt > _MOST_BURNT,
    }
    return next((reason for reason, true in wrong.items() if true), 0)


def blurred(sharp: Floats, reasons: Floats) -> Floats:
    """Which frames are much less sharp than the others that can be learnt from: bool [n]. Both arguments are [n]."""
    fine = sharp[reasons == 0]
    if not len(fine):
        return np.zeros(len(sharp), bool)
    return np.asarray((reasons == 0) & (sharp < _LEAST_SHARP * np.median(fine)))


def spread_out(thumbs: Image, most: int) -> list[int]:
    """At most so many of the pictures [n, h, w, 3], in order: few of a stretch in which little changes, many of one in
    which much does. The way is measured from picture to picture, and cut into pieces of the same length.
    """
    count = len(thumbs)
    if count <= most:
        return list(range(count))
    small = thumbs.reshape(count, -1).astype(np.int16)
    steps = np.abs(np.diff(small, axis=0)).mean(1).astype(np.float64)
    way = np.concatenate([[0.0], np.cumsum(steps + 1e-3)])
    at = np.searchsorted(way, np.linspace(0, way[-1], most))
    return sorted({int(k) for k in np.minimum(at, count - 1)})
