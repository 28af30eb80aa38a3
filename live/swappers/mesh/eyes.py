"""The persona's eyes with the wearer's gaze: an eyeball's picture per eye, set where the wearer's iris is.

An eyeball is cut from the portrait around the iris, in units of its radius, and completed under the lids. For each
frame it is drawn into the opening between the lids. Without irises (or from a portrait with shut eyes) the wearer's own
eyes stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

import cv2
import numpy as np

from live.align import EYE_CORNERS, LEFT_EYE, RIGHT_EYE
from live.bytewise import lay_in
from live.frame import Floats, Image, Mask, View
from live.swappers.mesh.atlas import LOG_FROM, fill
from live.swappers.mesh.mouth import box_in, fill_outline
from live.swappers.mesh.shape import Skull

OPENINGS = (RIGHT_EYE, LEFT_EYE)
_WIDE, _HIGH = 3.6, 2.2  # half the picture of an eyeball, in iris radii
_SHUTS = 0.5  # mean opening (in iris radii) from which the lids' shade grows as they shut
_SHADE = 0.65  # how dark it gets, and the lashes where shut lids meet
_LASHES = 0.16  # how thick that line is, in iris radii
_LEAST_OPEN = 0.55  # an eye that is less open (in iris radii) is not worn


@dataclass(frozen=True, slots=True)
class Eyeball:
    """`sizes`: the same picture u8 [h, w, 3] BGR at 24, 12 and 6 pixels an iris radius; `radius_cm` of the iris;
    `white` float32 [3]: the logarithm of the colour beside it.
    """

    sizes: list[tuple[float, Image]]
    radius_cm: float
    white: Floats


def take_eyes(views: tuple[View, ...], skull: Skull) -> list[Eyeball | None]:
    """Right and left eyeball, each from the first portrait that shows it well; None where none does."""
    eyes: list[Eyeball | None] = [None, None]
    for view in views:
        face = view.face
        if face.irises is None or face.mesh is None:
            continue
        scale = skull.head(face.mesh).scale
        for k in range(2):
            if eyes[k] is None:
                eyes[k] = _take(view.image, face.mesh[:, :2], face.irises[k], list(OPENINGS[k]), EYE_CORNERS[k], scale)
    return eyes


def _take(
    image: Image, mesh: Floats, iris: Floats, opening: list[int], corners: tuple[int, int], scale: float
) -> Eyeball | None:
    radius = float(iris[2])
    per_radius = 24.0
    place = _placed(mesh[corners[1]] - mesh[corners[0]], iris[:2], radius / per_radius, radius / per_radius)
    size = (round(2 * _WIDE * per_radius), round(2 * _HIGH * per_radius))
    picture = np.asarray(cv2.warpAffine(image, place, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP), np.uint8)
    back = cv2.invertAffineTransform(place)
    lids = mesh[opening] @ back[:, :2].T + back[:, 2]
    if np.ptp(lids[:, 1]) < _LEAST_OPEN * per_radius * 2:
        return None
    known = np.zeros(size[::-1], np.uint8)
    cv2.fillPoly(known, [np.round(lids * 16).astype(np.int32)], 1, 0, 4)
    known = cv2.erode(known, np.ones((3, 3), np.uint8)).astype(bool)
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float32)
    far = np.hypot(x - (size[0] - 1) / 2, y - (size[1] - 1) / 2) / per_radius
    if not (known & (far < 0.9)).sum() > 0.3 * (far < 0.9).sum():
        return None
    # What the lids hide of the iris is what lies on its other side; of the white, what lies beside it.
    twin, twin_known = picture[::-1, ::-1], known[::-1, ::-1]
    iris_part = fill(np.where(known[..., None], picture, twin), (known | twin_known) & (far < 0.97))
    white = fill(picture, known & (far > 1.15))
    edge = np.clip((1.06 - far) / 0.12, 0, 1)[..., None]
    made = iris_part * edge + white * (1 - edge)
    full = np.clip(np.where(known[..., None], picture, made) + 0.5, 0, 255).astype(np.uint8)
    full = np.asarray(np.where(known[..., None], full, cv2.GaussianBlur(full, (0, 0), 1.5)), np.uint8)
    sizes = [(per_radius, np.ascontiguousarray(full))]
    for _ in range(2):
        per_radius, last = sizes[-1]
        half = cv2.resize(last, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        sizes.append((per_radius * half.shape[1] / last.shape[1], np.asarray(half, np.uint8)))
    return Eyeball(sizes, radius / scale, _white(picture[known]))


def _white(colours: Image) -> Floats:
    """The logarithm of the mean colour of the brighter third of some pixels, u8 [n, 3]."""
    light = colours.astype(np.float32).sum(1)
    bright = colours[(light >= np.percentile(light, 55)) & (light <= np.percentile(light, 92))]
    return np.asarray(np.log(bright.astype(np.float32).mean(0) + LOG_FROM), np.float32)


def white_of(here: Image, lids: Floats) -> Floats | None:
    """The same of the wearer's eye in a picture; None where too little of it is seen."""
    low, high = np.floor(lids.min(0)).astype(int), np.ceil(lids.max(0)).astype(int) + 1
    x0, y0 = np.maximum(low, 0)
    x1, y1 = np.minimum(high, (here.shape[1], here.shape[0]))
    if x1 - x0 < 4 or y1 - y0 < 3:
        return None
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(mask, [np.round((lids - (x0, y0)) * 16).astype(np.int32)], 1, 0, 4)
    seen = here[y0:y1, x0:x1][mask.astype(bool)]
    return _white(seen) if len(seen) >= 12 else None


