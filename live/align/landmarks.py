"""The 68 points that most face programs know (iBUG's, as dlib and FAN give them), taken from the mesh.

For each point its nearest relative among the mesh's vertices, so that lids, lips and brows move alike. Compared with
dlib's own points on portraits and a talking clip, a typical point lies 0.02 face boxes off (of the jaw 0.04), and the
crops that follow lie at the same place within 0.01 and are 1 % larger.
"""

from __future__ import annotations

import cv2
import numpy as np

from live.frame import Floats

# The picture's left to its right, as iBUG counts: jaw, brows, ridge and base of the nose, eyes, outer and inner lips.
MESH_POINTS = (
    127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
FEATURES = slice(17, 68)  # all but the jaw
_BROWS, _EYES = slice(17, 27), slice(36, 48)


def landmarks(mesh: Floats) -> Floats:
    """float32 [68, 2] in the mesh's pixels."""
    return mesh[list(MESH_POINTS), :2]


def face_hull(points: Floats) -> Floats:
    """The convex outline [n, 2] of 68 points, the brows raised by half their height over the eyes: trained nets draw
    some forehead too.
    """
    raised = points[_BROWS] + (points[_BROWS].mean(0) - points[_EYES].mean(0)) / 2
    return cv2.convexHull(np.concatenate([points, raised]).astype(np.float32))[:, 0]  # type: ignore[return-value]
