"""Sees what lies in front of a face (hands, microphones, cups, hair), so that it can stay in front of the new one.

A small net looks at the face in a crop with level eyes and says for each place whether something is in front. A false
alarm would show the wearer, a miss only draws the new face over a hand: what the net says is believed slowly, forgotten
fast, and must be sure somewhere before it counts at all. Beard, glasses and tongue belong to the face.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from engines.door import open_engine
from engines.engine import Engine
from live.align import OVAL, crop_around, cut_fine
from live.align.crops import resized
from live.frame import Face, Floats, Image, Mask
from live.models import shipped
from live.settings import setting

_RISE, _FALL = 0.6, 0.8  # how far the belief moves to what the net says, up and down
_SURE, _LIKELY = 0.75, 0.4  # a region counts if it is sure somewhere, and reaches as far as it is likely
_LEAST = 0.012  # part of the face below which a region does not count
_WORK_PX = 128  # edges are looked for in a picture of at most this side
_TURNED = 38  # degrees of yaw beyond which the net was taught nothing, and the mesh is rough
_FORGET = 60  # looks at other faces after which a face that was not seen is forgotten


@dataclass(slots=True)
class Front:
    """What is in front of one face. `mask` u8 [h, w], 255: something is in front; it belongs to whoever gets it.

    `hidden` is the part 0..1 of the face that is said to be hidden. Where so much is hidden, or the face is so small or
    so far turned, that the answer is not to be `trusted`, the mask is empty: the new face is drawn over everything.
    """

    mask: Mask
    hidden: float
    trusted: bool


@dataclass(slots=True)
class _Belief:
    """What is believed of one track: `likely` float32 [n, n] in the net's crop, when it was last seen and asked for."""

    likely: Floats
    seen: int
    since_look: int = 0


@dataclass
class Occlusion:
    """Opened, used and closed on one thread. The finder must give a mesh: without one nothing is in front."""

    every: int = setting(2, "frames between two looks of the net while nothing is in front", low=1, high=10)
    most: float = setting(
        0.6, "if more than this part of the face seems hidden, the mask is not trusted", low=0.1, high=1, step=0.05
    )
    engine: str = setting("auto", "what runs the net: auto, or RUNTIME[:DEVICE][:PRECISION]")
    threads: int = setting(1, "threads of the net; 0: measured", low=0, high=64)
    fallback: bool = setting(False, "where that engine is not to be had, take the best other one")

    rate: int = field(default=1, init=False)  # 2: half as often, where there is no time for more
    _net: Engine | None = field(default=None, init=False, repr=False)
    _size: int = field(default=0, init=False, repr=False)
    _zoom: float = field(default=0.0, init=False, repr=False)
    _beliefs: dict[int, _Belief] = field(default_factory=dict, init=False, repr=False)
    _calls: int = field(default=0, init=False, repr=False)

    def open(self) -> None:
        card = shipped("occlusion")
        self._size, self._zoom = int(card.facts["image_size"]), float(card.facts["crop_scale"])
        self._net = open_engine(card, self.engine, self.threads, self.fallback)

    @property
    def engines(self) -> list[Engine]:
        return [] if self._net is None else [self._net]

    def close(self) -> None:
        if self._net is not None:
            self._net.close()
        self._net = None
        self._beliefs = {}

    def see(self, image: Image, face: Face, rect: tuple[int, int, int, int]) -> Front:
        """What is in front of `face`, for the rectangle x0, y0, x1, y1 of the frame (inside it; ends excluded).

        Call it once a frame for each face: faces with a track number are remembered from frame to frame.
        """
        x0, y0, x1, y1 = rect
        if not (0 <= x0 < x1 <= image.shape[1] and 0 <= y0 < y1 <= image.shape[0]):
            raise ValueError(f"the rectangle {rect} is not inside a picture of {image.shape[1]}x{image.shape[0]}")
        nothing = Front(np.zeros((y1 - y0, x1 - x0), np.uint8), 0.0, True)
        if face.mesh is None:
            return nothing
        if abs(face.pose[0]) > _TURNED:
            self._beliefs.pop(face.track, None)
            return Front(nothing.mask, 0.0, False)
        matrix = crop_around(face.mesh, self._size, self._zoom)
        if float(np.hypot(matrix[0, 0], matrix[1, 0])) > 1:  # smaller than the net's crop: too little to tell by
            self._beliefs.pop(face.track, None)
            return Front(nothing.mask, 0.0, False)
        likely = self._believe(image, face, matrix)
        # From pixels of the frame to those of the mask, which are larger than the crop's.
        return in_front(likely, resized(matrix, len(likely) / self._size), image, face, rect, self.most)

    def _believe(self, image: Image, face: Face, matrix: Floats) -> Floats:
        """How likely something is in front, [n, n] in the crop, from now and before."""
        self._calls += 1
        belief = self._beliefs.get(face.track) if face.track else None
        if belief is not None and (face.missed or not self._is_due(belief)):
            belief.seen = self._calls
            belief.since_look += 1
            return belief.likely
        assert self._net is not None, "open() comes first"
        said = self._net.run({"image": cut_fine(image, matrix, self._size)})["hidden"]
        if not face.track:
            return said.copy()
        if belief is None:
            belief = self._beliefs[face.track] = _Belief(np.zeros_like(said), self._calls)
        belief.likely = believed(belief.likely, said)
        belief.seen, belief.since_look = self._calls, 0
        self._beliefs = {t: b for t, b in self._beliefs.items() if self._calls - b.seen <= _FORGET}
        return belief.likely

    def _is_due(self, belief: _Belief) -> bool:
        """Is it time to look? In every frame while anything may be in front, else now and then."""
        return belief.since_look + 1 >= self.every * self.rate or bool((belief.likely > _LIKELY).any())


