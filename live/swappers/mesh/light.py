"""The wearer's light on the persona's skin: a smooth gain over the face, from colours seen at the mesh's points.

The difference of the logarithms of both skins' smoothed colours is explained in two parts. Light: a sum of the first
nine spherical harmonics of the head's normals, which is all that diffuse light can do to a convex head (Ramamoorthi,
Hanrahan 2001), fitted on what is skin on both faces. What remains at the rim (another complexion, a shadow's edge) is
followed there and fades inward, so that the new face meets neck and ears.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from live.align import BROWS, LEFT_EYE, LIPS, RIGHT_EYE
from live.frame import Floats, Image
from live.swappers.mesh.atlas import LOG_FROM
from live.swappers.mesh.shape import Skull

GRID_PX = 24  # the gain is answered on a picture of this size in the atlas's layout
# Upper cheeks, nose, forehead: neither brow nor beard.
_SURE = (50, 280, 101, 330, 118, 347, 117, 346, 4, 5, 195, 9, 151, 108, 337, 205, 425)
_NOSTRILS = (2, 97, 326, 98, 327, 94, 19, 60, 290, 20, 250, 238, 458)


@dataclass
class Lamp:
    """What is remembered of one wearer's light from frame to frame."""

    fit: npt.NDArray[np.float64] | None = None  # [9, 3]
    rest: Floats | None = None  # [points near the rim, 3]
    colourful: float = 1.0  # how colourful the wearer's skin is, next to the persona's


@dataclass
class Light:
    """Made once for the topology; `gain` is called for each frame."""

    skull: Skull
    normals: Floats
    uv: Floats
    _basis: npt.NDArray[np.float64] = field(init=False, repr=False)
    _plain: Floats = field(init=False, repr=False)
    _rim: Floats = field(init=False, repr=False)
    _from: npt.NDArray[np.intp] = field(init=False, repr=False)
    _to: npt.NDArray[np.intp] = field(init=False, repr=False)
    _near: Floats = field(init=False, repr=False)
    _spread: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        x, y, z = self.normals.T.astype(np.float64)
        one = np.ones_like(x)
        self._basis = np.stack([one, x, y, z + 0.7, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], 1)
        plain = np.ones(len(x), np.float32)
        plain[list({*BROWS, *LIPS, *RIGHT_EYE, *LEFT_EYE, *_NOSTRILS})] = 0
        rim = self.skull.from_rim_cm
        plain[rim < 0.6] = 0
        self._plain = plain
        # What remains is read from plain skin near the rim and followed where the rim is near.
        self._rim = np.exp(-((rim / 2.0) ** 2)).astype(np.float32)
        self._from, self._to = np.flatnonzero((plain > 0) & (rim < 2.5)), np.flatnonzero(self._rim > 0.02)
        points = self.skull.canonical
        far = np.linalg.norm(points[self._to, None] - points[None, self._from], axis=2)
        self._near = np.exp(-((far / 1.8) ** 2)).astype(np.float32)
        g = (np.arange(GRID_PX, dtype=np.float32) + 0.5) / GRID_PX
        grid = np.stack(np.meshgrid(g, g), -1).reshape(-1, 2)
        near = np.exp(-((np.linalg.norm(grid[:, None] - self.uv[None], axis=2) / 0.05) ** 2)) + 1e-12
        self._spread = (near / near.sum(1, keepdims=True)).astype(np.float32)

    def pale(self, wearer: Floats, seen: Floats, colours: Floats, skin: Floats, lamp: Lamp) -> float:
        """How much of its colourfulness the persona's skin may keep, 0..1: all, unless the wearer's is far less so.

        Brown skin in front of a camera that hardly sees colours must not shine in orange. Arguments as for `gain`.
        """
        weight = self._plain * seen * skin
        if weight.sum() > 20:
            ratio = _colourful(wearer, weight) / max(_colourful(colours, weight), 1e-3)
            lamp.colourful += (ratio - lamp.colourful) * (0.05 if lamp.fit is not None else 1.0)
        return float(np.clip(lamp.colourful * 1.25, 0.0, 1.0))

    def gain(
        self,
        wearer: Floats,
        seen: Floats,
        colours: Floats,
        skin: Floats,
        lamp: Lamp,
        *,
        light: float,
        complexion: float,
    ) -> Floats:
        """The factor for the persona's colours: float32 [GRID_PX, GRID_PX, 3] in the atlas's layout.

        `wearer` float32 [468, 3]: logarithms of the colours seen in the picture; `seen` [468]: 0..1, how well;
        `colours` and `skin` are the atlas's. `light` 0..1: how much of all this is done; `complexion` 0..1: how much
        of the persona's own complexion is kept.
        """
        d = wearer - colours
        weight = self._plain * seen * skin
        fit = self._fit(d, weight)
        lamp.fit = fit if lamp.fit is None else _eased(lamp.fit, fit)
        even = (self._basis @ lamp.fit).astype(np.float32)
        left = np.clip(d - even, -0.7, 0.7)
        w = (seen * skin)[self._from, None]
        rest = (self._near @ (left[self._from] * w)) / (self._near @ w + np.float32(0.6))
        lamp.rest = rest if lamp.rest is None else lamp.rest + (rest - lamp.rest) * np.float32(0.25)
        # The middle of the face keeps a share of the persona's complexion: brightness less than hue, since how bright a
        # face is says more of the exposure than of its skin.
        mean = lamp.fit[0].astype(np.float32)
        # Hues that differ more than skins do come from the light or the camera (a grey film), and are not kept.
        own = np.clip(mean - mean.mean(), -0.12, 0.12) + np.float32(0.5) * np.clip(mean.mean(), -0.8, 0.8)
        total = even - own * (1 - self._rim)[:, None] * np.float32(complexion)
        total[self._to] += lamp.rest * self._rim[self._to, None]
        spread = self._spread @ (total * np.float32(light))
        return np.asarray(np.exp(np.clip(spread, -1.6, 1.6)).reshape(GRID_PX, GRID_PX, 3), np.float32)

    def _fit(self, d: Floats, weight: Floats) -> npt.NDArray[np.float64]:
        """Weighted least squares with a soft pull to zero, again and again: outliers count less each time.

        It starts from what the cheeks, the nose and the forehead say together, so that a beard cannot set the tone.
        """
        sure = np.asarray(_SURE)[weight[list(_SURE)] > 0.2]
        if len(sure) < 4:
            sure = np.asarray(_SURE)
        start = np.median(d[sure], axis=0)
        w = weight / (1 + (np.abs(d - start).max(1) / 0.25) ** 4)
        pull = np.diag([1e-3] + [2.0] * 3 + [6.0] * 5)
        fit = np.zeros((self._basis.shape[1], 3))
        for _ in range(2):
            b = self._basis * w[:, None]
            fit = np.linalg.solve(b.T @ self._basis + pull, b.T @ d)
            off = np.abs(d - self._basis @ fit).max(1)
            w = weight / (1 + (off / 0.15) ** 2)
        return fit


