"""Finds faces with MediaPipe's short-range detector and follows them with its 468-point mesh.

The detector runs only when a face is missing, and every few frames to see whether somebody came in: on what the frame
showed, when that is on its way, so that who is there is looked at in the next one. The mesh net looks at a crop around
where the face was in the frame before, as MediaPipe's own tracking does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import atan2, exp, hypot

import cv2
import numpy as np

from engines.door import open_engine
from engines.engine import Engine
from live.align import EYE_CORNERS, back, crop_around, cut, face_from_mesh, five_points, square
from live.finders._short_range import Candidate, ShortRange
from live.frame import Face, Floats, Image
from live.models import shipped
from live.settings import setting

MESH_PX = 192
_EYE_PX = 64
_EYE_ZOOM = 2.3  # side of the iris net's crop, as a multiple of the distance between the eye's corners
# Points of the lids between the corners: in the iris net's numbers, in the mesh's for the right and the left eye. The
# corners stay the mesh net's: they are calmer, and the next crop is laid level by them.
_LID_POINTS = [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15]
_LIDS = (
    [7, 163, 144, 145, 153, 154, 155, 246, 161, 160, 159, 158, 157, 173],
    [249, 390, 373, 374, 380, 381, 382, 466, 388, 387, 386, 385, 384, 398],
)
# These nets count from the corner of the first pixel, doppelcam from its centre.
_CORNER = np.array([0.5, 0.5, 0], np.float32)
_EYE_MOVES = 0.02  # mean move of an eye's points from which it has changed, as part of its width
_EYE_RESTS = (
    3.0  # grey levels by which the picture of an eye differs while it rests: points are off by 0.005 eye widths
)
_EYE_STILL = 6  # frames after which it is read even so
_LOOKS = 4  # at most so many looks of the mesh net for one face in one frame
_OFF = 0.06  # how far off the middle a face may lie in its crop, as part of the crop's side


@dataclass(slots=True)
class _Eyes:
    """What the net said of a face's eyes last (see `_read_eye`), of which crops, small, and which eye's turn it was."""

    eyes: tuple[Floats, Floats]
    crops: list[Image]
    turn: int
    still: int = 0  # frames since the net was asked


@dataclass
class MediapipeMesh:
    """Finder with mesh, points and pose. Close faces (up to about two metres); several at a time."""

    detect_score: float = setting(0.5, "detections below this score are ignored", low=0.1, high=0.95, step=0.05)
    presence: float = setting(
        0.5, "mesh presence below this means that the face is lost", low=0.1, high=0.95, step=0.05
    )
    look_around: int = setting(2, "frames between two looks for faces that came in", low=1, high=60)
    eyes: bool = setting(
        True, "look for the irises too, where they are used: the mesh swap wears the persona's eyes by them"
    )
    engine: str = setting("auto", "what runs the nets: auto, or RUNTIME[:DEVICE][:PRECISION]")
    threads: int = setting(1, "threads of each net; 0: measured", low=0, high=64)
    fallback: bool = setting(False, "where that engine is not to be had, take the best other one")

    irises = True  # set by the loop, see Finder
    _detector: ShortRange | None = field(default=None, init=False)
    _mesh: Engine | None = field(default=None, init=False)
    _iris: Engine | None = field(default=None, init=False)
    _eyes_of: dict[int, _Eyes] = field(default_factory=dict, init=False)
    _since_look: int = field(default=0, init=False)
    _around: Callable[[], list[Candidate]] | None = field(default=None, init=False, repr=False)  # still to be done
    _came: list[Candidate] = field(default_factory=list, init=False, repr=False)

    def open(self) -> None:
        self._mesh = self._open("face_mesh")
        if self.eyes:
            self._iris = self._open("iris")
        self._open_detector()

    def _open_detector(self) -> None:
        self._detector = ShortRange(self._open("face_detector"), MESH_PX)

    def _open(self, model: str) -> Engine:
        return open_engine(shipped(model), self.engine, self.threads, self.fallback)

    @property
    def engines(self) -> list[Engine]:
        detector = None if self._detector is None else self._detector.engine
        return [engine for engine in (detector, self._mesh, self._iris) if engine is not None]

    def close(self) -> None:
        for engine in self.engines:
            engine.close()
        self._detector = self._mesh = self._iris = None
        self._around, self._came = None, []

    def find(self, image: Image, previous: list[Face]) -> list[Face]:
        faces: list[Face] = []
        for old in previous:
            if old.mesh is None:
                continue
            face = self._settle(image, crop_around(old.mesh, MESH_PX), old.track)
            if face is not None and not among(faces, face.points):
                faces.append(face)
        if previous:
            self.catch_up()
            faces += self._settled(image, self._came, faces)
        self._around, self._came = None, []  # without, it may be another picture altogether, and is looked at anew
        self._since_look += 1
        if len(faces) < max(1, len(previous)):
            self._since_look = 0
            faces += self._settled(image, self._look_around(image, bool(faces)), faces)
        elif self._since_look >= self.look_around:
            self._since_look = 0
            self._around = self._begin(image)
        self._eyes_of = {face.track: self._eyes_of[face.track] for face in faces if face.track in self._eyes_of}
        faces = [self._with_eyes(image, face) for face in faces]
        return sorted(faces, key=lambda face: -_area(face))

    def catch_up(self) -> None:
        """See Finder: who was in the last frame beside those who are known."""
        if self._around is not None:
            self._came = self._around()
            self._around = None

    def _with_eyes(self, image: Image, face: Face) -> Face:
        """The face with its irises, and with lids that close: the mesh net alone keeps shut lids wide apart.

        Eyes look and blink together: of a face that is followed one is looked at in each frame, in turn, and the other
        one only if that one has changed. An eye whose picture is the one that the net has seen is not read again.
        """
        if self._iris is None or face.mesh is None:
            return face
        if not self.irises:
            self._eyes_of.pop(face.track, None)  # what was seen of them then will be of no use
            return face
        known = self._eyes_of.get(face.track) if face.track else None
        if known is None:
            known = self._first_look(image, face.mesh)
            if known is None:
                return face
            if face.track:
                self._eyes_of[face.track] = known
        else:
            self._look_again(image, face.mesh, known)
        mesh, irises = face.mesh.copy(), []
        for eye, corners, lids in zip(known.eyes, EYE_CORNERS, _LIDS, strict=True):
            (x0, y0), (x1, y1) = (face.mesh[corner, :2].tolist() for corner in corners)
            along = np.array([[x1 - x0, y1 - y0], [y0 - y1, x1 - x0]], np.float32)  # and across
            points = eye @ along + np.array([(x0 + x1) / 2, (y0 + y1) / 2], np.float32)
            mesh[lids, :2] = points[2:]
            (x, y), (edge_x, edge_y) = points[:2].tolist()
            irises.append([x, y, hypot(edge_x - x, edge_y - y)])
        return replace(face, mesh=mesh, points=five_points(mesh), irises=np.array(irises, np.float32))

    def _first_look(self, image: Image, mesh: Floats) -> _Eyes | None:
        crops = [_eye_crop(image, mesh, k) for k in range(2)]
        right, left = (self._read_eye(crop, k) for k, crop in enumerate(crops))
        if right is None or left is None:
            return None
        return _Eyes((right, left), [_small(crop) for crop in crops], turn=0)

    def _look_again(self, image: Image, mesh: Floats, known: _Eyes) -> None:
        """Look at one eye, and at the other if the first has changed; `known` is brought up to date."""
        known.turn = 1 - known.turn
        known.still += 1
        for k in (known.turn, 1 - known.turn):
            crop = _eye_crop(image, mesh, k)
            small = _small(crop)
            change = cv2.norm(small, known.crops[k], cv2.NORM_L1) / small.size
            if change < _EYE_RESTS and known.still < _EYE_STILL:
                return
            known.crops[k] = small
            eye = self._read_eye(crop, k)
            if eye is None:
                return
            moved = float(np.abs(eye - known.eyes[k]).mean())
            known.eyes = (eye, known.eyes[1]) if k == 0 else (known.eyes[0], eye)
            known.still = 0
            if moved < _EYE_MOVES:
                return

    def _read_eye(self, crop: Image, k: int) -> Floats | None:
        """Iris centre, a point on its edge, lids: float32 [16, 2] from the middle of the eye's corners; the first
        number along the line between them, the second across, both in its length. None where they make no sense.
        """
        assert self._iris is not None, "open() comes first"
        mirrored = k == 1  # the net knows right eyes only
        answer = self._iris.run({"image": np.ascontiguousarray(crop[:, ::-1]) if mirrored else crop})
        (x, y), *edge = answer["iris"][:, :2].tolist()
        points = np.empty((2 + len(_LID_POINTS), 2), np.float32)
        points[:2] = (x, y), (x, y + sum(hypot(u - x, v - y) for u, v in edge) / len(edge))
        points[2:] = answer["eye"][_LID_POINTS, :2]
        points -= _EYE_PX / 2
        if mirrored:
            points[:, 0] = -points[:, 0]
        return np.asarray(points * (_EYE_ZOOM / _EYE_PX), np.float32) if np.isfinite(points).all() else None

    def _begin(self, image: Image) -> Callable[[], list[Candidate]]:
        """What looks for faces in this picture, later."""
        assert self._detector is not None, "open() comes first"
        return self._detector.begin(image, self.detect_score)

    def _look_around(self, image: Image, known: bool) -> list[Candidate]:
        """Look for faces now; where there is none, and none is `known`, in a part of the picture too."""
        found = self._begin(image)()
        if found or known or self._detector is None:
            return found
        return self._detector.square(image, self.detect_score)

    def _settled(self, image: Image, candidates: list[Candidate], known: list[Face]) -> list[Face]:
        """Those who are faces, and not among `known`. One whose mesh is not seen must have five points."""
        new: list[Face] = []
        for one in candidates:
            if among(known + new, one.points):
                continue
            face = self._settle(image, one.matrix, 0)
            if face is None and len(one.points) == 5:
                new.append(Face(one.points, None, one.score))
            elif face is not None and not among(known + new, face.points):
                new.append(face)
        return new

    def _settle(self, image: Image, matrix: Floats, track: int) -> Face | None:
        """Look, and look again around what was seen, until the face lies in the crop as the mesh net wants it.

        A face that moved far since the last frame is seen at the crop's edge, where its mesh is wrong although its
        presence is high. None when it does not come to rest.
        """
        for _ in range(_LOOKS):
            face = self._look(image, matrix, track)
            if face is None or face.mesh is None:
                return None
            again = crop_around(face.mesh, MESH_PX)
            if _same_crop(matrix, again):
                return face
            matrix = again
        return None

    def _look(self, image: Image, matrix: Floats, track: int) -> Face | None:
        """The mesh of the face in this crop; None where there is none or it makes no sense."""
        assert self._mesh is not None, "open() comes first"
        answer = self._mesh.run({"image": cut(image, matrix, MESH_PX)})
        presence = 1 / (1 + exp(-min(max(float(answer["presence"][0]), -50.0), 50.0)))
        points = answer["points"]
        if not presence >= self.presence or not np.isfinite(points).all():
            return None
        mesh = back(points - _CORNER, matrix)
        (x0, y0), (x1, y1) = mesh[:, :2].min(0).tolist(), mesh[:, :2].max(0).tolist()
        height, width = image.shape[:2]
        if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height or x1 - x0 < 8 or y1 - y0 < 8:
            return None
        return face_from_mesh(mesh, presence, track)


def _eye_crop(image: Image, mesh: Floats, k: int) -> Image:
    """The picture around an eye with level corners, for the iris net."""
    (x0, y0), (x1, y1) = (mesh[corner, :2].tolist() for corner in EYE_CORNERS[k])
    side = _EYE_ZOOM * hypot(x1 - x0, y1 - y0)
    return cut(image, square(((x0 + x1) / 2, (y0 + y1) / 2), side, atan2(y1 - y0, x1 - x0), _EYE_PX), _EYE_PX)


def _small(crop: Image) -> Image:
    """What lies between the lids and around, small, so that a camera's noise is no change."""
    part = crop[_EYE_PX // 4 : _EYE_PX * 3 // 4]
    return cv2.resize(part, (_EYE_PX // 4, _EYE_PX // 8), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _same_crop(one: Floats, other: Floats) -> bool:
    """Do two crops show the face at about the same place and size?"""
    a, b = (cv2.invertAffineTransform(matrix).tolist() for matrix in (one, other))
    side = hypot(b[0][0], b[1][0]) * MESH_PX
    growth = hypot(a[0][0], a[1][0]) * MESH_PX / side
    half = MESH_PX / 2
    x, y = ((p[0] - q[0] + p[1] - q[1]) * half + p[2] - q[2] for p, q in zip(a, b, strict=True))
    return hypot(x, y) < _OFF * side and 0.8 < growth < 1.25


def _area(face: Face) -> float:
    x0, y0, x1, y1 = face.box
    return (x1 - x0) * (y1 - y0)


def among(faces: list[Face], points: Floats) -> bool:
    """Is the middle of `points` inside one of these faces?"""
    x, y = points.mean(0)
    for face in faces:
        x0, y0, x1, y1 = face.box
        if x0 < x < x1 and y0 < y < y1:
            return True
    return False
