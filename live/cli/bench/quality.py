"""How good is a swap? Figures for (wearer, swapped) pictures of one clip, measured with the project's own finder.

No recogniser is needed: likeness is told by where the inner face lies within its outline, and by the skin's colour;
with one, also by what it says. All figures compare the mesh that the finder sees in the swapped picture with the one
that it sees in the wearer's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from live.align import INNER_LIPS, LEFT_EYE, OVAL, RIGHT_EYE
from live.frame import Face, Floats, Image, Persona
from live.parts import Finder
from live.recogniser import unit

Numbers = npt.NDArray[Any]
Vector = Callable[[Image, Face], Floats]
"""What a recogniser says of a face: live/recogniser.py."""

OUTER_LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
NOSE = (168, 6, 197, 195, 5, 4, 1, 2, 98, 327, 64, 294)
MOVING = (*OUTER_LIPS, *INNER_LIPS, *RIGHT_EYE, *LEFT_EYE, *BROWS)
INNER = (*OUTER_LIPS, *RIGHT_EYE, *LEFT_EYE, *BROWS, *NOSE)
CHEEKS = ((50, 205, 207, 187, 123), (280, 425, 427, 411, 352))
EYES = (33, 263)
_RIM_PX = 7


@dataclass(frozen=True)
class Figures:
    """What a clip comes to; `frames` were judged, of these `found` show a face in both pictures.

    expression_error  how far lips, lids and brows stray from the wearer's movement, in distances of the outer eye
                      corners: a constant difference of shape costs nothing. 0 = moves as the wearer does
    flicker           second difference in time inside the face, swapped over wearer. 1 = as steady as the camera
    seam              gradient along the face's outline, swapped over wearer. 1 = no visible edge
    outside           99.9th percentile of the difference well outside the face, in grey levels. 0 = untouched
    sharpness         mean gradient inside the swapped face, in grey levels a pixel
    shape_gain        how far brows, eyes, nose and mouth, seen within the face's outline, moved from the wearer's
                      places (0) to the persona's (1)
    colour_gain       the same for the mean colour of the cheeks
    to_persona        mean cosine of the swapped face with the portrait, as the recogniser sees them; None without one
    """

    expression_error: float
    flicker: float
    seam: float
    outside: float
    sharpness: float
    shape_gain: float
    colour_gain: float
    to_persona: float | None
    frames: int
    found: int


class Judge:
    """Takes the pictures of one clip in order and keeps only small things of each. `finder` is open."""

    def __init__(self, persona: Persona, finder: Finder, vector: Vector | None = None) -> None:
        self._finder = finder
        self._persona = persona
        self._vector = vector
        self._like = None if vector is None else unit(vector(persona.image, persona.face))
        self._frames = 0
        self._wearer_face: Face | None = None
        self._before: list[tuple[Image, Image]] = []  # the last pictures, at most three pairs, without a gap
        self._strays: list[Numbers] = []
        self._shapes: list[list[Numbers]] = []
        self._colours: list[list[Numbers]] = []
        self._flickers, self._seams, self._outsides = list[float](), list[float](), list[float]()
        self._sharp, self._likeness = list[float](), list[float]()

    def add(self, wearer: Image, swapped: Image | None) -> None:
        """Judge one frame: u8 [h, w, 3] twice, BGR, left alone; `swapped` is None where no live picture was shown.

        Frames whose face is not wholly in the picture count as not found.
        """
        self._frames += 1
        # Looked for from the same place in both pictures, so that the finder's habits are the same in both.
        near = self._wearer_face or self._look(wearer, None)
        self._wearer_face = face = self._look(wearer, near) if near else None
        new = self._look(swapped, near) if face and swapped is not None and is_whole(face, wearer) else None
        if new is None or face is None or swapped is None or face.mesh is None or new.mesh is None:
            self._before = []
            return
        self._strays.append(stray(face.mesh, new.mesh))
        self._shapes.append([shape(mesh, self._mesh) for mesh in (face.mesh, new.mesh)])
        self._colours.append([cheek_colour(picture, face.mesh) for picture in (wearer, swapped)])
        self._outsides.append(outside(wearer, swapped, face))
        outline = face.mesh[list(OVAL), :2]
        self._seams.append(seam(wearer, swapped, outline))
        self._sharp.append(sharpness(swapped, outline))
        if self._vector is not None and self._like is not None:
            self._likeness.append(float(unit(self._vector(swapped, new)) @ self._like))
        self._before = [*self._before, (wearer.copy(), swapped.copy())][-3:]
        if len(self._before) == 3:
            self._flickers.append(flicker(self._before, outline))

    @property
    def _mesh(self) -> Floats:
        """The persona's. ValueError for one without portraits."""
        mesh = self._persona.face.mesh
        if mesh is None:
            raise ValueError("a persona with a mesh is needed to judge by")
        return mesh

    def figures(self) -> Figures:
        """Raises ValueError where no frame showed a face in both pictures."""
        if not self._strays:
            raise ValueError("no frame shows a face in both pictures")
        strays = np.array(self._strays)
        before, after = np.array(self._shapes).mean(0)
        pale, drawn = np.array(self._colours).mean(0)
        return Figures(
            expression_error=float(np.linalg.norm(strays - strays.mean(0), axis=2).mean()),
            flicker=float(np.median(self._flickers)) if self._flickers else float("nan"),
            seam=float(np.mean(self._seams)),
            outside=float(np.mean(self._outsides)),
            sharpness=float(np.mean(self._sharp)),
            shape_gain=gain(before, after, shape(self._mesh, self._mesh)),
            colour_gain=gain(pale, drawn, cheek_colour(self._persona.image, self._mesh)),
            to_persona=float(np.mean(self._likeness)) if self._likeness else None,
            frames=self._frames,
            found=len(strays),
        )

    def _look(self, picture: Image, near: Face | None) -> Face | None:
        """The face in this picture that is nearest to the face `near`, if given, else the best one; None if none is."""
        faces = self._finder.find(picture, [near] if near else [])
        if not faces:
            return None
        if near is None:
            return faces[0]
        return min(faces, key=lambda face: float(np.abs(face.points - near.points).max()))


