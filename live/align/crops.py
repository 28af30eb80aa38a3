"""The very crops that face swap nets are trained on, as 2x3 matrices from the frame to the crop.

A crop is a square of the unit box of the mean face (templates.py), which is laid over the wearer's points by the
similarity that fits best in least squares (Umeyama, 1991). The programs differ in which points they fit, in the
square's side and in where its middle lies; numbers are from their sources, checked against matrices that they made.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from engines.errors import ModelError
from live.align.templates import FIVE_POINTS, HEAD, HEAD_POINTS, UNIT_FACE, Points
from live.frame import Floats

_EVERY = list(range(17, 68))
_CALM = [*range(17, 49), 54]  # the mouth by its corners only: it moves
# Which of the 68 points are fitted, and to what.
_FITS: dict[str, tuple[list[int], Points]] = {
    "dfl33": (_CALM, UNIT_FACE[[k - 17 for k in _CALM]]),
    "dfl33_2019": (_CALM, UNIT_FACE[[k - 17 for k in _CALM]]),
    "dfl51": (_EVERY, UNIT_FACE),
    "faceswap": (_EVERY, np.round(UNIT_FACE + np.array([0.009873, 0]), 6)),  # its middle at 0.5
}
# The square's side in unit boxes.
_SIDES: dict[str, dict[str, float]] = {
    "dfl33": {
        face_type: 1 + 2 * 2**0.5 * padding
        for face_type, padding in {
            "half": 0, "mid_full": 0.0675, "full": 0.2109375, "whole_face": 0.4, "head": 0.7
        }.items()
    },
    "dfl33_2019": {"half": 1, "mid_full": 1 / 0.88, "full": 1.6, "head": 64 / 22},
    "dfl51": {"half": 1, "full": 1.6, "head": 4, "legacy": 1.6},
    "faceswap": {"legacy": 1 / 0.625, "face": 1 / 0.5, "fs_head": 1 / 0.375},
}  # fmt: skip
# faceswap's head as a camera sees it, and the points in space that "face" and "head" put into the middle.
_CAMERA: Points = np.array([[4, 0, 0.5], [0, 4, 0.5], [0, 0, 1]], np.float64)
_MIDDLES = {"face": (0.0, -1.5, 4.2), "fs_head": (0.0, 0.0, -2.3)}


@dataclass(frozen=True, slots=True)
class Crop:
    """A crop by its name: the face type, and the program's points that it is fitted to.

    `fit`: "dfl33" (DeepFaceLab since December 2019), "dfl33_2019" (August to December 2019), "dfl51" (before; FakeApp;
    as "legacy" faceswap before December 2020) or "faceswap". `coverage` is the part of the side that is used (0..1],
    `vertical_offset` moves the middle up by so many % of the unit box. Raises ModelError for an unknown name.
    """

    face_type: str
    fit: str
    coverage: float = 1.0
    vertical_offset: float = 0.0

    def __post_init__(self) -> None:
        if self.face_type not in _SIDES.get(self.fit, {}):
            known = "; ".join(f"{fit}: {', '.join(sides)}" for fit, sides in _SIDES.items())
            raise ModelError(f"there is no crop {self.face_type!r} of {self.fit!r}", hint=f"known are {known}")
        if not 0 < self.coverage <= 1 or not abs(self.vertical_offset) <= 100:
            raise ModelError(
                f"a crop with coverage {self.coverage} and a vertical offset of {self.vertical_offset} is none",
                hint="coverage is above 0 and at most 1, vertical_offset from -100 to 100",
            )

    def matrix(self, points: Floats, size: int) -> Floats:
        """The 2x3 matrix float32 from the frame to the `size` px crop, for 68 points [68, 2] in frame pixels."""
        chosen, template = _FITS[self.fit]
        unit = similarity(points[chosen], template)
        middle = self._middle(points, unit)
        side = _SIDES[self.fit][self.face_type] * self.coverage
        if (self.face_type, self.fit) == ("mid_full", "dfl33_2019"):  # its border was a whole number of pixels
            side = size / (size - 2 * int(size * 0.06)) * self.coverage
        unit[:, 2] -= middle - side / 2
        return (unit * (size / side)).astype(np.float32)

    def _middle(self, points: Floats, unit: Points) -> Points:
        """The square's middle in the unit box."""
        x, y = 0.5, 0.5 - self.vertical_offset / 100
        if self.fit == "dfl33" and self.face_type == "whole_face":
            y -= 0.07
        if self.fit == "dfl33" and self.face_type == "head":
            x, y = x + _leaning(points, unit) / 2, y - 0.5
        if self.face_type in _MIDDLES:
            dx, dy = _seen_at(_MIDDLES[self.face_type], points, unit)
            x, y = x + dx, y + dy
        return np.array([x, y])


def similarity(points: Floats | Points, onto: Points) -> Points:
    """The 2x3 matrix that turns, scales and moves `points` [n, 2] onto `onto` best, in least squares; never mirrored.

    Umeyama's solution, which in the plane needs no decomposition: with points as complex numbers it is one division.
    """
    from_, to = (_complex(one) for one in (points, onto))
    middle, target = from_.mean(), to.mean()
    off = from_ - middle
    turn = complex(np.vdot(off, to - target)) / float(np.vdot(off, off).real)
    shift = target - turn * middle
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _complex(points: Floats | Points) -> np.ndarray[tuple[int], np.dtype[np.complex128]]:
    return points.astype(np.float64, order="C").view(np.complex128)[:, 0]


def five_point_matrix(points: Floats, template: str, size: int) -> Floats:
    """The 2x3 matrix float32 from the frame to the `size` px crop of a template of FIVE_POINTS, as InsightFace fits it.

    `points` [5, 2] as in Face.points. An unknown template is a KeyError.
    """
    return similarity(points, FIVE_POINTS[template] * size).astype(np.float32)


def resized(matrix: Floats, factor: float) -> Floats:
    """The matrix to the same crop with `factor` times as many pixels a side; pixel centres lie at whole numbers."""
    grown = matrix * np.float32(factor)
    grown[:, 2] += np.float32((factor - 1) / 2)
    return grown


def _leaning(points: Floats, unit: Points) -> float:
    """How far DeepFaceLab's head crop follows a turned head: by the jaw's distances from the ridge of the nose."""
    x = points @ unit[0, :2] + unit[0, 2]
    left, right = (x[27:30] - x[0:3]).mean(), (x[[16, 15, 14]] - x[27:30]).mean()
    yaw = float(right - left)
    return yaw * abs(float(np.tanh(2 * yaw)))


def _seen_at(place: tuple[float, float, float], points: Floats, unit: Points) -> tuple[float, float]:
    """Where in the unit box, from its middle, faceswap sees a place of its head. Raises ValueError if nowhere."""
    seen = points[list(HEAD_POINTS)] @ unit[:, :2].T + unit[:, 2]
    found, turn, shift = cv2.solvePnP(HEAD, seen, _CAMERA, None, flags=cv2.SOLVEPNP_ITERATIVE)
    if not found:
        raise ValueError("the head's pose cannot be told from its points")
    (x, y) = cv2.projectPoints(np.array([place]), turn, shift, _CAMERA, None)[0].ravel()
    return float(x) - 0.5, float(y) - 0.5
