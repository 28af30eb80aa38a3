"""Points as steady as the picture: a face's mesh is moved by what its skin shows and drawn gently to what the net says.

A mesh net sees each picture anew, so its points tremble although the face is still; low-pass filtering them would make
them lag. Here the points of the frame before are first moved with the head, as sparse optical flow on its skin tells
(pyramidal Lucas-Kanade: Bouguet, 2001), which is far more precise than the net and never late. What the net says
differently is then taken over by a part only, for the head as a whole and for each point (a complementary filter). As
in the One-Euro filter (Casiez, Roussel, Vogel, 2012), that part grows with the movement: lids, lips and brows are
followed at once when they move, and held when they rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from live.align import LEFT_EYE, LIPS, RIGHT_EYE
from live.frame import Floats, Image

# Skin that moves with the skull: forehead, nose, under the eyes, cheekbones, sides.
_RIGID = np.array([
    151, 9, 8, 168, 6, 197, 195, 5, 4, 45, 275, 51, 281, 108, 337, 69, 299, 104, 333, 54, 284, 21, 251, 118, 347, 50,
    280, 101, 330, 36, 266, 205, 425, 117, 346, 116, 345, 123, 352, 147, 376, 187, 411, 114, 343, 188, 412, 100, 329,
])  # fmt: skip
_LIDS = (
    *RIGHT_EYE, 130, 25, 110, 24, 23, 22, 26, 112, 243, 190, 56, 28, 27, 29, 30, 247,
    *LEFT_EYE, 359, 255, 339, 254, 253, 252, 256, 341, 463, 414, 286, 258, 257, 259, 260, 467,
)  # fmt: skip
_EYES = (33, 263)  # outer corners; all sizes below are parts of the distance between them

_HEAD_S = 0.06  # time constants of what is taken over from the net: for the head as a whole ...
_SHAPE_S = 0.06  # ... and for each point that rests
_HEAD_OFF = 0.02  # so far off, the head follows the net at once
_MOVES, _MOVES_QUICK = 0.008, 0.004  # so far off, a point is held to be moving; lids and lips move by less
_SETTLES_S = 0.08  # a point that moved is followed closely for about so long
_TOGETHER = 7  # neighbours that tell a movement from trembling
_JUMP = 0.15  # so far off, it is another picture: start anew
_FORGET_S = 0.4  # after so long without the face, too

_FLOW_PX = 128  # the face is this large where its flow is measured
_MARGIN_PX = 8
_SHARP = 0.02  # flow of points that disagree by more is not believed
_AGREES = 0.06  # nor flow that is so far from the net's movement
_LK: dict[str, Any] = {
    "winSize": (15, 15),
    "maxLevel": 1,
    "criteria": (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 5, 0.02),
    "flags": cv2.OPTFLOW_USE_INITIAL_FLOW,
}
# Ridge of the affine fits, per point: the depth of a mesh is rough, what it explains is taken with care.
_RIDGE = np.diag([1e-5, 1e-5, 1e-2, 0]).astype(np.float32) * len(_RIGID)


@dataclass(slots=True)
class _Look:
    """The skin of a face, small and grey, and where that lies: place in it = point * scale + shift."""

    grey: npt.NDArray[np.uint8]
    scale: Floats
    shift: Floats


class Steady:
    """Steadies the mesh of one face from frame to frame. `strength` 0..1 scales how long points are held."""

    def __init__(self, strength: float = 1.0) -> None:
        self._head_s, self._shape_s = _HEAD_S * strength, _SHAPE_S * strength
        self._neighbours: npt.NDArray[np.intp] | None = None
        self._mesh: Floats | None = None
        self._at_s = 0.0

    def update(self, image: Image, mesh: Floats, at_s: float) -> Floats:
        """The steady mesh for this picture: float32 [n, 3], a new array or `mesh` itself. `mesh` is the net's.

        The first frame, a jump, a long gap and a time that goes back give the net's mesh as it is.
        """
        if not np.isfinite(mesh).all():
            self._mesh = None
            return mesh
        size = float(np.linalg.norm(mesh[_EYES[1]] - mesh[_EYES[0]])) + 1e-6
        look = _look(image, mesh)
        steady = None
        if self._mesh is not None and 0 < at_s - self._at_s < _FORGET_S:
            steady = self._follow(look, mesh, size, at_s - self._at_s)
        if steady is None:
            if self._neighbours is None:
                self._neighbours = _nearest(mesh)
                self._moves = np.full(len(mesh), _MOVES, np.float32)
                self._moves[list(LIPS + _LIDS)] = _MOVES_QUICK
            self._movement: Floats = np.zeros(len(mesh), np.float32)
            steady = mesh
        self._mesh, self._net, self._look, self._at_s = steady, mesh, look, at_s
        return steady

    def _follow(self, look: _Look, mesh: Floats, size: float, seconds: float) -> Floats | None:
        """The steady mesh, or None where the face has jumped."""
        before = self._mesh
        assert before is not None
        places = _places(before, size)
        rigid = places[_RIGID]
        fit = np.linalg.solve(rigid.T @ rigid + _RIDGE, rigid.T)
        by_net = fit @ (mesh - self._net)[_RIGID]
        moved = before + places @ self._motion(look, rigid, by_net, size)
        off = mesh - moved
        head = places @ (fit @ off[_RIGID])
        head_off = _rms(head[_RIGID]) / size
        if not head_off < _JUMP:
            return None
        takes = max(_part(seconds, self._head_s), _growing(head_off / _HEAD_OFF, 4))
        shape = off - head
        movement = _length(shape.take(self._neighbours, 0).sum(1)) / (_TOGETHER * size)
        self._movement = np.maximum(movement, self._movement * np.float32(np.exp(-seconds / _SETTLES_S)))
        rests = _part(seconds, self._shape_s)
        each = rests + (1 - rests) * _growing(self._movement / self._moves, 2)
        steady: Floats = (moved + takes * head + each[:, None] * shape).astype(np.float32)
        return steady

    def _motion(self, look: _Look, rigid: Floats, by_net: Floats, size: float) -> Floats:
        """How the head moved since the last frame, [4, 3], to be multiplied with places: by flow if that is sound."""
        before, old = self._mesh, self._look
        assert before is not None
        here = before[_RIGID, :2]
        start = here * old.scale + old.shift
        guess = (here + (rigid @ by_net)[:, :2]) * look.scale + look.shift
        end, found, _ = cv2.calcOpticalFlowPyrLK(old.grey, look.grey, start, guess.astype(np.float32), **_LK)
        moves = (end - look.shift) / look.scale - here
        height, width = old.grey.shape
        inside = ((start > 2) & (start < (width - 3, height - 3))).all(1)
        counts = (found.ravel() > 0) & inside & np.isfinite(moves).all(1)
        if counts.sum() < len(_RIGID) // 2:
            return by_net
        rigid_in, moves = rigid[counts], moves[counts]
        weight = np.ones(len(moves), np.float32)
        for _ in range(3):  # points that do not move with the others (hair, a hand) count less each time
            motion = _fit(rigid_in, moves, weight)
            stray = _length(moves - rigid_in @ motion) / size
            typical = float(np.sort(stray)[len(stray) // 2])
            weight = (1 / (1 + (stray / max(1.5 * typical, 1e-4)) ** 2)).astype(np.float32)
        if typical > _SHARP or _rms(rigid @ (motion - by_net[:, :2])) > _AGREES * size:
            return by_net
        return np.hstack([motion, by_net[:, 2:]])


def _look(image: Image, mesh: Floats) -> _Look:
    """The face in `image`, at most _FLOW_PX large, at a fixed place of a small grey picture; black around."""
    height, width = image.shape[:2]
    low, high = mesh[:, :2].min(0), mesh[:, :2].max(0)
    shrink = min(1.0, _FLOW_PX / float((high - low).max() + 1e-6))
    margin = _MARGIN_PX / shrink
    x0, y0 = (int(v) for v in np.clip(low - margin, 0, (width - 1, height - 1)))
    x1, y1 = (int(v) + 1 for v in np.clip(high + margin, (x0, y0), (width - 1, height - 1)))
    columns, rows = max(1, round((x1 - x0) * shrink)), max(1, round((y1 - y0) * shrink))
    fast = cv2.INTER_LINEAR if shrink > 0.25 else cv2.INTER_AREA
    small = cv2.cvtColor(cv2.resize(image[y0:y1, x0:x1], (columns, rows), interpolation=fast), cv2.COLOR_BGR2GRAY)
    side = _FLOW_PX + 2 * _MARGIN_PX + 4
    canvas = np.zeros((side, side), np.uint8)
    canvas[:rows, :columns] = small
    scale = np.array([columns / (x1 - x0), rows / (y1 - y0)], np.float32)
    # Pixel centres lie at whole numbers: scaling a picture moves them by (scale - 1) / 2.
    shift = ((scale - 1) / 2 - scale * (x0, y0)).astype(np.float32)
    return _Look(canvas, scale, shift)


def _places(mesh: Floats, size: float) -> Floats:
    """[n, 4]: each point as x, y, z from the middle of the rigid ones, in `size`, and 1: what moves are linear in."""
    places = np.ones((len(mesh), 4), np.float32)
    places[:, :3] = (mesh - mesh[_RIGID].mean(0)) / np.float32(size)
    return places


def _fit(places: Floats, moves: Floats, weight: Floats) -> Floats:
    """The affine map [4, 2] that explains the moves [n, 2] of these places best, in least squares with a ridge."""
    weighted = (places * weight[:, None]).T
    return np.linalg.solve(weighted @ places + _RIDGE, weighted @ moves)


def _nearest(mesh: Floats) -> npt.NDArray[np.intp]:
    """[n, _TOGETHER]: each point's nearest ones, itself among them."""
    far = np.linalg.norm(mesh[:, None] - mesh[None], axis=2)
    return np.argpartition(far, _TOGETHER, axis=1)[:, :_TOGETHER]


def _part(seconds: float, time_constant: float) -> float:
    """The part of a difference that a low pass takes over in so many seconds."""
    return float(1 - np.exp(-seconds / max(time_constant, 1e-9)))


def _growing(x: Any, sharpness: int) -> Any:
    """From 0 to 1 as x goes from far below 1 to far above."""
    return 1 - 1 / (1 + x**sharpness)


def _length(moves: Floats) -> Floats:
    """[n]: how far each move goes in the picture."""
    return np.hypot(moves[:, 0], moves[:, 1])


def _rms(moves: Floats) -> float:
    flat = moves[:, :2].ravel()
    return float(np.sqrt(flat @ flat / len(moves)))
