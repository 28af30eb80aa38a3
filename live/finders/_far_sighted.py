"""A finder that looks for faces with a detector of the user's own, and follows them with the shipped mesh.

The mesh is what swaps, masks, the guard and steadying live on; the detector sees faces that the shipped one does not:
smaller, further away, turned. A face whose mesh cannot be seen has the detector's five points and no mesh.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from engines.engine import Engine
from live.align import square
from live.detectors import Detector, Found, detector_card
from live.finders._short_range import Candidate
from live.finders.mediapipe_mesh import MESH_PX, MediapipeMesh
from live.frame import Floats, Image
from live.settings import setting

_ZOOM = 1.5  # side of the mesh net's crop, in sides of the detector's box


@dataclass
class FarSighted(MediapipeMesh):
    """`family` is the detector's."""

    family: ClassVar[str] = ""

    detector: str = setting("", "which detector: its name in `doppelcam models list`; empty: the installed one")

    _far: Detector | None = field(default=None, init=False)

    def _open_detector(self) -> None:
        self._far = Detector(detector_card(self.family, self.detector), self.engine, self.threads, self.fallback)

    @property
    def engines(self) -> list[Engine]:
        return super().engines + ([] if self._far is None else [self._far.engine])

    def close(self) -> None:
        super().close()
        self._far = None

    def _begin(self, image: Image) -> Callable[[], list[Candidate]]:
        assert self._far is not None, "open() comes first"
        look = self._far.begin(image, self.detect_score)
        return lambda: [Candidate(_crop(found), found.points, found.score) for found in look()]


def _crop(found: Found) -> Floats:
    x0, y0, x1, y1 = found.box
    eyes = found.points[1] - found.points[0]
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2], np.float32)
    return square(middle, max(8.0, _ZOOM * max(x1 - x0, y1 - y0)), float(np.arctan2(eyes[1], eyes[0])), MESH_PX)
