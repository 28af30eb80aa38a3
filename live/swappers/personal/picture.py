"""What the net of a personal engine draws of one face, as a patch of the frame; and when that is not to be used.

The net's own picture is believed where it is one: neither flat nor far too dark or bright, nor the wearer's own face,
and with a mask that covers the features. What is left of them then is covered too. The camera's grain is added, since
the net's picture is clean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import cv2
import numpy as np

from engines.engine import Array
from live.align import CORE, INNER_LIPS, LEFT_EYE, RIGHT_EYE, cut_fine
from live.align.crops import resized
from live.align.landmarks import FEATURES, MESH_POINTS, landmarks
from live.fit.detail import Detail, Noise
from live.fit.place import drawn, finer, from_corner, shown_in, small
from live.frame import Face, Floats, Image, Mask, Patch
from live.occlusion import believed, in_front
from live.swappers.trained.net import Net

_COVERS = 0.8  # part of the features that the net's mask must cover
_FLAT = 3.0  # grey levels by which a face differs from a plain area, at least
_DARKER = 6.0  # times that the new face may be darker or brighter than the old one
_SAME = 3.0  # grey levels by which it differs from the old one, at least
_MOST_HIDDEN = 0.6  # part of the face; if more seems hidden, that is not believed (as live/occlusion.py has it)
_FRONT_PX, _NOTHING = 64, 40  # side of what is remembered; a front that is nowhere above is none, of 255
_SOFT = 1.15  # times that the camera is softer than the net's picture, from which that is drawn softer
_FINER = 0.8  # drawn larger than this, straight lines between its pixels would cost sharpness: a twentieth at 1
_FAINT = 8  # of 255
_FADES = 0.06  # part of the crop's side in which the new face fades at the border
_HULL = (*list(MESH_POINTS)[FEATURES], *CORE[1:])
_OPENINGS = (INNER_LIPS, RIGHT_EYE, LEFT_EYE)  # where the wearer's own may be seen
_OUTLINES = np.array([point for outline in (_HULL, *_OPENINGS) for point in outline])
_ENDS = np.cumsum([len(outline) for outline in (_HULL, *_OPENINGS)])[:-1]


class Unusable(Exception):
    """The net's picture cannot be shown; the text says why."""


@dataclass
class Seen:
    """What is remembered of one face: how likely something is in front of it, float32 [n, n]; the camera's detail."""

    likely: Floats | None = None
    detail: Detail = field(default_factory=Detail)


