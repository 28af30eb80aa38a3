"""Teaches the net that sees what lies in front of a face: python -m export.occlusion.teach OPENPEOPLE MODELS.

OPENPEOPLE is the unpacked PyPI package `openpeople` 0.1.2, MODELS is live/models, where the folder `occlusion` is
written. Two people are never taught, only asked about (`HELD_OUT`). Needs the extra `teach`; one core, half an hour.
The net is a small U-Net (Ronneberger, Fischer, Brox, 2015) with sums for skips; the lessons are painted on the fly.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from export.occlusion.faces import HANDS, FaceCrop, cut_people, cut_textures, hand_mask, mix_people
from export.occlusion.scenes import NET_PX, NET_ZOOM, Lesson, paint
from export.occlusion.shapes import Box

HELD_OUT = ("P001", "P010")
_WIDTHS = (16, 32, 48, 64)
_NEW, _BATCH, _KEPT = 16, 64, 6000  # new lessons a step; lessons a step, drawn from the last so many
_MIXED = 500  # people mixed of two
_TRUST = 6.0  # a false alarm costs so many times a miss: it shows the wearer
_log = logging.getLogger(__name__)


class Net(nn.Module):
    """u8 [96, 96, 3] BGR -> probability float32 [48, 48] that something lies in front of the face.

    Trained on batches by `logits`; `forward` is what is exported.
    """

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = _WIDTHS
        self.down = nn.ModuleList([step(3, a, 2), twice(a, b), twice(b, c), nn.Sequential(twice(c, d), step(d, d))])
        self.lift = nn.ModuleList([nn.Conv2d(d, c, 1), nn.Conv2d(c, b, 1), nn.Conv2d(b, a, 1)])
        self.join = nn.ModuleList([step(c, c), step(b, b), step(a, a)])
        self.out = nn.Conv2d(a, 1, 1)
        nn.init.constant_(self.out.bias, -2.0)

    def logits(self, x: Tensor) -> Tensor:
        """float [n, 3, 96, 96] 0..255 -> [n, 48, 48]. Each picture is brought to the same exposure and colour first."""
        x = x / 255
        middle = x.mean((2, 3), keepdim=True)
        x = x - middle
        x = x / (x.square().mean((1, 2, 3), keepdim=True) + 1e-3).sqrt()
        levels = []
        for layer in self.down:
            x = layer(x)
            levels.append(x)
        for i, (lift, join) in enumerate(zip(self.lift, self.join, strict=True)):
            x = join(functional.interpolate(lift(x), scale_factor=2.0, mode="nearest") + levels[2 - i])
        return self.out(x)[:, 0]

    def forward(self, image: Tensor) -> Tensor:
        return torch.sigmoid(self.logits(image.permute(2, 0, 1)[None].float()))[0]


def step(wide: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(wide, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())


def twice(wide: int, out: int) -> nn.Sequential:
    return nn.Sequential(step(wide, out, 2), step(out, out))


class Lessons(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """Lessons without end: image [3, 96, 96] u8, hidden and counts [48, 48] u8."""

    def __init__(self, faces: list[FaceCrop], box: Box, seed: int) -> None:
        self.faces, self.box, self.seed = faces, box, seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        cv2.setNumThreads(1)
        rng = np.random.default_rng(self.seed)
        while True:
            yield as_tensors(paint(rng, self.faces, self.box))


def as_tensors(lesson: Lesson) -> tuple[Tensor, Tensor, Tensor]:
    half = (NET_PX // 2, NET_PX // 2)
    hidden, counts = (
        torch.from_numpy((cv2.resize(m, half, interpolation=cv2.INTER_AREA) * 255).astype(np.uint8))
        for m in (lesson.hidden, lesson.counts)
    )
    return torch.from_numpy(lesson.image.transpose(2, 0, 1).copy()), hidden, counts


def loss_of(logits: Tensor, hidden: Tensor, counts: Tensor) -> Tensor:
    """Cross entropy where it counts, false alarms on faces with nothing in front weighed up, and overlap (Dice)."""
    each = functional.binary_cross_entropy_with_logits(logits, hidden, reduction="none") * counts
    area = (hidden * counts).sum((1, 2))
    clean = (area < 4).float()
    cross = (each.mean((1, 2)) * (1 + (_TRUST - 1) * clean)).mean()
    sure = torch.sigmoid(logits) * counts
    dice = 1 - (2 * (sure * hidden).sum((1, 2)) + 8) / (sure.sum((1, 2)) + area + 8)
    return cross + 0.3 * (dice * (1 - clean)).mean()


def box_of(faces: list[FaceCrop], openpeople: Path) -> Box:
    hands = [
        np.dstack([face.image.astype(np.float32), hand_mask(face.name)]).astype(np.float32)
        for face in faces
        if face.name in HANDS
    ]
    return Box(hands, cut_textures(openpeople, faces, np.random.default_rng(0)))


def teach(
    openpeople: Path, models: Path, steps: int, rate: float = 4e-3, seed: int = 1, state: Path | None = None
) -> Net:
    """Train for `steps`; every 500th is judged on the people held out. Goes on from `state` and keeps it, if given.

    `rate` is the highest learning rate; it rises in the first tenth of the steps and then falls.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    people = cut_people(openpeople, models)
    known = [face for face in people if face.person not in HELD_OUT]
    others = [face for face in people if face.person in HELD_OUT]
    exam = list(zip(range(600), Lessons(others, box_of(others, openpeople), 99), strict=False))
    test = tuple(torch.stack(parts) for parts in zip(*(lesson for _, lesson in exam), strict=True))
    box = box_of(known, openpeople)
    known += mix_people(known, _MIXED, np.random.default_rng(seed))
    loader = iter(DataLoader(Lessons(known, box, seed), batch_size=_NEW, num_workers=1))
    # Half precision with the channels innermost: three times as fast on a CPU that has it.
    net = Net()
    if state is not None and state.exists():
        net.load_state_dict(torch.load(state, weights_only=True))
    net.to(memory_format=torch.channels_last)
    best = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.02)
    plan = torch.optim.lr_scheduler.OneCycleLR(best, rate, total_steps=steps, pct_start=0.1)
    kept: list[Tensor] = [torch.empty((_KEPT, *part.shape[1:]), dtype=torch.uint8) for part in test]
    began, filled, mean = time.monotonic(), 0, 0.0
    for number in range(1, steps + 1):
        at = torch.arange(filled, filled + _NEW) % _KEPT
        for store, part in zip(kept, next(loader), strict=True):
            store[at] = part
        filled += _NEW
        pick = torch.randint(0, min(filled, _KEPT), (_BATCH,))
        image, hidden, counts = (store[pick].float() for store in kept)
        if number % 2:
            image, hidden, counts = image.flip(3), hidden.flip(2), counts.flip(2)
        with torch.autocast("cpu", torch.bfloat16):
            logits = net.logits(vary(image).contiguous(memory_format=torch.channels_last))
        loss = loss_of(logits.float(), hidden / 255, counts / 255)
        best.zero_grad()
        loss.backward()
        best.step()
        plan.step()
        mean += 0.02 * (float(loss.detach()) - mean)
        if number % 500 == 0 or number == steps:
            _log.info("%5d  %4.0f s  loss %.4f  %s", number, time.monotonic() - began, mean, judge(net, test))
            write_model(net, models / "occlusion")
            if state is not None:
                torch.save(net.state_dict(), state)
    return net


