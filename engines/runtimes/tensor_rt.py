"""TensorRT on an NVIDIA GPU, without anything in between: plans built on this machine, pinned buffers, one stream.

It was written against the documented interfaces of TensorRT 10 and 11 and of PyCUDA, and has never run on a GPU: its
tests use doubles of both libraries. Expect the first run on a real one to find something.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import logging
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, ClassVar

import numpy as np
import pycuda.driver as cuda
import tensorrt as trt

from engines.card import ModelCard
from engines.engine import Array, Engine, TensorSpec, Variant, check_feeds
from engines.errors import BadInput, DoppelcamError, EngineError, ModelError, NotAvailable
from engines.plans import Plans, Purpose
from engines.runtimes._trt_build import MESSAGES, RECIPE, build, create
from engines.runtimes._trt_graph import fit

_log = logging.getLogger("doppelcam.engines")


def available() -> None:
    """Raises NotAvailable: the driver does not start, or there is no GPU. (A missing package never gets this far.)"""
    try:
        cuda.init()
        found = cuda.Device.count()
    except cuda.Error as error:
        if "no CUDA-capable device" not in str(error):
            raise NotAvailable(
                f"runtime 'tensor_rt' is not available: the NVIDIA driver does not start ({error})",
                hint="nvidia-smi says more; after an update of the driver the machine must be started again",
            ) from error
        found = 0
    if not found:
        raise NotAvailable("runtime 'tensor_rt' is not available: there is no NVIDIA GPU", hint='use engine = "auto"')


class TensorRt(Engine):
    """Engine over one TensorRT plan on the first GPU.

    The plan is built at first use and kept (engines/plans.py); one that was not built on this machine is never loaded.
    "fp32" means it: TF32 is off. "fp16" takes the card's fp16 file, or converts the fp32 one; "int8" needs a file with
    symmetric QuantizeLinear and DequantizeLinear in it. The arrays that `run` gives are the pinned buffers themselves.
    """

    devices: ClassVar[tuple[str, ...]] = ("cuda",)

    def __init__(self, card: ModelCard, variant: Variant) -> None:
        available()
        if variant.device not in self.devices:
            raise BadInput(f"TensorRT knows no device {variant.device!r}", hint=f"choose {', '.join(self.devices)}")
        if variant.precision not in _precisions(card):
            raise NotAvailable(
                f"model {card.name!r} cannot run in {variant.precision} with TensorRT",
                hint=f"possible: {', '.join(_precisions(card))}",
            )
        self.variant = variant
        self._objects: list[Any] = []  # TensorRT's; each needs the one before it
        self._host: dict[str, Array] = {}
        self._memory: dict[str, Any] = {}
        self._stream: Any = None
        try:
            with _current():
                self._load(card)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def variants(card: ModelCard, cores: int) -> list[Variant]:  # noqa: ARG004
        try:
            available()
        except NotAvailable:
            return []
        return [Variant("tensor_rt", "cuda", precision) for precision in _precisions(card)]

    @staticmethod
    def version() -> str:
        """Of TensorRT and of the CUDA that the driver brings (12040: 12.4)."""
        return f"{trt.__version__} cuda {cuda.get_driver_version()}"

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        check_feeds(self.inputs, feeds)
        with _current():
            for spec in self.inputs:
                np.copyto(self._host[spec.name], feeds[spec.name])
                cuda.memcpy_htod_async(self._memory[spec.name], self._host[spec.name], self._stream)
            done = self._objects[-1].execute_async_v3(self._stream.handle)
            for spec in self.outputs:
                cuda.memcpy_dtoh_async(self._host[spec.name], self._memory[spec.name], self._stream)
            self._stream.synchronize()
        if not done:
            raise EngineError(f"TensorRT failed: {MESSAGES.errors()}")
        return {spec.name: self._host[spec.name] for spec in self.outputs}

    def close(self) -> None:
        # A device that has failed frees nothing any more; the driver does when the process ends.
        with contextlib.suppress(EngineError), _current():
            while self._objects:
                self._objects.pop()
            while self._memory:
                self._memory.popitem()[1].free()
            self._host.clear()  # let go, not freed: somebody may still hold an output
            self._stream = None

    def _load(self, card: ModelCard) -> None:
        runtime = create(trt.Runtime, MESSAGES)
        engine = _engine(runtime, card, self.variant.precision)
        self._objects += [runtime, engine]
        context = engine.create_execution_context()
        if context is None:
            raise EngineError(f"TensorRT cannot prepare model {card.name!r}: {MESSAGES.errors()}")
        self._objects.append(context)
        self._stream = cuda.Stream()
        sides: dict[Any, list[TensorSpec]] = {trt.TensorIOMode.INPUT: [], trt.TensorIOMode.OUTPUT: []}
        for index in range(engine.num_io_tensors):
            spec = _spec(card, engine, engine.get_tensor_name(index))
            sides[engine.get_tensor_mode(spec.name)].append(spec)
            # Flat first: PyCUDA reads past the end of an empty shape, which is that of a single number.
            self._host[spec.name] = cuda.pagelocked_empty(prod(spec.shape), spec.dtype).reshape(spec.shape)
            self._memory[spec.name] = cuda.mem_alloc(self._host[spec.name].nbytes)
            if not context.set_tensor_address(spec.name, int(self._memory[spec.name])):
                raise EngineError(f"TensorRT refuses the buffer of {spec}: {MESSAGES.errors()}")
        self.inputs = tuple(sides[trt.TensorIOMode.INPUT])
        self.outputs = tuple(sides[trt.TensorIOMode.OUTPUT])


@functools.cache
def _primary() -> Any:
    """The GPU's primary context: the one that other CUDA libraries in this process use as well.

    It is held until the process ends. Making it again takes longer than opening an engine, and pinned buffers would
    go with it, while somebody may still look at the last output.
    """
    context = cuda.Device(0).retain_primary_context()
    atexit.register(context.detach)  # left to its destructor, PyCUDA releases it as if it were no primary one
    return context


@contextlib.contextmanager
def _current() -> Iterator[None]:
    """Makes the CUDA context current, on this thread and no longer than needed. CUDA's errors become EngineError.

    PyCUDA ends the whole process when a thread ends while a context is current there.
    """
    try:
        _primary().push()
        try:
            yield
        finally:
            cuda.Context.pop()
    except cuda.Error as error:
        raise EngineError(f"CUDA failed: {error}") from error


def _precisions(card: ModelCard) -> list[str]:
    return ["fp32", "fp16", *(["int8"] if "onnx_int8" in card.files else [])]


def _engine(runtime: trt.Runtime, card: ModelCard, precision: str) -> trt.ICudaEngine:
    """The model's plan, loaded: the kept one, else a new one."""
    model = card.model(precision)
    purpose = _purpose(hashlib.sha256(model).hexdigest(), precision)
    plans = Plans()
    plan = _found(plans, purpose)
    if plan is not None:
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is not None:
            return engine
        _log.warning("TensorRT cannot load the kept plan of %s any more: %s", card.name, MESSAGES.errors())
    _log.warning("TensorRT builds %s for this GPU, once: it may take minutes", card.name)
    fitting = fit(model, card.name, halve=precision == "fp16" and "onnx_fp16" not in card.files)
    timings = _purpose("timings", "any")
    plan, timed = build(fitting, card.name, precision == "fp32", _found(plans, timings) or b"")
    try:
        plans.keep(purpose, plan)
        plans.keep(timings, timed)
    except NotAvailable as error:
        _log.warning("%s: %s", error.message, error.hint)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise EngineError(f"TensorRT cannot load the plan that it built for {card.name!r}: {MESSAGES.errors()}")
    return engine


