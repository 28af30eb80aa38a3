"""Teaches a Student from Pairs; the course (course.py) is so many seconds long.

The loss is the difference of pictures and of their gradients, so that what is sharp stays sharp, where the new face is;
what changes in the footage (lids, lips) counts more than what stands still.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from export.teach.course import fingerprint
from export.teach.lessons import Batch, Lessons
from export.teach.nets import Student
from export.teach.pairs import Pairs, Pictures

_BATCH = 8
_EXAM_PICTURES, PREVIEWS = 48, 6


class ByTeacher:
    """The course's subject: the wearer's face as the teacher draws it. The preview: the wearer, the teacher and the
    student, above each other.
    """

    kind = "student"

    def __init__(self, pairs: Pairs, size: int) -> None:
        self.size, self.fingerprint, self.device = size, fingerprint([pairs]), fastest()
        self._pairs = pairs

    def begun(self) -> Student:
        net = Student(self.size)
        net.begin(typical(self._pairs, self.size))
        return net

    def prepare(self, step: int) -> None:
        learned, asked = self._pairs.split()
        self._lessons = Lessons(learned, self.size, np.random.default_rng(step))
        self._exam = Lessons(asked, self.size, np.random.default_rng(0), things=False)
        self._weights = where_it_moves(self._lessons).to(self.device)

    def loss(self, net: Student) -> Tensor:
        batch = on(self.device, self._lessons.draw(_BATCH))
        loss, wrong = _loss(net, batch, self._weights)
        self._lessons.remember(batch.which, wrong)
        return loss

    @torch.no_grad()
    def examine(self, net: Student) -> tuple[float, Pictures]:
        which = evenly(len(self._exam), _EXAM_PICTURES)
        batch = on(self.device, self._exam.plain(which[evenly(len(which), PREVIEWS)]))
        worn = net(batch.face)[0].clamp(0, 1) * batch.mask + batch.face * (1 - batch.mask)
        return accuracy(net, self._exam, self.device), sheet_of([batch.face, batch.target, worn])


def fastest() -> torch.device:
    """What there is to train on."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def typical(pairs: Pairs, size: int) -> Tensor:
    """The new face that is most like all others, float [3, size, size] 0..1, in a plain area of its mean colour: what
    is around it is the wearer's, and nothing of that need be known.
    """
    margin = (pairs.targets.shape[1] - size) // 2
    inner = slice(margin, margin + size)
    every = slice(None, None, max(1, len(pairs) // 200))
    some = pairs.targets[every, inner, inner].astype(np.float32) / 255
    best = int(np.square(some - some.mean(0)).mean((1, 2, 3)).argmin())
    share = pairs.masks[every, inner, inner][best, ..., None].astype(np.float32) / 255
    plain = (some[best] * share).sum((0, 1)) / max(1.0, float(share.sum()))
    return torch.from_numpy((some[best] * share + plain * (1 - share)).transpose(2, 0, 1).copy())


def where_it_moves(lessons: Lessons) -> Tensor:
    """[1, 1, size, size]: how much a place counts; one on average, up to six where the face moves."""
    some = lessons.plain(torch.arange(0, len(lessons), max(1, len(lessons) // 100)))
    grey = some.target.mean(1, keepdim=True)
    moves = functional.avg_pool2d(grey.std(0, keepdim=True) * some.mask.mean(0, keepdim=True), 5, 1, 2)
    return (0.35 + 0.65 * moves / moves.mean().clamp_min(1e-4)).clamp(0.35, 6)


def _loss(net: Student, batch: Batch, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The loss, and how far off each picture is [n]."""
    image, masks = net(batch.face)
    wrong = functional.binary_cross_entropy_with_logits(masks[:, :1], batch.mask)
    hidden = functional.binary_cross_entropy_with_logits(masks[:, 1:], batch.front)
    off, each = picture_loss(image, batch, weights)
    return off + 0.05 * wrong + 0.05 * hidden, each


def picture_loss(image: Tensor, batch: Batch, weights: Tensor) -> tuple[Tensor, Tensor]:
    """How far these pictures and their gradients are off, and how far off each is [n]."""
    soft = functional.interpolate(functional.avg_pool2d(batch.mask, 4), scale_factor=4.0, mode="nearest")
    share = (0.02 + soft * weights) * (1 - 0.9 * batch.front)
    share = share / share.mean()
    off = image - batch.target
    down, across = off[..., 1:, :] - off[..., :-1, :], off[..., :, 1:] - off[..., :, :-1]
    edges = (down.abs() * share[..., 1:, :]).mean() + (across.abs() * share[..., :, 1:]).mean()
    each = (off.abs() * share).mean((1, 2, 3))
    return each.mean() + edges, each


def accuracy(net: nn.Module, exam: Lessons, device: torch.device) -> float:
    """PSNR in dB inside the new face, in some pictures of the exam."""
    error = count = 0.0
    for part in evenly(len(exam), _EXAM_PICTURES).split(_BATCH):
        batch = on(device, exam.plain(part))
        image = net(batch.face)[0].clamp(0, 1)
        error += float(((image - batch.target).square() * batch.mask).sum()) / 3
        count += float(batch.mask.sum())
    return -10 * math.log10(max(error / max(count, 1.0), 1e-9))


def evenly(n: int, most: int) -> Tensor:
    """At most so many of n numbers."""
    return torch.linspace(0, n - 1, min(n, most)).round().long()


def sheet_of(rows: list[Tensor]) -> Pictures:
    """Rows of pictures [n, 3, h, w] 0..1, above each other: u8 [h, w, 3]."""
    sheet = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
    shown: Pictures = (sheet.permute(1, 2, 0) * 255 + 0.5).to(torch.uint8).cpu().numpy()
    return shown


def on(device: torch.device, batch: Batch) -> Batch:
    planes = (getattr(batch, name).to(device) for name in ("face", "target", "mask", "front"))
    return Batch(batch.which, *planes)
