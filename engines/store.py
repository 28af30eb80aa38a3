"""Opens a model folder on a runtime: the one door through which everybody gets an Engine."""

from __future__ import annotations

from typing import cast

from engines.card import ModelCard
from engines.engine import Engine
from engines.plugins import Plugins

RUNTIMES = Plugins("runtime", "engines.runtimes")


def open_engine(card: ModelCard, runtime: str = "onnx_runtime", threads: int = 1) -> Engine:
    """Load `card`'s model on `runtime`. Raises BadInput, NotAvailable or ModelError."""
    return cast(Engine, RUNTIMES.load(runtime)(card, threads))
