"""TensorRT on doubles of its libraries: contexts, buffers, plans, messages. What every runtime must do is tested in
tests/contracts/ on the same doubles; on a real GPU too, where there is one."""

from __future__ import annotations

import gc
import hashlib
import importlib
import json
import logging
import sys
import threading

import numpy as np
import pytest
from onnx import TensorProto, helper

from engines.card import CARD_FILE, read_card
from engines.door import RUNTIMES, open_engine, open_variant
from engines.engine import Variant
from engines.errors import EngineError, ModelError, NotAvailable
from tests.gpu_doubles import CudaError

FP32 = Variant("tensor_rt", "cuda", "fp32")
IMAGE = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


def model(operator="Cast", **attributes):
    """uint8 image -> one operator -> Relu -> float."""
    nodes = [
        helper.make_node(operator, ["image"], ["between"], **(attributes or {"to": TensorProto.FLOAT})),
        helper.make_node("Relu", ["between"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [2, 2, 3])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [2, 2, 3])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return made.SerializeToString()


@pytest.fixture
def card(tmp_path):
    def make(**files):
        files = files or {"onnx": model()}
        for kind, data in files.items():
            (tmp_path / kind).write_bytes(data)
        tree = {
            "name": "net",
            "family": "test",
            "files": {kind: kind for kind in files},
            "sha256": {kind: hashlib.sha256(data).hexdigest() for kind, data in files.items()},
        }
        (tmp_path / CARD_FILE).write_text(json.dumps(tree))
        return read_card(tmp_path, trusted=True)  # some of these models would not get past the quarantine

    return make


@pytest.fixture
def engine(doubled_gpu, card):
    made = open_variant(card(), FP32)
    yield made
    made.close()


def plan_file(folder):
    """The kept plan of the network, not the timing cache beside it."""
    return max((folder / "XDG_CACHE_HOME/doppelcam/plans").glob("*.plan"), key=lambda file: file.stat().st_size)


# What is here and what is not


def test_importing_it_starts_nothing(doubled_gpu):
    RUNTIMES.load("tensor_rt")
    assert doubled_gpu.told == []


def test_it_is_available_with_a_gpu_and_offers_fp32_and_fp16(doubled_gpu, card):
    assert RUNTIMES.why_not("tensor_rt") is None
    ways = RUNTIMES.load("tensor_rt").variants(card(), cores=8)
    assert ways == [FP32, Variant("tensor_rt", "cuda", "fp16")]
    ways = RUNTIMES.load("tensor_rt").variants(card(onnx=model(), onnx_int8=model()), cores=8)
    assert [way.precision for way in ways] == ["fp32", "fp16", "int8"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("init", CudaError("cuInit failed: no CUDA-capable device is detected"), "there is no NVIDIA GPU"),
        ("count", 0, "there is no NVIDIA GPU"),
        ("init", CudaError("cuInit failed: system has unsupported display driver"), "driver does not start .*display"),
    ],
    ids=["no device", "none counted", "broken driver"],
)
def test_without_a_working_gpu_it_says_which_of_the_two(doubled_gpu, card, name, value, words):
    doubled_gpu.fails[name] = value
    error = RUNTIMES.why_not("tensor_rt")
    assert isinstance(error, NotAvailable) and error.hint
    with pytest.raises(NotAvailable, match=words):
        open_variant(card(), FP32)
    assert RUNTIMES.load("tensor_rt").variants(card(), cores=8) == []
    with pytest.raises(NotAvailable, match=words):
        open_engine(card(), "tensor_rt")


class Missing:
    """A finder that fails to import one module, as a missing package or library does."""

    def __init__(self, module, error):
        self.module, self.error = module, error

    def find_spec(self, name, path=None, target=None):
        if name == self.module:
            raise self.error


@pytest.mark.parametrize(
    ("module", "error", "words"),
    [
        ("pycuda", ModuleNotFoundError("no", name="pycuda"), "the package pycuda"),
        ("tensorrt", ModuleNotFoundError("no", name="tensorrt"), "the package tensorrt"),
        ("pycuda.driver", ImportError("libcuda.so.1: cannot open shared object file"), "libcuda.so.1 is missing"),
        ("tensorrt", ImportError("libnvinfer.so.10: cannot open shared object file"), "libnvinfer.so.10 is missing"),
    ],
)
def test_a_missing_package_or_library_is_named(doubled_gpu, monkeypatch, module, error, words):
    for name in [name for name in doubled_gpu.modules if name.startswith(module)]:
        del sys.modules[name]
    monkeypatch.setattr(sys, "meta_path", [Missing(module, error), *sys.meta_path])
    assert words in RUNTIMES.why_not("tensor_rt").message


