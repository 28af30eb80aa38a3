"""The course that a net takes: so many seconds of lessons, with exams; goes on where it was stopped.

AdamW (Loshchilov, Hutter, 2017) with a cosine, the weights averaged on the way; what did best in an exam is kept.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from engines.errors import BadInput
from export.teach.nets import Student
from export.teach.pairs import Pairs, Pictures
from export.teach.twins import WEARER, Twins

_RATE = 2.5e-3
_EXAM_S = 20.0
_PATIENCE = 0.35  # part of the time after which nothing better came: it is over
_NETS: dict[str, type[nn.Module]] = {"student": Student, "twins": Twins}


class Subject(Protocol):
    """What is taught, on `device`; `kind` is one of _NETS, `fingerprint` tells that the lessons are still the same."""

    kind: str
    size: int
    fingerprint: str
    device: torch.device

    def begun(self) -> Any:
        """A new net."""

    def prepare(self, step: int) -> None:
        """Lessons begin, or go on after so many."""

    def loss(self, net: Any) -> Tensor:
        """Of the next lessons."""

    def examine(self, net: Any) -> tuple[float, Pictures]:
        """PSNR in dB inside the face in pictures that were not learned from, and a preview u8 [h, w, 3] BGR."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training is. `psnr_db` is of the last exam (inside the new face), `best_db` of the best one; `preview` u8
    [h, w, 3] BGR: some pictures of the exam, and what the net makes of them.
    """

    step: int
    spent_s: float
    of_s: float
    psnr_db: float
    best_db: float
    preview: Pictures | None = None


@dataclass(frozen=True, slots=True)
class Taught:
    """How long a net was taught: steps, and seconds since its footage changed last."""

    step: int
    spent_s: float


@dataclass
class _Course:
    """All that must be kept to go on."""

    kind: str
    net: Any
    mean: Any  # the weights averaged, which take the exam
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
            "kind": self.kind, "size": self.net.size, "net": self.net.state_dict(), "mean": self.mean.state_dict(),
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


def run(
    subject: Subject,
    seconds: float,
    state: Path,
    tell: Callable[[Progress], None],
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """Teach until `seconds` are spent in all runs, nothing better comes, or `stop()`; the best weights lie in `state`.

    Goes on from `state` where there is one; if that was taught from other lessons, for `seconds` more, with a new exam.
    Raises BadInput: a state of another size or kind, a damaged one, one that cannot be written.
    """
    threads = _Threads()
    course = _course(subject, state)
    subject.prepare(course.step)
    for net in (course.net, course.mean):
        net.to(subject.device)
    begun_s, before_s = clock(), course.spent_s
    psnr, preview = subject.examine(course.mean)
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
            psnr, preview = subject.examine(course.mean)
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
        loss = subject.loss(course.net)
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


def best_of(state: Path) -> tuple[Any, Taught]:
    """The net that did best, a Student or Twins, ready to be written. Raises BadInput."""
    kept = _read(state)
    net = _NETS[kept["kind"]](kept["size"])
    net.load_state_dict(kept["best"] or kept["mean"])
    if isinstance(net, Twins):
        net.painters[WEARER] = nn.Identity()  # it has done its part
    net.eval()
    return net, Taught(kept["step"], kept["spent_s"])


def _course(subject: Subject, state: Path) -> _Course:
    torch.manual_seed(0)
    net, mean = subject.begun(), _NETS[subject.kind](subject.size)
    optimiser = torch.optim.AdamW(net.parameters(), lr=_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    mean.load_state_dict(net.state_dict())
    new = _Course(subject.kind, net, mean, optimiser, subject.fingerprint)
    if not state.exists():
        return new
    kept = _read(state)
    if kept["size"] != subject.size:
        raise BadInput(
            f"{state} was begun with {kept['size']} px, not {subject.size}",
            hint=f"take --size {kept['size']}, or begin anew",
        )
    if kept["kind"] != subject.kind:
        raise BadInput(f"{state} was taught in another way", hint="doppelcam teach train NAME --again begins anew")
    net.load_state_dict(kept["net"])
    mean.load_state_dict(kept["mean"])
    if kept["taught_from"] != subject.fingerprint:  # another exam, another clock
        new.step = kept["step"]
        return new
    optimiser.load_state_dict(kept["optimiser"])
    same = {name: kept[name] for name in ("step", "spent_s", "best_db", "best_at_s", "best")}
    return _Course(subject.kind, net, mean, optimiser, subject.fingerprint, **same)


def _read(state: Path) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = torch.load(state, map_location="cpu", weights_only=True)
        kept.setdefault("kind", "student")  # the only one that there was
        kept["size"], kept["net"], kept["best"], _NETS[kept["kind"]]  # what any has
    except FileNotFoundError:
        raise BadInput(f"nothing was trained yet: there is no {state}") from None
    except Exception as error:
        raise BadInput(f"{state} is damaged: {type(error).__name__}", hint="delete it and train again") from None
    return kept


@torch.no_grad()
def _average(mean: nn.Module, net: nn.Module, keep: float) -> None:
    for a, b in zip(mean.parameters(), net.parameters(), strict=True):
        a.mul_(keep).add_(b, alpha=1 - keep)


def fingerprint(pairs: Iterable[Pairs]) -> str:
    """Of lessons: these, and no others."""
    digest = hashlib.sha256()
    for one in pairs:
        digest.update(str(one.faces.shape).encode())
        for planes in (one.faces, one.targets, one.masks):
            digest.update(np.ascontiguousarray(planes[:: max(1, len(one) // 50)]).data)
    return digest.hexdigest()
