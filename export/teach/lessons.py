"""Makes a lesson of a pair, another each time: another place and light, a worse camera, things in front of the face.

The face and its target are moved and lit alike; only the face is blurred, made noisy, and gets things in front, which
the net must see past: what it shall draw under them does not change.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from export.occlusion.hands import drawn_hand
from export.occlusion.shapes import Box, Layer, Place
from export.occlusion.things import any_thing
from export.teach.pairs import Pairs

_HIDDEN = 0.3  # part of the lessons with something in front
_THINGS = 160
_OFTEN = 4.0  # a pair is drawn at most so many times as often as others: one may be past learning


@dataclass(frozen=True, slots=True)
class Batch:
    """float32 0..1: `face`, `target` [n, 3, size, size] BGR, `mask`, `front` [n, 1, size, size]; of `which` pairs."""

    which: Tensor
    face: Tensor
    target: Tensor
    mask: Tensor
    front: Tensor


class Lessons:
    """Lessons of these pairs for a net of `size`; `rng` decides what is drawn; without `things` only `plain` works.

    `warp`: how far the face, not its target, is bent here and there, in half sides of the crop.
    """

    def __init__(
        self, pairs: Pairs, size: int, rng: np.random.Generator, things: bool = True, warp: float = 0.0
    ) -> None:
        self.size, self._side, self._warp = size, pairs.faces.shape[1], warp
        targets = [] if pairs.targets is pairs.faces else [pairs.targets]
        planes = [pairs.faces, *targets, pairs.masks[..., None]]
        self._all = torch.from_numpy(np.concatenate(planes, -1).transpose(0, 3, 1, 2).copy())
        self._rng = rng
        middle = slice(self._side * 3 // 8, self._side * 5 // 8)
        skin = np.median(pairs.faces[:, middle, middle].reshape(-1, 3)[::97], axis=0).astype(np.float32)
        if things:
            self._things = torch.from_numpy(painted(rng, self._side, skin).transpose(0, 3, 1, 2).copy())

        self._wrong = np.ones(len(pairs))

    def __len__(self) -> int:
        return len(self._all)

    def plain(self, which: Tensor) -> Batch:
        """These pairs as they are."""
        n = len(which)
        face, target, mask = self._cut(which, torch.zeros(n), torch.ones(n), torch.zeros(n, 2))
        return Batch(which, face, target, mask, torch.zeros_like(mask))

    def remember(self, which: Tensor, wrong: Tensor) -> None:
        """How far off the net was in these pairs: what it does badly (a blink is rare) it gets more often."""
        at = which.numpy()
        self._wrong[at] += 0.5 * (wrong.detach().cpu().numpy() - self._wrong[at])

    def draw(self, n: int) -> Batch:
        """`n` lessons."""
        rng = self._rng
        often = np.clip(self._wrong / self._wrong.mean(), 0.3, _OFTEN)
        which = torch.from_numpy(rng.choice(len(self), n, p=often / often.sum()))
        turn = torch.from_numpy(rng.normal(0, 0.035, n).astype(np.float32))
        zoom = torch.from_numpy(np.exp(rng.normal(0, 0.03, n)).astype(np.float32))
        move = torch.from_numpy(rng.normal(0, 0.015, (n, 2)).astype(np.float32))
        face, target, mask = self._cut(which, turn, zoom, move, self._warp)
        face, target = self._light(face, target)
        face, front = self._cover(face)
        return Batch(which, self._spoil(face), target, mask, front)

    def _cut(
        self, which: Tensor, turn: Tensor, zoom: Tensor, move: Tensor, warp: float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        inner = self.size / self._side
        cos, sin = inner * zoom * turn.cos(), inner * zoom * turn.sin()
        rows = torch.stack([torch.stack([cos, -sin, move[:, 0]], 1), torch.stack([sin, cos, move[:, 1]], 1)], 1)
        grid = functional.affine_grid(rows, [len(which), 1, self.size, self.size], align_corners=False)
        stored = self._all[which].float() / 255

        def cut(planes: Tensor, how: str = "bilinear") -> Tensor:
            return functional.grid_sample(planes, grid, how, padding_mode="border", align_corners=False)

        # A target that each turn made a little softer would teach the net to be soft.
        target, mask = cut(stored[:, -4:-1], "bicubic").clamp(0, 1), cut(stored[:, -1:])
        if warp:
            bent = torch.from_numpy(self._rng.normal(0, warp, (len(which), 2, 5, 5)).astype(np.float32))
            bent = functional.interpolate(bent, (self.size, self.size), mode="bicubic", align_corners=True)
            grid = grid + bent.permute(0, 2, 3, 1)
        return cut(stored[:, :3]), target, mask

    def _light(self, face: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Another exposure, colour, contrast, and light from another side, for both."""
        rng, n = self._rng, len(face)
        gain = np.exp(rng.normal(0, 0.12, (n, 1, 1, 1)) + rng.normal(0, 0.03, (n, 3, 1, 1)))
        bend = np.exp(rng.normal(0, 0.08, (n, 1, 1, 1)))
        at = np.linspace(-1, 1, self.size)
        slope = rng.normal(0, 0.08, (2, n, 1, 1, 1))
        gain = gain * np.exp(slope[0] * at[None, None, None, :] + slope[1] * at[None, None, :, None])
        some = torch.from_numpy(gain.astype(np.float32)), torch.from_numpy(bend.astype(np.float32))
        return tuple(((x.clamp_min(1e-4) ** some[1]) * some[0]).clamp(0, 1) for x in (face, target))

    def _cover(self, face: Tensor) -> tuple[Tensor, Tensor]:
        """Something in front of some of the faces."""
        rng, n = self._rng, len(face)
        front = torch.zeros(n, 1, self.size, self.size)
        for k in np.nonzero(rng.random(n) < _HIDDEN)[0]:
            thing = self._things[rng.integers(len(self._things))].float() / 255
            thing = thing.flip(-1) if rng.random() < 0.5 else thing
            y, x = rng.integers(0, self._side - self.size + 1, 2)
            thing = thing[:, y : y + self.size, x : x + self.size]
            opacity = thing[3:]
            face[k] = face[k] * (1 - opacity) + thing[:3] * opacity
            front[k] = opacity
        return face, front

    def _spoil(self, face: Tensor) -> Tensor:
        """As a worse camera shows it: softer, noisier."""
        rng, n = self._rng, len(face)
        soft = torch.from_numpy((rng.uniform(0, 1, (n, 1, 1, 1)) ** 3).astype(np.float32))
        blurred = functional.avg_pool2d(functional.pad(face, (1, 1, 1, 1), mode="replicate"), 3, 1)
        strength = torch.from_numpy((rng.uniform(0, 0.14, (n, 1, 1, 1)) ** 2).astype(np.float32))
        noise = torch.from_numpy(rng.standard_normal(face.shape, np.float32))
        return (face + (blurred - face) * soft + noise * strength).clamp(0, 1)


