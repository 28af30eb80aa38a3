"""What a face does, in numbers that mean the same for everybody: the way its head is turned, lips, brows, lids, gaze.

Points are taken without the pose, against the shape of the same person where they are calm, as the mesh swap tells it:
what is left is how the face moves, not whose it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from live.align import BROWS, EYE_CORNERS, LIDS, LIPS
from live.frame import Face, Floats
from live.models import shipped
from live.swappers.mesh.shape import Calm, Own, Skull, openings

_MOVING = [*LIPS, *BROWS, *(point for eye in LIDS for pair in eye for point in pair)]
_POSE, _LIDS, _GAZE = 0.1, 2.0, 5.0  # how much a degree, an opening as usual, a width of the eye are beside a cm


def told_of(faces: Sequence[Face]) -> Floats:
    """float32 [n, TOLD] for n faces of one person, which have a mesh: cm, and at the end pose, lids and gaze."""
    card = shipped("face_mesh")
    with np.load(card.folder / "topology.npz") as topology:
        skull = Skull(topology["canonical"], topology["triangles"])
    with np.load(card.folder / "expressions.npz") as expressions:
        calm = Calm(expressions["calm"], expressions["ways"])
    own, shapes, weights = Own(), list[Floats](), list[float]()
    for face in faces:
        assert face.mesh is not None, "only finders with a mesh are used"
        head = skull.head(face.mesh)
        shapes.append(head.shape(face.mesh))
        own.learn(calm(shapes[-1]), shapes[-1], head, calm.expression(shapes[-1]))
        weights.append(own.calm + 1e-3)
    usual = np.average(shapes, axis=0, weights=weights).astype(np.float32)
    opening = np.maximum(openings(usual), 0.1)
    rows = []
    for face, shape in zip(faces, shapes, strict=True):
        moved = (shape - usual)[_MOVING, :2].ravel()
        pose = np.array(face.pose[:2]) * _POSE
        rows.append(np.concatenate([moved, pose, openings(shape) / opening * _LIDS, _gaze(face) * _GAZE]))
    return np.array(rows, np.float32)


def _gaze(face: Face) -> Floats:
    """Where the irises are between the corners of the eyes: both eyes' mean, in widths of the eye, [2]."""
    if face.irises is None or face.mesh is None:
        return np.zeros(2, np.float32)
    ways = []
    for iris, (start, end) in zip(face.irises, EYE_CORNERS, strict=True):
        a, b = face.mesh[start, :2], face.mesh[end, :2]
        x, y = (b - a) / max(float(np.linalg.norm(b - a)) ** 2, 1e-6)
        dx, dy = iris[:2] - (a + b) / 2
        ways.append((dx * x + dy * y, dy * x - dx * y))
    return np.asarray(np.mean(ways, axis=0), np.float32)
