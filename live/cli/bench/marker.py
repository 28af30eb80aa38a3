"""A number in a picture that survives cameras, screens and codecs: ArUco's markers (Garrido-Jurado et al., 2014)."""

from __future__ import annotations

import cv2
import numpy as np

from live.frame import Image, Mask

COUNT = 250  # numbers begin again after so many: 8 s at 30 frames a second
_MARKERS = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_5X5_250)
_QUIET = 7 + 2  # cells of a marker with its black rim, and a white cell on each side


def draw(number: int, side_px: int) -> Mask:
    """The marker of `number` u8 [side_px, side_px], its white rim included."""
    cell = side_px // _QUIET
    inner = cv2.aruco.generateImageMarker(_MARKERS, number % COUNT, 7 * cell)
    picture = np.full((side_px, side_px), 255, np.uint8)
    at = (side_px - 7 * cell) // 2
    picture[at : at + 7 * cell, at : at + 7 * cell] = inner
    return picture


class Reader:
    """Finds the marker, seen straight or not. Looks where it was last, and only if it is not there everywhere."""

    def __init__(self) -> None:
        self._detector = cv2.aruco.ArucoDetector(_MARKERS)
        self._near: tuple[slice, slice] | None = None

    def read(self, picture: Image) -> int | None:
        """Its number (below COUNT), or None. `picture` is BGR."""
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        for place in (self._near, (slice(None), slice(None))):
            if place is None:
                continue
            corners, numbers, _ = self._detector.detectMarkers(grey[place])
            if numbers is not None and len(numbers) == 1:
                top, left = place[0].start or 0, place[1].start or 0
                points = corners[0].reshape(4, 2) + np.array([left, top])
                margin = float(np.ptp(points, axis=0).max()) / 2
                low = np.maximum(points.min(0) - margin, 0).astype(int)
                high = (points.max(0) + margin).astype(int)
                self._near = slice(low[1], high[1]), slice(low[0], high[0])
                return int(numbers.ravel()[0])
        self._near = None
        return None