def _purpose(model: str, precision: str) -> Purpose:
    gpu = cuda.Device(0)
    major, minor = gpu.compute_capability()
    return Purpose(
        model=model,
        precision=precision,
        gpu=f"{gpu.name()}, compute capability {major}.{minor}",
        driver=f"cuda {cuda.get_driver_version()}",
        builder=f"tensorrt {trt.__version__}, recipe {RECIPE}",
    )


def _found(plans: Plans, purpose: Purpose) -> bytes | None:
    try:
        return plans.find(purpose)
    except DoppelcamError as error:
        _log.warning("%s: %s", error.message, error.hint)
        return None


def _spec(card: ModelCard, engine: trt.ICudaEngine, name: str) -> TensorSpec:
    shape = tuple(engine.get_tensor_shape(name))
    if any(size < 0 for size in shape):
        raise ModelError(f"model {card.name!r}: {name} is {list(shape)}; static shapes are needed")
    if engine.get_tensor_location(name) != trt.TensorLocation.DEVICE:
        raise ModelError(f"model {card.name!r}: {name} sets shapes; TensorRT wants it outside of the GPU")
    try:
        return TensorSpec(name, shape, np.dtype(trt.nptype(engine.get_tensor_dtype(name))))
    except TypeError as error:
        raise ModelError(f"model {card.name!r}: {name} has a type that numpy lacks: {error}") from error
