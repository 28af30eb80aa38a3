"""OpenVINO on the CPU: the fastest runtime for small nets on Intel and AMD processors."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

import numpy as np
import openvino as ov

from engines.card import ModelCard
from engines.engine import Array, TensorSpec, check_feeds
from engines.errors import EngineError, ModelError


class Openvino:
    """Engine over one compiled OpenVINO model with the latency hint, in fp32; `threads` caps its threads."""

    def __init__(self, card: ModelCard, threads: int = 1) -> None:
        data = card.read("onnx")
        try:
            core = ov.Core()
            model = core.read_model(BytesIO(data))
            compiled = core.compile_model(
                model,
                "CPU",
                {
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_NUM_THREADS": threads,
                    # bf16 is chosen by itself on some processors; precision is a decision for the accuracy gate.
                    "INFERENCE_PRECISION_HINT": "f32",
                },
            )
        except RuntimeError as error:
            raise ModelError(f"OpenVINO cannot load model {card.name!r}: {error}") from error
        self._request = compiled.create_infer_request()
        self.inputs = tuple(_spec(card, port) for port in compiled.inputs)
        self.outputs = tuple(_spec(card, port) for port in compiled.outputs)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        check_feeds(self.inputs, feeds)
        try:
            results = self._request.infer(dict(feeds), share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed: {error}") from error
        return {spec.name: np.asarray(results[spec.name]) for spec in self.outputs}

    def close(self) -> None:
        del self._request


def _spec(card: ModelCard, port: ov.ConstOutput) -> TensorSpec:
    if port.partial_shape.is_dynamic:
        raise ModelError(f"model {card.name!r}: {port.any_name} is {port.partial_shape}; static shapes are needed")
    return TensorSpec(port.any_name, tuple(port.shape), np.dtype(port.element_type.to_dtype()))
