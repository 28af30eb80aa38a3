"""Mesh points -> the other descriptions of a face: five points, pose, rim, the square crop that a net looks at.

Beside it, 68 points (landmarks.py) and the very crops that nets of other programs were trained on (crops.py).

Index lists are of MediaPipe's 468-point face mesh (Apache-2.0); right and left are the person's own.
"""

from __future__ import annotations

from math import asin, atan2, ceil, cos, degrees, floor, hypot, sin, sqrt

import cv2
import numpy as np

from live.frame import Face, Floats, Image

# The outline of the mesh, clockwise in the picture from the top of the forehead.
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
# Edges of the openings, as closed polygons: between the lids, between the lips.
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
# Corners of the right and the left eye, from the picture's left to its right.
EYE_CORNERS = ((33, 133), (362, 263))
# Upper and lower lid, point by point, of the right and the left eye.
LIDS = (
    ((246, 7), (161, 163), (160, 144), (159, 145), (158, 153), (157, 154), (173, 155)),
    ((466, 249), (388, 390), (387, 373), (386, 374), (385, 380), (384, 381), (398, 382)),
)
BROWS = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 336, 296, 334, 293, 300, 276, 283, 282, 295, 285)
# The lips' skin: outer and inner outline.
LIPS = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185,
    *INNER_LIPS,
)  # fmt: skip
# The lips' outer outline, as a closed polygon.
OUTER_LIPS = LIPS[:20]
# Points that every swap must cover: forehead, between the brows, nose, cheeks, chin.
CORE = (151, 9, 6, 4, 50, 280, 205, 425, 199)

_FAR = (33, 263)  # outer eye corners
_FIVE, _INNER_CORNERS = np.array([33, 263, 1, 61, 291]), np.array([133, 362])
_SIDES = (234, 454)
# Middle and half axes of a face without a mesh, in distances of the eyes, along the line from the eyes to the mouth.
_OVAL_DOWN, _OVAL_WIDE, _OVAL_TALL = 0.45, 1.12, 1.45
_TOP_CHIN = (10, 152)


def five_points(mesh: Floats) -> Floats:
    """float32 [5, 2]: right eye, left eye, nose tip, right and left mouth corner; eyes as the lid corners' middle."""
    points = mesh[_FIVE, :2].astype(np.float32)
    points[:2] = (points[:2] + mesh[_INNER_CORNERS, :2]) / 2
    return points


def outline_of(face: Face) -> Floats:
    """The outline of the face, float32 [n, 2]: the mesh's, else an oval as wide and high as faces are.

    The oval was fitted to the meshes of straight faces: it is right within a third of the eyes' distance there.
    """
    if face.mesh is not None:
        return np.asarray(face.mesh[list(OVAL), :2], np.float32)
    right, left, _, *mouth = face.points
    eyes, lips = (right + left) / 2, (mouth[0] + mouth[1]) / 2
    down = lips - eyes
    # The eyes draw near in profile.
    size = max(float(np.linalg.norm(left - right)), 0.9 * float(np.linalg.norm(down)), 1e-3)
    down = down / max(float(np.linalg.norm(down)), 1e-3) * size
    across = np.array([down[1], -down[0]])
    turn = np.linspace(0, 2 * np.pi, 36, endpoint=False)[:, None]
    oval = _OVAL_WIDE * np.cos(turn) * across + (_OVAL_TALL * np.sin(turn) + _OVAL_DOWN) * down
    return np.asarray(eyes + oval, np.float32)


def pose_of(mesh: Floats) -> tuple[float, float, float]:
    """Yaw, pitch, roll in degrees, from the plane that the temples, the forehead and the chin span."""
    # Written out: NumPy's calls on three numbers would cost ten times as much.
    (ax, ay, az), (bx, by, bz) = ((mesh[end] - mesh[start]).tolist() for start, end in (_SIDES, _TOP_CHIN))
    x, y, z = (
        ay * bz - az * by,
        az * bx - ax * bz,
        ax * by - ay * bx,
    )  # away from the camera
    length = sqrt(x * x + y * y + z * z) + 1e-9
    pitch = degrees(asin(min(max(y / length, -1.0), 1.0)))
    return degrees(atan2(-x, z)), pitch, degrees(atan2(ay, ax))


def face_from_mesh(mesh: Floats, score: float, track: int = 0) -> Face:
    """A Face from 468 points in frame pixels."""
    return Face(points=five_points(mesh), mesh=mesh, score=score, pose=pose_of(mesh), track=track)


