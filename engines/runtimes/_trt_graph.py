"""Makes an ONNX model one that TensorRT takes, or says before a long build why it cannot.

All that is known here comes from the operator list of TensorRT's ONNX parser
(https://github.com/onnx/onnx-tensorrt/blob/main/docs/operators.md, for TensorRT 10.15) and from its API reference.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from engines.errors import ModelError, NotAvailable
from engines.plugins import import_failure
from engines.tidy import EXACT

_NAMES = """
Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization BlackmanWindow
Cast CastLike Ceil Celu Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DeformConv
DepthToSpace DequantizeLinear Div Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather
GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample
GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity If ImageScaler
InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax Loop
LpNormalization LpPool MatMul Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul Neg NonMaxSuppression
NonZero Not OneHot Or PRelu Pad ParametricSoftplus Pow QuantizeLinear RMSNormalization RNN RandomNormal
RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence RoiAlign
RotaryEmbedding Round STFT ScaledTanh Scan Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin
Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh TensorScatter
ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Upsample Where Xor
"""
OPERATORS = frozenset(_NAMES.split())

# Operators that move numbers and change none: a Cast behind them may as well stand before them.
_MOVES = {"Transpose", "Unsqueeze", "Squeeze", "Reshape", "Flatten"}
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


def fit(model: bytes, name: str, halve: bool = False) -> bytes:
    """The ONNX model `name` as TensorRT takes it: uint8 goes through a Cast first; with `halve` it computes in fp16.

    Networks are built strongly typed (TensorRT 11 has no other way), so that precision is what the graph says.
    Inputs and outputs stay as they are. Raises ModelError (no ONNX model, shapes that are not static), NotAvailable
    (TensorRT cannot run it; the message lists everything that is in the way).
    """
    try:
        tree = onnx.load_model_from_string(model)
    except DecodeError as error:
        raise ModelError(f"model {name!r} is not an ONNX file: {error}") from error
    if not tree.graph.output:
        raise ModelError(f"model {name!r} is not an ONNX file: it has no outputs")
    for value in [*tree.graph.input, *tree.graph.output]:
        tensor = value.type.tensor_type
        if not tensor.HasField("shape") or not all(size.dim_value > 0 for size in tensor.shape.dim):
            raise ModelError(f"model {name!r}: {value.name} has an open size; static shapes are needed")
    _store_constants(tree.graph)
    reasons = [*_strange_operators(tree), *_strange_zero_points(tree.graph), *_uint8_through_casts(tree.graph)]
    if reasons:
        raise NotAvailable(
            f"TensorRT cannot run model {name!r}: {'; '.join(dict.fromkeys(reasons))}",
            hint="choose another engine, for example onnx_runtime:cuda",
        )
    return bytes((_halved(tree, name) if halve else tree).SerializeToString())


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those of the graphs inside of If, Loop and Scan too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                yield from _nodes(inner)


def _store_constants(graph: onnx.GraphProto) -> None:
    """Make initializers of Constant nodes, so that every fixed tensor is found in one place."""
    for node in [node for node in graph.node if node.op_type == "Constant" and node.attribute[0].name == "value"]:
        graph.initializer.add().CopyFrom(node.attribute[0].t)
        graph.initializer[-1].name = node.output[0]
        graph.node.remove(node)


def _strange_operators(tree: onnx.ModelProto) -> Iterator[str]:
    own = {(function.domain, function.name) for function in tree.functions}
    for node in [*_nodes(tree.graph), *(node for function in tree.functions for node in function.node)]:
        known = node.domain in ("", "ai.onnx") and node.op_type in OPERATORS
        if not known and (node.domain, node.op_type) not in own:
            yield f"it has no operator {node.domain + '.' if node.domain else ''}{node.op_type}"


def _strange_zero_points(graph: onnx.GraphProto) -> Iterator[str]:
    """TensorRT quantises symmetrically: int8 around zero. Files made for the CPU often do not."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in _nodes(graph):
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            point = stored.get(node.input[2]) if len(node.input) > 2 else None
            if point is None or point.data_type != TensorProto.INT8 or numpy_helper.to_array(point).any():
                yield "its int8 is not symmetric (a zero point is not int8 0)"


def _uint8_through_casts(graph: onnx.GraphProto) -> Iterator[str]:
    """Put a Cast behind each uint8 input that meets something else first; yield what does not allow it.

    "UINT8 is only supported as network input or output tensor types", and goes to and from floats only.
    """
    for value in list(graph.input):
        if value.type.tensor_type.elem_type != TensorProto.UINT8:
            continue
        moved = {value.name}
        for node in graph.node:  # in the order in which they run
            if moved.isdisjoint(node.input) or node.op_type == "Cast":
                continue
            if node.op_type not in _MOVES:
                yield f"{node.op_type} computes in uint8 with the input {value.name!r}"
            moved.update(node.output)
        first = [node for node in graph.node if value.name in node.input]
        if not all(node.op_type == "Cast" and helper.get_node_attr_value(node, "to") in _FLOATS for node in first):
            name = f"{value.name}/float"
            for node in first:
                node.input[:] = [name if each == value.name else each for each in node.input]
            graph.node.insert(0, helper.make_node("Cast", [value.name], [name], to=TensorProto.FLOAT))
            del graph.value_info[:]  # what they say of types is no longer true
    made = {output: node.op_type for node in graph.node for output in node.output}
    for value in graph.output:
        if value.type.tensor_type.elem_type == TensorProto.UINT8 and made.get(value.name) != "Cast":
            yield f"its uint8 output {value.name!r} does not come from a Cast"


def _halved(tree: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model computing in fp16, its inputs and outputs as they were."""
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel
    except ImportError as error:
        raise import_failure("precision fp16 for TensorRT", error) from error
    try:
        exact = [node.name for node in tree.graph.node if node.name.startswith(EXACT)]
        half: onnx.ModelProto = convert_float_to_float16(tree, keep_io_types=True, node_block_list=exact)
        OnnxModel(half).topological_sort()  # its Casts for inputs and outputs stand at the end
    except Exception as error:  # whatever its checks and onnx's shape inference raise
        raise NotAvailable(f"model {name!r} cannot be made to compute in fp16: {error}") from error
    return half
