"""MediaPipe's short-range face detector: who is in a picture, roughly, for the mesh net to look at closely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from engines.engine import Engine
from live.align import square
from live.frame import Floats, Image

_PX = 128
_ZOOM = 1.6  # side of the mesh net's crop, in sides of the detector's box
# The detector's squares: two a cell on a 16 x 16 grid, six on an 8 x 8 grid; only their centres matter.
_ANCHORS = np.array(
    [
        ((column + 0.5) / n, (row + 0.5) / n)
        for n, each in ((16, 2), (8, 6))
        for row in range(n)
        for column in range(n)
        for _ in range(each)
    ],
    np.float32,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Where a face may be: the crop matrix for the mesh net; `points` float32 [n, 2] in the frame, the face's five, as
    Face.points, or only its middle.
    """

    matrix: Floats
    points: Floats
    score: float


class ShortRange:
    """An opened detector; `size` is the mesh net's. Used on one thread."""

    def __init__(self, engine: Engine, size: int) -> None:
        self.engine, self._size = engine, size
        self._turn = 0

    def begin(self, image: Image, least: float, x: int = 0, y: int = 0) -> Callable[[], list[Candidate]]:
        """Make `image`, the part of the frame that begins at (x, y), small; what comes back looks at that, whatever
        becomes of the picture, and gives who is there with at least this score, best first.
        """
        height, width = image.shape[:2]
        side = max(width, height)
        scale = _PX / side
        room = round(width * scale), round(height * scale)
        if side > 3 * _PX:  # some of the pixels are enough before the averaging below
            image = cv2.resize(image, (2 * room[0], 2 * room[1]), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        small = cv2.resize(image, room, interpolation=cv2.INTER_AREA)
        canvas = np.zeros((_PX, _PX, 3), np.uint8)
        left, top = (_PX - small.shape[1]) // 2, (_PX - small.shape[0]) // 2
        canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
        corner = np.array([x - left / scale, y - top / scale], np.float32)
        return lambda: self._look(canvas, scale, corner, least)

    def square(self, image: Image, least: float) -> list[Candidate]:
        """Who is in one of the picture's squares, in turn: small faces are larger there for the net."""
        height, width = image.shape[:2]
        side = min(height, width)
        steps = max(2, round(1.5 * max(height, width) / side)) if height != width else 1
        at = (max(height, width) - side) * (self._turn % steps) // max(1, steps - 1)
        self._turn += 1
        x, y = (at, 0) if width > height else (0, at)
        return self.begin(image[y : y + side, x : x + side], least, x, y)()

    def _look(self, canvas: Image, scale: float, corner: Floats, least: float) -> list[Candidate]:
        """`scale`: pixels of the canvas for one of the frame; `corner`: where in the frame the canvas begins."""
        answer = self.engine.run({"image": canvas})
        scores = 1 / (1 + np.exp(-np.clip(answer["scores"], -50, 50)))
        found: list[Candidate] = []
        taken: list[tuple[Floats, float]] = []
        for i in np.argsort(-scores):
            if not scores[i] >= least:
                break
            raw, anchor = answer["boxes"][i], _ANCHORS[i] * _PX
            centre = (raw[:2] + anchor) / scale + corner
            size = float(raw[2:4].max()) / scale
            if not np.isfinite(raw).all() or size < 8:
                continue
            if any(np.linalg.norm(centre - c) < 0.6 * max(size, s) for c, s in taken):
                continue
            taken.append((centre, size))
            eyes = raw[4:8].reshape(2, 2)
            level = float(np.arctan2(*(eyes[1] - eyes[0])[::-1]))
            middle = np.asarray(centre, np.float32)
            matrix = square(middle, _ZOOM * size, level, self._size)
            found.append(Candidate(matrix, middle[None], float(scores[i])))
        return found
