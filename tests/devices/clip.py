"""The sample clip's first frames, with the face always in sight, and what tells a swapped face from the bare one."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from live.sources.sample import CLIP

FRAMES = 170  # then the person slides out
WIDTH, HEIGHT = 1280, 720
_STEP = 4
_COVER_LUMA = 40  # the slate is darker than that nearly everywhere, the sample's room is not


def frames():
    """BGR pictures u8 [720, 1280, 3], in order."""
    clip = cv2.VideoCapture(str(CLIP))
    for _ in range(FRAMES):
        yield clip.read()[1]
    clip.release()


def to_and_fro(tick):
    """The number of the frame to show at a tick: forwards, then backwards, without a jump."""
    at = tick % (2 * FRAMES - 2)
    return at if at < FRAMES else 2 * FRAMES - 2 - at


class Faces:
    """The middle of the bare face in each frame, coarsely, to compare pictures with."""

    def __init__(self):
        points = np.load(CLIP.with_name("camera_truth.npz"))["points"][:FRAMES].astype(float)
        # Between the brows and the chin, well inside the outline.
        x0, y0, x1, y1 = (*points.min(1).T, *points.max(1).T)
        dx, dy = (x1 - x0) / 4, (y1 - y0) / 5
        self._boxes = np.stack([x0 + dx, y0 + dy, x1 - dx, y1 - dy], 1).astype(int)
        self._bare = [
            self._cut(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), number) for number, image in enumerate(frames())
        ]

    def difference(self, luma, number):
        """Mean difference in grey levels from the bare face of this frame; about 2 where it is shown bare."""
        here, bare = self._cut(luma, number), self._bare[number]
        # Full range grey against limited range luma: only the pattern counts.
        here, bare = here.astype(np.float32), bare.astype(np.float32)
        scale = bare.std() / max(here.std(), 1)
        return float(np.abs((here - here.mean()) * scale - (bare - bare.mean())).mean())

    def _cut(self, luma, number):
        x0, y0, x1, y1 = self._boxes[number]
        return luma[y0:y1:_STEP, x0:x1:_STEP].copy()


@cache
def faces():
    return Faces()


def is_cover(luma):
    """Is this the slate? Its ground is dark and even, corners included."""
    corners = luma[40:120:8, 40:200:8], luma[-120:-40:8, -200:-40:8]
    return all(corner.max() < _COVER_LUMA and np.ptp(corner) < 12 for corner in corners)
