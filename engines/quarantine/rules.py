"""The rules that the graph of an ONNX file must keep: names, order, operators, and tensors that are what they declare.

The graphs come from a skeleton (onnx_skeleton.py): a tensor's `raw_data` is a note of what its numbers were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

import onnx

from engines.errors import ModelError
from engines.quarantine.skeleton import DOUBLES, FLOATS, INTS, LONGS, RAW, UNSIGNED, numbers

MAX_NODES = 20_000
MAX_NAME = 500  # letters

_TYPE = onnx.TensorProto
# Every type that nets for pictures use: numpy's name, bytes, the field for its numbers where they are not raw bytes.
_DTYPES: dict[int, tuple[str, int, int]] = {
    _TYPE.FLOAT: ("float32", 4, FLOATS),
    _TYPE.FLOAT16: ("float16", 2, INTS),
    _TYPE.BFLOAT16: ("bfloat16", 2, INTS),
    _TYPE.DOUBLE: ("float64", 8, DOUBLES),
    _TYPE.INT8: ("int8", 1, INTS),
    _TYPE.UINT8: ("uint8", 1, INTS),
    _TYPE.INT16: ("int16", 2, INTS),
    _TYPE.UINT16: ("uint16", 2, INTS),
    _TYPE.INT32: ("int32", 4, INTS),
    _TYPE.INT64: ("int64", 8, LONGS),
    _TYPE.UINT32: ("uint32", 4, UNSIGNED),
    _TYPE.UINT64: ("uint64", 8, UNSIGNED),
    _TYPE.BOOL: ("bool", 1, INTS),
}

# Beside ai.onnx, only what ONNX Runtime's quantiser and graph optimiser write into a file: int8 arithmetic that ONNX
# has no operator for, and operators that took in the bias or activation after them.
_MICROSOFT = """
    QuantizeLinear DequantizeLinear DynamicQuantizeMatMul MatMulIntegerToFloat QAttention QGemm QLinearAdd
    QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul
    QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere
    Attention BiasGelu FastGelu FusedConv FusedGemm FusedMatMul Gelu GroupNorm MultiHeadAttention NhwcMaxPool
    QuickGelu SkipLayerNormalization