# Context, buffers, stream


def test_it_computes_what_the_model_says(engine):
    np.testing.assert_array_equal(engine.run({"image": IMAGE})["out"], IMAGE)
    np.testing.assert_array_equal(engine.run({"image": IMAGE[::-1]})["out"], IMAGE[::-1])


def test_one_run_is_one_copy_in_one_start_one_copy_out_one_wait(engine, doubled_gpu):
    doubled_gpu.told.clear()
    engine.run({"image": IMAGE})
    assert doubled_gpu.told == ["push", "htod", "execute", "dtoh", "synchronize", "pop"]


def test_the_context_is_current_only_inside_of_calls_and_only_on_the_engines_thread(doubled_gpu, card):
    counts = []

    def life():
        engine = open_variant(card(), FP32)
        counts.append(doubled_gpu.stacks[threading.get_ident()])
        engine.run({"image": IMAGE})
        counts.append(doubled_gpu.stacks[threading.get_ident()])
        engine.close()
        counts.append(doubled_gpu.stacks[threading.get_ident()])

    thread = threading.Thread(target=life)
    thread.start()
    thread.join()
    assert counts == [0, 0, 0] and list(doubled_gpu.stacks) == [thread.ident]
    assert doubled_gpu.told.count("push") == doubled_gpu.told.count("pop") == 3


def test_engines_share_one_primary_context(doubled_gpu, card):
    engines = [open_variant(card(), FP32) for _ in range(3)]
    for engine in engines:
        engine.close()
    assert doubled_gpu.told.count("retain") == 1


def test_closing_frees_the_network_before_its_buffers_and_all_of_them(engine, doubled_gpu):
    engine.run({"image": IMAGE})
    doubled_gpu.told.clear()
    engine.close()
    assert doubled_gpu.told == ["push", "del context", "del engine", "free", "free", "pop"]
    assert not doubled_gpu.memory
    engine.close()  # once more does no harm


def test_the_last_output_may_still_be_looked_at_after_closing(engine):
    answer = engine.run({"image": IMAGE})["out"]
    engine.close()
    np.testing.assert_array_equal(answer, IMAGE)


@pytest.mark.parametrize("name", ["create_execution_context", "set_tensor_address", "Runtime", "Builder", "build"])
def test_when_tensorrt_gives_nothing_its_reason_is_told_and_nothing_stays(doubled_gpu, card, name):
    doubled_gpu.fails[name] = True
    with pytest.raises(EngineError, match=f"{name} is out of order$"):
        open_variant(card(), FP32)
    gc.collect()
    assert not doubled_gpu.memory and set(doubled_gpu.stacks.values()) == {0}


@pytest.mark.parametrize("name", ["retain", "stream", "mem_alloc", "pagelocked_empty"])
def test_when_cuda_fails_to_open_it_is_an_engine_error_and_nothing_stays(doubled_gpu, card, name):
    doubled_gpu.fails[name] = CudaError(f"{name} failed: out of memory")
    with pytest.raises(EngineError, match=f"CUDA failed: {name} failed: out of memory"):
        open_variant(card(), FP32)
    assert not doubled_gpu.memory and not any(doubled_gpu.stacks.values())


@pytest.mark.parametrize("name", ["push", "htod", "dtoh", "synchronize", "pop"])
def test_when_cuda_fails_in_a_run_it_is_an_engine_error_and_closing_still_works(engine, doubled_gpu, name):
    doubled_gpu.fails[name] = CudaError(f"{name} failed: an illegal memory access was encountered")
    with pytest.raises(EngineError, match="illegal memory access"):
        engine.run({"image": IMAGE})
    engine.close()


def test_when_tensorrt_fails_in_a_run_its_reason_is_told(engine, doubled_gpu):
    doubled_gpu.fails["execute"] = True
    with pytest.raises(EngineError, match="TensorRT failed: execute is out of order"):
        engine.run({"image": IMAGE})
    del doubled_gpu.fails["execute"]
    np.testing.assert_array_equal(engine.run({"image": IMAGE})["out"], IMAGE)


def test_outputs_that_live_outside_of_the_gpu_are_a_model_error(doubled_gpu, card):
    RUNTIMES.load("tensor_rt")
    doubled_gpu.fails["location"] = doubled_gpu.modules["tensorrt"].TensorLocation.HOST
    with pytest.raises(ModelError, match="sets shapes"):
        open_variant(card(), FP32)


