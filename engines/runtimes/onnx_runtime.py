"""ONNX Runtime: the runtime that every machine can have; on the CPU, or on whatever its providers bring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import onnxruntime as ort

from engines.card import ModelCard
from engines.engine import Array, Engine, TensorSpec, Variant, check_feeds, thread_counts
from engines.errors import BadInput, EngineError, ModelError, NotAvailable
from engines.tidy import blocked_prelu

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

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
_GRAPHED = ("cuda", "tensorrt")  # keep their buffers on the device and replay one recorded CUDA graph


class OnnxRuntime(Engine):
    """Engine over one ONNX Runtime session; `variant.threads` caps the threads inside one operator.

    The model is loaded from bytes that the card vouches for, so that nothing outside the folder is opened. A device
    other than the CPU must take the whole graph: what it leaves to the CPU would be slow without a word.
    """

    devices: ClassVar[tuple[str, ...]] = tuple(_PROVIDERS)

    def __init__(self, card: ModelCard, variant: Variant) -> None:
        if variant.device not in _PROVIDERS:
            raise BadInput(f"ONNX Runtime knows no device {variant.device!r}", hint=f"choose {', '.join(_PROVIDERS)}")
        provider = _PROVIDERS[variant.device]
        if provider not in ort.get_available_providers():
            raise NotAvailable(
                f"this ONNX Runtime ({ort.__version__}) has no {provider}; it has "
                f"{', '.join(ort.get_available_providers())}",
                hint=_HINTS.get(variant.device, "install an ONNX Runtime that has it"),
            )
        if (variant.device, variant.precision) not in _options(card):
            raise NotAvailable(
                f"model {card.name!r} cannot run in {variant.precision} on {variant.device} with ONNX Runtime",
                hint="possible: " + ", ".join(f"{device}:{precision}" for device, precision in _options(card)),
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = variant.threads
        options.inter_op_num_threads = 1
        # Spinning workers would eat the core that the other stage of the loop needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        data = card.model(variant.precision)
        if variant.device == "cpu":
            data = blocked_prelu(data)
        else:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            session = ort.InferenceSession(data, options, providers=[(provider, _options(card)[_key(variant)])])
        except Exception as error:  # ONNX Runtime's exceptions have no common base class
            if variant.device == "cpu":
                raise ModelError(f"ONNX Runtime cannot load model {card.name!r}: {_first_line(error)}") from error
            raise NotAvailable(f"{provider} cannot run model {card.name!r}: {_first_line(error)}") from error
        if session.get_providers()[0] != provider:  # it warns and goes on when a provider's libraries are missing
            raise NotAvailable(
                f"asked for {provider}, ONNX Runtime took {session.get_providers()[0]} instead",
                hint=_HINTS.get(variant.device, "its libraries are missing or too old"),
            )
        self.variant = variant
        self.inputs = tuple(_spec(card, node) for node in session.get_inputs())
        self.outputs = tuple(_spec(card, node) for node in session.get_outputs())
        if variant.device in _GRAPHED:
            self._answer: Callable[[Mapping[str, Array]], dict[str, Array]] = Bound(
                session, self.inputs, self.outputs, "cuda"
            )
        else:
            self._answer = _Unbound(session, self.outputs)

    @staticmethod
    def variants(card: ModelCard, cores: int) -> list[Variant]:
        found = []
        for device, precision in _options(card):
            if _PROVIDERS[device] in ort.get_available_providers():
                counts = thread_counts(cores) if device == "cpu" else [1]
                found += [Variant("onnx_runtime", device, precision, threads) for threads in counts]
        return found

    @staticmethod
    def version() -> str:
        return f"{ort.__version__} {' '.join(ort.get_available_providers())}"

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        check_feeds(self.inputs, feeds)
        try:
            return self._answer(feeds)
        except Exception as error:
            raise EngineError(f"ONNX Runtime failed: {_first_line(error)}") from error

    def close(self) -> None:
        self.__dict__.pop("_answer", None)


class _Unbound:
    """Runs with arrays that ONNX Runtime makes anew each time."""

    def __init__(self, session: ort.InferenceSession, outputs: tuple[TensorSpec, ...]) -> None:
        self._session = session
        self._names = [spec.name for spec in outputs]

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        return dict(zip(self._names, self._session.run(self._names, dict(feeds)), strict=True))


class Bound:
    """Runs with buffers that stay where they are on `device` ("cuda", "cpu"): what a recorded CUDA graph needs.

    Source of the method: ONNX Runtime's documentation, "I/O Binding" and "CUDA Graphs".
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        device: str,
    ) -> None:
        def buffers(specs: tuple[TensorSpec, ...]) -> dict[str, ort.OrtValue]:
            make = ort.OrtValue.ortvalue_from_shape_and_type
            return {spec.name: make(list(spec.shape), spec.dtype.type, device, 0) for spec in specs}

        self._session, self._binding = session, session.io_binding()
        self._inputs, self._outputs = buffers(inputs), buffers(outputs)
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)

    def __call__(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        for name, value in self._inputs.items():
            value.update_inplace(np.ascontiguousarray(feeds[name]))
        self._session.run_with_iobinding(self._binding)
        return {name: value.numpy() for name, value in self._outputs.items()}


_HINTS = {
    "cuda": 'pip uninstall onnxruntime, then pip install "doppelcam[nvidia]"; it needs CUDA 12 and cuDNN 9',
    "tensorrt": 'pip uninstall onnxruntime, then pip install "doppelcam[nvidia]"; it needs TensorRT 10',
    "directml": "pip uninstall onnxruntime, then pip install onnxruntime-directml (Windows)",
    "coreml": "it comes with onnxruntime on macOS",
    "openvino": 'use the runtime openvino itself: pip install "doppelcam[openvino]"',
}


def _key(variant: Variant) -> tuple[str, str]:
    return variant.device, variant.precision


def _options(card: ModelCard) -> dict[tuple[str, str], dict[str, Any]]:
    """Provider options for each device and precision that this model can run on and in.

    TensorRT's cache of plans stays off: a plan is machine code, and ONNX Runtime does not ask who wrote it.
    """
    graph = {"enable_cuda_graph": "1"}
    options: dict[tuple[str, str], dict[str, Any]] = {
        ("cpu", "fp32"): {},
        ("cuda", "fp32"): {**graph, "use_tf32": "0", "cudnn_conv_algo_search": "EXHAUSTIVE"},
        ("tensorrt", "fp32"): {"trt_cuda_graph_enable": "1"},
        ("tensorrt", "fp16"): {"trt_cuda_graph_enable": "1", "trt_fp16_enable": "1"},
        ("directml", "fp32"): {},
        ("coreml", "fp32"): {"ModelFormat": "MLProgram", "RequireStaticInputShapes": "1"},
        ("openvino", "fp32"): {"device_type": "CPU", "precision": "FP32"},
    }
    if "onnx_int8" in card.files:
        options["cpu", "int8"] = {}
        options["tensorrt", "int8"] = {"trt_cuda_graph_enable": "1", "trt_int8_enable": "1"}
    if "onnx_fp16" in card.files:
        options["cuda", "fp16"] = {**graph, "cudnn_conv_algo_search": "EXHAUSTIVE"}
        options["directml", "fp16"] = {}
    return options


def _spec(card: ModelCard, node: ort.NodeArg) -> TensorSpec:
    if node.type not in _DTYPES or not all(isinstance(size, int) for size in node.shape):
        raise ModelError(f"model {card.name!r}: {node.name} is {node.type}{node.shape}; static shapes are needed")
    return TensorSpec(node.name, tuple(node.shape), np.dtype(_DTYPES[node.type]))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