""".split()  # noqa: SIM905


@dataclass
class Tally:
    """What was counted while the graphs were checked."""

    opset: int
    nodes: int = 0
    parameters: int = 0
    weight_bytes: int = 0
    port_bytes: int = 0  # inputs and outputs of the main graph
    largest: int = 0  # the largest tensor declared in between, in bytes
    domains: set[str] = field(default_factory=set)
    operators: set[str] = field(default_factory=set)


def check_graph(graph: Any, tally: Tally, outer: tuple[set[str], ...] = ()) -> None:
    """Check a GraphProto and the graphs inside it; `outer`: the names known around it. Raises ModelError."""
    known: set[str] = set()
    scopes = (*outer, known)
    if len(graph.sparse_initializer):
        raise ModelError("it has sparse weights, which are not supported")
    for tensor in graph.initializer:
        _check_tensor(tensor, tally)
        _define(tensor.name, known)
    inputs: set[str] = set()
    for value in graph.input:
        _define(value.name, inputs)
    for value in (*graph.input, *graph.output):
        size = _port_bytes(value)
        if not outer and value.name not in known:
            tally.port_bytes += size
    known |= inputs  # an input may have the name of a weight, which is then its default
    for value in graph.value_info:
        if value.type.HasField("tensor_type"):
            tally.largest = max(tally.largest, _port_bytes(value))
    makers: dict[str, int] = {}
    for k, node in enumerate(graph.node):
        for name in filter(None, node.output):
            _define(name, known)
            makers[name] = k
    # Converters append nodes at the end, so order is not asked for; that there is one, is.
    for node in graph.node:
        _check_operator(node, tally)
        for name in node.input:
            if name and not any(name in scope for scope in scopes):
                raise ModelError(f"node {_title(node)} uses {clip(name)}, which nothing makes")
        for attribute in node.attribute:
            _check_attribute(attribute, tally, scopes)
    order = {k: {makers[name] for name in node.input if name in makers} for k, node in enumerate(graph.node)}
    try:
        TopologicalSorter(order).prepare()
    except CycleError as error:
        there = graph.node[error.args[1][0]]
        raise ModelError(f"its nodes form a cycle, of which {_title(there)} is one") from error
    for value in graph.output:
        if not any(value.name in scope for scope in scopes):
            raise ModelError(f"nothing makes its output {clip(value.name)}")


def tensor_port(value: Any) -> tuple[str, tuple[int | None, ...] | None]:
    """dtype and shape of a ValueInfoProto; None: an unknown size, or an unknown shape. Raises ModelError."""
    if not value.type.HasField("tensor_type"):
        kind = value.type.WhichOneof("value") or "nothing"
        raise ModelError(f"{clip(value.name)} should be a tensor, its type is {kind}")
    tensor = value.type.tensor_type
    dtype, _, _ = _dtype(tensor.elem_type, value.name)
    if not tensor.HasField("shape"):
        return dtype, None
    shape = tuple(size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim)
    _check_sizes(value.name, shape)
    return dtype, shape


def clip(text: str | bytes) -> str:
    """Text of a stranger for a message: quoted, one line, printable, not long."""
    whole = text if isinstance(text, str) else text.decode("utf-8", "replace")
    return repr(whole if len(whole) <= 60 else whole[:57] + "...")


def _define(name: str | bytes, names: set[str]) -> None:
    if not isinstance(name, str):  # protobuf gives bytes for what is not UTF-8
        raise ModelError(f"the name {clip(name)} is no text")
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise ModelError(f"the name {clip(name)} has {len(name)} letters; 1 to {MAX_NAME} printable ones are expected")
    if name in names:
        raise ModelError(f"the name {clip(name)} is given twice")
    names.add(name)


def _check_operator(node: Any, tally: Tally) -> None:
    tally.nodes += 1
    if tally.nodes > MAX_NODES:
        raise ModelError(f"it has more than {MAX_NODES:,} nodes")
    domain = node.domain or "ai.onnx"
    if domain == "ai.onnx":
        known = isinstance(node.op_type, str) and onnx.defs.has(node.op_type)
    elif domain == "com.microsoft":
        known = node.op_type in _MICROSOFT
    else:
        raise ModelError(
            f"node {_title(node)} is of the domain {clip(domain)}; known are ai.onnx and com.microsoft",
            hint="export the model with standard operators only",
        )
    if not known:
        raise ModelError(f"node {_title(node)}: no such operator is known in {domain}")
    tally.domains.add(domain)
    tally.operators.add(node.op_type)


def _check_attribute(attribute: Any, tally: Tally, scopes: tuple[set[str], ...]) -> None:
    if attribute.HasField("sparse_tensor") or len(attribute.sparse_tensors):
        raise ModelError("it has sparse weights, which are not supported")
    for tensor in (*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])):
        _check_tensor(tensor, tally)
    for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
        check_graph(graph, tally, scopes)


def _check_tensor(tensor: Any, tally: Tally) -> None:
    """The numbers that are there must be as many as its dims and type say."""
    name = tensor.name
    if len(tensor.external_data) or tensor.data_location == _TYPE.EXTERNAL:
        raise ModelError(
            f"the weights {clip(name)} are kept in another file, which is not followed",
            hint="save the model as one file: onnx.save(onnx.load('model.onnx'), 'whole.onnx')",
        )
    if tensor.HasField("segment"):
        raise ModelError(f"the weights {clip(name)} come in segments, which are not supported")
    dtype, size, home = _dtype(tensor.data_type, name)
    _check_sizes(name, tuple(tensor.dims))
    wanted = math.prod(tensor.dims)
    there = numbers(tensor.raw_data)
    loose = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
    if any(map(len, loose)) or len(tensor.string_data):
        raise ModelError(f"the numbers of {clip(name)} are not packed")
    got = 0
    if there is not None:
        if there.field not in (RAW, home):
            raise ModelError(f"the numbers of {clip(name)} are not stored as {dtype}")
        got, rest = divmod(there.many, size if there.field == RAW else 1)
        if rest:
            raise ModelError(f"{clip(name)} has {there.many} bytes, which is no number of {dtype}")
    if got != wanted:
        dims = "x".join(map(str, tensor.dims)) or "one number"
        raise ModelError(f"{clip(name)} is declared as {dtype} {clip(dims)[1:-1]}, but {got:,} numbers are there")
    tally.parameters += wanted
    tally.weight_bytes += wanted * size


def _port_bytes(value: Any) -> int:
    """The least that this tensor takes: unknown sizes count as one."""
    _, shape = tensor_port(value)
    size = _DTYPES[value.type.tensor_type.elem_type][1]
    return size * math.prod(1 if n is None else n for n in shape or ())


def _check_sizes(name: str, sizes: tuple[int | None, ...]) -> None:
    if len(sizes) > 16:
        raise ModelError(f"{clip(name)} has {len(sizes)} dimensions; up to 16 are expected")
    if any(size is not None and size < 0 for size in sizes):
        raise ModelError(f"{clip(name)} has a negative size: {list(sizes)}")


def _dtype(code: int, name: str) -> tuple[str, int, int]:
    if code not in _DTYPES:
        known = _TYPE.DataType.items()
        title = next((title for title, number in known if number == code), f"number {code}")
        raise ModelError(f"{clip(name)} is of the type {title}, which nets here do not use")
    return _DTYPES[code]


def _title(node: Any) -> str:
    return f"{clip(node.name)} ({clip(node.op_type)[1:-1]})" if node.name else clip(node.op_type)
