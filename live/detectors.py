"""Finds faces with a detector net of the user's own, by its card: SCRFD (InsightFace's packs) or YuNet (OpenCV).

What the nets' numbers mean is from InsightFace (scrfd.py) and OpenCV (face_detect.cpp).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from engines.card import ModelCard
from engines.door import open_engine
from engines.engine import Array
from engines.errors import EngineError, ModelError, NotAvailable
from engines.store import user_store
from live.frame import Floats, Image
from live.recogniser import installed

_OVERLAP = 0.4  # of two boxes, from which they are one face
# What decides for a family: how its scores are made, whether boxes are distances to the sides, and what to pull.
PULLS = {"scrfd": "scrfd_2.5g", "yunet": "yunet_2023mar"}


@dataclass(frozen=True, slots=True)
class Found:
    """One face: `box` x0, y0, x1, y1 and `points` float32 [5, 2] as Face.points, in pixels of the picture."""

    box: tuple[float, float, float, float]
    points: Floats
    score: float


class Detector:
    """An opened detector. Opened, used and closed on one thread."""

    def __init__(self, card: ModelCard, engine: str, threads: int, fallback: bool) -> None:
        """Raises ModelError for a card or net that is none of these families'."""
        facts = card.facts
        size, strides, self._family = facts.get("image_size"), facts.get("strides"), card.family
        if card.family not in PULLS or facts.get("kind") != "detector":
            raise ModelError(f"the model {card.name!r} is no {' or '.join(PULLS)} detector (it is {card.family!r})")
        if size not in range(32, 2049, 32) or strides != [8, 16, 32]:
            raise ModelError(f"the card of model {card.name!r}: image_size and strides are not a detector's")
        self._size = int(size or 0)
        self._outputs: dict[str, Any] = facts.get("outputs", {})
        if "points" not in self._outputs and card.family == "scrfd":
            raise ModelError(f"the model {card.name!r} gives no points of the faces", hint="take a SCRFD with kps")
        self._mean, self._std = (np.array(facts[name], np.float32) for name in ("mean", "std"))
        self._rgb = facts.get("colour") == "RGB"
        self.engine = open_engine(card, engine, threads, fallback)
        anchors = int(facts.get("anchors", 1))
        self._cells = [
            np.stack(np.meshgrid(*[np.arange(self._size // stride)] * 2), -1).reshape(-1, 2).repeat(anchors, 0)
            for stride in strides
        ]
        shape = [spec.shape for spec in self.engine.inputs]
        given = {spec.name: int(np.prod(spec.shape)) for spec in self.engine.outputs}
        widths = {"scores": 1, "cls": 1, "obj": 1, "boxes": 4, "bbox": 4, "points": 10, "kps": 10}
        fits = all(
            given.get(name) == len(cells) * widths[what]
            for what, names in self._outputs.items()
            for name, cells in zip(names, self._cells, strict=True)
        )
        if shape != [(1, 3, self._size, self._size)] or not fits:
            self.close()
            raise ModelError(
                f"the net of model {card.name!r} is not what its card says",
                hint="add the model's file again: doppelcam models add FILE",
            )
        self._input = self.engine.inputs[0]

    def find(self, image: Image, least: float) -> list[Found]:
        """The faces with at least this score, best first. Values that are no numbers are no face."""
        return self.begin(image, least)()

    def begin(self, image: Image, least: float) -> Callable[[], list[Found]]:
        """The same, but for the net's work, which what comes back does, whatever becomes of the picture."""
        scale = self._size / max(image.shape[:2])
        width, height = (max(1, round(n * scale)) for n in (image.shape[1], image.shape[0]))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        canvas = np.zeros((self._size, self._size, 3), np.uint8)
        canvas[:height, :width] = cv2.resize(image, (width, height), interpolation=how)
        planes = (canvas[..., ::-1] if self._rgb else canvas).astype(np.float32) / 255
        planes = ((planes - self._mean) / self._std).transpose(2, 0, 1)[None]
        feeds = {self._input.name: np.ascontiguousarray(planes, self._input.dtype)}
        return lambda: self._look(feeds, scale, least)

    def _look(self, feeds: dict[str, Array], scale: float, least: float) -> list[Found]:
        answer = self.engine.run(feeds)
        boxes, points, scores = (np.concatenate(parts) for parts in zip(*self._read(answer), strict=True))
        good = (scores >= least) & np.isfinite(boxes).all(1) & np.isfinite(points).all(1)
        boxes, points, scores = boxes[good] / scale, points[good] / scale, scores[good]
        sides = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
        chosen = cv2.dnn.NMSBoxes(sides.tolist(), scores.tolist(), least, _OVERLAP) if len(sides) else []
        return [
            Found((*map(float, boxes[i]),), points[i].reshape(5, 2).astype(np.float32), float(scores[i]))  # type: ignore[arg-type]
            for i in chosen
        ]

    def _read(self, answer: dict[str, Array]) -> list[tuple[Array, Array, Array]]:
        """For each stride boxes [n, 4] as corners, points [n, 10], scores [n], in pixels of the canvas."""
        told = {what: [np.asarray(answer[name], np.float32) for name in names] for what, names in self._outputs.items()}
        rows = []
        for k, (cells, stride) in enumerate(zip(self._cells, (8, 16, 32), strict=True)):
            at = cells.astype(np.float32) * stride
            if self._family == "scrfd":
                away = told["boxes"][k].reshape(-1, 4) * stride
                boxes = np.hstack([at - away[:, :2], at + away[:, 2:]])
                points = told["points"][k].reshape(-1, 10) * stride + np.tile(at, 5)
                scores = told["scores"][k].ravel()
            else:
                box = told["bbox"][k].reshape(-1, 4)
                middle, size = at + box[:, :2] * stride, np.exp(np.clip(box[:, 2:], -20, 20)) * stride
                boxes = np.hstack([middle - size / 2, middle + size / 2])
                points = told["kps"][k].reshape(-1, 10) * stride + np.tile(at, 5)
                scores = np.sqrt(np.clip(told["cls"][k], 0, 1) * np.clip(told["obj"][k], 0, 1)).ravel()
            rows.append((boxes, points, scores))
        return rows

    def close(self) -> None:
        with suppress(EngineError):
            self.engine.close()


def detector_card(family: str, name: str = "") -> ModelCard:
    """The detector of this name, or the installed one of the family. Raises NotAvailable, BadInput, ModelError."""
    if name:
        return user_store().card(name)
    found = [card for card in installed("detector") if card.family == family and _whole(card)]
    if not found:
        raise NotAvailable(
            f"no {family} detector is installed",
            hint=f"doppelcam models pull {PULLS[family]}, or models add with your file or InsightFace pack",
        )
    return found[0]


def _whole(card: ModelCard) -> bool:
    return card.family != "scrfd" or "points" in card.facts.get("outputs", {})