def vary(image: Tensor) -> Tensor:
    """Lessons are seen several times: each time with another colour, contrast and noise."""
    n = len(image)
    gain = torch.empty(n, 3, 1, 1).uniform_(0.9, 1.1) * torch.empty(n, 1, 1, 1).uniform_(0.8, 1.2)
    noise = torch.randn_like(image) * torch.empty(n, 1, 1, 1).uniform_(0, 6)
    return (image * gain + noise).clamp(0, 255)


@torch.no_grad()
def judge(net: Net, test: tuple[Tensor, ...]) -> str:
    """On the people held out: overlap where something is in front, false alarms where nothing is."""
    net.eval()
    image, hidden, counts = (part.float() for part in test)
    said = torch.cat([torch.sigmoid(net.logits(part)) for part in image.split(100)]) > 0.5
    net.train()
    truth, matters = hidden > 127, counts > 200
    share = (truth & matters).sum((1, 2))
    both, either = (said & truth & matters).sum((1, 2)), ((said | truth) & matters).sum((1, 2))
    wrong = (said & matters).sum((1, 2))[share == 0]
    seen = share > 20
    return (
        f"IoU {float((both[seen] / either[seen]).mean()):.3f}  "
        f"recall {float((both[seen] / share[seen]).mean()):.3f}  "
        f"clean: {100 * float((wrong > 8).float().mean()):.1f} % with an alarm (of {len(wrong)})"
    )


def write_model(net: Net, folder: Path) -> None:
    """The model folder: ONNX and card."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "occlusion.onnx"
    net.eval()
    torch.onnx.export(
        net, (torch.zeros(NET_PX, NET_PX, 3, dtype=torch.uint8),), str(path), input_names=["image"],
        output_names=["hidden"], opset_version=17, dynamo=False,
    )  # fmt: skip
    net.train()
    card = {
        "name": "occlusion",
        "family": "occlusion",
        "files": {"onnx": path.name},
        "facts": {"image_size": NET_PX, "colour": "BGR", "mask_size": NET_PX // 2, "crop_scale": NET_ZOOM},
        "licence": "MIT",
        "commercial_use": True,
        "source": "trained by export/occlusion/teach.py on pictures painted from the synthetic people of PyPI "
        "openpeople 0.1.2 (MIT); no picture of a real person was used",
        "sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest()},
    }
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("openpeople", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=4e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--state", type=Path, help="go on from this file if it is there, and keep what is learned in it"
    )
    args = parser.parse_args()
    teach(args.openpeople, args.models, args.steps, args.rate, args.seed, args.state)


if __name__ == "__main__":
    main()