def is_whole(face: Face, picture: Image) -> bool:
    x0, y0, x1, y1 = face.box
    return x0 >= 0 and y0 >= 0 and x1 < picture.shape[1] and y1 < picture.shape[0]


def stray(here: Numbers, there: Numbers) -> Numbers:
    """Where the moving points of mesh `there` lie against those of `here`: [n, 2], in the wearer's eye distances.

    In a frame whose x runs from eye to eye, without the shift of the whole outline.
    """
    eyes = here[EYES[1], :2] - here[EYES[0], :2]
    distance = np.linalg.norm(eyes)
    x, y = eyes / distance
    apart = (there - here)[:, :2]
    moved = apart[list(MOVING)] - apart[list(OVAL)].mean(0)
    return np.asarray(moved @ np.array([[x, y], [-y, x]]).T / distance)


def shape(mesh: Numbers, onto: Numbers) -> Numbers:
    """The inner points [n, 2] of a mesh, turned and scaled in space so that its outline lies best on that of `onto`.

    In eye distances of `onto`. The turn takes the pose out (least squares: Umeyama, 1991).
    """
    a, b = mesh[list(OVAL)].astype(float), onto[list(OVAL)].astype(float)
    middle_a, middle_b = a.mean(0), b.mean(0)
    u, s, vt = np.linalg.svd((b - middle_b).T @ (a - middle_a))
    mirror = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = (s * mirror).sum() / ((a - middle_a) ** 2).sum()
    laid = (mesh[list(INNER)] - middle_a) @ (scale * (u * mirror) @ vt).T
    return np.asarray(laid[:, :2] / np.linalg.norm(onto[EYES[1], :2] - onto[EYES[0], :2]))


