"""How good is a swap? Figures for (wearer, swapped) pictures of one clip, measured with the project's own finder.

No recogniser is needed: likeness is told by where the inner face lies within its outline, and by the skin's colour.
All figures compare the mesh that the finder sees in the swapped picture with the one that it sees in the wearer's.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

from live.align import INNER_LIPS, LEFT_EYE, OVAL, RIGHT_EYE
from live.app import loop_of, parts_of
from live.cli.bench.excerpt import Excerpt
from live.personas import open_persona
from live.run import read_run

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
    shape_gain        how far brows, eyes, nose and mouth, seen within the face's outline, moved from the wearer's
                      places (0) to the persona's (1)
    colour_gain       the same for the mean colour of the cheeks
    """

    expression_error: float
    flicker: float
    seam: float
    outside: float
    shape_gain: float
    colour_gain: float
    frames: int
    found: int


class Judge:
    """Takes the pictures of one clip in order and keeps only small things of each. `finder` is open."""

    def __init__(self, persona, finder):
        self._finder = finder
        self._persona = persona
        self._frames = 0
        self._wearer_face = None
        self._before = []  # the last pictures, at most three pairs, without a gap
        self._strays, self._flickers, self._seams, self._outsides = [], [], [], []
        self._shapes, self._colours = [], []

    def add(self, wearer, swapped):
        """Judge one frame: u8 [h, w, 3] twice, BGR, left alone; `swapped` is None where no live picture was shown.

        Frames whose face is not wholly in the picture count as not found.
        """
        self._frames += 1
        # Looked for from the same place in both pictures, so that the finder's habits are the same in both.
        near = self._wearer_face or self._look(wearer, None)
        self._wearer_face = face = self._look(wearer, near) if near else None
        new = self._look(swapped, near) if face and swapped is not None and is_whole(face, wearer) else None
        if new is None:
            self._before = []
            return
        self._strays.append(stray(face.mesh, new.mesh))
        self._shapes.append([shape(mesh, self._persona.face.mesh) for mesh in (face.mesh, new.mesh)])
        self._colours.append([cheek_colour(picture, face.mesh) for picture in (wearer, swapped)])
        self._outsides.append(outside(wearer, swapped, face))
        outline = face.mesh[list(OVAL), :2]
        self._seams.append(seam(wearer, swapped, outline))
        self._before = [*self._before, (wearer.copy(), swapped.copy())][-3:]
        if len(self._before) == 3:
            self._flickers.append(flicker(self._before, outline))

    def figures(self):
        """Raises ValueError where no frame showed a face in both pictures."""
        if not self._strays:
            raise ValueError("no frame shows a face in both pictures")
        strays = np.array(self._strays)
        before, after = np.array(self._shapes).mean(0)
        return Figures(
            expression_error=float(np.linalg.norm(strays - strays.mean(0), axis=2).mean()),
            flicker=float(np.median(self._flickers)) if self._flickers else float("nan"),
            seam=float(np.mean(self._seams)),
            outside=float(np.mean(self._outsides)),
            shape_gain=gain(before, after, shape(self._persona.face.mesh, self._persona.face.mesh)),
            colour_gain=gain(
                *np.array(self._colours).mean(0), cheek_colour(self._persona.image, self._persona.face.mesh)
            ),
            frames=self._frames,
            found=len(strays),
        )

    def _look(self, picture, near):
        """The face in this picture that is nearest to the face `near`, if given, else the best one; None if none is."""
        faces = self._finder.find(picture, [near] if near else [])
        if not faces:
            return None
        if near is None:
            return faces[0]
        return min(faces, key=lambda face: np.abs(face.points - near.points).max())


def judge_sample(face, finder, *pairs, until_s):
    """The figures of the real loop on the shipped clip, worn `face`; `pairs` are settings as `--set` takes them.

    `finder` is an opened one, of its own: the loop has another.
    """
    judge = Judge(open_persona(face, finder), finder)
    run = read_run(None, list(pairs), {"source": "sample", "face": face, "sink": "null", "fast": True})
    parts = parts_of(run)
    parts.marks = ()  # the figures are of the swap
    wearers = deque()  # a run without real time gives one picture for each that went in, in order
    parts.source = Excerpt(parts.source, end_s=until_s, see=lambda captured: wearers.append(captured.image.copy()))
    parts.sinks = {"judge": _Pairs(wearers, judge)}
    loop_of(run, parts).run()
    return judge.figures()