def draw(net: Net, image: Image, face: Face, seen: Seen, noise: Noise, front: bool) -> Patch:
    """The net's face for the place of `face`, which has a mesh. Raises Unusable, and what the engine raises."""
    assert face.mesh is not None, "a personal engine needs a finder that gives a mesh"
    points = landmarks(face.mesh)
    matrix = net.crop.matrix(points, net.size)
    old = cut_fine(image, matrix, net.size)
    given = net.run(old, 0.0)
    new, mask = _shaped(given, net.out_size)
    place = resized(matrix, net.out_size / net.size)
    core = _core(face.mesh, place, net.out_size)
    _demand_a_face(new, mask, old, core)
    packed = np.empty((*mask.shape, 4), np.uint8)
    packed[..., :3] = new
    # A net's mask is nowhere quite 0: without the faint rest the patch is no larger than the face.
    clear = cv2.threshold(cv2.min(mask, _fading(net.out_size)), _FAINT, 255, cv2.THRESH_TOZERO)[1]
    packed[..., 3] = cv2.max(clear, core)
    packed[[0, -1], :, 3] = packed[:, [0, -1], 3] = 0
    left, top, right, bottom = rect = shown_in(packed[..., 3], place, image)
    if right - left < 2 or bottom - top < 2:
        return Patch(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8), 0, 0)
    hidden = _hidden(given, image, face, place, rect, seen) if front else None
    if seen.detail.softness > _SOFT:
        side = max(16, round(net.out_size / seen.detail.softness))
        place, packed = resized(place, side / net.out_size), small(packed, side)
    packed, place = finer(packed, place, _FINER)
    size = (right - left, bottom - top)
    placed = drawn(packed, from_corner(place, left, top), size, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
    pixels, alpha = np.asarray(cv2.cvtColor(placed, cv2.COLOR_BGRA2BGR), np.uint8), cv2.extractChannel(placed, 3)
    seen.detail.compare(pixels, image[top:bottom, left:right])
    seen.detail.add_grain(pixels, noise)
    if hidden is not None:
        alpha = cv2.multiply(alpha, 255 - hidden, scale=1 / 255)
    return Patch(pixels, np.asarray(alpha, np.uint8), left, top, hidden)


def _shaped(given: dict[str, Array], size: int) -> tuple[Image, Mask]:
    """The net's picture and mask. Raises Unusable where they are not of the shape or type that they must be."""
    new, mask = (given.get(name) for name in ("image", "face_mask"))
    if new is None or mask is None or new.shape != (size, size, 3) or mask.shape != (size, size):
        raise Unusable("the net gives no picture of the right size")
    if new.dtype != np.uint8 or mask.dtype != np.uint8:
        raise Unusable("the net gives no picture in bytes")
    return new, mask


@cache
def _fading(size: int) -> Mask:
    """u8 [size, size]: 255, but for the border, where a face that is larger than the crop fades."""
    ramp = np.minimum(np.arange(size), np.arange(size)[::-1]) * (255 / (_FADES * size))
    return np.minimum(np.minimum(ramp, ramp[:, None]), 255).astype(np.uint8)


def _core(mesh: Floats, place: Floats, size: int) -> Mask:
    """What must be covered, 255 in u8 [size, size]: the features, but for the openings of eyes and mouth."""
    there = mesh[_OUTLINES, :2] @ place[:, :2].T + place[:, 2]
    fixed = np.round(np.clip(there, -1e4, 1e4) * 16).astype(np.int32)  # in sixteenths of a pixel
    hull, *openings = np.split(fixed, _ENDS)
    core = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(core, cv2.convexHull(hull), 255, cv2.LINE_8, 4)
    cv2.fillPoly(core, openings, 0, cv2.LINE_8, 4)
    return core


def _demand_a_face(new: Image, mask: Mask, old: Image, core: Mask) -> None:
    """Raise Unusable unless this can be a new face."""
    there = cv2.countNonZero(core)
    if not there:
        return  # it lies outside the crop: the guard decides
    covered = cv2.countNonZero(core & mask & np.uint8(128))
    if covered < _COVERS * there:
        raise Unusable("the net's mask does not cover the face")
    mean, spread = cv2.meanStdDev(new, mask=core)
    if float(spread.max()) < _FLAT:
        raise Unusable("the net's picture is flat")
    if new.shape != old.shape:
        return
    before, after = sum(cv2.mean(old, core)[:3]) + 12, float(mean.sum()) + 12
    if not 1 / _DARKER < after / before < _DARKER:
        raise Unusable("the net's picture is far too dark or too bright")
    if cv2.norm(new, old, cv2.NORM_L2SQR, core) < _SAME**2 * 3 * there:
        raise Unusable("the net gives the wearer's own face back")


def _hidden(
    given: dict[str, Array], image: Image, face: Face, place: Floats, rect: tuple[int, int, int, int], seen: Seen
) -> Mask | None:
    """What lies in front of the face in the rectangle; None: nothing, or nobody can tell."""
    said = given.get("front")
    if said is None:
        return None
    if seen.likely is None and cv2.minMaxLoc(said)[1] < _NOTHING:
        return None
    now = small(said, _FRONT_PX).astype(np.float32) * np.float32(1 / 255)
    if seen.likely is None:
        seen.likely = np.zeros_like(now) if face.track else now
    likely = believed(seen.likely, now)
    seen.likely = likely if likely.max() * 255 >= _NOTHING else None
    found = in_front(likely, resized(place, _FRONT_PX / len(said)), image, face, rect, _MOST_HIDDEN).mask
    return found if found.any() else None


def crossed(net: Patch, mesh: Patch, share: float) -> Patch:
    """Both faces in one patch, the mesh swap's as much as `share`: as if both had been blended, and these pictures."""
    left, top = min(net.x, mesh.x), min(net.y, mesh.y)
    right = max(one.x + one.alpha.shape[1] for one in (net, mesh))
    bottom = max(one.y + one.alpha.shape[0] for one in (net, mesh))
    pixels, weights, hidden = [], [], np.zeros((bottom - top, right - left), np.float32)
    for one, part in ((net, 1 - share), (mesh, share)):
        rows, columns = one.alpha.shape
        y, x = one.y - top, one.x - left
        sides = (y, bottom - top - y - rows, x, right - left - x - columns)
        pixels.append(cv2.copyMakeBorder(one.pixels, *sides, cv2.BORDER_REPLICATE))
        alpha = cv2.copyMakeBorder(one.alpha, *sides, cv2.BORDER_CONSTANT, value=0)
        weights.append(alpha.astype(np.float32) * np.float32(part))
        if one.hidden is not None:
            hidden[y : y + rows, x : x + columns] += one.hidden * np.float32(part)
    mixed = np.asarray(cv2.blendLinear(*pixels, *weights), np.uint8)
    alpha = cv2.addWeighted(weights[0], 1, weights[1], 1, 0, dtype=cv2.CV_8U)
    some = net.hidden is not None or mesh.hidden is not None
    return Patch(mixed, np.asarray(alpha, np.uint8), left, top, np.rint(hidden).astype(np.uint8) if some else None)
