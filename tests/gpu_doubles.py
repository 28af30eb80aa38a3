"""Doubles of `tensorrt` and `pycuda.driver`: the same names, signatures and manners, computed on the CPU.

Where the real ones have manners that cost a crash, these complain: everything needs a current context on the calling
thread, copies need pinned buffers, work is done at `synchronize` and not before, nothing is freed twice. A "plan" is
the ONNX file behind a head with the version. `GpuDoubles.told` lists what was called, in order.
"""

from __future__ import annotations

import enum
import threading
import types

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

_KINDS = {"FLOAT": np.float32, "HALF": np.float16, "UINT8": np.uint8, "INT64": np.int64, "BF16": None}
DataType = enum.Enum("DataType", list(_KINDS))
_OF_ONNX = {1: DataType.FLOAT, 10: DataType.HALF, 2: DataType.UINT8, 7: DataType.INT64, 16: DataType.BF16}


class CudaError(Exception):
    """pycuda.driver.Error"""


class GpuDoubles:
    """One imagined GPU. Set `fails[name]` to what the call `name` shall raise or, for TensorRT, give."""

    def __init__(self, version="10.16.1", driver=12040):
        self.told: list[str] = []
        self.fails: dict[str, object] = {}
        self.stacks: dict[int, int] = {}  # thread -> how often the context is current there
        self.memory: dict[int, np.ndarray] = {}
        self.pinned: list[np.ndarray] = []
        self.queue: list = []
        self.builds = 0
        self.version, self.driver = version, driver
        self.modules = {"pycuda": types.ModuleType("pycuda"), "tensorrt": _tensorrt(self)}
        self.modules["pycuda"].__path__ = []
        self.modules["pycuda.driver"] = self.modules["pycuda"].driver = _driver(self)

    def call(self, name, current=True):
        self.told.append(name)
        if current and not self.stacks.get(threading.get_ident()):
            raise CudaError(f"{name} failed: invalid device context")
        if isinstance(self.fails.get(name), Exception):
            raise self.fails[name]


def _driver(gpu):
    class Device:
        def __init__(self, number):
            assert number == 0

        count = staticmethod(lambda: gpu.fails.get("count", 1))

        def name(self):
            return "Imagined GPU"

        def compute_capability(self):
            return 8, 9

        def retain_primary_context(self):
            gpu.call("retain", current=False)
            return Context()

    class Context:
        def push(self):
            gpu.call("push", current=False)
            thread = threading.get_ident()
            gpu.stacks[thread] = gpu.stacks.get(thread, 0) + 1

        @staticmethod
        def pop():
            gpu.call("pop")
            gpu.stacks[threading.get_ident()] -= 1

        def detach(self):
            gpu.call("detach", current=False)

    class Stream:
        def __init__(self, flags=0):
            gpu.call("stream")
            self.handle = 0x57

        def synchronize(self):
            gpu.call("synchronize")
            while gpu.queue:
                gpu.queue.pop(0)()

    class DeviceAllocation:
        def __init__(self, size):
            self.address = 0x1000 + 0x10000 * len(gpu.told)
            gpu.memory[self.address] = np.zeros(size, np.uint8)

        def __int__(self):
            return self.address

        def free(self):
            gpu.call("free")
            del gpu.memory[self.address]

    def mem_alloc(size):
        gpu.call("mem_alloc")
        assert isinstance(size, int) and size > 0
        return DeviceAllocation(size)

    def pagelocked_empty(shape, dtype, order="C", mem_flags=0):
        gpu.call("pagelocked_empty")
        assert isinstance(shape, int), "an empty shape is read past its end"
        gpu.pinned.append(np.full(shape, 99, dtype))
        return gpu.pinned[-1]

    def _bytes(array):
        assert any(np.shares_memory(array, held) for held in gpu.pinned), "not page-locked"
        return array.reshape(-1).view(np.uint8)

    def memcpy_htod_async(dest, src, stream=None):
        gpu.call("htod")
        gpu.queue.append(lambda: gpu.memory[int(dest)].__setitem__(slice(None), _bytes(src)))

    def memcpy_dtoh_async(dest, src, stream=None):
        gpu.call("dtoh")
        gpu.queue.append(lambda: _bytes(dest).__setitem__(slice(None), gpu.memory[int(src)]))

    module = types.ModuleType("pycuda.driver")
    module.Error = CudaError
    module.init = lambda flags=0: gpu.call("init", current=False)
    module.get_driver_version = lambda: gpu.driver
    for each in (Device, Context, Stream, mem_alloc, pagelocked_empty, memcpy_htod_async, memcpy_dtoh_async):
        setattr(module, each.__name__, each)
    return module