def painted(rng: np.random.Generator, side: int, skin: np.ndarray) -> np.ndarray:
    """u8 [_THINGS, side, side, 4], BGR and opacity: hands, cups, microphones ... where a face is."""
    box = Box(hands=[], textures=[])
    while len(box.hands) < 4:  # what other hands are cut from
        hand = _tried(lambda place: drawn_hand(rng, box, place), rng, 256, skin)
        if hand is not None:
            box.hands.append(np.dstack(hand).astype(np.float32))
    made: list[np.ndarray] = []
    while len(made) < _THINGS:
        thing = _tried(lambda place: any_thing(rng, box, place), rng, side, skin)
        if thing is not None:
            made.append(np.dstack([np.clip(thing[0], 0, 255), thing[1] * 255]).astype(np.uint8))
    return np.array(made)


def _tried(paint, rng: np.random.Generator, side: int, skin: np.ndarray) -> Layer | None:  # type: ignore[no-untyped-def]
    """A layer somewhere on the face; None for one of which nothing is seen, or that hides nearly all."""
    at = rng.normal((0.5, 0.55), 0.16, 2) * side
    try:
        layer: Layer = paint(Place(side, (float(at[0]), float(at[1])), side * 0.5, skin))
    except (ValueError, cv2.error):
        return None
    return layer if 0.01 < float(layer[1].mean()) < 0.6 else None
