"""Takes over the graph of an ONNX file into a Graph: batch 1, static shapes, said in fewer and simpler operators."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import nullcontext
from graphlib import TopologicalSorter
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.shape_inference import infer_node_outputs

from engines.errors import ModelError
from export.graph import Graph, Numbers, Value
from export.leras import blend

_RESHAPES = ("Reshape", "Squeeze", "Unsqueeze", "Flatten")
_ROOTS = ("ReduceMean", "Pow", "Sqrt", "Reciprocal")
OPERATORS = frozenset({
    *_RESHAPES, *_ROOTS, "Add", "Cast", "Clip", "Concat", "Constant", "Conv", "Cos", "DepthToSpace", "Div", "Equal",
    "Floor", "Gemm", "Identity", "LeakyRelu", "Less", "MatMul", "Mul", "Relu", "Sigmoid", "Slice", "Sub", "Tanh",
    "Transpose", "Where",
})  # fmt: skip
OPSETS = range(11, 22)  # where these operators mean what they mean in opset 13, but for what `_write` sees to
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
_MORPHS = np.linspace(0, 1, 33, dtype=np.float32)
_BLOCKS = [0, 3, 4, 1, 5, 2]  # how DepthToSpace DCR moves axes: 1, dy, dx, c, h, w
_FEW = 64  # numbers of a weight that may tell a shape


class OnnxNet:
    """The graph of a .dfm that the quarantine let pass. Half precision becomes single.

    The first input is a picture [1, size, size, 3], a second one `morph` (1,); outputs are pictures [1, h, w, c].
    Raises ModelError: sizes that depend on the input, or that do not fit together.
    """

    def __init__(self, tree: Any, size: int) -> None:
        graph = tree.graph
        self._size = size
        self._opset = next(entry for entry in tree.opset_import if entry.domain in ("", "ai.onnx"))
        self._constants = {tensor.name: _numbers(tensor) for tensor in graph.initializer}
        self._makers: dict[str, Any] = {}  # nodes by the name of their output
        for node in graph.node:
            if node.op_type == "Constant":
                if [attribute.name for attribute in node.attribute] != ["value"]:
                    raise ModelError(f"its constant {node.output[0]!r} is no tensor")
                self._constants[node.output[0]] = _numbers(node.attribute[0].t)
            else:
                self._makers[node.output[0]] = node
        inputs = [value.name for value in graph.input if value.name not in self._constants]
        self._face, self._morph = inputs[0], inputs[1] if len(inputs) > 1 else None
        self._types = {name: _type(_kind(array), array.shape) for name, array in self._constants.items()}
        self._types[self._face] = _type(TensorProto.FLOAT, (1, size, size, 3))
        if self._morph is not None:
            self._types[self._morph] = _type(TensorProto.FLOAT, (1,))
        ends = [value.name for value in graph.output]
        for node in self._order(ends):
            self._infer(node)
            self._join_blocks(node)
            self._join_blend(node)
        self._pictures = [self._planes(name) for name in ends]

    def build(self, graph: Graph) -> list[Value]:
        """Write the net; the outputs in their order, as planes [1, c, h, w]."""
        face = graph.face(self._size)
        values = {"": Value("", ())}  # an input that a node leaves out
        if self._morph is not None:
            values[self._morph] = graph.input("morph", (1,))

        def value(name: str) -> Value:
            if name == self._face and name not in values:
                values[name] = graph.transpose(face, (0, 2, 3, 1))
            elif name not in values:  # nodes come in order, so it is a weight
                values[name] = graph.weight(self._constants[name])
            return values[name]

        for node in self._order(self._pictures):
            back = node.input[0] == self._face and _perm(node) == [0, 3, 1, 2]
            values[node.output[0]] = face if back else self._write(graph, node, value)
        return [value(name) for name in self._pictures]

    def _write(self, graph: Graph, node: Any, value: Callable[[str], Value]) -> Value:
        kind, shape = node.op_type, self._shape(node.output[0])
        if shape is None:
            raise ModelError(f"the size of {node.output[0]!r} depends on the input; static shapes are needed")
        if kind in _RESHAPES:
            return graph.reshape(value(node.input[0]), shape)
        if kind == "Identity" or (kind == "Cast" and self._kind(node.input[0]) == self._kind(node.output[0])):
            return value(node.input[0])
        if kind == "Blend":
            new, own, morph = map(value, node.input)
            return blend(graph, new, own, morph)
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        names = list(node.input)
        if kind == "ReduceMean" and len(names) > 1:  # opset 18 moved them
            attributes["axes"] = self._constants[names.pop()].tolist()
        # The squares of a large map, and what comes of them, do not fit into half precision.
        squares = kind == "Mul" and len(set(names)) == 1
        mean = any(name in self._makers and self._makers[name].op_type == "ReduceMean" for name in names)
        with graph.exact() if kind in _ROOTS or squares or mean else nullcontext():
            return graph.node(kind, [value(name) for name in names], shape, **attributes)

    # ---- what is known of the tensors

    def _shape(self, name: str) -> tuple[int, ...] | None:
        """Static and known, or None."""
        tensor = self._types[name].tensor_type
        sizes = [size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim]
        return None if None in sizes or not tensor.HasField("shape") else tuple(n for n in sizes if n is not None)

    def _kind(self, name: str) -> int:
        return int(self._types[name].tensor_type.elem_type)

    def _infer(self, node: Any) -> None:
        """Find out type and shape of what a node makes. Half precision becomes single."""
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i in _FLOATS:
                attribute.i = TensorProto.FLOAT
        names = [name for name in node.input if name]
        few = [name for name in names if name in self._constants and self._constants[name].size <= _FEW]
        try:
            self._types |= infer_node_outputs(
                onnx.defs.get_schema(node.op_type, self._opset.version),
                node,
                {name: self._types[name] for name in names},
                {name: numpy_helper.from_array(self._constants[name], name) for name in few},
                opset_imports=[self._opset],
            )
        except Exception as error:  # onnx raises what it likes over shapes that do not fit
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"{node.op_type} that makes {node.output[0]!r}: {line[:200]}") from error
        if node.output[0] not in self._types:
            raise ModelError(f"{node.op_type} makes {node.output[0]!r} of a type that cannot be told")

    def _order(self, ends: Iterable[str], known: Collection[str] = ()) -> list[Any]:
        """The nodes that make `ends` of weights, inputs and what else is `known`, first things first."""
        needs: dict[str, list[str]] = {}
        left = list(ends)
        while left:
            name = left.pop()
            if name in self._makers and name not in needs and name not in known:
                needs[name] = [name for name in self._makers[name].input if name in self._makers and name not in known]
                left += needs[name]
        return [self._makers[name] for name in TopologicalSorter(needs).static_order()]

    # ---- what can be said more simply

    def _join_blocks(self, last: Any) -> None:
        """Reshape, Transpose, Reshape that spell DepthToSpace."""
        middle = self._makers.get(last.input[0])
        first = self._makers.get(middle.input[0]) if middle is not None else None
        if (
            first is None
            or (first.op_type, last.op_type) != ("Reshape", "Reshape")
            or _perm(middle) != [0, 3, 4, 1, 5, 2]
        ):
            return
        source, out = self._shape(first.input[0]), self._shape(last.output[0])
        match self._shape(first.output[0]):
            case (1, down, across, c, h, w) if down == across and source == (1, down * across * c, h, w):
                if out == (1, c, h * down, w * across):
                    name = last.output[0]
                    self._makers[name] = helper.make_node(
                        "DepthToSpace", [first.input[0]], [name], blocksize=down, mode="DCR"
                    )

    def _join_blend(self, last: Any) -> None:
        """AMP's Concat of two Slices that end where morph says: if it gives what `blend` gives, in static sizes."""
        slices = [self._makers[name] for name in last.input if name in self._makers]
        if last.op_type != "Concat" or self._morph is None or [node.op_type for node in slices] != ["Slice", "Slice"]:
            return
        new, own = (node.input[0] for node in slices)
        shape = self._shape(new)
        if new == own or shape is None or len(shape) != 4 or shape != self._shape(own):
            return
        nodes = self._order([last.output[0]], {new, own, self._morph})
        stored = {name for node in nodes for name in node.input if name in self._constants}
        small = helper.make_graph(
            nodes,
            "blend",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (new, own, self._morph)],
            [helper.make_tensor_value_info(last.output[0], TensorProto.FLOAT, None)],
            [numpy_helper.from_array(self._constants[name], name) for name in stored],
        )
        ours = np.arange(prod(shape), dtype=np.float32).reshape(shape)
        channel = np.arange(shape[1]).reshape(1, -1, 1, 1)
        try:
            program = ReferenceEvaluator(helper.make_model(small, opset_imports=[self._opset]))
            for morph in _MORPHS:
                [got] = program.run(None, {new: ours, own: -1 - ours, self._morph: morph[None]})
                if not np.array_equal(got, np.where(channel < np.floor(shape[1] * morph), ours, -1 - ours)):
                    return
        except Exception:  # whatever it is, it is not AMP's blend; it stays as it is
            return
        self._makers[last.output[0]] = helper.make_node("Blend", [new, own, self._morph], [last.output[0]])
        self._types[last.output[0]] = _type(TensorProto.FLOAT, shape)

    def _planes(self, output: str) -> str:
        """The name of the planes [1, c, h, w] that an output [1, h, w, c] was made of, or can be made into."""
        node, shape = self._makers.get(output), self._shape(output)
        if node is None or (shape is not None and len(shape) != 4):
            raise ModelError(f"its output {output!r} is no picture that the net makes")
        if shape is None:
            raise ModelError(f"the size of its output {output!r} depends on the input; static shapes are needed")
        planes = (1, shape[3], shape[1], shape[2])
        moved = _perm(node) == [0, 2, 3, 1] or (node.op_type == "Reshape" and shape[3] == 1)
        if moved and self._shape(node.input[0]) == planes:
            return str(node.input[0])
        name = f"{output}/planes"
        self._makers[name] = helper.make_node("Transpose", [output], [name], perm=[0, 3, 1, 2])
        self._types[name] = _type(TensorProto.FLOAT, planes)
        return name


def _perm(node: Any) -> list[int] | None:
    """How a Transpose orders the axes; None: no Transpose, or it does not say."""
    if node.op_type != "Transpose" or not node.attribute:
        return None
    return list(node.attribute[0].ints)


def _numbers(tensor: Any) -> Numbers:
    array = numpy_helper.to_array(tensor)
    if array.dtype.kind == "f":
        return array.astype(np.float32, copy=False)
    if array.dtype.kind not in "biu":
        raise ModelError(f"its weights {tensor.name!r} are {array.dtype}; float32 or float16 are expected")
    return array


def _kind(array: Numbers) -> int:
    return int(helper.np_dtype_to_tensor_dtype(array.dtype))


def _type(kind: int, shape: tuple[int, ...]) -> Any:
    return helper.make_tensor_type_proto(kind, shape)
