"""Step 3 without a teacher: each one's own face is the lesson, with what of the picture is face."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import cv2
import numpy as np

from live.align import outline_of
from live.frame import Face, Image, Patch, Persona
from live.occlusion import Occlusion
from live.swappers.mesh.mouth import box_in, fill_outline

_SOFT = 0.05  # width of the mask's soft edge, which lies inside the outline, in heights of the face


@dataclass
class Itself:
    """Swapper that puts on the face that is there already; the finder must give a mesh."""

    drawn: ClassVar[bool] = True
    wears_model: ClassVar[bool] = False
    needs_mesh: ClassVar[bool] = True

    _occlusion: Occlusion = field(default_factory=Occlusion, init=False, repr=False)

    def open(self) -> None:
        self._occlusion.open()

    def close(self) -> None:
        self._occlusion.close()

    def wear(self, persona: Persona) -> None:
        """Whose face is said to be put on changes nothing."""

    def swap(self, image: Image, face: Face) -> Patch:
        """The picture where the face is, which must have a mesh; `hidden` is what lies in front."""
        outline = outline_of(face)
        soft = max(1, round(_SOFT * float(np.ptp(outline[:, 1]))))
        left, top, right, bottom = box_in(outline, image[..., 0])
        if right - left < 2 or bottom - top < 2:
            return Patch(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8), 0, 0)
        within = np.zeros((bottom - top, right - left), np.uint8)
        fill_outline(within, outline - np.array([left, top], np.float32), 255)
        walled = cv2.copyMakeBorder(within, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        deep = cv2.distanceTransform(walled, cv2.DIST_L2, 3)
        alpha = np.minimum(deep[1:-1, 1:-1] * (255 / soft), within).astype(np.uint8)
        hidden = self._occlusion.see(image, face, (left, top, right, bottom)).mask
        return Patch(image[top:bottom, left:right].copy(), alpha, left, top, hidden)
