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
from engines.engine import Engine, TensorSpec, Variant
from engines.errors import DoppelcamError, ModelError, NotAvailable

# A second thread must bring this much, and only from so many milliseconds on: waking it is not free, and the core is
# needed by the other stages. A lower precision must bring something too.
_THREADS_BRING, _THREADS_FROM_MS = 1.25, 3.0
_PRECISION_BRINGS = 1.1
_ROUNDS, _ROUND_S, _RUNS = 3, 0.06, (3, 200)  # rounds over all ways, time and number of runs in each
_WARM_RUNS = 3

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
    """A row for each variant, in order. All are timed in turns, so that a busy moment hits them alike.

    The reference for the gate is the first fp32 CPU variant that opens. Raises NotAvailable when there is none: its
    message holds every reason. Raises ModelError when the file is at fault everywhere.
    """
    variants = list(variants)
    engines: list[Engine | None] = []
    rows: list[Row] = []
    broken: list[ModelError] = []
    try:
        for variant in variants:
            began = time.perf_counter()
            try:
                engine = open(card, variant)
            except DoppelcamError as error:
                engines.append(None)
                rows.append(Row(variant, refused=error.message))
                broken += [error] if isinstance(error, ModelError) else []
                continue
            engines.append(engine)
            rows.append(Row(variant, load_ms=(time.perf_counter() - began) * 1e3))
        if broken and len(broken) == len(rows):
            raise broken[0]
        _judge(card, engines, rows)
        _time(engines, rows, gate.probes(card, _inputs(engines)), seconds)
    finally:
        for opened in engines:
            if opened is not None:
                opened.close()
    return rows


def _inputs(engines: list[Engine | None]) -> tuple[TensorSpec, ...]:
    return next(engine.inputs for engine in engines if engine is not None)


def _judge(card: ModelCard, engines: list[Engine | None], rows: list[Row]) -> None:
    plain = [k for k, engine in enumerate(engines) if engine is not None and rows[k].variant.precision == "fp32"]
    plain.sort(key=lambda k: rows[k].variant.device != "cpu")
    if not plain:
        reasons = "; ".join(f"{row.variant}: {row.refused}" for row in rows if row.refused)
        raise NotAvailable(f"model {card.name!r} runs nowhere here in fp32 ({reasons or 'no runtime is installed'})")
    feeds = gate.probes(card, _inputs(engines))
    answers = []
    for k, engine in enumerate(engines):
        try:
            answers.append(None if engine is None else [_copied(engine, each) for each in feeds])
        except DoppelcamError as error:
            answers.append(None)
            rows[k] = replace(rows[k], refused=error.message)
    reference = next((answers[k] for k in plain if answers[k] is not None), None)
    if reference is None:
        raise NotAvailable(f"model {card.name!r} fails on every runtime: {rows[plain[0]].refused}")
    for k, answer in enumerate(answers):
        if answer is not None:
            verdict = gate.judge(card, reference, answer)
            rows[k] = replace(rows[k], worst_error=verdict.worst, psnr_db=verdict.psnr_db, refused=verdict.refused)


def _copied(engine: Engine, feeds: gate.Feeds) -> gate.Feeds:
    return {name: array.copy() for name, array in engine.run(feeds).items()}


def _time(engines: list[Engine | None], rows: list[Row], feeds: list[gate.Feeds], seconds: float) -> None:
    times: list[list[float]] = [[] for _ in rows]
    medians: list[list[float]] = [[] for _ in rows]
    alive = [k for k, row in enumerate(rows) if not row.refused]
    for k in alive:
        _runs(engines[k], feeds, _WARM_RUNS, 0)
    for _ in range(_ROUNDS):
        for k in alive:
            taken = _runs(engines[k], feeds, *_RUNS[:1], seconds / _ROUNDS)
            times[k] += taken
            medians[k].append(float(np.median(taken)))
    for k in alive:
        # The best of the rounds: what else the machine did in the others is not the runtime's.
        rows[k] = replace(rows[k], p50_ms=min(medians[k]), p95_ms=float(np.percentile(times[k], 95)))


def _runs(engine: Engine | None, feeds: list[gate.Feeds], least: int, seconds: float) -> list[float]:
    """Milliseconds of each run: at least `least`, then for so long."""
    assert engine is not None
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while len(taken) < least or (time.perf_counter() < end and len(taken) < _RUNS[1]):
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
        extra = [way for way in plain if way not in variants]
        rows = measure(card, [*extra, *variants], open)[len(extra) :]
        for row in rows:
            if row.refused:
                _log.debug("%s: %s is refused: %s", card.name, row.variant, row.refused)
        best = pick(rows)
        if best is None:
            reasons = "; ".join(f"{row.variant}: {row.refused}" for row in rows)
            raise NotAvailable(f"model {card.name!r} runs nowhere here ({reasons})")
        _remember(memory, best)
        return best.variant


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
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{name}, {cores()} cores"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
