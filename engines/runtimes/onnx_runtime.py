"""ONNX Runtime on the CPU: the runtime that every machine can have."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime as ort

from engines.card import ModelCard
from engines.engine import Array, TensorSpec, check_feeds
from engines.errors import EngineError, ModelError

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(double)": np.float64,
    "tensor(bool)": np.bool_,
}


class OnnxRuntime:
    """Engine over one ONNX Runtime session; `threads` caps the threads inside one operator.

    The model is loaded from bytes that the card vouches for, so that nothing outside the folder is opened.
    Tiny nets are fastest on one thread: waking a second one costs more than it brings.
    """

    def __init__(self, card: ModelCard, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning workers would eat the core that the other stage of the loop needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        data = card.read("onnx")
        try:
            self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common base class
            raise ModelError(f"ONNX Runtime cannot load model {card.name!r}: {_first_line(error)}") from error
        self.inputs = tuple(_spec(card, node) for node in self._session.get_inputs())
        self.outputs = tuple(_spec(card, node) for node in self._session.get_outputs())
        self._names = [spec.name for spec in self.outputs]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        check_feeds(self.inputs, feeds)
        try:
            results = self._session.run(self._names, dict(feeds))
        except Exception as error:
            raise EngineError(f"ONNX Runtime failed: {_first_line(error)}") from error
        return dict(zip(self._names, results, strict=True))

    def close(self) -> None:
        del self._session


def _spec(card: ModelCard, node: ort.NodeArg) -> TensorSpec:
    if node.type not in _DTYPES or not all(isinstance(size, int) for size in node.shape):
        raise ModelError(f"model {card.name!r}: {node.name} is {node.type}{node.shape}; static shapes are needed")
    return TensorSpec(node.name, tuple(node.shape), np.dtype(_DTYPES[node.type]))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