def _tensorrt(gpu):
    Severity = enum.Enum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE", start=0)  # noqa: N806

    class ILogger:
        def __init__(self):
            self.ready = True

    ILogger.Severity = Severity

    def attempt(name, logger):
        """None where this call shall fail, after telling the logger why."""
        gpu.call(name)
        if name in gpu.fails:
            logger.log(Severity.ERROR, f"{name} is out of order\n")
        return name not in gpu.fails

    class Runtime:
        def __init__(self, logger):
            assert logger.ready
            self.logger = logger
            if not attempt("Runtime", logger):
                raise TypeError("pybind11::init(): factory function returned nullptr")

        def deserialize_cuda_engine(self, serialized_engine):
            head = f"PLAN {gpu.version} ".encode()
            fine = attempt("deserialize", self.logger) and bytes(serialized_engine).startswith(head)
            return Engine(bytes(serialized_engine)[len(head) :], self.logger) if fine else None

    class Engine:
        def __init__(self, model, logger):
            self.model, self.logger = onnx.load_model_from_string(model), logger
            self.values = [*self.model.graph.input, *self.model.graph.output]
            self.num_io_tensors = len(self.values)

        def __del__(self):
            gpu.told.append("del engine")

        def get_tensor_name(self, index):
            return self.values[index].name

        def _value(self, name):
            return next(value for value in self.values if value.name == name)

        def get_tensor_mode(self, name):
            inside = any(value.name == name for value in self.model.graph.input)
            return module.TensorIOMode.INPUT if inside else module.TensorIOMode.OUTPUT

        def get_tensor_shape(self, name):
            return tuple(size.dim_value for size in self._value(name).type.tensor_type.shape.dim)

        def get_tensor_dtype(self, name):
            return _OF_ONNX[self._value(name).type.tensor_type.elem_type]

        def get_tensor_location(self, name):
            return gpu.fails.get("location", module.TensorLocation.DEVICE)

        def create_execution_context(self):
            return ExecutionContext(self) if attempt("create_execution_context", self.logger) else None

    class ExecutionContext:
        def __init__(self, engine):
            self.engine, self.addresses = engine, {}
            self.evaluator = ReferenceEvaluator(engine.model)

        def __del__(self):
            gpu.told.append("del context")

        def set_tensor_address(self, name, memory):
            self.addresses[name] = memory
            return attempt("set_tensor_address", self.engine.logger)

        def execute_async_v3(self, stream_handle):
            assert stream_handle == 0x57
            gpu.queue.append(self.compute)
            return attempt("execute", self.engine.logger)

        def compute(self):
            graph, engine = self.engine.model.graph, self.engine

            def array(value):
                kind = _KINDS[engine.get_tensor_dtype(value.name).name]
                return gpu.memory[self.addresses[value.name]].view(kind).reshape(engine.get_tensor_shape(value.name))

            answers = self.evaluator.run(None, {value.name: array(value).copy() for value in graph.input})
            for value, answer in zip(graph.output, answers, strict=True):
                array(value)[...] = answer

    class HostMemory(bytes):
        """tensorrt.IHostMemory: a buffer."""

    class Builder:
        def __init__(self, logger):
            self.logger = logger
            if not attempt("Builder", logger):
                raise TypeError("pybind11::init(): factory function returned nullptr")

        def create_network(self, flags=0):
            assert flags == 1 << 1, "not strongly typed"
            return types.SimpleNamespace(model=None)

        def create_builder_config(self):
            gpu.config = Config()
            return gpu.config

        def build_serialized_network(self, network, config):
            gpu.builds += 1
            made = HostMemory(f"PLAN {gpu.version} ".encode() + network.model)
            return made if attempt("build", self.logger) else None

    class Config:
        def __init__(self):
            self.off, self.cache = set(), None

        def set_memory_pool_limit(self, pool, pool_size):
            assert pool is module.MemoryPoolType.WORKSPACE and pool_size > 1 << 20

        def clear_flag(self, flag):
            self.off.add(flag)

        def create_timing_cache(self, serialized_timing_cache):
            return None if serialized_timing_cache == b"garbled" else TimingCache(serialized_timing_cache)

        def set_timing_cache(self, cache, ignore_mismatch):
            assert ignore_mismatch is False
            self.cache = cache
            return True

    class TimingCache:
        def __init__(self, data):
            self.data = data

        def serialize(self):
            return HostMemory(self.data + b"timed ")

    class OnnxParser:
        def __init__(self, network, logger):
            self.network = network
            self.num_errors = 0 if gpu.fails.get("parse") is None else 1

        def parse(self, model):
            self.network.model = model
            return not self.num_errors

        def get_error(self, index):
            code = module.ErrorCode[gpu.fails["parse"]]
            told = {"code": code, "desc": "will not do", "node_name": "n7", "node_operator": "Conv"}
            return types.SimpleNamespace(**{key: lambda value=value: value for key, value in told.items()})

    def nptype(trt_type):
        if _KINDS[trt_type.name] is None:
            raise TypeError("Could not resolve TensorRT datatype to an equivalent numpy datatype.")
        return _KINDS[trt_type.name]

    module = types.ModuleType("tensorrt")
    module.__version__ = gpu.version
    module.NetworkDefinitionCreationFlag = enum.IntEnum("F", {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1})
    module.MemoryPoolType = enum.Enum("MemoryPoolType", "WORKSPACE TACTIC_DRAM")
    module.BuilderFlag = enum.Enum("BuilderFlag", "TF32 STRICT_NANS")
    module.ErrorCode = enum.Enum("ErrorCode", "INVALID_NODE UNSUPPORTED_NODE UNSUPPORTED_NODE_ATTR")
    module.TensorIOMode = enum.Enum("TensorIOMode", "NONE INPUT OUTPUT")
    module.TensorLocation = enum.Enum("TensorLocation", "DEVICE HOST")
    for each in (ILogger, Runtime, Builder, OnnxParser, DataType, nptype):
        setattr(module, each.__name__, each)
    return module
