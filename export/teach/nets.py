"""The net of a personal engine: it bends a picture of the persona to the wearer's face, and paints what is missing.

A small U-Net (Ronneberger, Fischer, Brox, 2015) looks at the wearer's face, folded to 32 x 32 places. It says for each
place where in a learned picture of the persona (`persona`) to look and how light it is there, and paints the rest
(eyes, folds, shadows) and masks finely: one says where the wearer's own pixels are right as they are (teeth). Detail
comes out of the learned picture and the wearer's own, so that a net this small is not soft: moving pixels rather than
inventing them is the idea of Zhou et al., Appearance Flow (2016).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

PLACES = 32
SHAPES: dict[int, tuple[tuple[int, int, int], int]] = {
    128: ((32, 64, 96), 16),
    192: ((40, 64, 96), 20),
    256: ((48, 64, 96), 24),
}  # by size: channels of the three levels, channels of the fine one
_OWN = -4.0  # hardly any of the wearer's own pixels, to begin with
_REACH = 0.25  # how far a flow of 1 looks away, in half sides of the crop


class Body(nn.Module):
    """What reads a face: the three levels of the U-Net, of which the finest has PLACES x PLACES places."""

    def __init__(self, size: int) -> None:
        super().__init__()
        (a, b, c), _ = SHAPES[size]
        self.size, self._fold = size, size // PLACES
        self.stem = convolved(3 * self._fold**2, a, 1)
        self.place = nn.Parameter(torch.zeros(1, a, PLACES, PLACES))  # where in the crop one is
        self.high = convolved(a, a)
        self.down = nn.ModuleList([convolved(a, b, 3, 2), convolved(b, c, 3, 2)])
        self.middle = convolved(b, b)
        self.low = nn.Sequential(convolved(c, c), convolved(c, c))
        self.lift = nn.ModuleList([nn.Conv2d(c, b, 1), nn.Conv2d(b, a, 1)])
        self.join = nn.ModuleList([convolved(b, b), convolved(a, a)])

    def levels(self, face: Tensor) -> tuple[Tensor, Tensor]:
        """What it sees in a face [n, 3, size, size]: at the lowest level, and at the finest one, which knows both."""
        high = self.high(self.stem(functional.pixel_unshuffle(face, self._fold)) + self.place)
        middle = self.middle(self.down[0](high))
        low = self.low(self.down[1](middle))
        up = self.join[0](twice(self.lift[0](low)) + middle)
        return low, self.join[1](twice(self.lift[1](up)) + high)


class Student(Body):
    """float [n, 3, size, size] BGR 0..1 -> image [n, 3, size, size] 0..1 (not clipped), and logits of the masks
    [n, 2, size, size]: how far it is the new face, and whether something lies in front.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        (a, _, _), fine = SHAPES[size]
        self._unfold = size // (2 * PLACES)
        # What stands apart here could be one convolution, but cutting its answer apart takes runtimes longer.
        self.flow, self.gain = nn.Conv2d(a, 2, 1), nn.Conv2d(a, 3, 1)
        self.finer, self.fine = convolved(a, 4 * fine, 1), convolved(fine, fine)
        self.paint, self.masks = nn.Conv2d(fine, 3 * self._unfold**2, 1), nn.Conv2d(fine, 3 * self._unfold**2, 1)
        self.persona = nn.Parameter(torch.zeros(1, 3, size, size))
        for quiet in (self.flow, self.gain, self.paint, self.masks):
            nn.init.zeros_(quiet.weight)
            assert quiet.bias is not None, "a convolution has one unless told otherwise"
            nn.init.zeros_(quiet.bias)
        self.masks.bias.data[2 * self._unfold**2 :] = _OWN
        self.bend = Bend(size)

    def begin(self, target: Tensor) -> None:
        """Look at first like `target` float [3, size, size] 0..1: a typical, sharp one."""
        self.persona.data[:] = target - 0.5

    def forward(self, face: Tensor) -> tuple[Tensor, Tensor]:
        _, up = self.levels(face - 0.5)
        lit = self.bend(self.persona.expand(face.shape[0], -1, -1, -1), self.flow(up), self.gain(up))
        fine = self.fine(functional.pixel_shuffle(self.finer(up), 2))
        image = lit + functional.pixel_shuffle(self.paint(fine), self._unfold) + 0.5
        masks = functional.pixel_shuffle(self.masks(fine), self._unfold)
        return image + torch.sigmoid(masks[:, 2:]) * (face - image), masks[:, :2]


class Bend(nn.Module):
    """Bends and lights pictures [n, 3, size, size]: at each place `flow` [n, 2, PLACES, PLACES] says where to look, and
    `gain` [n, 3, PLACES, PLACES] how much lighter it is there.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("spread", _spread(PLACES, size), persistent=False)
        at = (torch.arange(size) * 2 + 1) / size - 1
        self.register_buffer("grid", torch.stack(torch.meshgrid(at, at, indexing="xy")), persistent=False)

    def forward(self, picture: Tensor, flow: Tensor, gain: Tensor) -> Tensor:
        where = (self.spread @ (flow * _REACH) @ self.spread.T + self.grid).permute(0, 2, 3, 1)
        bent = functional.grid_sample(picture, where, padding_mode="border", align_corners=False)
        return bent * (self.spread @ (gain + 1) @ self.spread.T)


class Worn(nn.Module):
    """A Student as it is worn: u8 [size, size, 3] BGR -> image u8, the same; face_mask and front u8 [size, size]."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, face: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        image, masks = self.student(face.permute(2, 0, 1)[None].float() / 255)
        masks = _bytes(torch.sigmoid(masks[0]))
        return _bytes(image[0]).permute(1, 2, 0), masks[0], masks[1]


def _bytes(x: Tensor) -> Tensor:
    return (x.clamp(0, 1) * 255 + 0.5).to(torch.uint8)


def convolved(wide: int, out: int, side: int = 3, stride: int = 1) -> Any:
    return nn.Sequential(nn.Conv2d(wide, out, side, stride, side // 2), nn.LeakyReLU(0.1))


def twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def _spread(few: int, many: int) -> Tensor:
    """[many, few]: bilinear enlargement of rows, as a matrix: runtimes multiply faster than they enlarge."""
    at = ((torch.arange(many) + 0.5) * few / many - 0.5).clamp(0, few - 1)
    return (1 - (at[:, None] - torch.arange(few)).abs()).clamp(0, 1)