@dataclass
class _Pairs:
    """Sink: gives the judge each picture with the wearer's."""

    wearers: deque
    judge: Judge

    def open(self, format):
        pass

    def write(self, frame):
        self.judge.add(self.wearers.popleft(), frame.image if frame.state == "live" else None)

    def close(self):
        pass


def is_whole(face, picture):
    x0, y0, x1, y1 = face.box
    return x0 >= 0 and y0 >= 0 and x1 < picture.shape[1] and y1 < picture.shape[0]


def stray(here, there):
    """Where the moving points of mesh `there` lie against those of `here`: [n, 2], in the wearer's eye distances.

    In a frame whose x runs from eye to eye, without the shift of the whole outline.
    """
    eyes = here[EYES[1], :2] - here[EYES[0], :2]
    distance = np.linalg.norm(eyes)
    x, y = eyes / distance
    apart = (there - here)[:, :2]
    moved = apart[list(MOVING)] - apart[list(OVAL)].mean(0)
    return moved @ np.array([[x, y], [-y, x]]).T / distance


def shape(mesh, onto):
    """The inner points [n, 2] of a mesh, turned and scaled in space so that its outline lies best on that of `onto`.

    In eye distances of `onto`. The turn takes the pose out (least squares: Umeyama, 1991).
    """
    a, b = mesh[list(OVAL)].astype(float), onto[list(OVAL)].astype(float)
    middle_a, middle_b = a.mean(0), b.mean(0)
    u, s, vt = np.linalg.svd((b - middle_b).T @ (a - middle_a))
    mirror = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = (s * mirror).sum() / ((a - middle_a) ** 2).sum()
    laid = (mesh[list(INNER)] - middle_a) @ (scale * (u * mirror) @ vt).T
    return laid[:, :2] / np.linalg.norm(onto[EYES[1], :2] - onto[EYES[0], :2])


def cheek_colour(picture, mesh):
    """Mean colour of both cheeks in CIE Lab, where equal steps look alike: [3]."""
    means = []
    for cheek in CHEEKS:
        part, mask = around(mesh[list(cheek), :2], picture)
        means.append(cv2.cvtColor((part[mask][None] / 255).astype(np.float32), cv2.COLOR_BGR2LAB)[0].mean(0))
    return np.mean(means, axis=0)


def gain(before, after, aim):
    """How far `after` went on the way from `before` to `aim`: 0 = not at all, 1 = all the way."""
    way = (aim - before).ravel()
    return float((after - before).ravel() @ way / (way @ way))


def seam(wearer, swapped, outline):
    """Gradient along the rim of the polygon `outline` in the swapped picture over that in the wearer's."""
    tile = np.ones((_RIM_PX, _RIM_PX), np.uint8)
    steep = []
    for picture in (wearer, swapped):
        part, mask = around(outline, picture, _RIM_PX)
        rim = cv2.dilate(mask.astype(np.uint8), tile) > cv2.erode(mask.astype(np.uint8), tile)
        grey = cv2.cvtColor(part, cv2.COLOR_BGR2GRAY)
        steep.append(np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))[rim].mean())
    return steep[1] / (steep[0] + 1e-6)


def flicker(pairs, outline):
    """Second difference in time inside the polygon `outline`, swapped over wearer, of three (wearer, swapped)."""
    changes = []
    for pictures in zip(*pairs, strict=True):
        cuts = [around(outline, picture) for picture in pictures]
        old, last, new = (cv2.cvtColor(part, cv2.COLOR_BGR2GRAY).astype(np.float32) for part, _ in cuts)
        changes.append(np.abs(old - 2 * last + new)[cuts[0][1]].mean())
    return changes[1] / (changes[0] + 1e-6)


def outside(wearer, swapped, face):
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
    return np.percentile(difference.max(2)[far], 99.9)


def around(outline, picture, margin=2):
    """The part of a picture around a polygon [n, 2], and which of its pixels are inside: bool [h, w]."""
    height, width = picture.shape[:2]
    x0, y0 = np.maximum(np.floor(outline.min(0)).astype(int) - margin, 0)
    x1, y1 = np.minimum(np.ceil(outline.max(0)).astype(int) + margin + 1, (width, height))
    part = picture[y0:y1, x0:x1]
    mask = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(outline - (x0, y0)).astype(np.int32)], 1)
    return part, mask > 0
