"""The default swap: the portrait's skin drawn over the wearer's mesh, lit as the wearer is. Needs one photo, no net.

The wearer's mesh is drawn with a z-buffer into a map of portrait coordinates, through which the portrait is fetched.
Eyes and the inside of the mouth stay the wearer's own. Slow changes of light are taken from the wearer: the picture
is multiplied by the ratio of both, blurred within the face (the idea of ratio images: Liu, Shan, Zhang, 2001).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engines.card import read_card
from live.align import INNER_LIPS, LEFT_EYE, OVAL, RIGHT_EYE
from live.frame import Face, Floats, Image, Mask, Patch, Persona
from live.raster import draw_mesh
from live.settings import setting

_MODELS = Path(__file__).parents[1] / "models"
_LIGHT_PX = 64
_RIM_PX = 1  # how many rows of triangles at the rim fade out


@dataclass
class Mesh:
    """Swapper for portraits; the finder must give a mesh."""

    light: float = setting(1.0, "how much of the wearer's light and colour is taken over", low=0, high=1, step=0.05)
    detail: float = setting(
        0.08,
        "light is smoothed over this part of the face; smaller follows shadows closer",
        low=0.03,
        high=0.3,
        step=0.01,
    )

    _triangles: npt.NDArray[np.int32] = field(init=False, repr=False)
    _weight: Floats = field(init=False, repr=False)
    _levels: list[tuple[float, Image]] = field(default_factory=list, init=False, repr=False)
    _source: Floats = field(init=False, repr=False)
    _persona_px: float = field(default=0.0, init=False)
    _level: int = field(default=0, init=False)

    def open(self) -> None:
        card = read_card(_MODELS / "face_mesh")
        with np.load(card.folder / "topology.npz") as topology:
            self._triangles = np.ascontiguousarray(topology["triangles"], np.int32)
        self._weight = rim_weight(self._triangles)
        # Loads the compiled code now, not in the first frame.
        flat = np.zeros((4, 4), np.float32)
        draw_mesh(
            np.zeros((468, 3), np.float32), self._triangles, np.zeros((468, 2), np.float32), self._weight,
            flat, flat.copy(), np.zeros((4, 4), np.uint8), flat.copy(),
        )  # fmt: skip

    def close(self) -> None:
        self._levels = []

    def wear(self, persona: Persona) -> None:
        mesh = persona.face.mesh
        if mesh is None:
            raise ValueError("the mesh swap needs a finder that gives a mesh")
        x0, y0, x1, y1 = persona.face.box
        margin = 0.1 * max(x1 - x0, y1 - y0)
        height, width = persona.image.shape[:2]
        left, top = max(0, int(x0 - margin)), max(0, int(y0 - margin))
        right, bottom = min(width, int(x1 + margin) + 1), min(height, int(y1 + margin) + 1)
        crop = np.ascontiguousarray(persona.image[top:bottom, left:right])
        self._source = (mesh[:, :2] - (left, top)).astype(np.float32)
        self._persona_px = face_px(mesh)
        # Smaller copies in steps of the root of 2: fetching from a picture much larger than the face sparkles.
        self._levels = [(1.0, crop)]
        scale = 1.0
        while min(crop.shape[:2]) * scale > 32:
            scale /= 2**0.5
            small = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            self._levels.append((scale, np.ascontiguousarray(small, dtype=np.uint8)))
        self._level = 0

    def swap(self, image: Image, face: Face) -> Patch:
        if face.mesh is None:
            raise ValueError("the mesh swap needs a finder that gives a mesh")
        height, width = image.shape[:2]
        x0, y0, x1, y1 = face.box
        left, top = max(0, int(x0) - 2), max(0, int(y0) - 2)
        right, bottom = min(width, int(x1) + 3), min(height, int(y1) + 3)
        if right - left < 4 or bottom - top < 4:
            return Patch(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8), 0, 0)
        here = image[top:bottom, left:right]
        shape = here.shape[:2]
        points = face.mesh - np.array([left, top, 0], np.float32)
        scale, texture = self._pick_level(face_px(face.mesh))
        map_x, map_y, depth = (np.empty(shape, np.float32) for _ in range(3))
        alpha = np.empty(shape, np.uint8)
        # Pixel centres lie at whole numbers: scaling a picture moves them by (scale - 1) / 2.
        source = self._source * np.float32(scale) + np.float32((scale - 1) / 2)
        draw_mesh(points, self._triangles, source, self._weight, map_x, map_y, alpha, depth)
        pixels = cv2.remap(texture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        light_mask = alpha.copy()
        for opening in (RIGHT_EYE, LEFT_EYE, INNER_LIPS):
            outline = np.round(points[list(opening), :2] * 16).astype(np.int32)
            cv2.fillPoly(alpha, [outline], 0, cv2.LINE_AA, 4)
        if self.light > 0:
            pixels = self._relight(pixels, here, light_mask)
        return Patch(np.ascontiguousarray(pixels, dtype=np.uint8), alpha, left, top)

    def _pick_level(self, wearer_px: float) -> tuple[float, Image]:
        """The smallest copy of the portrait that is not smaller than the face; changes only when clearly better."""
        wanted = self._persona_px / max(wearer_px, 1.0)
        ideal = float(np.clip(2 * np.log2(max(wanted, 1e-3)), 0, len(self._levels) - 1))
        if abs(ideal - self._level) > 0.7:
            self._level = int(ideal)
        return self._levels[self._level]

    def _relight(self, pixels: cv2.typing.MatLike, wearer: Image, mask: Mask) -> cv2.typing.MatLike:
        """`pixels` with the slow changes of light and colour of `wearer`."""
        size = (_LIGHT_PX, _LIGHT_PX)
        weight = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] * (1 / 255)
        sigma = self.detail * _LIGHT_PX
        new, old = (
            cv2.GaussianBlur(
                cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32) * weight, (0, 0), sigma
            )
            for picture in (pixels, wearer)
        )
        gain = np.clip((old + 1e-2) / (new + 1e-2), 0.25, 4.0)
        if self.light < 1:
            gain = gain**self.light
        spread = cv2.resize(gain, (pixels.shape[1], pixels.shape[0]), interpolation=cv2.INTER_LINEAR)
        return cv2.multiply(pixels, spread, dtype=cv2.CV_8U)


def face_px(mesh: Floats) -> float:
    """The size of a face that does not change much as it turns: root of width times height of the box."""
    spread = mesh[:, :2].max(0) - mesh[:, :2].min(0)
    return float(np.sqrt(spread[0] * spread[1]))


def rim_weight(triangles: npt.NDArray[np.int32]) -> Floats:
    """Opacity of each vertex: 0 at the mesh's outline, 1 from the first row of vertices inward."""
    weight = np.ones(int(triangles.max()) + 1, np.float32)
    weight[list(OVAL)] = 0
    return weight
