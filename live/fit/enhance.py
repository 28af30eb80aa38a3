"""A face enhancer of yours (GFPGAN, CodeFormer, GPEN, RestoreFormer): it looks now and then, and its detail stays.

What it adds to the new face is kept in its own crop, which follows the face by five points, and is added to the frames
until it looks again: less of it where the face has moved since, as lids and lips do.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from engines.card import ModelCard
from engines.door import open_engine
from engines.engine import Array, Engine, TensorSpec
from engines.errors import DoppelcamError, EngineError, ModelError
from live.align import box_of, cut_fine
from live.align.crops import five_point_matrix
from live.align.templates import FIVE_POINTS
from live.compiled import compiled
from live.fit.place import drawn, from_corner
from live.frame import Face, Floats, Image, Patch

_NEAR, _FAR = 0.008, 0.03  # parts of the crop by which a point may move before its detail begins to fade, and is gone
_CELLS = 32  # a side: how finely it is known where the face has moved
_FORGET = 300  # faces looked at or shown after which the detail of one that was not is forgotten
_LATELY = 0.2  # the part of a new figure in a mean


@dataclass(slots=True)
class _Detail:
    """What was added to one face: u8 [n, n, 4], 128 + BGR and how much of it counts; `points` float32 [m, 2] are
    where the face was in the crop, in parts of its side. `age` counts frames since, `seen` is when it was shown.
    """

    added: Image
    points: Floats
    age: int
    seen: int


@dataclass
class Enhancer:
    """An opened enhancer. Opened, used and closed on one thread. `ms` is what one look took lately."""

    engine: Engine
    size: int
    template: str
    picture: TensorSpec
    output: str
    more: dict[str, Array]
    ms: float = 0.0
    _kept: dict[int, _Detail] = field(default_factory=dict, init=False)
    _count: int = field(default=0, init=False)

    def close(self) -> None:
        self._kept = {}
        with suppress(EngineError):
            self.engine.close()

    def forget(self) -> None:
        """Another face is worn from now on."""
        self._kept = {}

    def due(self, face: Face, every: int) -> bool:
        """Whether the last look at this face is `every` frames ago, or there was none."""
        known = self._kept.get(face.track)
        return not face.missed and (known is None or known.age >= every)

    def look(self, image: Image, face: Face, patch: Patch) -> None:
        """Learn what the enhancer adds to the face that this patch makes in `image`, which is left alone.

        Raises EngineError, also for an answer with values that are no numbers.
        """
        began = time.perf_counter()
        matrix = five_point_matrix(face.points, self.template, self.size)
        under = _worn(image, matrix, self.size, patch)
        planes = np.empty((1, 3, self.size, self.size), np.float32)
        taken(under, planes)
        answer = self.engine.run({self.picture.name: planes.astype(self.picture.dtype, copy=False), **self.more})
        new = np.asarray(answer[self.output], np.float32)[0]
        if not np.isfinite(new.sum()):
            raise EngineError(
                f"the enhancer {self.engine.model} gives values that are no numbers", hint="take its fp32 file"
            )
        added = np.empty((self.size, self.size, 4), np.uint8)
        difference(new, under, added)
        self._kept[face.track] = _Detail(added, self._points(face, matrix), 0, self._count)
        spent = (time.perf_counter() - began) * 1e3
        self.ms += (spent - self.ms) * (_LATELY if self.ms else 1)

    def detail(self, face: Face) -> tuple[Image, Floats] | None:
        """What to give to `enhanced` for this face now, with the matrix from the frame. Once a frame a face."""
        known = self._kept.get(face.track)
        if known is None:
            return None
        self._count += 1
        known.age, known.seen = known.age + 1, self._count
        self._kept = {track: one for track, one in self._kept.items() if self._count - one.seen < _FORGET}
        matrix = five_point_matrix(face.points, self.template, self.size)
        now = self._points(face, matrix)
        same = np.zeros((_CELLS, _CELLS), np.float32)
        same[1:-1, 1:-1] = 1  # the crop's border fades
        if now.shape == known.points.shape:
            moved = np.linalg.norm(now - known.points, axis=1)
            x, y = np.clip(now * _CELLS, 0, _CELLS - 1).astype(int).T
            np.minimum.at(same, (y, x), np.clip((_FAR - moved) / (_FAR - _NEAR), 0, 1).astype(np.float32))
            same = np.asarray(cv2.erode(same, np.ones((3, 3), np.uint8)), np.float32)
        else:  # it had a mesh then, and has none now, or the other way round
            same[:] = 0
        same = np.asarray(cv2.blur(same, (3, 3)), np.float32)
        counts = cv2.resize(np.asarray(same * 255 + 0.5, np.uint8), (self.size, self.size))
        return cv2.insertChannel(counts, known.added.copy(), 3), matrix  # type: ignore[return-value]

    def _points(self, face: Face, matrix: Floats) -> Floats:
        points = face.points if face.mesh is None else face.mesh[:, :2]
        return (points @ matrix[:, :2].T + matrix[:, 2]) / np.float32(self.size)


def open_enhancer(card: ModelCard, engine: str, threads: int, fallback: bool) -> Enhancer:
    """Open the model on this engine (see engines/door.py). ModelError where the card or the net is not as it should."""
    facts = card.facts
    if facts.get("kind") != "enhancer":
        raise ModelError(
            f"the model {card.name!r} is no face enhancer (its family is {card.family!r})",
            hint="doppelcam models list shows kinds",
        )
    opened = open_engine(card, engine, threads, fallback)
    size, template = facts.get("image_size"), facts.get("template")
    picture, image = (
        next((spec for spec in specs if spec.name == _name(facts.get(side))), None)
        for specs, side in ((opened.inputs, "inputs"), (opened.outputs, "outputs"))
    )
    rest = [spec for spec in opened.inputs if spec is not picture]
    fits = (
        template in FIVE_POINTS and isinstance(size, int) and picture is not None and image is not None
        and picture.shape == image.shape == (1, 3, size, size)
        and len(rest) <= 1 and all(int(np.prod(spec.shape)) == 1 for spec in rest)
        and isinstance(facts.get("weight", 1.0), (int, float))
    )  # fmt: skip
    if not fits or picture is None or image is None or not isinstance(size, int):
        with suppress(DoppelcamError):
            opened.close()
        raise ModelError(
            f"the net of model {card.name!r} takes {', '.join(map(str, opened.inputs))} and gives "
            f"{', '.join(map(str, opened.outputs))}, which is not what its card says",
            hint="add the model's file again: doppelcam models add FILE",
        )
    more = {spec.name: np.full(spec.shape, facts.get("weight", 1.0), spec.dtype) for spec in rest}
    _compile_all()
    return Enhancer(opened, size, str(template), picture, image.name, more)


def _name(ports: Any) -> Any:
    return ports.get("image") if isinstance(ports, dict) else None


def enhanced(patch: Patch, detail: Image, matrix: Floats, strength: float) -> Patch:
    """The patch, in place, with so much (0..1) of the detail that `Enhancer.detail` gave."""
    size = (patch.pixels.shape[1], patch.pixels.shape[0])
    placed = drawn(detail, from_corner(matrix, patch.x, patch.y), size, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
    add(patch.pixels, placed, np.int32(strength * 256))
    return patch


def _worn(image: Image, matrix: Floats, size: int, patch: Patch) -> Image:
    """The crop u8 [size, size, 3] of the picture as it will be with this patch."""
    x0, y0, x1, y1 = (round(v) for v in box_of(matrix, 0, 0, size, size))
    tall, wide = patch.alpha.shape
    # Part of the picture around both, so that it is not copied whole.
    x0, y0 = max(0, min(x0 - 2, patch.x)), max(0, min(y0 - 2, patch.y))
    part = image[y0 : max(y1 + 3, patch.y + tall), x0 : max(x1 + 3, patch.x + wide)].copy()
    x, y = patch.x - x0, patch.y - y0
    lay(part[y : y + tall, x : x + wide], patch.pixels, patch.alpha)
    return cut_fine(part, from_corner(matrix, x0, y0), size)


@compiled()
def lay(under, over, alpha):  # type: ignore[no-untyped-def]
    """Mix `over` into `under`, both u8 [h, w, 3], by `alpha` u8 [h, w]."""
    for y in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            a = np.int32(alpha[y, x])
            for c in range(3):
                under[y, x, c] = np.uint8((under[y, x, c] * (255 - a) + over[y, x, c] * a + 127) // 255)


@compiled()
def taken(picture, planes):  # type: ignore[no-untyped-def]
    """Fill `planes` f32 [1, 3, n, n], RGB, -1..1, from `picture` u8 [n, n, 3], BGR."""
    for c in range(3):
        for y in range(picture.shape[0]):
            for x in range(picture.shape[1]):
                planes[0, 2 - c, y, x] = np.float32(picture[y, x, c]) * np.float32(1 / 127.5) - np.float32(1)


@compiled()
def difference(new, under, added):  # type: ignore[no-untyped-def]
    """Fill the first three bytes of `added` u8 [n, n, 4] with 128 and by how much `new` f32 [3, n, n], RGB, -1..1,
    is lighter than `under` u8 [n, n, 3], BGR.
    """
    for c in range(3):
        for y in range(added.shape[0]):
            for x in range(added.shape[1]):
                level = new[2 - c, y, x] * np.float32(127.5) + np.float32(127.5)
                level = min(max(level, np.float32(0)), np.float32(255)) - np.float32(under[y, x, c])
                added[y, x, c] = np.uint8(min(max(level + np.float32(128.5), np.float32(1)), np.float32(255)))


@compiled()
def add(pixels, detail, strength):  # type: ignore[no-untyped-def]
    """Add to `pixels` u8 [h, w, 3] what is coded in `detail` u8 [h, w, 4]; see `difference`. `strength` is 0..256."""
    for y in range(detail.shape[0]):
        for x in range(detail.shape[1]):
            much = np.int32(detail[y, x, 3]) * strength
            for c in range(3):  # 255 * 256, and half of it more
                value = np.int32(pixels[y, x, c]) + ((np.int32(detail[y, x, c]) - 128) * much + 32640) // 65280
                pixels[y, x, c] = np.uint8(min(max(value, 0), 255))


def _compile_all() -> None:
    """Compile now, not in the first frame."""
    three, four = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 4), np.uint8)
    planes = np.zeros((1, 3, 2, 2), np.float32)
    taken(three, planes)
    difference(planes[0], three, four)
    add(three, four, np.int32(1))
    lay(np.zeros((2, 4, 3), np.uint8)[:, 1:3], three, three[..., 0].copy())
