"""The TFLite reader against small networks built here, with their results computed the slow way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engines.errors import ModelError

pytest.importorskip("onnx", reason="the readers need onnx: pip install onnx")
tflite = pytest.importorskip("tflite", reason="the TFLite reader needs tflite: pip install tflite")
onnxruntime = pytest.importorskip("onnxruntime")
flatbuffers = pytest.importorskip("flatbuffers")

from export.tflite import ImageInput, read_tflite  # noqa: E402

SAME, VALID = tflite.Padding.SAME, tflite.Padding.VALID
NO, RELU = tflite.ActivationFunctionType.NONE, tflite.ActivationFunctionType.RELU
CODES = vars(tflite.BuiltinOperator)
TYPES = {"f4": tflite.TensorType.FLOAT32, "f2": tflite.TensorType.FLOAT16, "i4": tflite.TensorType.INT32}


@dataclass
class Net:
    """A TFLite file in the making: tensors by number, then operators in order."""

    tensors: list[tuple[tuple[int, ...], np.ndarray | None, str]] = field(default_factory=list)
    operators: list[tuple[str, list[int], list[int], str, dict[str, int]]] = field(default_factory=list)

    def computed(self, *shape: int) -> int:
        self.tensors.append((shape, None, "f4"))
        return len(self.tensors) - 1

    def stored(self, values: Any) -> int:
        values = np.asarray(values)
        self.tensors.append((values.shape, values, values.dtype.str[1:]))
        return len(self.tensors) - 1

    def do(self, name: str, inputs: list[int], output: int, kind: str = "", **options: int) -> int:
        self.operators.append((name, inputs, [output], kind, options))
        return output

    def file(self, inputs: list[int], outputs: list[int]) -> bytes:
        b = flatbuffers.Builder(1024)

        def table(kind: str, **fields: Any) -> int:
            getattr(tflite, f"{kind}Start")(b)
            for name, value in fields.items():
                getattr(tflite, f"{kind}Add{name}")(b, value)
            return getattr(tflite, f"{kind}End")(b)

        def offsets(items: list[int]) -> int:
            b.StartVector(4, len(items), 4)
            for item in reversed(items):
                b.PrependUOffsetTRelative(item)
            return b.EndVector()

        def numbers(items: Any) -> int:
            return b.CreateNumpyVector(np.asarray(items, np.int32))

        buffers, tensors, operators = [table("Buffer")], [], []
        for shape, values, kind in self.tensors:
            number = 0
            if values is not None:
                number = len(buffers)
                buffers.append(table("Buffer", Data=b.CreateByteVector(np.ascontiguousarray(values).tobytes())))
            tensors.append(table("Tensor", Shape=numbers(shape), Type=TYPES[kind], Buffer=number))
        names = sorted({name for name, *_ in self.operators})
        for name, ins, outs, kind, options in self.operators:
            fields: dict[str, Any] = {"Inputs": numbers(ins), "Outputs": numbers(outs)}
            if kind:
                fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, kind)
                fields["BuiltinOptions"] = table(kind, **options)
            operators.append(table("Operator", OpcodeIndex=names.index(name), **fields))
        graph = table(
            "SubGraph",
            Tensors=offsets(tensors),
            Inputs=numbers(inputs),
            Outputs=numbers(outputs),
            Operators=offsets(operators),
        )
        codes = [table("OperatorCode", BuiltinCode=CODES[name], DeprecatedBuiltinCode=CODES[name]) for name in names]
        model = table(
            "Model", Version=3, OperatorCodes=offsets(codes), Subgraphs=offsets([graph]), Buffers=offsets(buffers)
        )
        b.Finish(model, b"TFL3")
        return bytes(b.Output())


def window(kind: str, stride: int, padding: int = SAME, activation: int = NO, **more: int) -> dict[str, Any]:
    options = {"StrideH": stride, "StrideW": stride, "Padding": padding, "FusedActivationFunction": activation}
    return {"kind": kind, **options, **more}


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def run(data: bytes, feed: np.ndarray, **how: Any) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(read_tflite(data, **how).SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: feed})


def slow_convolution(x: np.ndarray, w: np.ndarray, bias: np.ndarray, stride: int, same: bool) -> np.ndarray:
    """x [H, W, in], w [out, h, w, in]; the odd pixel of SAME padding goes below and to the right."""
    kernel, sizes = w.shape[1], x.shape[:2]
    count = [-(-n // stride) if same else (n - kernel) // stride + 1 for n in sizes]
    missing = [max((c - 1) * stride + kernel - n, 0) for c, n in zip(count, sizes, strict=True)]
    x = np.pad(x, [(m // 2, m - m // 2) if same else (0, 0) for m in missing] + [(0, 0)])
    out = np.empty((*count, len(w)), np.float32)
    for i, j in np.ndindex(*count):
        patch = x[i * stride : i * stride + kernel, j * stride : j * stride + kernel]
        out[i, j] = np.tensordot(w, patch, 3) + bias
    return out


def one_convolution(size: tuple[int, int], kernel: int, stride: int, padding: int, half: bool = False) -> bytes:
    net, (h, w) = Net(), size
    count = [-(-n // stride) if padding == SAME else (n - kernel) // stride + 1 for n in (h, w)]
    x, filters, bias = net.computed(1, h, w, 3), numbers(4, kernel, kernel, 3), net.stored(numbers(4, seed=1))
    if half:
        raw, weights = net.stored(filters.astype(np.float16)), net.computed(*filters.shape)
        net.do("DEQUANTIZE", [raw], weights)
    else:
        weights = net.stored(filters)
    y = net.computed(1, *count, 4)
    net.do("CONV_2D", [x, weights, bias], y, **window("Conv2DOptions", stride, padding))
    return net.file([x], [y])


@pytest.mark.parametrize("padding", [SAME, VALID])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 2), (2, 2)])
@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_convolution_pads_as_tflite_does(size: tuple[int, int], kernel: int, stride: int, padding: int) -> None:
    x = numbers(1, *size, 3, seed=2)
    [y] = run(one_convolution(size, kernel, stride, padding), x)
    wanted = slow_convolution(x[0], numbers(4, kernel, kernel, 3), numbers(4, seed=1), stride, padding == SAME)
    np.testing.assert_allclose(y[0], wanted, atol=1e-5)


def test_half_precision_weights_become_float32() -> None:
    x = numbers(1, 8, 8, 3, seed=2)
    [y] = run(one_convolution((8, 8), 3, 2, SAME, half=True), x)
    halved = numbers(4, 3, 3, 3).astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(y[0], slow_convolution(x[0], halved, numbers(4, seed=1), 2, True), atol=1e-5)


def test_depthwise_convolution_with_its_activation() -> None:
    net, w = Net(), numbers(1, 3, 3, 8)
    x, y = net.computed(1, 8, 6, 8), net.computed(1, 4, 3, 8)
    options = window("DepthwiseConv2DOptions", 2, SAME, RELU, DepthMultiplier=1)
    net.do("DEPTHWISE_CONV_2D", [x, net.stored(w), net.stored(numbers(8, seed=1))], y, **options)
    feed = numbers(1, 8, 6, 8, seed=2)
    each = [w[0, :, :, c][None, :, :, None] for c in range(8)]
    wanted = [slow_convolution(feed[0, :, :, c : c + 1], each[c], numbers(8, seed=1)[c], 2, True) for c in range(8)]
    [got] = run(net.file([x], [y]), feed)
    np.testing.assert_allclose(got[0], np.maximum(np.concatenate(wanted, 2), 0), atol=1e-5)


@pytest.mark.parametrize("steepest", [0.9, 1.0, 1.7])
def test_prelu(steepest: float) -> None:
    net, slope = Net(), np.array([[[-0.5, 0.0, 0.3, steepest]]], np.float32)
    x, y = net.computed(1, 5, 5, 4), net.computed(1, 5, 5, 4)
    net.do("PRELU", [x, net.stored(slope)], y)
    feed = numbers(1, 5, 5, 4, seed=2) * 10
    [got] = run(net.file([x], [y]), feed)
    np.testing.assert_allclose(got, np.where(feed > 0, feed, slope * feed), atol=1e-5)


def test_a_residual_block_pooled_widened_and_joined() -> None:
    net = Net()
    x, small, wide = net.computed(1, 6, 6, 2), net.computed(1, 3, 3, 2), net.computed(1, 3, 3, 4)
    added, flat, joined = net.computed(1, 3, 3, 4), net.computed(1, 36), net.computed(1, 72)
    net.do("MAX_POOL_2D", [x], small, **window("Pool2DOptions", 2, FilterHeight=2, FilterWidth=2))
    net.do("PAD", [small, net.stored(np.array([[0, 0], [0, 0], [0, 0], [0, 2]], np.int32))], wide)
    offset = np.array([1, -9, 2, -2], np.float32)
    net.do("ADD", [wide, net.stored(offset)], added, "AddOptions", FusedActivationFunction=RELU)
    net.do("RESHAPE", [added], flat)
    net.do("CONCATENATION", [flat, flat], joined, "ConcatenationOptions", Axis=1)
    feed = numbers(1, 6, 6, 2, seed=2)
    got, picture = run(net.file([x], [joined, added]), feed, outputs={"twice": (72,), "picture": (1, 3, 3, 4)})
    pooled = feed.reshape(1, 3, 2, 3, 2, 2).max((2, 4))
    wanted = np.maximum(np.pad(pooled, [(0, 0)] * 3 + [(0, 2)]) + offset, 0)
    np.testing.assert_allclose(picture, wanted, atol=1e-6)
    np.testing.assert_allclose(got, np.tile(wanted.ravel(), 2), atol=1e-6)


@pytest.mark.parametrize(("mean", "scale"), [(0.0, 255.0), (127.5, 127.5)])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_camera_image_gives_what_the_prepared_picture_gives(mean: float, scale: float, stride: int) -> None:
    data = one_convolution((8, 8), 5, stride, SAME)
    image = np.random.default_rng(3).integers(0, 256, (8, 8, 3), np.uint8)
    prepared = ((image[None, :, :, ::-1].astype(np.float32) - mean) / scale).astype(np.float32)
    [wanted] = run(data, prepared)
    [got] = run(data, image, image_input=ImageInput(mean, scale))
    np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_the_graph_has_no_needless_transpose() -> None:
    model = read_tflite(one_convolution((8, 8), 3, 2, SAME))
    assert [node.op_type for node in model.graph.node].count("Transpose") == 2  # one in, one out


def test_an_unknown_operator_is_refused_by_name() -> None:
    net = Net()
    x, y = net.computed(1, 4), net.computed(1, 4)
    net.do("SOFTMAX", [x], y)
    with pytest.raises(ModelError, match="SOFTMAX"):
        read_tflite(net.file([x], [y]))


def test_other_wrong_networks_are_refused() -> None:
    net = Net()
    x, y = net.computed(1, 4, 4, 3), net.computed(1, 4, 4, 3)
    net.do("RELU", [x], y)
    data = net.file([x], [y])
    with pytest.raises(ModelError, match="CONV_2D first"):
        read_tflite(data, image_input=ImageInput(0, 255))
    with pytest.raises(ModelError, match="2 outputs were asked for"):
        read_tflite(data, outputs={"a": (48,), "b": (48,)})
    with pytest.raises(ModelError, match="cannot become"):
        read_tflite(data, outputs={"a": (47,)})
    with pytest.raises(ModelError, match="TFL3"):
        read_tflite(b"not a network")


def test_a_network_that_is_too_big_is_refused_before_it_is_built() -> None:
    net = Net()
    x, y = net.computed(1, 60000, 60000, 3), net.computed(1, 60000, 60000, 3)
    net.do("RELU", [x], y)
    with pytest.raises(ModelError, match="impossible shape"):
        read_tflite(net.file([x], [y]))


VALID_FILE = one_convolution((8, 8), 3, 2, SAME, half=True)


@settings(max_examples=150, deadline=2000)
@given(st.integers(0, len(VALID_FILE)))
@example(0)
@example(8)
def test_a_file_cut_short_is_one_clear_error_or_still_whole(length: int) -> None:
    read_or_refuse(VALID_FILE[:length])


@settings(max_examples=400, deadline=2000)
@given(st.lists(st.tuples(st.integers(0, len(VALID_FILE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_file_is_one_clear_error_or_still_a_network(damage: list[tuple[int, int]]) -> None:
    data = bytearray(VALID_FILE)
    for place, value in damage:
        data[place] = value
    read_or_refuse(bytes(data))


def read_or_refuse(data: bytes) -> None:
    try:
        read_tflite(data, image_input=ImageInput(127.5, 127.5))
    except ModelError as error:
        assert error.message  # noqa: PT017
