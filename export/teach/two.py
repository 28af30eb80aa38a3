"""Teaches Twins from the footage of two people, without a teacher; the course (course.py) is so many seconds long.

Each one's face, bent a little and lit anew, is painted straight again by that person's painter (as DeepFaceLab and
faceswap train); the loss is the Student's. What a face does is told to the reader for both people alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from export.teach.course import fingerprint
from export.teach.lessons import Lessons
from export.teach.pairs import Pairs, Pictures, Two
from export.teach.train import (
    PREVIEWS,
    accuracy,
    evenly,
    fastest,
    on,
    picture_loss,
    sheet_of,
    typical,
    where_it_moves,
)
from export.teach.twins import PERSONA, WEARER, Twins

_BATCHES = {WEARER: 6, PERSONA: 8}
_WARP = 0.02
_TOLD, _MASKS = 0.3, 0.05  # how much these parts of the loss count


class ByFootage:
    """The course's subject: both faces, each as it is. What is examined is the persona, painted from their own face.
    The preview: the persona, as painted; the wearer, and the persona painted from the wearer's face.
    """

    kind = "twins"

    def __init__(self, two: Two, size: int) -> None:
        self._both = {WEARER: two.wearer, PERSONA: two.persona}
        self.size, self.fingerprint, self.device = size, fingerprint(self._both.values()), fastest()

    def begun(self) -> Twins:
        net, both = Twins(self.size), self._both.values()
        net.begin([_told(pairs) for pairs in both], [typical(pairs, self.size) for pairs in both])
        return net

    def prepare(self, step: int) -> None:
        rng = np.random.default_rng(step)
        self._lessons, self._exams, self._weights = dict[int, Lessons](), dict[int, Lessons](), dict[int, Tensor]()
        self._learned = dict[int, Tensor]()
        for who, pairs in self._both.items():
            learned, asked = pairs.split()
            self._lessons[who] = Lessons(learned, self.size, rng, warp=_WARP)
            self._exams[who] = Lessons(asked, self.size, rng, things=False)
            self._weights[who] = where_it_moves(self._lessons[who]).to(self.device)
            self._learned[who] = torch.from_numpy(_told(learned))

    def loss(self, net: Twins) -> Tensor:
        batches = {who: on(self.device, self._lessons[who].draw(n)) for who, n in _BATCHES.items()}
        faces, masks, fronts = (
            torch.cat([getattr(batch, name) for batch in batches.values()]) for name in ("face", "mask", "front")
        )
        told = torch.cat([self._learned[who][batch.which] for who, batch in batches.items()]).to(self.device)
        mean, spread = net.light(faces)
        code, seen = net.read((faces - mean) / spread)
        loss: Tensor = _TOLD * functional.smooth_l1_loss(net.said(code), net.meant(told))
        loss = loss + _MASKS * _unlike(seen, torch.cat([masks, fronts], 1)) * 2
        parts = (
            code.split(list(_BATCHES.values())),
            mean.split(list(_BATCHES.values())),
            spread.split(list(_BATCHES.values())),
        )
        for (who, batch), some, its_mean, its_spread in zip(batches.items(), *parts, strict=True):
            image, mask = net.paint(some, who)
            off, each = picture_loss(image * its_spread + its_mean, batch, self._weights[who])
            self._lessons[who].remember(batch.which, each)
            loss = loss + off + _MASKS * _unlike(mask, batch.mask)
        return loss

    @torch.no_grad()
    def examine(self, net: Twins) -> tuple[float, Pictures]:
        rows = []
        for who in (PERSONA, WEARER):
            batch = on(self.device, self._exams[who].plain(evenly(len(self._exams[who]), PREVIEWS)))
            image, masks = net(batch.face)
            share = torch.sigmoid(masks[:, :1])
            rows += [batch.face, image.clamp(0, 1) * share + batch.face * (1 - share)]
        wide = min(map(len, rows))
        return accuracy(net, self._exams[PERSONA], self.device), sheet_of([row[:wide] for row in rows])


def _told(pairs: Pairs) -> npt.NDArray[np.float32]:
    assert pairs.told is not None, "two people's pictures are told"
    return pairs.told


_unlike = functional.binary_cross_entropy_with_logits
