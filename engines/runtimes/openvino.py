"""OpenVINO: the fastest runtime for most nets on Intel and AMD processors; Intel's GPUs too."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from io import BytesIO
from typing import Any, ClassVar

import numpy as np

from engines.card import ModelCard
from engines.engine import Array, Engine, TensorSpec, Variant, check_feeds, thread_counts
from engines.errors import BadInput, EngineError, ModelError, NotAvailable

# On import OpenVINO reports itself to Google Analytics, from a forked process and with an id that it leaves in the
# home folder, by the package openvino_telemetry. Where that cannot be imported it takes its own stub.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
import openvino as ov  # noqa: E402

# What inference computes in; an int8 file says itself where it is int8, the rest of it stays fp32.
_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}


class Openvino(Engine):
    """Engine over one compiled OpenVINO model with the latency hint; `variant.threads` caps its threads on the CPU."""

    devices: ClassVar[tuple[str, ...]] = ("cpu", "gpu")

    def __init__(self, card: ModelCard, variant: Variant) -> None:
        if variant.device not in self.devices:
            raise BadInput(f"OpenVINO knows no device {variant.device!r}", hint=f"choose {', '.join(self.devices)}")
        core = ov.Core()
        possible = _precisions(core, variant.device, card)
        if not possible:
            raise NotAvailable(f"OpenVINO finds no {variant.device} here; it finds {', '.join(core.available_devices)}")
        if variant.precision not in possible:
            raise NotAvailable(
                f"model {card.name!r} cannot run in {variant.precision} on this {variant.device} with OpenVINO",
                hint=f"possible: {', '.join(possible)}",
            )
        # bf16 would be chosen by itself on some processors; precision is a decision for the accuracy gate.
        properties: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": _HINTS[variant.precision],
        }
        if variant.device == "cpu":
            properties["INFERENCE_NUM_THREADS"] = variant.threads
        data = card.model(variant.precision)
        try:
            compiled = core.compile_model(core.read_model(BytesIO(data)), variant.device.upper(), properties)
        except RuntimeError as error:
            raise ModelError(f"OpenVINO cannot load model {card.name!r}: {_words(error)}") from error
        self._request = compiled.create_infer_request()
        self.variant = variant
        self.inputs = tuple(_spec(card, port) for port in compiled.inputs)
        self.outputs = tuple(_spec(card, port) for port in compiled.outputs)

    @staticmethod
    def variants(card: ModelCard, cores: int) -> list[Variant]:
        core = ov.Core()
        return [
            Variant("openvino", device, precision, threads)
            for device in Openvino.devices
            for precision in _precisions(core, device, card)
            for threads in (thread_counts(cores) if device == "cpu" else [1])
        ]

    @staticmethod
    def version() -> str:
        core = ov.Core()
        return " ".join([ov.get_version(), *(core.get_property(d, "FULL_DEVICE_NAME") for d in core.available_devices)])

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        check_feeds(self.inputs, feeds)
        try:
            results = self._request.infer(dict(feeds), share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed: {_words(error)}") from error
        return {spec.name: np.asarray(results[spec.name]) for spec in self.outputs}

    def close(self) -> None:
        self.__dict__.pop("_request", None)


def _precisions(core: ov.Core, device: str, card: ModelCard) -> list[str]:
    """What this device computes in by hardware; empty when there is no such device."""
    if device.upper() not in core.available_devices:
        return []
    able = core.get_property(device.upper(), "OPTIMIZATION_CAPABILITIES")
    found = ["fp32"]
    if device == "cpu":
        found += ["bf16"] if "BF16" in able else []
    else:
        found += ["fp16"] if "FP16" in able else []
    return found + (["int8"] if "onnx_int8" in card.files else [])


def _spec(card: ModelCard, port: ov.ConstOutput) -> TensorSpec:
    if port.partial_shape.is_dynamic:
        raise ModelError(f"model {card.name!r}: {port.any_name} is {port.partial_shape}; static shapes are needed")
    return TensorSpec(port.any_name, tuple(port.shape), np.dtype(port.element_type.to_dtype()))


def _words(error: Exception) -> str:
    """The line of an OpenVINO exception that says what happened, not where in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith(("Exception from", "Check '"))), "no reason given")
