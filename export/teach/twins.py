"""The net of a personal engine that is taught by two people's footage: one reads any face, two paint, one for each.

As in the programs that began it all (FakeApp, 2018: a shared encoder, two decoders), the reader hands on only a few
numbers, so that they do not tell whose face it was; the persona's painter, given the wearer's, paints the persona doing
the same. Some of these numbers are said to it in training: what the face does means the same for both people. Light is
taken off before reading and put back after painting: mean and spread of each colour amid the face (Reinhard et al.,
2001). A painter bends and paints as the Student (nets.py) does, but from those numbers alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from export.teach.nets import PLACES, SHAPES, Bend, Body, convolved, twice
from export.teach.pairs import TOLD

WEARER, PERSONA = 0, 1
_POSES, _WAYS, _FREE = 6, 16, 24  # numbers: pose, lids and gaze; ways to move points; what else there is
_SAID = _WAYS + _POSES
_LOW = PLACES // 4
_MIDDLE, _HALF = (0.0, 0.05), (0.45, 0.55)  # of the face in its crop, in half sides


class Twins(Body):
    """As worn: float [n, 3, size, size] BGR 0..1 of the wearer -> the persona [n, 3, size, size] in the same light (not
    clipped), and logits of the masks [n, 2, size, size]: how far it is the new face, whether something lies in front.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        (a, _, c), _ = SHAPES[size]
        self.few = nn.Sequential(convolved(c, c // 2, 1), nn.Flatten(), nn.Linear(c // 2 * _LOW**2, _SAID + _FREE))
        self.many = nn.Sequential(nn.Linear(_SAID + _FREE, c * _LOW**2), nn.LeakyReLU(0.1))
        self.masks = nn.Conv2d(a, 2 * self._fold**2, 1)
        self.painters = nn.ModuleList([_Painter(size), _Painter(size)])
        self.register_buffer("calm", torch.zeros(TOLD))
        self.register_buffer("ways", torch.zeros(TOLD, _SAID))
        at = (torch.arange(size) * 2 + 1) / size - 1
        away = ((at - _MIDDLE[0]) / _HALF[0])[None, :] ** 2 + ((at - _MIDDLE[1]) / _HALF[1])[:, None] ** 2
        core = (1.5 * (1 - away)).clamp(0, 1)
        self.register_buffer("core", (core / core.sum())[None, None], persistent=False)

    def begin(self, told: Sequence[npt.NDArray[np.float32]], faces: Sequence[Tensor]) -> None:
        """`told` [n, TOLD] of wearer and persona; `faces`, typical ones: what the painters bend at first."""
        both = np.concatenate(told).astype(np.float64)
        calm = both.mean(0)
        moves = (both - calm)[:, :-_POSES]
        ways = np.linalg.svd(moves[:: max(1, len(moves) // 2000)], full_matrices=False)[2][:_WAYS].T
        said = np.zeros((TOLD, _SAID))
        said[:-_POSES, :_WAYS] = ways / ((moves @ ways).std(0) + 1e-3)
        said[-_POSES:, _WAYS:] = np.diag(1 / (both[:, -_POSES:].std(0) + 1e-3))
        self.calm[:], self.ways[:] = torch.from_numpy(calm), torch.from_numpy(said)
        for painter, face in zip(self.painters, faces, strict=True):
            mean, spread = self.light(face[None])
            painter.own.data[:] = (face - mean) / spread

    def meant(self, told: Tensor) -> Tensor:
        """What the reader shall say [n, k] of faces that are told so, [n, TOLD]."""
        return (told - self.calm) @ self.ways

    def said(self, code: Tensor) -> Tensor:
        """What it says [n, k], of its numbers."""
        return code[:, :_SAID]

    def light(self, face: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and spread of each colour amid the face, [n, 3, 1, 1]."""
        mean = (face * self.core).sum((2, 3), keepdim=True)
        return mean, ((face - mean).square() * self.core).sum((2, 3), keepdim=True).sqrt() + 0.02

    def read(self, face: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers [n, k] of a face without its light; logits [n, 2, size, size]: face, and something in front."""
        low, up = self.levels(face * 0.3)
        return self.few(low), functional.pixel_shuffle(self.masks(up), self._fold)

    def paint(self, code: Tensor, who: int) -> tuple[Tensor, Tensor]:
        """This person, of these numbers: without light [n, 3, size, size], and the mask's logits [n, 1, size, size]."""
        painted: tuple[Tensor, Tensor] = self.painters[who](self.many(code).unflatten(1, (-1, _LOW, _LOW)))
        return painted

    def forward(self, face: Tensor, who: int = PERSONA) -> tuple[Tensor, Tensor]:
        mean, spread = self.light(face)
        code, seen = self.read((face - mean) / spread)
        image, mask = self.paint(code, who)
        return image * spread + mean, torch.cat([torch.minimum(seen[:, :1], mask), seen[:, 1:]], 1)


class _Painter(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        (a, b, c), fine = SHAPES[size]
        self._unfold = size // (2 * PLACES)
        self.lift = nn.ModuleList([nn.Conv2d(c, b, 1), nn.Conv2d(b, a, 1)])
        self.join = nn.ModuleList([convolved(b, b), convolved(a, a)])
        self.flow, self.gain = nn.Conv2d(a, 2, 1), nn.Conv2d(a, 3, 1)
        self.finer, self.fine = convolved(a, 4 * fine, 1), convolved(fine, fine)
        self.colour, self.mask = nn.Conv2d(fine, 3 * self._unfold**2, 1), nn.Conv2d(fine, self._unfold**2, 1)
        self.own = nn.Parameter(torch.zeros(1, 3, size, size))
        for quiet in (self.flow, self.gain, self.colour, self.mask):
            nn.init.zeros_(quiet.weight)
            nn.init.zeros_(quiet.bias)
        self.bend = Bend(size)

    def forward(self, low: Tensor) -> tuple[Tensor, Tensor]:
        up = self.join[0](twice(self.lift[0](low)))
        up = self.join[1](twice(self.lift[1](up)))
        lit = self.bend(self.own.expand(low.shape[0], -1, -1, -1), self.flow(up), self.gain(up))
        fine = self.fine(functional.pixel_shuffle(self.finer(up), 2))
        image = lit + functional.pixel_shuffle(self.colour(fine), self._unfold)
        return image, functional.pixel_shuffle(self.mask(fine), self._unfold)
