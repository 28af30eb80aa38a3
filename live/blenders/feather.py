"""Sets the patch into the picture by its alpha, softened at its edges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from live.bytewise import lay_in
from live.frame import Face, Image, Mask, Patch
from live.settings import setting


@dataclass
class Feather:
    """Blender: a soft edge, nothing else."""

    soften: float = setting(
        0.02, "width of the soft edge, as part of the patch's width", low=0, high=0.2, step=0.005, live=True
    )

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def blend(self, image: Image, face: Face, patch: Patch) -> None:  # noqa: ARG002
        height, width = patch.alpha.shape
        alpha: Mask = patch.alpha
        radius = int(self.soften * width / 2)
        if radius > 0:
            box = (2 * radius + 1, 2 * radius + 1)
            # Inward only: outside the patch's own shape there is nothing to show.
            inner = cv2.erode(alpha, np.ones(box, np.uint8))
            alpha = np.asarray(cv2.blur(inner, box, borderType=cv2.BORDER_REPLICATE), np.uint8)
        below = image[patch.y : patch.y + height, patch.x : patch.x + width]
        if below.shape != (height, width, 3):
            raise ValueError(f"the patch {width}x{height} at {patch.x}, {patch.y} is not inside a picture in BGR")
        lay_in(below, patch.pixels, alpha)
