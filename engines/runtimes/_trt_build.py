"""Has TensorRT compile an ONNX model into a plan for the GPU of this machine, which takes from seconds to minutes."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import tensorrt as trt

from engines.errors import EngineError, ModelError, NotAvailable

RECIPE = 1  # part of a plan's purpose: raise it when the same model would be built in another way
_WORKSPACE = 1 << 30  # bytes; the rest of the GPU's memory belongs to what else runs on it

_log = logging.getLogger("doppelcam.engines")


class Messages(trt.ILogger):  # type: ignore[misc]
    """What TensorRT says: to the log, and the last errors kept for the message of an exception."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self._errors: deque[str] = deque(maxlen=3)

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
            self._errors.append(msg.strip())
        _log.debug("TensorRT: %s", msg)

    def errors(self) -> str:
        """The last errors in one line, forgotten as they are told."""
        told = "; ".join(self._errors) or "it gives no reason"
        self._errors.clear()
        return told


# One for the process: TensorRT goes on using the first one that it was given.
MESSAGES = Messages()


def create(kind: Callable[..., Any], *arguments: Any) -> Any:
    """One of TensorRT's objects. Raises EngineError: it comes back empty where CUDA or its libraries do not start."""
    try:
        return kind(*arguments)
    except TypeError as error:  # what pybind11 makes of a constructor that gives nothing
        raise EngineError(f"TensorRT does not start: {MESSAGES.errors()}") from error


def build(model: bytes, name: str, precise: bool, timings: bytes) -> tuple[bytes, bytes]:
    """The plan, and the timing cache with which the next build of a similar model is faster.

    `model`: ONNX, made to fit by _trt_graph.py; `precise` keeps fp32 from being rounded to TF32. `timings`: a cache
    from before, or nothing. A CUDA context must be current. Raises ModelError, NotAvailable (an operator is not
    supported), EngineError (the build failed). Source of the method: TensorRT's API reference for Python.
    """
    builder = create(trt.Builder, MESSAGES)
    # TensorRT 10 must be told that types are as the graph says; 11 knows nothing else.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = create(trt.OnnxParser, network, MESSAGES)
    if not parser.parse(model):
        raise _parse_error(parser, name)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE)
    if precise:
        config.clear_flag(trt.BuilderFlag.TF32)
    cache = config.create_timing_cache(timings)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(f"TensorRT cannot build a plan for model {name!r}: {MESSAGES.errors()}")
    return bytes(plan), bytes(cache.serialize())


def _parse_error(parser: trt.OnnxParser, name: str) -> ModelError | NotAvailable:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    told = "; ".join(f"{error.node_operator()} {error.node_name()}: {error.desc()}".strip() for error in errors)
    text = f"TensorRT cannot take model {name!r}: {told or MESSAGES.errors()}"
    if any(error.code().name.startswith("UNSUPPORTED") for error in errors):
        return NotAvailable(text, hint="choose another engine, for example onnx_runtime:cuda")
    return ModelError(text)