def believed(before: Floats, said: Floats) -> Floats:
    """How likely it is, for each place, that something is in front, after the net has `said` so of the next picture."""
    change = said - before
    return before + np.where(change > 0, _RISE, _FALL).astype(np.float32) * change


def in_front(
    likely: Floats, matrix: Floats, image: Image, face: Face, rect: tuple[int, int, int, int], most: float
) -> Front:
    """What is in front of `face` in the rectangle of the frame, by how `likely` that is, float32 [n, n].

    `matrix` leads from the frame to the pixels of `likely`; `most` as in Occlusion. The face must have a mesh.
    """
    assert face.mesh is not None, "nothing is in front of a face without a mesh"
    x0, y0, x1, y1 = rect
    outline = face.mesh[list(OVAL), :2] @ matrix[:, :2].T + matrix[:, 2]
    front, hidden = sure_regions(likely, outline)
    if hidden == 0 or hidden > most:
        return Front(np.zeros((y1 - y0, x1 - x0), np.uint8), hidden, hidden == 0)
    to_mask = matrix.copy()
    to_mask[:, 2] += matrix[:, :2] @ (x0, y0)
    return Front(follow_edges(front, to_mask.astype(np.float32), image[y0:y1, x0:x1]), hidden, True)


def sure_regions(likely: Floats, outline: Floats) -> tuple[Floats, float]:
    """The regions that count, 0..1 with soft edges, and the part of the face (its `outline`) that they hide.

    Two thresholds as in Canny's edges (1986): a region of what is likely counts if it is sure somewhere on the face.
    """
    if not (likely > _SURE).any():
        return likely, 0.0
    face = np.zeros(likely.shape, np.uint8)
    cv2.fillPoly(face, [np.round(outline * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    count, regions = cv2.connectedComponents((likely > _LIKELY).astype(np.uint8), connectivity=4, ltype=cv2.CV_16U)
    area = np.bincount(regions[face > 0], minlength=count)
    sure = np.bincount(regions[(face > 0) & (likely > _SURE)], minlength=count)
    counts = (area > _LEAST * face.sum()) & (sure >= 0.25 * area) & (sure > 2)
    counts[0] = False
    hidden = float(area[counts].sum()) / max(1.0, float(face.sum()))
    # A little wider than the region, so that its soft edge is kept; but where it is doubtful (below 0.74) the new face
    # wins, since a missed finger's edge is nothing next to a strip of the wearer's own skin.
    keep = cv2.dilate(counts[regions].astype(np.uint8), np.ones((3, 3), np.uint8))
    soft = np.clip((likely - 0.55) * 2.6, 0, 1) * keep
    return soft.astype(np.float32), hidden


def follow_edges(front: Floats, to_mask: Floats, picture: Image) -> Mask:
    """`front` brought into `picture` (u8 [h, w, 3]) and moved to the picture's own edges; u8 [h, w].

    `to_mask` is the 2x3 matrix from the picture's pixels to those of `front`. The fast guided filter (He, Sun, 2015):
    in each small window the mask is a line a * grey + b; a and b are found in a smaller picture.
    """
    height, width = picture.shape[:2]
    shrink = min(1.0, _WORK_PX / max(height, width))
    small = (max(2, round(width * shrink)), max(2, round(height * shrink)))
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    guide = cv2.resize(grey, small, interpolation=cv2.INTER_AREA).astype(np.float32) * (1 / 255)
    scale = np.array([width / small[0], height / small[1]])
    matrix = to_mask.copy()
    matrix[:, 2] += matrix[:, :2] @ ((scale - 1) / 2)
    matrix[:, :2] *= scale
    mask = cv2.warpAffine(front, matrix, small, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    # The window is as wide as the net's mask is coarse: two of its pixels.
    side = 2 * max(1, round(1.2 / float(np.hypot(matrix[0, 0], matrix[1, 0])))) + 1

    def mean(plane: cv2.typing.MatLike) -> cv2.typing.MatLike:
        return cv2.blur(plane, (side, side))

    light, level = mean(guide), mean(mask)
    slope = (mean(guide * mask) - light * level) / (mean(guide * guide) - light * light + 4e-4)
    offset = mean(level - slope * light)
    slope_fine, offset_fine = (cv2.resize(plane, (width, height)) for plane in (mean(slope), offset))
    # Steeper than the filter leaves it: (mask - 1/2) * 2 + 1/2.
    fine = cv2.multiply(slope_fine, grey, scale=2.0, dtype=cv2.CV_32F)
    return cv2.addWeighted(fine, 1.0, offset_fine, 510.0, -127.5, dtype=cv2.CV_8U)  # type: ignore[return-value]
