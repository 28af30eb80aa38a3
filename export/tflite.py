"""Reads a TensorFlow Lite network and writes it as clean ONNX: channels first throughout, no layout detours.

TFLite keeps pictures as NHWC, ONNX runtimes are fast on NCHW. Every tensor of rank 4 is therefore held as NCHW in
the ONNX graph, and a Transpose stands only where pictures become plain numbers (RESHAPE) or leave the graph.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import tflite
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.errors import ModelError

OPSET = 17
IR_VERSION = 8
MOST_NUMBERS = 1 << 26  # in a tensor and in all weights; a network for live pictures stays far below
HINT = "fetch the file again; quantised, sparse and many-batched networks are not for this reader"

Shape = tuple[int, ...]
_OPERATOR_NAMES = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
_TYPES = {tflite.TensorType.FLOAT32: "<f4", tflite.TensorType.FLOAT16: "<f2", tflite.TensorType.INT32: "<i4"}
_ACTIVATIONS = {
    tflite.ActivationFunctionType.NONE: "",
    tflite.ActivationFunctionType.RELU: "Relu",
    tflite.ActivationFunctionType.RELU6: "Clip",
    tflite.ActivationFunctionType.TANH: "Tanh",
}
_MALFORMED = (struct.error, LookupError, TypeError, ValueError, ArithmeticError, AttributeError, MemoryError)


@dataclass(frozen=True, slots=True)
class ImageInput:
    """Makes the graph take `image`, uint8 [H, W, 3] BGR. The network was trained on RGB (pixel - mean) / scale."""

    mean: float
    scale: float


def read_tflite(
    data: bytes, *, image_input: ImageInput | None = None, outputs: Mapping[str, Shape] | None = None
) -> onnx.ModelProto:
    """The network in `data` (a .tflite file) as an ONNX model with batch 1 and float32 weights.

    With `image_input` the graph takes one input `image`, uint8 [H, W, 3] BGR, else the file's own inputs: `input`
    (`input_1` ... when several), float32 [1, H, W, C]. `outputs` names and shapes the outputs in the file's order;
    left out they are called `output`, `output_1` ... and keep the file's shapes (pictures NHWC). All float32.
    Raises ModelError for a damaged file and for what this reader does not know, operators by name.
    """
    try:
        model = _Graph(data, image_input).read(outputs)
        onnx.checker.check_model(model, full_check=True)
    except ModelError:
        raise
    except _MALFORMED as error:
        raise ModelError(f"the TFLite file is damaged: {error!r}", hint=HINT) from error
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"the TFLite file contradicts itself: {error}", hint=HINT) from error
    return model


@dataclass(frozen=True, slots=True)
class _Operator:
    """One operator of the file: tensor numbers in and out, and its options (None when it has none)."""

    name: str
    inputs: list[int]
    outputs: list[int]
    options: Any

    @property
    def output(self) -> int:
        return self.outputs[0]


class _Graph:
    """One pass over the file's operators, which come in the order of execution; nodes and weights gather here."""

    def __init__(self, data: bytes, image_input: ImageInput | None) -> None:
        if data[4:8] != b"TFL3":
            raise ModelError("not a TFLite file: the mark TFL3 is missing")
        self.model = tflite.Model.GetRootAs(data, 0)
        if self.model.SubgraphsLength() != 1:
            raise ModelError(f"one subgraph expected, the TFLite file has {self.model.SubgraphsLength()}")
        self.graph = self.model.Subgraphs(0)
        self.inputs = _numbers(self.graph.InputsAsNumpy())
        self.image_input = image_input
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.shapes: list[onnx.ValueInfoProto] = []  # as the file states them; the checker compares
        self.constants: dict[int, NDArray[Any]] = {}
        self.names: dict[int, str] = {}  # of what is computed, by the file's tensor numbers
        self.room = MOST_NUMBERS

    def read(self, outputs: Mapping[str, Shape] | None) -> onnx.ModelProto:
        inputs = [self.take_input(tensor, _numbered("input", i)) for i, tensor in enumerate(self.inputs)]
        for number in range(self.graph.OperatorsLength()):
            operator = self.operator(number)
            if self.image_input and self.inputs[0] in operator.inputs and operator.name != "CONV_2D":
                raise ModelError(f"a camera image must meet a CONV_2D first, here it meets {operator.name}")
            _WRITERS[operator.name][0](self, operator)
        results = _numbers(self.graph.OutputsAsNumpy())
        if outputs is None:
            outputs = {_numbered("output", i): self.shape(tensor) for i, tensor in enumerate(results)}
        if len(outputs) != len(results):
            raise ModelError(f"{len(outputs)} outputs were asked for, the TFLite file has {len(results)}")
        for tensor, (name, shape) in zip(results, outputs.items(), strict=True):
            self.reshaped(tensor, shape, name)
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
        graph = helper.make_graph(self.nodes, "tflite", inputs, ends, self.weights, value_info=self.shapes)
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="doppelcam")

    # what the file holds

    def operator(self, number: int) -> _Operator:
        raw = self.graph.Operators(number)
        code = self.model.OperatorCodes(raw.OpcodeIndex())
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = _OPERATOR_NAMES.get(builtin, f"number {builtin}")
        if name == "CUSTOM":
            name = f"CUSTOM {(code.CustomCode() or b'?').decode()}"
        if name not in _WRITERS:
            raise ModelError(f"the TFLite operator {name} is not supported (operator {number})")
        options, wanted = None, _WRITERS[name][1]
        if wanted:
            if raw.BuiltinOptionsType() != getattr(tflite.BuiltinOptions, wanted):
                raise ModelError(f"operator {number} of the TFLite file, {name}, comes without its options")
            table, options = raw.BuiltinOptions(), getattr(tflite, wanted)()
            options.Init(table.Bytes, table.Pos)
        return _Operator(name, _numbers(raw.InputsAsNumpy()), _numbers(raw.OutputsAsNumpy()), options)

    def tensor(self, number: int) -> Any:
        if not 0 <= number < self.graph.TensorsLength():
            raise ModelError(f"the TFLite file names a tensor {number} that it does not have")
        return self.graph.Tensors(number)

    def shape(self, number: int) -> Shape:
        """The shape as the file has it: pictures are [1, H, W, C]."""
        shape = tuple(_numbers(self.tensor(number).ShapeAsNumpy()))
        if min(shape, default=1) < 1 or len(shape) > 8 or math.prod(shape) > MOST_NUMBERS:
            raise ModelError(f"tensor {number} of the TFLite file has an impossible shape: {shape[:8]}")
        return shape

    def picture(self, number: int) -> tuple[int, int, int]:
        """Height, width and channels of a picture tensor."""
        shape = self.shape(number)
        if len(shape) != 4 or shape[0] != 1:
            raise ModelError(f"tensor {number} of the TFLite file is {list(shape)}, not a picture [1, H, W, C]")
        return shape[1], shape[2], shape[3]

    def stored(self, number: int) -> NDArray[Any]:
        """The values that the file stores for this tensor, in the file's own layout."""
        if number not in self.constants:
            tensor = self.tensor(number)
            buffer = self.model.Buffers(tensor.Buffer())
            if number in self.names or buffer.DataLength() == 0:
                raise ModelError(f"tensor {number} of the TFLite file should be stored in it and is not")
            if tensor.Type() not in _TYPES or tensor.Sparsity() is not None:
                raise ModelError(f"tensor {number} of the TFLite file is not plain float32, float16 or int32")
            self.constants[number] = buffer.DataAsNumpy().view(_TYPES[tensor.Type()]).reshape(self.shape(number))
        return self.constants[number]

    def spend(self, numbers: int) -> None:
        """Small files can describe huge networks: stop before the memory does."""
        self.room -= numbers
        if self.room < 0:
            raise ModelError(f"the TFLite file describes more than {MOST_NUMBERS} weights")

    # what the ONNX graph gets

    def add(self, kind: str, inputs: list[str], output: int | str, **attributes: Any) -> str:
        """Append a node and answer its output's name. An `output` given as a number is that tensor of the file."""
        if isinstance(output, int):
            shape = self.shape(output)
            if len(shape) == 4:
                shape = (shape[0], shape[3], shape[1], shape[2])
            self.names[output] = name = f"t{output}"
            self.shapes.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        else:
            name = output
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def weight(self, values: NDArray[Any]) -> str:
        self.spend(values.size)
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def value(self, number: int, rank: int = 0) -> str:
        """The ONNX name of a tensor. A stored one is written out, as NCHW beside pictures (`rank` 4)."""
        if number in self.names:
            if rank == 4:
                self.picture(number)
            return self.names[number]
        values = self.stored(number).astype(np.float32)
        if rank == 4:
            values = values.reshape((1,) * (4 - values.ndim) + values.shape).transpose(0, 3, 1, 2)
        return self.weight(values)

    def reshaped(self, number: int, shape: Shape, output: int | str) -> str:
        """Reshape in the file's order of numbers; a Transpose goes before where that differs from ours."""
        name, before = self.value(number), self.shape(number)
        if math.prod(before) != math.prod(shape):
            raise ModelError(f"tensor {number} of the TFLite file, {list(before)}, cannot become {list(shape)}")
        if len(before) == 4 and before[1:3] != (1, 1) and number in self.names:
            name = self.add("Transpose", [name], f"{name}_to_{output}", perm=[0, 2, 3, 1])
        return self.add("Reshape", [name, self.weight(np.array(shape, np.int64))], output)

    def take_input(self, number: int, name: str) -> onnx.ValueInfoProto:
        """Declare one input of the graph and turn it into NCHW float32."""
        if self.tensor(number).Type() != tflite.TensorType.FLOAT32:
            raise ModelError("the TFLite file takes no float32 input: quantised networks are not supported")
        if self.image_input is None:
            shape = self.shape(number)
            self.names[number] = name
            if len(shape) == 4:
                self.add("Transpose", [name], number, perm=[0, 3, 1, 2])
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        height, width, channels = self.picture(number)
        if channels != 3 or len(self.inputs) != 1:
            raise ModelError("only a network with one colour picture as input can take a camera image")
        picture = self.add("Cast", ["image"], "pixels", to=TensorProto.FLOAT)
        if self.image_input.mean:  # taken off here, not in the bias: what pads the picture has to be the mean
            mean = self.weight(np.array([self.image_input.mean], np.float32))
            picture = self.add("Sub", [picture, mean], "centred")
        picture = self.add("Unsqueeze", [picture, self.weight(np.array([0]))], "picture")
        self.add("Transpose", [picture], number, perm=[0, 3, 1, 2])
        return helper.make_tensor_value_info("image", TensorProto.UINT8, [height, width, 3])

    def activate(self, operator: _Operator) -> None:
        """Write the activation that TFLite keeps inside an operator, after the operator's own node."""
        kind = operator.options.FusedActivationFunction()
        if kind not in _ACTIVATIONS:
            raise ModelError(f"the activation number {kind} in {operator.name} is not supported")
        if _ACTIVATIONS[kind]:
            name = self.names[operator.output]
            self.names[operator.output] = self.rectify(_ACTIVATIONS[kind], name, f"{name}_active")

    def rectify(self, kind: str, name: str, output: int | str) -> str:
        limits = [self.weight(np.array(x, np.float32)) for x in (0, 6)] if kind == "Clip" else []
        return self.add(kind, [name, *limits], output)

    def window(self, operator: _Operator, kernel: Shape, dilations: Shape = (1, 1)) -> dict[str, Any]:
        """A sliding window's attributes. SAME padding as TFLite has it: an odd pixel goes below and right."""
        options, sizes = operator.options, self.picture(operator.inputs[0])[:2]
        strides = (options.StrideH(), options.StrideW())
        if min(*strides, *kernel, *dilations) < 1:
            raise ModelError(f"{operator.name} with a stride, window or dilation below one")
        pads = [0, 0]
        if options.Padding() == tflite.Padding.SAME:
            spans = zip(sizes, kernel, strides, dilations, strict=True)
            pads = [max((-(-n // step) - 1) * step + (k - 1) * gap + 1 - n, 0) for n, k, step, gap in spans]
        before = [pad // 2 for pad in pads]
        after = [pad - first for pad, first in zip(pads, before, strict=True)]
        return {"kernel_shape": kernel, "strides": strides, "pads": before + after}

    # the operators

    def convolution(self, operator: _Operator) -> None:
        source, filters, *bias = operator.inputs
        options, channels = operator.options, self.picture(source)[2]
        weights = self.stored(filters).astype(np.float32)  # [out, h, w, in], or [1, h, w, out] when depthwise
        weights = weights.transpose((3, 0, 1, 2) if operator.name == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2))
        group, rest = divmod(channels, weights.shape[1])
        if rest or weights.shape[0] % group:
            raise ModelError(f"{operator.name} with filters for other channels than its {channels}")
        if self.image_input and source == self.inputs[0]:
            weights = weights[:, ::-1] / np.float32(self.image_input.scale)  # RGB as trained to BGR as fed
        dilations = (options.DilationHFactor(), options.DilationWFactor())
        names = [self.value(source), self.weight(weights)]
        names += [self.weight(self.stored(b).astype(np.float32)) for b in bias if b >= 0]
        window = self.window(operator, weights.shape[2:], dilations)
        self.add("Conv", names, operator.output, group=group, dilations=dilations, **window)
        self.activate(operator)

    def pool(self, operator: _Operator) -> None:
        kind = "MaxPool" if operator.name == "MAX_POOL_2D" else "AveragePool"
        window = self.window(operator, (operator.options.FilterHeight(), operator.options.FilterWidth()))
        self.add(kind, [self.value(operator.inputs[0])], operator.output, **window)
        self.activate(operator)

    def prelu(self, operator: _Operator) -> None:
        channels = self.picture(operator.inputs[0])[2]
        slope = self.stored(operator.inputs[1]).astype(np.float32)
        if slope.size != channels or slope.shape[-1] != channels:
            raise ModelError(f"PRELU with slopes {list(slope.shape)}: one a channel expected, {channels} in all")
        x = self.value(operator.inputs[0])
        self.add("PRelu", [x, self.weight(slope.reshape(channels, 1, 1))], operator.output)

    def unary(self, operator: _Operator) -> None:
        kind = {"RELU": "Relu", "RELU6": "Clip", "LOGISTIC": "Sigmoid", "TANH": "Tanh"}[operator.name]
        self.rectify(kind, self.value(operator.inputs[0]), operator.output)

    def binary(self, operator: _Operator) -> None:
        rank = len(self.shape(operator.output))
        names = [self.value(tensor, rank) for tensor in operator.inputs]
        self.add(operator.name.capitalize(), names, operator.output)
        self.activate(operator)

    def pad(self, operator: _Operator) -> None:
        self.picture(operator.inputs[0])
        pads = self.stored(operator.inputs[1])[[0, 3, 1, 2]].T.astype(np.int64)  # [before or after, NCHW]
        self.add("Pad", [self.value(operator.inputs[0]), self.weight(pads.ravel())], operator.output)

    def concatenation(self, operator: _Operator) -> None:
        rank = len(self.shape(operator.output))
        axis = operator.options.Axis() % rank
        axis = (0, 2, 3, 1)[axis] if rank == 4 else axis
        self.add("Concat", [self.value(tensor, rank) for tensor in operator.inputs], operator.output, axis=axis)
        self.activate(operator)

    def reshape(self, operator: _Operator) -> None:
        shape = self.shape(operator.output)
        if len(shape) == 4:
            flat = self.reshaped(operator.inputs[0], shape, f"flat{operator.output}")
            self.add("Transpose", [flat], operator.output, perm=[0, 3, 1, 2])
        else:
            self.reshaped(operator.inputs[0], shape, operator.output)

    def dequantize(self, operator: _Operator) -> None:
        """Weights stored as float16; anything computed is refused by `stored`."""
        values = self.stored(operator.inputs[0])
        self.spend(values.size)
        self.constants[operator.output] = values.astype(np.float32)


def _numbers(vector: Any) -> list[int]:
    """A vector of the file as a list; flatbuffers answers 0 for one that is left out."""
    return [] if isinstance(vector, int) else [int(number) for number in vector]


def _numbered(name: str, index: int) -> str:
    return f"{name}_{index}" if index else name


# What writes each operator, and what its options are called in the file.
_WRITERS: dict[str, tuple[Callable[[_Graph, _Operator], None], str]] = {
    "CONV_2D": (_Graph.convolution, "Conv2DOptions"),
    "DEPTHWISE_CONV_2D": (_Graph.convolution, "DepthwiseConv2DOptions"),
    "MAX_POOL_2D": (_Graph.pool, "Pool2DOptions"),
    "AVERAGE_POOL_2D": (_Graph.pool, "Pool2DOptions"),
    "PRELU": (_Graph.prelu, ""),
    "RELU": (_Graph.unary, ""),
    "RELU6": (_Graph.unary, ""),
    "LOGISTIC": (_Graph.unary, ""),
    "TANH": (_Graph.unary, ""),
    "ADD": (_Graph.binary, "AddOptions"),
    "SUB": (_Graph.binary, "SubOptions"),
    "MUL": (_Graph.binary, "MulOptions"),
    "PAD": (_Graph.pad, ""),
    "CONCATENATION": (_Graph.concatenation, "ConcatenationOptions"),
    "RESHAPE": (_Graph.reshape, ""),
    "DEQUANTIZE": (_Graph.dequantize, ""),
}
