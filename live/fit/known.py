"""What a wearer looked like in the lessons of a personal engine, and how far from that a face looks now.

A look is six numbers of a picture with a face. Of the lessons' looks at most 64 are kept that lie among all of them
(k-centres: Gonzalez, 1985), on the engine's card. Two looks are as far apart as the column in which they differ most,
in `spread`: 1 is as far as a net may be expected to manage, or as the lessons lie from the looks that were kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from engines.card import ModelCard
from engines.errors import ModelError
from live.align import crop_around, cut_fine
from live.frame import Face, Floats, Image

COLUMNS = ("yaw", "pitch", "size", "light", "contrast", "side")
# Degrees twice; octaves of the face's height; octaves of its mean brightness; parts of that brightness twice.
_SPREAD = np.array([9.0, 8.0, 0.45, 0.4, 0.12, 0.2], np.float32)
_MOST, _MOST_ROWS = 64, 1024  # that are made; that are read
_SMALL_PX = 16
_ZOOM = 0.8  # of the box around the points: skin, no background


def look_of(image: Image, face: Face) -> Floats:
    """How this face looks, float32 [6], by COLUMNS. `image` u8 BGR; the face must have a mesh.

    Yaw and pitch in degrees; octaves of the height of its points in pixels; octaves of its mean brightness; the spread
    of its brightness, and how much brighter its left half (in the picture) is than the right one, as parts of the mean.
    """
    assert face.mesh is not None, "looks are told by a mesh"
    matrix = crop_around(face.mesh, _SMALL_PX, _ZOOM)
    grey = cv2.cvtColor(cut_fine(image, matrix, _SMALL_PX), cv2.COLOR_BGR2GRAY).astype(np.float32)
    (mean,), (spread,) = (one[0] for one in cv2.meanStdDev(grey))
    half = _SMALL_PX // 2
    side = cv2.mean(grey[:, :half])[0] - cv2.mean(grey[:, half:])[0]
    tall = float(np.ptp(face.mesh[:, 1]))
    octaves = np.log2(max(tall, 1.0)), np.log2(mean + 8.0)  # in the dark, a level more or less is nothing
    return np.array([*face.pose[:2], *octaves, spread / (mean + 8), side / (mean + 8)], np.float32)


@dataclass(frozen=True, slots=True)
class Known:
    """The looks of the lessons: `rows` float32 [n, 6], and how far apart is far, `spread` float32 [6]."""

    rows: Floats
    spread: Floats

    def far(self, look: Floats) -> float:
        """How far this look is from the nearest that is known; above 1 it is new."""
        return float((np.abs(self.rows - look) / self.spread).max(1).min())


def known_of(looks: Sequence[Floats] | Floats) -> dict[str, Any]:
    """What stands on a card (facts: taught: known) about these looks [n, 6], of all lessons. ValueError: there is none.

    Where the lessons show more than 64 looks can tell, the spread is wider, so that each lesson lies within 1.
    """
    all_of_them = np.asarray(looks, np.float32).reshape(-1, len(COLUMNS))
    all_of_them = all_of_them[np.isfinite(all_of_them).all(1)]
    if not len(all_of_them):
        raise ValueError("no looks")
    rows, reach = _centres(all_of_them, _SPREAD)
    spread = _SPREAD * max(1.0, reach)
    return {
        "columns": list(COLUMNS),
        "spread": [round(float(value), 4) for value in spread],
        "rows": [[round(float(value), 3) for value in row] for row in rows],
    }


def read_known(card: ModelCard) -> Known:
    """What the card of a personal engine says was shown to it. Raises ModelError."""
    try:
        known = card.facts["taught"]["known"]
        rows, spread = (np.array(known[name], np.float32) for name in ("rows", "spread"))
        right = known["columns"] == list(COLUMNS) and rows.ndim == 2 and 1 <= len(rows) <= _MOST_ROWS
        right = right and rows.shape[1:] == spread.shape == (len(COLUMNS),)
        right = right and bool(np.isfinite(rows).all() and np.isfinite(spread).all() and (spread > 0).all())
    except (KeyError, TypeError, ValueError):
        right = False
    if not right:
        raise ModelError(
            f"the card of model {card.name!r} does not say which looks it was taught (facts: taught: known)",
            hint="teach it again: doppelcam teach",
        )
    return Known(rows, spread)


def _centres(looks: Floats, spread: Floats) -> tuple[Floats, float]:
    """At most _MOST of the looks, so that none lies far from all of these, and how far the farthest one does."""
    away = np.full(len(looks), np.inf, np.float32)
    chosen: list[int] = []
    at = int((np.abs(looks - np.median(looks, 0)) / spread).max(1).argmin())
    while len(chosen) < _MOST:
        chosen.append(at)
        away = np.minimum(away, (np.abs(looks - looks[at]) / spread).max(1))
        at = int(away.argmax())
        if away[at] <= 0.25:  # nearer than is worth a row
            break
    return looks[chosen], float(away.max())
