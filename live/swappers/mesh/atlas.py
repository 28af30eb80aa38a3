"""The persona's skin as one unfolded picture, made once from all portraits: cleaned, completed, in several sizes.

The layout is the mesh's own (the canonical face's texture coordinates), so a texel means the same place on every
face. From each portrait comes what it sees best; a half that is turned away is taken from its mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from live.align import BROWS, LEFT_EYE, LIPS, RIGHT_EYE
from live.frame import Face, Floats, Image, Mask, Persona
from live.raster import draw_mesh
from live.swappers.mesh.shape import Skull

_SMALLEST_PX, _LARGEST_PX = 192, 800
_STEP = 2**0.25  # from one size to the next
LOG_FROM = np.float32(4)  # added to colours before their logarithm is taken, so that black has one
_MATCH_PX = 64  # views are brought to one colour at this size
COLOUR_PX = 64  # colours for the light are read from an atlas of this size


@dataclass(frozen=True, slots=True)
class Atlas:
    """`sizes`: the same picture, u8 [n, n, 4] BGR and opacity (0: leave the wearer's own skin), largest first.

    `colours` float32 [468, 3]: the logarithm of the skin's smoothed colour at each point; `skin` float32 [468]: how
    sure it is that the point shows plain skin. `shape`: the persona's shape (see shape.py).
    """

    sizes: list[Image]
    colours: Floats
    skin: Floats
    shape: Floats

    def pick(self, wanted_px: float) -> Image:
        """The smallest picture that is not smaller than `wanted_px`."""
        n = int(np.floor(np.log(self.sizes[0].shape[0] / max(wanted_px, 1.0)) / np.log(_STEP)))
        return self.sizes[min(max(n, 0), len(self.sizes) - 1)]


def make_atlas(persona: Persona, skull: Skull, uv: Floats) -> Atlas:
    """Unfold all views of `persona`. Raises ValueError when a view has no mesh."""
    views = persona.views
    if any(view.face.mesh is None for view in views):
        raise ValueError("the mesh swap needs a finder that gives a mesh")
    px = max(face_px(view.face) for view in views)
    size = int(np.clip(1.3 * px, _SMALLEST_PX, _LARGEST_PX))
    hair = _may_be_hair(skull, uv, size)
    sheets: list[Image] = []
    trusts: list[Floats] = []
    shapes: list[Floats] = []
    for n, view in enumerate(views):
        for mirrored in (False, True):
            sheet, trust = _unfold(view.image, view.face, skull, uv, size, mirrored)
            sheets.append(sheet)
            # Another portrait serves where it shows clearly more; two at once would make a soft face of both.
            best = trust * (1 - 0.6 * hair * (1 - _skin(sheet, uv))) - 0.2 * mirrored - 0.25 * (n > 0)
            trusts.append(np.clip(best, 0.004, 1).astype(np.float32))
        mesh = view.face.mesh
        assert mesh is not None
        shape = skull.head(mesh).shape(mesh)
        shapes.append(_even(shape, skull, -skull.normals(mesh)[:, 2]))
    colour = _merge(sheets, trusts)
    skin = _skin(colour, uv)
    opacity = np.asarray(cv2.GaussianBlur(1 - hair * (1 - skin), (0, 0), size / 60))
    colour = fill(colour, opacity > 0.8)  # what is not shown must not bleed into what is
    # Eyes are drawn apart (eyes.py); between lids that shut there must be skin, not a squeezed iris.
    eyes = np.zeros((size, size), np.uint8)
    for opening in (RIGHT_EYE, LEFT_EYE):
        cv2.fillPoly(eyes, [np.round((uv[list(opening)] * size - 0.5) * 16).astype(np.int32)], 1, 0, 4)
    lashes = 2 * (size // 160) + 1
    colour = fill(colour, cv2.erode(eyes, np.ones((lashes, lashes), np.uint8)) == 0)
    full = np.dstack([colour, np.clip(opacity * 255 + 0.5, 0, 255).astype(np.uint8)])
    sizes = [np.ascontiguousarray(full)]
    while sizes[-1].shape[0] / _STEP > 24:
        n = round(full.shape[0] / _STEP ** len(sizes))
        sizes.append(np.ascontiguousarray(cv2.resize(full, (n, n), interpolation=cv2.INTER_AREA), np.uint8))
    small = cv2.resize(colour, (COLOUR_PX, COLOUR_PX), interpolation=cv2.INTER_AREA)
    return Atlas(
        sizes,
        log_colours(small, uv * COLOUR_PX - 0.5),
        sample(skin, uv * size - 0.5),
        np.mean(shapes, axis=0).astype(np.float32),
    )


def face_px(face: Face) -> float:
    """The size of a face that does not change much as it turns: root of width times height of the box."""
    x0, y0, x1, y1 = face.box
    return float(np.sqrt(max(x1 - x0, 0) * max(y1 - y0, 0)))


def log_colours(small: cv2.typing.MatLike, at: Floats) -> Floats:
    """The logarithm of a picture's smoothed colours at points in its pixels: float32 [n, 3]."""
    soft = cv2.GaussianBlur(small, (0, 0), 1.2)
    return np.asarray(np.log(sample(soft.astype(np.float32), at) + LOG_FROM), np.float32)


def sample(picture: Floats | Mask, at: Floats) -> Floats:
    """`picture` at points in its pixels, between pixels in a straight line."""
    found = cv2.remap(picture, at[None].astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(found[0], np.float32)


def _even(shape: Floats, skull: Skull, seen: Floats) -> Floats:
    """A shape whose turned-away half is mended by the mirror image of the other."""
    twin = skull.mirrored(shape)
    better = np.clip((seen[skull.mirror] - seen - 0.1) / 0.3, 0, 1)[:, None]
    return np.asarray(shape + (twin - shape) * better * 0.8, np.float32)


def _unfold(image: Image, face: Face, skull: Skull, uv: Floats, size: int, mirrored: bool) -> tuple[Image, Floats]:
    """One portrait in the atlas's layout, and how far each texel can be trusted (float32 [n, n])."""
    assert face.mesh is not None
    mesh = face.mesh
    seen = -skull.normals(mesh)[:, 2]
    if mirrored:
        mesh, seen = mesh[skull.mirror], seen[skull.mirror]
    map_x, map_y, depth = (np.empty((size, size), np.float32) for _ in range(3))
    alpha = np.empty((size, size), np.uint8)
    trust = np.asarray(np.clip((seen - 0.05) / 0.9, 0.02, 1), np.float32)
    flat = np.hstack([uv * size - 0.5, np.zeros((len(uv), 1))]).astype(np.float32)
    draw_mesh(flat, skull.triangles, np.ascontiguousarray(mesh[:, :2], np.float32), trust, map_x, map_y, alpha, depth)
    # A picture much larger than the atlas is made smaller first, or fetching from it would sparkle.
    scale = min(1.0, size / (1.0 * face_px(face)))
    if scale < 0.75:
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        map_x, map_y = (m * np.float32(scale) + np.float32((scale - 1) / 2) for m in (map_x, map_y))
    sheet = cv2.remap(image, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    weight = np.asarray(alpha / np.float32(255), np.float32)
    return fill(sheet, weight > 0), weight


def fill(picture: cv2.typing.MatLike, known: npt.NDArray[np.bool_]) -> Image:
    """What is not `known` gets the colours of its surroundings, softer the farther away (a pyramid, pull and push)."""
    weight = known.astype(np.float32)
    levels = [(picture.astype(np.float32) * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 2:
        values, weight = levels[-1]
        levels.append((np.asarray(cv2.pyrDown(values), np.float32), np.asarray(cv2.pyrDown(weight), np.float32)))
    answer = levels[-1][0] / np.maximum(levels[-1][1], 1e-3)[..., None]
    for values, weight in reversed(levels[:-1]):
        up = cv2.resize(answer, (weight.shape[1], weight.shape[0]), interpolation=cv2.INTER_LINEAR)
        here = np.minimum(weight, 1)[..., None]
        answer = values / np.maximum(weight, 1e-3)[..., None] * here + up * (1 - here)
    return np.asarray(np.clip(answer + 0.5, 0, 255), np.uint8)


def _merge(sheets: list[Image], trusts: list[Floats]) -> Image:
    """All views as one: each texel from where it is seen best, the colours of the others brought to the first's."""
    size = sheets[0].shape[0]
    best = np.maximum.reduce(trusts)
    total = np.zeros((size, size, 1), np.float32)
    picture = np.zeros((size, size, 3), np.float32)
    for sheet, trust in zip(sheets, trusts, strict=True):
        share = np.asarray(cv2.GaussianBlur(np.clip((trust - best) / 0.12 + 1, 0, 1), (0, 0), size / 96))[..., None]
        if share.max() < 0.01:
            continue
        # Compared where both see something; elsewhere the first shows what only happens to lie there.
        both = np.clip(np.minimum(trust, trusts[0]) - 0.1, 0, 1)[..., None] ** 2
        mine, others = (
            cv2.GaussianBlur(_small((one + np.float32(1)) * both), (0, 0), _MATCH_PX / 12) + 0.1
            for one in (sheet, sheets[0])
        )
        gain = cv2.resize(np.clip(others / mine, 0.5, 2), (size, size), interpolation=cv2.INTER_LINEAR)
        picture += sheet * gain * share
        total += share
    return np.asarray(np.clip(picture / np.maximum(total, 1e-3) + 0.5, 0, 255), np.uint8)


def _small(picture: cv2.typing.MatLike) -> Floats:
    small = cv2.resize(picture, (_MATCH_PX, _MATCH_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _skin(colour: Image, uv: Floats) -> Floats:
    """How much each texel looks like this face's own cheeks, nose and brow middle: float32 [n, n], 0..1."""
    soft = cv2.GaussianBlur(colour, (0, 0), colour.shape[0] / 200).astype(np.float32)
    logs = np.log(soft + 6)
    plain = sample(logs, uv[list(_PLAIN)] * colour.shape[0] - 0.5)
    middle = np.median(plain, 0)
    d = logs - middle
    light = d.mean(2)
    red, blue = d[..., 2] - d[..., 1], d[..., 0] - d[..., 1]
    far = (np.clip(np.abs(light + 0.05) - 0.2, 0, None) / 0.13) ** 2 + (red / 0.14) ** 2 + (blue / 0.22) ** 2
    return np.asarray(cv2.blur(1 / (1 + (far / 3) ** 4), (3, 3)), np.float32)


# Cheeks, nose, forehead's middle, chin's sides: plain skin on nearly every face.
_PLAIN = (50, 280, 205, 425, 101, 330, 4, 5, 195, 9, 151, 118, 347, 36, 266, 187, 411)


def _may_be_hair(skull: Skull, uv: Floats, size: int) -> Floats:
    """Where hair, a fringe or a hat may lie on the face, or the background behind it: forehead, temples, rim."""
    x, y, rim = skull.canonical[:, 0], skull.canonical[:, 1], skull.from_rim_cm
    high = np.clip((-y - 4.9) / 0.8, 0, 1)
    # Beside the eyes and cheeks hair hangs far in; along the jaw the band is narrow, since a beard is the persona's.
    reach = np.interp(y, [1.5, 4.5], [4.5, 2.0])
    side = np.clip((reach - rim) / 1.0, 0, 1) * np.clip((np.abs(x) - 3.4) / 0.8, 0, 1)
    jaw = np.clip((1.2 - rim) / 0.8, 0, 1)
    weight = np.maximum.reduce([high, side, jaw]).astype(np.float32)
    weight[list({*BROWS, *RIGHT_EYE, *LEFT_EYE, *LIPS})] = 0
    map_x, map_y, depth = (np.empty((size, size), np.float32) for _ in range(3))
    alpha = np.empty((size, size), np.uint8)
    flat = np.hstack([uv * size - 0.5, np.zeros((len(uv), 1))]).astype(np.float32)
    draw_mesh(flat, skull.triangles, flat[:, :2].copy(), weight, map_x, map_y, alpha, depth)
    # Beyond the mesh the nearest of its rim goes on, so that nothing opaque is blurred in from there.
    reach = np.ones((size // 12 * 2 + 1,) * 2, np.uint8)
    hair = np.where(map_x > -1, alpha, cv2.dilate(alpha, reach))
    return np.asarray(hair / np.float32(255), np.float32)
