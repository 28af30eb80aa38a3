"""What skin does when a face moves: the folds and bulges around the mouth, carried over onto the persona.

The wearer's picture is unfolded into the atlas's layout, small. What it shows there now less what it shows while the
face is calm, at the sizes of folds, becomes a factor for the persona's skin (expression ratio images: Liu, Shan, Zhang,
2001). So a smile is one on the new face too, and nothing comes along of how the wearer looks at rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from live.frame import Floats, Image
from live.raster import draw_mesh
from live.swappers.mesh.atlas import LOG_FROM
from live.swappers.mesh.shape import Skull

SHEET_PX = 96
LEAST_PX = 80  # of a face that is smaller in the picture, the sheet shows noise and no folds
_WIDE_PX = 21  # what is wider in the sheet is light, and light.py's; what is finer than a pixel of it is noise
_DARKER, _LIGHTER = 0.3, 0.15  # logarithms: folds shade deeper than bulges shine
_PART = 0.8  # of what the wearer's skin does: drawn in full, the mouth would be read as the wearer's own
_PACE = 0.75  # the part of a change that is taken over in one reading
_KNOWN = 6.0  # calm readings after which the calm face counts as known
_READINGS = 100.0  # from then on it is a mean over about so many
_USUAL = 30.0  # the usual look is a mean over about so many readings
_LIKE_PX = 13  # two looks are compared in windows of this size
_ALIKE, _SAME = 0.4, 0.7  # concordances: from not to be told to surely the same
_FEATURES = 0.03, 0.09  # contrast (logarithms) of a place that shows nothing to know it by, and of one that does


@dataclass(slots=True)
class Sheet:
    """`logs` float32 [SHEET_PX, SHEET_PX]: the logarithm of the brightness; `seen` 0..1: how well it is seen."""

    logs: Floats
    seen: Floats


@dataclass
class Unfold:
    """Made once for the topology: brings a picture under a mesh into the atlas's layout."""

    skull: Skull
    uv: Floats
    around_mouth: Floats = field(init=False)  # [SHEET_PX, SHEET_PX], 0..1: where folds are carried over

    def __post_init__(self) -> None:
        self._flat = np.hstack([self.uv * SHEET_PX - 0.5, np.zeros((len(self.uv), 1))]).astype(np.float32)
        self._maps = [np.empty((SHEET_PX, SHEET_PX), np.float32) for _ in range(3)]
        low, rim = np.clip(self.skull.canonical[:, 1] - 0.5, 0, 1), np.clip((self.skull.from_rim_cm - 0.3) / 1.2, 0, 1)
        self.around_mouth = self._draw(self._flat[:, :2].copy(), (low * rim).astype(np.float32))

    def __call__(self, here: Image, old: Floats, seen: Floats) -> Sheet:
        """`here` u8 [h, w, 3] under the mesh `old` [468, 3] in its pixels, of which `seen` [468] says how well."""
        grey: npt.NDArray[np.uint8] = cv2.cvtColor(here, cv2.COLOR_BGR2GRAY)  # type: ignore[assignment]
        height, width = grey.shape
        shrink = min(1.0, SHEET_PX / float(np.sqrt(height * width)))
        columns, rows = max(2, round(width * shrink)), max(2, round(height * shrink))
        grey = cv2.resize(grey, (columns, rows), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        at = (old[:, :2] + 0.5) * np.array([columns / width, rows / height], np.float32) - 0.5
        trust = self._draw(np.ascontiguousarray(at, np.float32), seen.astype(np.float32))
        sheet = cv2.remap(grey, self._maps[0], self._maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        soft = cv2.GaussianBlur(sheet.astype(np.float32), (0, 0), 1.0)
        return Sheet(np.log(soft + LOG_FROM), trust)

    def _draw(self, at: Floats, weight: Floats) -> Floats:
        alpha = np.empty((SHEET_PX, SHEET_PX), np.uint8)
        map_x, map_y, depth = self._maps
        draw_mesh(self._flat, self.skull.triangles, at, weight, map_x, map_y, alpha, depth)
        return np.asarray(alpha * np.float32(1 / 255), np.float32)


@dataclass
class Creases:
    """What is remembered of one wearer's folds."""

    now: Floats = field(default_factory=lambda: np.zeros((SHEET_PX, SHEET_PX), np.float32))
    """The logarithm of the factor for the persona's skin, as it was read last; float32 [SHEET_PX, SHEET_PX]."""
    _calm: Floats = field(default_factory=lambda: np.zeros((SHEET_PX, SHEET_PX), np.float32), init=False)
    _weight: Floats = field(default_factory=lambda: np.full((SHEET_PX, SHEET_PX), 1e-3, np.float32), init=False)

    def read(self, sheet: Sheet, calm: float) -> None:
        """Take in one sheet of a face with nothing in front; `calm` 0..1: how much it looks as it does at rest."""
        around = cv2.blur(cv2.merge([sheet.logs * sheet.seen, sheet.seen]), (_WIDE_PX, _WIDE_PX))
        folds = sheet.logs - around[..., 0] / (around[..., 1] + np.float32(1e-3))
        weight = sheet.seen * np.float32(calm)
        self._weight = np.minimum(self._weight + weight, np.float32(_READINGS))
        self._calm += (folds - self._calm) * (weight / self._weight)
        change = np.clip(folds - self._calm, -_DARKER, _LIGHTER) * sheet.seen * np.float32(_PART)
        self._towards(change * np.minimum(self._weight / np.float32(_KNOWN), 1))

    def rest(self) -> None:
        """Nothing can be read (a hand is in front, the face is small): let the folds go."""
        self._towards(np.zeros_like(self.now))

    def _towards(self, change: Floats) -> None:
        self.now = self.now + (change - self.now) * np.float32(_PACE)


@dataclass
class Look:
    """How a wearer's face looks lately: tells which parts of it are seen, where something else is said to be."""

    _usual: Floats | None = field(default=None, init=False)
    _readings: float = field(default=0.0, init=False)

    def learn(self, sheet: Sheet) -> None:
        """Take in one sheet of a face with nothing in front."""
        self._readings = min(self._readings + 1, _USUAL)
        if self._usual is None:
            self._usual = sheet.logs.copy()
        self._usual += (sheet.logs - self._usual) * (sheet.seen / np.float32(self._readings))

    def same(self, sheet: Sheet) -> Floats:
        """How sure it is that a place shows the face, by its pattern: float32 [SHEET_PX, SHEET_PX], 0..1.

        The concordance with the usual look in a window around, which is a correlation that asks for the same contrast
        too (Lin, 1989): a dark bar is no row of nostrils. 0 where the face is too plain to be known by it.
        """
        if self._usual is None:
            return np.zeros_like(sheet.logs)
        known, new = (logs - _near(logs) for logs in (self._usual, sheet.logs))
        power = _near(known * known)
        alike = _near(known * new) / ((power + _near(new * new)) / 2 + np.float32(1e-6))
        plain, rich = _FEATURES
        sure = np.clip((alike - _ALIKE) / (_SAME - _ALIKE), 0, 1)
        return np.asarray(sure * np.clip((np.sqrt(power) - plain) / (rich - plain), 0, 1), np.float32)


def _near(values: Floats) -> Floats:
    """The mean of a window around each place."""
    return np.asarray(cv2.blur(values, (_LIKE_PX, _LIKE_PX)), np.float32)