def test_types_that_numpy_lacks_are_a_model_error(doubled_gpu, card):
    graph = helper.make_graph(
        [helper.make_node("Cast", ["image"], ["out"], to=TensorProto.BFLOAT16)],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("out", TensorProto.BFLOAT16, [1])],
    )
    with pytest.raises(ModelError, match="numpy lacks"):
        open_variant(card(onnx=helper.make_model(graph, ir_version=8).SerializeToString()), FP32)


# Plans


def test_the_plan_is_built_once_and_said_so(doubled_gpu, card, caplog):
    for _ in range(3):
        open_variant(card(), FP32).close()
    assert doubled_gpu.builds == 1
    assert caplog.text.count("it may take minutes") == 1


def test_each_precision_has_its_own_plan(doubled_gpu, card):
    for precision in ("fp32", "fp16", "fp32", "fp16"):
        open_variant(card(), Variant("tensor_rt", "cuda", precision)).close()
    assert doubled_gpu.builds == 2


@pytest.mark.parametrize("change", ["driver", "version", "model"])
def test_another_driver_tensorrt_or_model_needs_a_new_plan(doubled_gpu, card, change, monkeypatch):
    open_variant(card(), FP32).close()
    if change == "driver":
        doubled_gpu.driver = 13000
    elif change == "version":
        monkeypatch.setattr(doubled_gpu.modules["tensorrt"], "__version__", "11.4.0")
    other = {"onnx": model() if change != "model" else model("Cast", to=TensorProto.FLOAT, name="another")}
    open_variant(card(**other), FP32).close()
    assert doubled_gpu.builds == 2


def test_a_plan_that_this_machine_did_not_seal_never_reaches_tensorrt(doubled_gpu, card, tmp_path, caplog):
    open_variant(card(), FP32).close()
    kept = plan_file(tmp_path)
    kept.write_bytes(kept.read_bytes() + b"evil")
    doubled_gpu.told.clear()
    open_variant(card(), FP32).close()
    assert doubled_gpu.builds == 2 and doubled_gpu.told.count("deserialize") == 1  # the new one's
    assert "not built by this machine" in caplog.text
    open_variant(card(), FP32).close()
    assert doubled_gpu.builds == 2


def test_a_kept_plan_that_tensorrt_cannot_load_is_built_again_once_and_then_given_up(doubled_gpu, card, caplog):
    open_variant(card(), FP32).close()
    doubled_gpu.fails["deserialize"] = True
    with pytest.raises(EngineError, match=r"cannot load the plan that it built.*deserialize is out of order"):
        open_variant(card(), FP32)
    assert doubled_gpu.builds == 2 and "any more" in caplog.text


def test_a_plan_that_cannot_be_kept_is_used_all_the_same(doubled_gpu, card, tmp_path, caplog):
    (tmp_path / "XDG_CACHE_HOME").write_text("in the way")
    open_variant(card(), FP32).close()
    assert "cannot be kept" in caplog.text


def test_tf32_is_off_for_fp32_only_and_the_timing_cache_grows(doubled_gpu, card):
    open_variant(card(), FP32).close()
    assert {flag.name for flag in doubled_gpu.config.off} == {"TF32"}
    open_variant(card(), Variant("tensor_rt", "cuda", "fp16")).close()
    assert not doubled_gpu.config.off and doubled_gpu.config.cache.data == b"timed "


def test_a_timing_cache_that_tensorrt_does_not_take_is_begun_anew(doubled_gpu):
    RUNTIMES.load("tensor_rt")
    built = importlib.import_module("engines.runtimes._trt_build")
    doubled_gpu.stacks[threading.get_ident()] = 1
    assert built.build(model(), "net", True, b"garbled")[1] == b"timed "


@pytest.mark.parametrize(
    ("code", "error"),
    [("INVALID_NODE", ModelError), ("UNSUPPORTED_NODE", NotAvailable), ("UNSUPPORTED_NODE_ATTR", NotAvailable)],
)
def test_what_the_parser_refuses_is_told_with_its_node(doubled_gpu, card, code, error):
    doubled_gpu.fails["parse"] = code
    with pytest.raises(error, match="Conv n7: will not do"):
        open_variant(card(), FP32)
    assert not doubled_gpu.builds


def test_what_the_operator_list_lacks_is_refused_before_any_build(doubled_gpu, card):
    with pytest.raises(NotAvailable, match="no operator BitShift"):
        open_variant(card(onnx=model("BitShift", direction="LEFT")), FP32)
    assert not doubled_gpu.builds


def test_what_tensorrt_says_goes_to_the_log(doubled_gpu, card, caplog):
    caplog.set_level(logging.DEBUG, "doppelcam.engines")
    doubled_gpu.fails["build"] = True
    with pytest.raises(EngineError):
        open_variant(card(), FP32)
    assert "TensorRT: build is out of order" in caplog.text
