"""Measures the ways of running a model on this machine, refuses the wrong ones, remembers the fastest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import platformdirs

from engines import gate
from engines.card import ModelCard
from engines.engine import Engine, Variant
from engines.errors import DoppelcamError, ModelError, NotAvailable

# A second thread must bring this much, and only from so many milliseconds on: waking it is not free, and the core is
# needed by the other stages. A lower precision must bring something too.
_THREADS_BRING, _THREADS_FROM_MS = 1.25, 3.0
_PRECISION_BRINGS = 1.1
_ROUNDS, _ROUND_S, _RUNS = 3, 0.015, (3, 200)  # rounds over all ways, time and number of runs in each
_WARM_RUNS = 3
_PATIENCE_S = 0.1  # beyond the time of a round, for the least number of runs
_TOGETHER_BYTES = 128 << 20  # of model files that are open at a time while measuring

_log = logging.getLogger("doppelcam.engines")
_measuring = threading.Lock()  # two measurements at a time would measure each other

Open = Callable[[ModelCard, Variant], Engine]


@dataclass(frozen=True, slots=True)
class Row:
    """One way of running a model, measured: times in ms, error against fp32. `refused`: why it may not be used."""

    variant: Variant
    p50_ms: float = np.inf
    p95_ms: float = np.inf
    load_ms: float = np.inf
    worst_error: float = np.inf
    psnr_db: float = 0.0
    refused: str = ""


def measure(card: ModelCard, variants: Iterable[Variant], open: Open, seconds: float = _ROUNDS * _ROUND_S) -> list[Row]:
    """A row for each variant, in order. They are timed in turns, so that a busy moment hits them alike.

    Of a large model only so many are open at a time as fit into `_TOGETHER_BYTES`. The reference for the gate is the
    first fp32 variant that answers, on the CPU if there is one. Raises NotAvailable when there is none: its message
    holds every reason. Raises ModelError when the file is at fault everywhere.
    """
    variants = list(variants)
    order = sorted(variants, key=lambda way: (way.precision != "fp32", way.device != "cpu"))
    together = max(1, _TOGETHER_BYTES // max(1, _size(card)))
    trial = _Trial(card, open, seconds)
    for first in range(0, len(order), together):
        trial.run(order[first : first + together])
    if trial.wanted is None:
        if trial.broken and len(trial.broken) == len(variants):
            raise trial.broken[0]
        reasons = "; ".join(f"{row.variant}: {row.refused}" for row in trial.rows.values() if row.refused)
        raise NotAvailable(f"model {card.name!r} runs nowhere here in fp32 ({reasons or 'no runtime is installed'})")
    return [trial.rows[variant] for variant in variants]


def _size(card: ModelCard) -> int:
    with contextlib.suppress(OSError, KeyError):
        return (card.folder / card.files["onnx"]).stat().st_size
    return 0


class _Trial:
    """Opens, judges and times variants, some at a time."""

    def __init__(self, card: ModelCard, open: Open, seconds: float) -> None:
        self.rows: dict[Variant, Row] = {}
        self.broken: list[ModelError] = []
        self.wanted: list[gate.Feeds] | None = None  # what plain fp32 answers
        self._card, self._open, self._seconds = card, open, seconds
        self._feeds: list[gate.Feeds] = []

    def run(self, variants: list[Variant]) -> None:
        engines: dict[Variant, Engine] = {}
        try:
            for variant in variants:
                self._start(variant, engines)
            for variant, engine in engines.items():
                self._judge(variant, engine)
            self._time({way: engine for way, engine in engines.items() if not self.rows[way].refused})
        finally:
            for engine in engines.values():
                engine.close()

    def _start(self, variant: Variant, engines: dict[Variant, Engine]) -> None:
        began = time.perf_counter()
        try:
            engines[variant] = self._open(self._card, variant)
            self.rows[variant] = Row(variant, load_ms=(time.perf_counter() - began) * 1e3)
        except DoppelcamError as error:
            self.rows[variant] = Row(variant, refused=error.message)
            self.broken += [error] if isinstance(error, ModelError) else []

    def _judge(self, variant: Variant, engine: Engine) -> None:
        self._feeds = self._feeds or gate.probes(self._card, engine.inputs)
        row = self.rows[variant]
        try:
            got = [{name: array.copy() for name, array in engine.run(each).items()} for each in self._feeds]
        except DoppelcamError as error:
            self.rows[variant] = replace(row, refused=error.message)
            return
        if self.wanted is None:
            if variant.precision != "fp32":
                self.rows[variant] = replace(row, refused="there is no fp32 to judge it by")
                return
            self.wanted = got
        verdict = gate.judge(self._card, self.wanted, got)
        self.rows[variant] = replace(row, worst_error=verdict.worst, psnr_db=verdict.psnr_db, refused=verdict.refused)

    def _time(self, engines: dict[Variant, Engine]) -> None:
        times: dict[Variant, list[float]] = {variant: [] for variant in engines}
        medians: dict[Variant, list[float]] = {variant: [] for variant in engines}
        for engine in engines.values():
            _runs(engine, self._feeds, _WARM_RUNS, 0)
        for _ in range(_ROUNDS):
            for variant, engine in engines.items():
                taken = _runs(engine, self._feeds, _RUNS[0], self._seconds / _ROUNDS)
                times[variant] += taken
                medians[variant].append(float(np.median(taken)))
        for variant in engines:
            # The best of the rounds: what else the machine did in the others is not the runtime's.
            p95 = float(np.percentile(times[variant], 95))
            self.rows[variant] = replace(self.rows[variant], p50_ms=min(medians[variant]), p95_ms=p95)


def _runs(engine: Engine, feeds: list[gate.Feeds], least: int, seconds: float) -> list[float]:
    """Milliseconds of each run: at least `least` unless the net is slow, then for so long."""
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while (
        not taken
        or (len(taken) < least and time.perf_counter() < end + _PATIENCE_S)
        or (time.perf_counter() < end and len(taken) < _RUNS[1])
    ):
        began = time.perf_counter()
        engine.run(feeds[len(taken) % len(feeds)])
        taken.append((time.perf_counter() - began) * 1e3)
    return taken


def pick(rows: list[Row]) -> Row | None:
    """The row to use: the fastest that the gate let through, unless more threads or less precision bring little."""
    good = sorted((row for row in rows if not row.refused), key=lambda row: row.p50_ms)
    if not good:
        return None
    single = next((row for row in good if row.variant.threads == 1), good[0])
    best = good[0]
    if single.p50_ms < _THREADS_FROM_MS or single.p50_ms < best.p50_ms * _THREADS_BRING:
        best = single
    alike = (row for row in good if row.variant.threads == best.variant.threads and row.variant.precision == "fp32")
    plain = next(alike, best)
    return plain if plain.p50_ms < best.p50_ms * _PRECISION_BRINGS else best


def choose(
    card: ModelCard, variants: list[Variant], plain: list[Variant], versions: dict[str, str], open: Open
) -> Variant:
    """The best of `variants` on this machine, measured once and then remembered. Raises NotAvailable: none works.

    `plain` holds the way in fp32 on the CPU that the gate compares with. `versions` maps each
    runtime to its version. The memory is a file for each question asked: model, shapes (they are in the model),
    runtimes, devices and drivers (in the versions), precisions, threads, processor.
    """
    memory = _memory_file(card, variants, versions)
    remembered = _recall(memory, variants)
    if remembered is not None:
        return remembered
    with _measuring:
        remembered = _recall(memory, variants)  # another thread may have asked the same
        if remembered is not None:
            return remembered
        _log.info("first use of %s here: measuring %d ways to run it", card.name, len(variants))
        rows = _contest(card, variants, plain, open)
        for row in rows:
            if row.refused:
                _log.debug("%s: %s is refused: %s", card.name, row.variant, row.refused)
        best = pick(rows)
        if best is None:
            reasons = "; ".join(f"{row.variant}: {row.refused}" for row in rows)
            raise NotAvailable(f"model {card.name!r} runs nowhere here ({reasons})")
        _remember(memory, best)
        return best.variant


def _contest(card: ModelCard, variants: list[Variant], plain: list[Variant], open: Open) -> list[Row]:
    """A row for each variant that `pick` may pick. Several threads are tried only where one is not quick enough, and
    not where the same sums on one thread were refused: for small nets that is half of the time.
    """
    alone = [way for way in variants if way.threads == 1]
    rows = _rows(card, alone, plain, open) if alone else []
    wrong = {row.variant for row in rows if row.refused}
    more = [way for way in variants if way.threads != 1 and replace(way, threads=1) not in wrong]
    good = sorted((row for row in rows if not row.refused), key=lambda row: row.p50_ms)
    if not more or (good and good[0].p50_ms < _THREADS_FROM_MS):
        return rows
    # Once more beside the others, so that a busy moment hits them alike.
    again = [good[0].variant] if good else []
    return [row for row in rows if row.variant not in again] + _rows(card, [*again, *more], plain, open)


def _rows(card: ModelCard, variants: list[Variant], plain: list[Variant], open: Open) -> list[Row]:
    """As `measure`, judged by `plain` where that is none of them."""
    extra = [way for way in plain if way not in variants]
    return measure(card, [*extra, *variants], open)[len(extra) :]


def _memory_file(card: ModelCard, variants: list[Variant], versions: dict[str, str]) -> Path:
    question = {
        "model": sorted(card.sha256.items()),
        "tolerance": sorted(card.tolerance.items()),
        "variants": sorted(map(str, variants)),
        "versions": sorted(versions.items()),
        "processor": processor(),
    }
    key = hashlib.sha256(json.dumps(question).encode()).hexdigest()[:32]
    return platformdirs.user_cache_path("doppelcam") / "choices" / f"{card.name}-{key}.json"


def _recall(memory: Path, variants: list[Variant]) -> Variant | None:
    """What was chosen before; None when nothing was, or when the file is not what `_remember` writes."""
    try:
        chosen = Variant(**json.loads(memory.read_text(encoding="utf-8"))["variant"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return chosen if chosen in variants else None


def _remember(memory: Path, row: Row) -> None:
    """Best effort: without a writable cache the next start measures again."""
    text = json.dumps({"variant": asdict(row.variant), "p50_ms": round(row.p50_ms, 3)})
    with contextlib.suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        part = memory.with_suffix(f".{os.getpid()}.part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, memory)


def processor() -> str:
    """The processor's name and how many of its cores this process may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        # Only here: on Linux this runs a program, whose fork holds on to every open device for a moment.
        name = platform.processor() or platform.machine()
    return f"{name}, {cores()} cores"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