def _colourful(logs: Floats, weight: Floats) -> float:
    """Mean distance of the skin's channels from grey, on the logarithmic scale."""
    spread = logs - logs.mean(1, keepdims=True)
    return float(np.abs(spread).mean(1) @ weight / weight.sum())


def paler(pixels: Image, keep: float) -> Image:
    """`pixels` u8 [h, w, 4] with this part of their distance from grey; the fourth channel stays."""
    grey = np.array([0.114, 0.587, 0.299], np.float32) * np.float32(1 - keep)
    mix = np.eye(4, dtype=np.float32)
    mix[:3, :3] = np.eye(3, dtype=np.float32) * np.float32(keep) + grey
    return np.asarray(cv2.transform(pixels, mix), np.uint8)


def log_paler(logs: Floats, keep: float) -> Floats:
    """The same for logarithms of colours [n, 3], made as in atlas.py."""
    colours = np.exp(logs) - LOG_FROM
    grey = colours @ np.array([0.114, 0.587, 0.299], np.float32)
    pale = grey[:, None] + (colours - grey[:, None]) * np.float32(keep)
    return np.asarray(np.log(np.maximum(pale, 0) + LOG_FROM), np.float32)


def _eased(before: npt.NDArray[np.float64], now: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean brightness follows at once when it changes a lot (exposure), all else slowly (no flicker)."""
    step = now - before
    share = np.full_like(step, 0.2)
    share[0] = np.clip(0.25 + np.abs(step[0]).max() * 6, 0, 1)
    return before + step * share
