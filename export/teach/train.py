"""Teaches a Student from Pairs for so many seconds; goes on where it was stopped, and keeps what did best in the exam.

AdamW (Loshchilov, Hutter, 2017) with a cosine, the weights averaged on the way; the loss is the difference of pictures
and of their gradients, so that what is sharp stays sharp, where the new face is; what changes in the footage (lids,
lips) counts more than what stands still.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from engines.errors import BadInput
from export.teach.lessons import Batch, Lessons
from export.teach.nets import Student
from export.teach.pairs import Pairs

_BATCH, _RATE = 8, 2.5e-3
_EXAM_PICTURES, _EXAM_S = 48, 20.0
_PATIENCE = 0.35  # part of the time after which nothing better came: it is over
_PREVIEWS = 6


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training is. `psnr_db` is of the last exam (inside the new face), `best_db` of the best one; `preview` u8
    [h, w, 3] BGR: the wearer, the teacher and the student in some pictures of the exam, above each other.
    """

    step: int
    spent_s: float
    of_s: float
    psnr_db: float
    best_db: float
    preview: npt.NDArray[np.uint8] | None = None


@dataclass
class _Course:
    """All that must be kept to go on."""

    net: Student
    mean: Student  # the weights averaged, which take the exam
    optimiser: torch.optim.Optimizer
    taught_from: str
    step: int = 0
    spent_s: float = 0.0
    best_db: float = -math.inf
    best_at_s: float = 0.0
    best: dict[str, Tensor] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Whole or not at all. Raises OSError."""
        data = io.BytesIO()
        kept: dict[str, Any] = {
            "size": self.net.size, "net": self.net.state_dict(), "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(), "taught_from": self.taught_from, "step": self.step,
            "spent_s": self.spent_s, "best_db": self.best_db, "best_at_s": self.best_at_s, "best": self.best,
        }  # fmt: skip
        torch.save(kept, data)
        part = path.with_name(f".{path.name}.part")
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data.getbuffer())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def train(
    pairs: Pairs,
    size: int,
    seconds: float,
    state: Path,
    tell: Callable[[Progress], None],
    stop: Callable[[], bool] = lambda: False,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """Train until `seconds` are spent in all runs, nothing better comes, or `stop()`; the best weights lie in `state`.

    Goes on from `state` where there is one; if that was taught from other pairs, for `seconds` more, with a new exam.
    Raises BadInput: a state of another size, a damaged one, one that cannot be written.
    """
    threads = _Threads()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    course = _course(pairs, size, state)
    learned, asked = pairs.split()
    lessons = Lessons(learned, size, np.random.default_rng(course.step))
    exam = Lessons(asked, size, np.random.default_rng(0), things=False)
    weights = _where_it_moves(lessons).to(device)
    for net in (course.net, course.mean):
        net.to(device)
    begun_s, before_s = clock(), course.spent_s
    psnr, preview = _examine(course.mean, exam, device)
    said = Progress(course.step, course.spent_s, seconds, psnr, max(psnr, course.best_db), preview)
    examined_s = begun_s
    tell(said)
    while True:
        now_s = clock()
        course.spent_s = before_s + now_s - begun_s
        over = course.spent_s >= seconds or stop()
        over = over or course.spent_s - course.best_at_s > max(3 * _EXAM_S, _PATIENCE * seconds)
        if over or now_s - examined_s > min(_EXAM_S, seconds / 5):
            examined_s = now_s
            psnr, preview = _examine(course.mean, exam, device)
            if psnr > course.best_db:
                course.best_db, course.best_at_s = psnr, course.spent_s
                course.best = {name: value.cpu().clone() for name, value in course.mean.state_dict().items()}
            try:
                course.save(state)
            except OSError as error:
                raise BadInput(
                    f"what was learned cannot be written to {state}: {error.strerror or error}",
                    hint="make room, then start again: it goes on from what was written before",
                ) from None
            said = Progress(course.step, course.spent_s, seconds, psnr, course.best_db, preview)
            tell(said)
            threads = _Threads()
        if over:
            return said
        threads.begin(now_s)
        rate = _RATE * min(1, course.step / 50) * (0.5 + 0.5 * math.cos(math.pi * course.spent_s / seconds)) + 1e-5
        for group in course.optimiser.param_groups:
            group["lr"] = rate
        batch = _to(lessons.draw(_BATCH), device)
        loss, wrong = _loss(course.net, batch, weights)
        lessons.remember(batch.which, wrong)
        course.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(course.net.parameters(), 1.0)
        course.optimiser.step()
        course.step += 1
        _average(course.mean, course.net, min(0.998, course.step / (course.step + 50)))


class _Threads:
    """Tries out one thread, then as many as there are processors, and goes back to one as soon as they are no faster.

    Threads that wait for each other spin: while other programs work, two can be many times slower than one.
    """

    _STEPS = 3  # of each

    def __init__(self) -> None:
        self._took_s: list[float] = []
        self._begun_s: float | None = None
        torch.set_num_threads(1)

    def begin(self, now_s: float) -> None:
        """A step begins."""
        if self._begun_s is not None and len(self._took_s) < 2 * self._STEPS:
            self._took_s.append(now_s - self._begun_s)
            one, many = self._took_s[: self._STEPS], self._took_s[self._STEPS :]
            if len(self._took_s) == self._STEPS:
                torch.set_num_threads(_processors())
            elif many and many[-1] >= min(one):
                torch.set_num_threads(1)
        self._begun_s = now_s


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Taught:
    """How long a net was taught: steps, and seconds since its footage changed last."""

    step: int
    spent_s: float


def best_of(state: Path) -> tuple[Student, Taught]:
    """The net that did best, ready to be written. Raises BadInput."""
    kept = _read(state)
    net = Student(kept["size"])
    net.load_state_dict(kept["best"] or kept["mean"])
    net.eval()
    return net, Taught(kept["step"], kept["spent_s"])


def _course(pairs: Pairs, size: int, state: Path) -> _Course:
    print_ = _fingerprint(pairs)
    torch.manual_seed(0)
    net, mean = Student(size), Student(size)
    optimiser = torch.optim.AdamW(net.parameters(), lr=_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    if not state.exists():
        net.begin(_typical(pairs, size))
        mean.load_state_dict(net.state_dict())
        return _Course(net, mean, optimiser, print_)
    kept = _read(state)
    if kept["size"] != size:
        raise BadInput(
            f"{state} was begun with {kept['size']} px, not {size}", hint=f"take --size {kept['size']}, or begin anew"
        )
    net.load_state_dict(kept["net"])
    mean.load_state_dict(kept["mean"])
    if kept["taught_from"] != print_:  # another exam, another clock
        return _Course(net, mean, optimiser, print_, kept["step"])
    optimiser.load_state_dict(kept["optimiser"])
    same = {name: kept[name] for name in ("step", "spent_s", "best_db", "best_at_s", "best")}
    return _Course(net, mean, optimiser, print_, **same)


def _read(state: Path) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = torch.load(state, map_location="cpu", weights_only=True)
        kept["size"], kept["net"], kept["best"]  # what any has
    except FileNotFoundError:
        raise BadInput(f"nothing was trained yet: there is no {state}") from None
    except Exception as error:
        raise BadInput(f"{state} is damaged: {type(error).__name__}", hint="delete it and train again") from None
    return kept


def _typical(pairs: Pairs, size: int) -> Tensor:
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


def _where_it_moves(lessons: Lessons) -> Tensor:
    """[1, 1, size, size]: how much a place counts; one on average, up to six where the face moves."""
    some = lessons.plain(torch.arange(0, len(lessons), max(1, len(lessons) // 100)))
    grey = some.target.mean(1, keepdim=True)
    moves = functional.avg_pool2d(grey.std(0, keepdim=True) * some.mask.mean(0, keepdim=True), 5, 1, 2)
    return (0.35 + 0.65 * moves / moves.mean().clamp_min(1e-4)).clamp(0.35, 6)


def _loss(net: Student, batch: Batch, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The loss, and how far off each picture is [n]."""
    image, masks = net(batch.face)
    soft = functional.interpolate(functional.avg_pool2d(batch.mask, 4), scale_factor=4.0, mode="nearest")
    share = (0.02 + soft * weights) * (1 - 0.9 * batch.front)
    share = share / share.mean()
    off = image - batch.target
    down, across = off[..., 1:, :] - off[..., :-1, :], off[..., :, 1:] - off[..., :, :-1]
    edges = (down.abs() * share[..., 1:, :]).mean() + (across.abs() * share[..., :, 1:]).mean()
    wrong = functional.binary_cross_entropy_with_logits(masks[:, :1], batch.mask)
    hidden = functional.binary_cross_entropy_with_logits(masks[:, 1:], batch.front)
    each = (off.abs() * share).mean((1, 2, 3))
    return each.mean() + edges + 0.05 * wrong + 0.05 * hidden, each


