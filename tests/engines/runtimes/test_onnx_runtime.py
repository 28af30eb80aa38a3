"""What only ONNX Runtime's file does: its providers, no silent fallback to the CPU, buffers that stay on the device."""

from __future__ import annotations

import numpy as np
import pytest

from engines.engine import Variant
from engines.errors import NotAvailable
from tests.engines.models import convolutions, folder_of

ort = pytest.importorskip("onnxruntime")
runtime = pytest.importorskip("engines.runtimes.onnx_runtime")


@pytest.fixture
def card(tmp_path):
    return folder_of(tmp_path / "model", convolutions())


def picture(seed=0):
    return np.random.default_rng(seed).normal(size=(1, 3, 16, 16)).astype(np.float32)


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "directml", "coreml"])
def test_a_provider_that_this_build_lacks_is_named_with_what_it_has(card, device):
    if runtime._PROVIDERS[device] in ort.get_available_providers():
        pytest.skip(f"this ONNX Runtime has {device}")
    with pytest.raises(NotAvailable, match="CPUExecutionProvider") as caught:
        runtime.OnnxRuntime(card, Variant("onnx_runtime", device))
    assert runtime._PROVIDERS[device] in caught.value.message and caught.value.hint


def test_a_provider_that_does_not_load_is_an_error_not_the_cpu_in_silence(card, monkeypatch):
    """As a build with CUDA on a machine without its libraries: ONNX Runtime itself warns and takes the CPU."""
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    with pytest.raises(NotAvailable, match="CUDAExecutionProvider"):
        runtime.OnnxRuntime(card, Variant("onnx_runtime", "cuda"))


def test_a_session_that_runs_elsewhere_is_refused(card, monkeypatch):
    real = ort.InferenceSession

    def quietly_on_the_cpu(data, options, providers):
        plain = ort.SessionOptions()
        return real(data, plain, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(ort, "InferenceSession", quietly_on_the_cpu)
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    with pytest.raises(NotAvailable, match="asked for CUDAExecutionProvider, ONNX Runtime took CPUExecutionProvider"):
        runtime.OnnxRuntime(card, Variant("onnx_runtime", "cuda"))


def test_a_gpu_must_take_the_whole_graph(card, monkeypatch):
    seen = {}

    def looked_at(data, options, providers):
        seen["entry"] = options.get_session_config_entry("session.disable_cpu_ep_fallback")
        seen["providers"] = providers
        raise RuntimeError("some nodes are left to the CPU")

    monkeypatch.setattr(ort, "InferenceSession", looked_at)
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    with pytest.raises(NotAvailable, match="left to the CPU"):
        runtime.OnnxRuntime(card, Variant("onnx_runtime", "cuda"))
    ((provider, options),) = seen["providers"]
    assert seen["entry"] == "1" and provider == "CUDAExecutionProvider"
    assert options["enable_cuda_graph"] == "1" and options["use_tf32"] == "0"


def test_bound_buffers_give_the_same_run_after_run(card):
    """The way of CUDA graphs, on the CPU's memory."""
    engine = runtime.OnnxRuntime(card, Variant("onnx_runtime"))
    session = ort.InferenceSession(card.model(), providers=["CPUExecutionProvider"])
    bound = runtime.Bound(session, engine.inputs, engine.outputs, "cpu")
    for seed in range(3):
        feeds = {"picture": picture(seed)}
        np.testing.assert_allclose(bound(feeds)["y"], engine.run(feeds)["y"], atol=1e-5)
    turned = {"picture": np.asfortranarray(picture(9))}
    np.testing.assert_allclose(bound(turned)["y"], engine.run(turned)["y"], atol=1e-5)
    engine.close()


def test_int8_is_offered_where_there_is_a_file_for_it(tmp_path):
    plain = folder_of(tmp_path / "plain", convolutions())
    both = folder_of(tmp_path / "both", convolutions(), more_files={"onnx_int8": convolutions(seed=1)})
    assert {way.precision for way in runtime.OnnxRuntime.variants(plain, 2)} == {"fp32"}
    assert {way.precision for way in runtime.OnnxRuntime.variants(both, 2)} == {"fp32", "int8"}
    feeds = {"picture": picture()}
    answers = [
        runtime.OnnxRuntime(both, Variant("onnx_runtime", precision=precision)).run(feeds)["y"]
        for precision in ("fp32", "int8")
    ]
    assert not np.allclose(*answers)  # each precision ran its own file


def test_threads_are_measured_in_steps():
    from engines.engine import thread_counts

    assert [thread_counts(cores) for cores in (1, 2, 6, 16)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8, 16]]