def crop_around(mesh: Floats, size: int, zoom: float = 1.5) -> Floats:
    """The 2x3 matrix from the frame to a `size` px square around the face with level eyes.

    The square is `zoom` times as wide as the box around the points, as MediaPipe's tracking does it.
    """
    flat = mesh[:, :2]
    (x0, y0), (x1, y1) = flat.min(0).tolist(), flat.max(0).tolist()
    (right_x, right_y), (left_x, left_y) = flat[_FAR[0]].tolist(), flat[_FAR[1]].tolist()
    side = zoom * max(x1 - x0, y1 - y0)
    return square(((x0 + x1) / 2, (y0 + y1) / 2), side, atan2(left_y - right_y, left_x - right_x), size)


def square(centre: Floats | tuple[float, float], side_px: float, angle: float, size: int) -> Floats:
    """The 2x3 matrix that brings a square (centre, side, angle in radians) of the frame to `size` px."""
    scale, middle = size / side_px, (size - 1) / 2
    c, s = cos(angle) * scale, sin(angle) * scale
    x, y = (float(v) for v in centre)
    return np.array([[c, s, middle - c * x - s * y], [-s, c, middle + s * x - c * y]], np.float32)


def cut(image: Image, matrix: Floats, size: int) -> Image:
    """The square crop u8 [size, size, 3]; black outside the picture."""
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR)  # type: ignore[return-value]


def cut_fine(
    image: Image, matrix: Floats, size: int, how: int = cv2.INTER_LINEAR, border: int = cv2.BORDER_REPLICATE
) -> Image:
    """The crop u8 [size, size, 3] without sparkle: a face much larger than the crop is averaged down first.

    `how` and `border` are OpenCV's: how pixels are mixed, and what lies outside the picture.
    """
    if float(np.hypot(matrix[0, 0], matrix[1, 0])) <= 0.5:
        near = around(image, matrix, size)
        if near is None:
            return np.zeros((size, size, 3), np.uint8)
        image, matrix = near
    return cv2.warpAffine(image, matrix, (size, size), flags=how, borderMode=border)  # type: ignore[return-value]


def around(image: Image, matrix: Floats, size: int) -> tuple[Image, Floats] | None:
    """The part of the picture that a crop is made of, and the matrix from it; None where the crop lies outside.

    A part that is more than twice as large as the crop is halved, again and again: averages of two by two pixels are
    several times as fast as of three by three or more at once.
    """
    coarse = 1 << max(0, int(np.log2(max(1.0, 1 / float(np.hypot(matrix[0, 0], matrix[1, 0]))))))
    x0, y0, x1, y1 = box_of(matrix, 0, 0, size, size)
    # A margin, since the crop's outermost pixels are mixed of their neighbours too.
    x, y = max(0, floor(x0) - coarse), max(0, floor(y0) - coarse)
    right, bottom = ceil(x1) + 2 * coarse, ceil(y1) + 2 * coarse
    wide = (min(right, image.shape[1]) - x) // coarse
    tall = (min(bottom, image.shape[0]) - y) // coarse
    if wide < 2 or tall < 2:
        return None
    part = image[y : y + tall * coarse, x : x + wide * coarse]
    while part.shape[0] > tall:
        half = (part.shape[1] // 2, part.shape[0] // 2)
        part = cv2.resize(part, half, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    matrix = matrix.copy()
    # A pixel of the smaller picture has its centre amid `coarse` of the larger ones.
    matrix[:, 2] += matrix[:, :2] @ (x + (coarse - 1) / 2, y + (coarse - 1) / 2)
    matrix[:, :2] *= coarse
    return part, matrix


def box_of(matrix: Floats, x: float, y: float, wide: float, tall: float) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 in the frame around a rectangle of the crop, whose top left corner is (x, y).

    Written out: NumPy's calls on four corners would cost as much as all the pixels of a small crop.
    """
    (a, b, right), (c, d, down) = matrix.tolist()
    size = a * d - b * c
    xs = [(d * (u - right) - b * (v - down)) / size for u in (x, x + wide) for v in (y, y + tall)]
    ys = [(a * (v - down) - c * (u - right)) / size for u in (x, x + wide) for v in (y, y + tall)]
    return min(xs), min(ys), max(xs), max(ys)


def back(points: Floats, matrix: Floats) -> Floats:
    """Points [n, 3] of a crop in frame pixels; z is scaled along."""
    inverse = cv2.invertAffineTransform(matrix)
    there = np.empty((len(points), 3), np.float32)
    there[:, :2] = points[:, :2] @ inverse[:, :2].T + inverse[:, 2]
    np.multiply(points[:, 2], hypot(*inverse[:, 0].tolist()), out=there[:, 2])
    return there