def cheek_colour(picture: Image, mesh: Numbers) -> Numbers:
    """Mean colour of both cheeks in CIE Lab, where equal steps look alike: [3]."""
    means = []
    for cheek in CHEEKS:
        part, mask = around(mesh[list(cheek), :2], picture)
        means.append(cv2.cvtColor((part[mask][None] / 255).astype(np.float32), cv2.COLOR_BGR2LAB)[0].mean(0))
    return np.asarray(np.mean(means, axis=0))


def gain(before: Numbers, after: Numbers, aim: Numbers) -> float:
    """How far `after` went on the way from `before` to `aim`: 0 = not at all, 1 = all the way."""
    way = (aim - before).ravel()
    return float((after - before).ravel() @ way / (way @ way))


def seam(wearer: Image, swapped: Image, outline: Numbers) -> float:
    """Gradient along the rim of the polygon `outline` in the swapped picture over that in the wearer's."""
    tile = np.ones((_RIM_PX, _RIM_PX), np.uint8)
    steep = []
    for picture in (wearer, swapped):
        part, mask = around(outline, picture, _RIM_PX)
        rim = cv2.dilate(mask.astype(np.uint8), tile) > cv2.erode(mask.astype(np.uint8), tile)
        grey = cv2.cvtColor(part, cv2.COLOR_BGR2GRAY)
        steep.append(np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))[rim].mean())
    return float(steep[1] / (steep[0] + 1e-6))


def sharpness(picture: Image, outline: Numbers) -> float:
    """Mean gradient inside the polygon `outline`, in grey levels a pixel."""
    part, mask = around(outline, picture)
    grey = cv2.cvtColor(part, cv2.COLOR_BGR2GRAY).astype(np.float32)
    inside = mask[1:, 1:]
    steep = np.abs(np.diff(grey, axis=1))[1:] + np.abs(np.diff(grey, axis=0))[:, 1:]
    return float(steep[inside].mean())


def flicker(pairs: list[tuple[Image, Image]], outline: Numbers) -> float:
    """Second difference in time inside the polygon `outline`, swapped over wearer, of three (wearer, swapped)."""
    changes = []
    for pictures in zip(*pairs, strict=True):
        cuts = [around(outline, picture) for picture in pictures]
        old, last, new = (cv2.cvtColor(part, cv2.COLOR_BGR2GRAY).astype(np.float32) for part, _ in cuts)
        changes.append(np.abs(old - 2 * last + new)[cuts[0][1]].mean())
    return float(changes[1] / (changes[0] + 1e-6))


def outside(wearer: Image, swapped: Image, face: Face) -> float:
    """99.9th percentile of the difference beyond the face's box and a third of its size around it."""
    x0, y0, x1, y1 = face.box
    wide, high = (x1 - x0) / 3, (y1 - y0) / 3
    box = np.s_[max(int(y0 - high), 0) : max(int(y1 + high), 0), max(int(x0 - wide), 0) : max(int(x1 + wide), 0)]
    difference = cv2.absdiff(wearer, swapped)
    difference[box] = 0
    if not difference.any():
        return 0.0
    far = np.ones(wearer.shape[:2], bool)
    far[box] = False
    return float(np.percentile(difference.max(2)[far], 99.9))


def around(outline: Numbers, picture: Image, margin: int = 2) -> tuple[Image, npt.NDArray[np.bool_]]:
    """The part of a picture around a polygon [n, 2], and which of its pixels are inside: bool [h, w]."""
    height, width = picture.shape[:2]
    x0, y0 = np.maximum(np.floor(outline.min(0)).astype(int) - margin, 0)
    x1, y1 = np.minimum(np.ceil(outline.max(0)).astype(int) + margin + 1, (width, height))
    part = picture[y0:y1, x0:x1]
    mask = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(outline - (x0, y0)).astype(np.int32)], 1)
    return part, mask > 0
