"""The one door through which everybody gets an Engine: the runtime that was asked for, or the best one here."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import cast

from engines.card import ModelCard
from engines.choose import choose, cores
from engines.engine import PRECISIONS, Engine, Runtime, Variant
from engines.errors import BadInput, EngineError, ModelError, NotAvailable
from engines.plugins import Plugins
from engines.quarantine import admit

RUNTIMES = Plugins("runtime", "engines.runtimes")

_log = logging.getLogger("doppelcam.engines")


def open_engine(card: ModelCard, wish: str = "auto", threads: int = 0, fallback: bool = False) -> Engine:
    """Load `card`'s model as wished.

    `wish`: "auto", or RUNTIME[:DEVICE][:PRECISION], for example "openvino", "onnx_runtime:cuda",
    "openvino:cpu:bf16" or "open_inference:127.0.0.1:8001" (see address.py). What it leaves open, and `threads` 0, is
    measured at first use (see choose.py).
    Raises BadInput, NotAvailable or ModelError; a stranger's file is first tried out in quarantine. With `fallback`,
    where what was asked for is not to be had, "auto" is taken instead; the engine's `fallback` then says why, and the
    log too.
    """
    admit(card)
    try:
        return open_variant(card, _decide(card, wish, threads))
    except (NotAvailable, ModelError, EngineError) as error:
        if not fallback or wish == "auto":
            raise
        engine = open_variant(card, _decide(card, "auto", threads))
        engine.fallback = f"{wish} was asked for: {error.message}"
        _log.warning("FALLBACK: %s runs on %s; %s", card.name, engine.variant, engine.fallback)
        return engine


def open_variant(card: ModelCard, variant: Variant) -> Engine:
    """Load `card`'s model exactly so. Raises like `open_engine`."""
    admit(card)  # again, since this is a door too: what was admitted is remembered
    engine = _runtime(variant.runtime)(card, variant)
    engine.model = card.name
    return engine


def candidates(card: ModelCard, wish: str = "auto", threads: int = 0) -> list[Variant]:
    """The ways that this wish leaves open on this machine. Raises BadInput, and NotAvailable where there are none."""
    if wish == "auto":
        names = [name for name in RUNTIMES.names() if RUNTIMES.why_not(name) is None]
        device = precision = None
    else:
        name, device, precision = _parse(wish)
        names = [name]
    ways = [
        way
        for name in names
        for way in _runtime(name).variants(card, cores())
        if way.device == (device or way.device) and way.precision == (precision or way.precision)
    ]
    if threads:  # only the CPU has a number of threads
        ways = [replace(way, threads=threads) if way.device == "cpu" else way for way in ways]
    if not ways and wish == "auto":
        raise NotAvailable(
            f"no runtime is installed that can run model {card.name!r}", hint='pip install "doppelcam[cpu]"'
        )
    # A runtime that offers nothing by itself is asked anyway: it knows best why not.
    return list(dict.fromkeys(ways)) or [Variant(names[0], device or "cpu", precision or "fp32", threads or 1)]


def reference(card: ModelCard) -> list[Variant]:
    """The way of running it that the others are judged by, if there is one: plain fp32 on the CPU."""
    return [way for way in candidates(card) if way.precision == "fp32" and way.device == "cpu"][:1]


def _decide(card: ModelCard, wish: str, threads: int) -> Variant:
    ways = candidates(card, wish, threads)
    if len(ways) == 1 and ways[0].precision == "fp32":
        return ways[0]
    plain = reference(card)
    versions = {name: _runtime(name).version() for name in {way.runtime for way in [*ways, *plain]}}
    return choose(card, ways, plain, versions, open_variant)


def _parse(wish: str) -> tuple[str, str | None, str | None]:
    """Runtime, device, precision of "openvino:cpu:bf16". Raises BadInput; the runtime judges device and precision."""
    name, _, rest = wish.partition(":")
    if name not in RUNTIMES.names():
        RUNTIMES.load(name)  # raises, with the nearest name
    head, _, last = rest.rpartition(":")
    if last in PRECISIONS:
        return name, head or None, last
    devices = _runtime(name).devices if RUNTIMES.why_not(name) is None else ()
    if rest and devices and rest not in devices:
        raise BadInput(
            f"engine {wish!r}: {name} knows neither a device nor a precision {rest!r}",
            hint=f"devices: {', '.join(devices)}; precisions: {', '.join(PRECISIONS)}",
        )
    return name, rest or None, None


def _runtime(name: str) -> Runtime:
    return cast(Runtime, RUNTIMES.load(name))