def _placed(
    along: Floats, centre: Floats, x_scale: float, y_scale: float, size: tuple[int, int] | None = None
) -> Floats:
    """The 2x3 matrix from an eyeball's pixels to the picture: turned as the eye's corners lie, its iris at `centre`."""
    (x, y), (to_x, to_y) = along.tolist(), centre.tolist()
    length = max(hypot(x, y), 1e-6)
    x, y = x / length, y / length
    wide, high = size or (round(2 * _WIDE * 24), round(2 * _HIGH * 24))
    right, down = (wide - 1) / 2, (high - 1) / 2
    a, b, c, d = x * x_scale, -y * y_scale, y * x_scale, x * y_scale
    return np.array([[a, b, to_x - a * right - b * down], [c, d, to_y - c * right - d * down]], np.float32)


def put_eye(
    eyeball: Eyeball, pixels: Image, alpha: Mask, lids: Floats, along: Floats, iris: Floats, radius_px: float,
    narrow: float, gain: Floats,
) -> None:  # fmt: skip
    """Draw an eyeball between the lids, in place.

    `lids` [16, 2], `along` (from the eye's picture-left corner to the other), `iris` (its centre): in pixels of the
    patch; `narrow`: how much the turn of the head narrows it; `gain` [3]: the light.
    """
    x0, y0, x1, y1 = box_in(lids, alpha)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    corner = np.array([x0, y0], np.float32)
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    fill_outline(mask, lids - corner, 255)
    gap_px = cv2.contourArea(lids) / max(1.0, hypot(*along.tolist()))  # without the outline, which has a width
    mask = np.asarray(cv2.convertScaleAbs(cv2.blur(mask, (3, 3)), alpha=min(max(gap_px - 0.5, 0), 1)), np.uint8)
    per_radius, picture = next((s for s in reversed(eyeball.sizes) if s[0] >= 0.8 * radius_px), eyeball.sizes[0])
    scale = radius_px / per_radius
    place = _placed(along, iris - corner, scale * narrow, scale, (picture.shape[1], picture.shape[0]))
    drawn = cv2.warpAffine(picture, place, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # Under nearly shut lids lies their shade, not white; shut, they meet in a line of lashes.
    shut = 1 - min(max(gap_px / (_SHUTS * radius_px), 0), 1)
    lit = cv2.transform(drawn, np.diag(gain * np.float32(1 - _SHADE * shut)))
    part = pixels[y0:y1, x0:x1]
    lay_in(part, np.asarray(lit, np.uint8), mask)
    if shut > 0:
        _draw_lashes(part, lids - corner, _LASHES * radius_px, _SHADE * shut)
    np.maximum(alpha[y0:y1, x0:x1], mask, out=alpha[y0:y1, x0:x1])


def _draw_lashes(part: Image, lids: Floats, thick_px: float, strength: float) -> None:
    """Darken the line on which lids [16, 2] meet, in place."""
    line = np.zeros(part.shape[:2], np.uint8)
    upper, lower = lids[[0, *range(15, 7, -1)]], lids[:9]
    seam = [np.round((upper + lower) * 8).astype(np.int32)]
    cv2.polylines(line, seam, False, 255, max(1, round(thick_px)), cv2.LINE_AA, 4)
    keep = 1 - cv2.blur(line, (3, 3))[..., None] * np.float32(strength / 255)
    part[:] = (part * keep + 0.5).astype(np.uint8)