@torch.no_grad()
def _average(mean: Student, net: Student, keep: float) -> None:
    for a, b in zip(mean.parameters(), net.parameters(), strict=True):
        a.mul_(keep).add_(b, alpha=1 - keep)


@torch.no_grad()
def _examine(net: Student, exam: Lessons, device: torch.device) -> tuple[float, npt.NDArray[np.uint8]]:
    """PSNR in dB inside the new face, and a preview."""
    which = torch.linspace(0, len(exam) - 1, min(len(exam), _EXAM_PICTURES)).round().long()
    error = count = 0.0
    columns = []
    shown = set(which[torch.linspace(0, len(which) - 1, min(len(which), _PREVIEWS)).round().long()].tolist())
    for part in which.split(_BATCH):
        batch = _to(exam.plain(part), device)
        image = net(batch.face)[0].clamp(0, 1)
        error += float(((image - batch.target).square() * batch.mask).sum()) / 3
        count += float(batch.mask.sum())
        worn = image * batch.mask + batch.face * (1 - batch.mask)
        rows = torch.cat([batch.face, batch.target, worn], 2)
        columns += [rows[k] for k, number in enumerate(part.tolist()) if number in shown]
    sheet = (torch.cat(columns, 2).permute(1, 2, 0) * 255 + 0.5).to(torch.uint8).cpu().numpy()
    return -10 * math.log10(max(error / max(count, 1.0), 1e-9)), sheet


def _to(batch: Batch, device: torch.device) -> Batch:
    planes = (getattr(batch, name).to(device) for name in ("face", "target", "mask", "front"))
    return Batch(batch.which, *planes)


def _fingerprint(pairs: Pairs) -> str:
    digest = hashlib.sha256(str(pairs.faces.shape).encode())
    for planes in (pairs.faces, pairs.targets, pairs.masks):
        digest.update(np.ascontiguousarray(planes[:: max(1, len(pairs) // 50)]).data)
    return digest.hexdigest()
