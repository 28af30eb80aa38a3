"""Rewrites what converters leave in a graph and what a runtime is slow with; the result stays the same."""

from __future__ import annotations

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper

from engines.engine import Array

EXACT = "exact/"  # names of nodes that stay fp32 in every precision begin so


def blocked_prelu(model: bytes) -> bytes:
    """The ONNX model with its PRelu written as a x + (1 - a) max(x, 0): depthwise 1x1 convolutions, a Relu, an Add.

    ONNX Runtime keeps convolutions on the CPU in a blocked layout, and leaves it for each PRelu and comes back: the
    468-point mesh takes 2.5 times as long so. One slope for all channels becomes LeakyRelu, which a convolution takes
    in. Bytes that are no model, and models without PRelu, are given back as they are.
    """
    if b"PRelu" not in model:
        return model
    try:
        tree = onnx.load_model_from_string(model)
    except DecodeError:
        return model  # the runtime says what is wrong with it
    graph = tree.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        tensor = stored.get(node.input[1]) if node.op_type == "PRelu" else None
        slope = None if tensor is None else numpy_helper.to_array(tensor)
        if slope is not None and slope.size == 1:
            nodes.append(helper.make_node("LeakyRelu", [node.input[0]], node.output, alpha=float(slope.ravel()[0])))
        elif slope is not None and slope.ndim in (3, 4) and slope.size == slope.shape[-3]:
            added, weights = _as_convolutions(node.input[0], node.output[0], slope.reshape(-1, 1, 1, 1))
            nodes += added
            graph.initializer.extend(weights)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return bytes(tree.SerializeToString())


def _as_convolutions(x: str, y: str, slope: Array) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    below, above, middle = (f"{y}_prelu_{part}" for part in ("below", "above", "middle"))
    stored = [
        numpy_helper.from_array(slope, f"{below}_w"),
        numpy_helper.from_array(1 - slope, f"{above}_w"),
    ]
    if np.max(slope) <= 1:  # the factor may go inside: its convolution then ends in the Relu, which comes free
        nodes = [
            helper.make_node("Conv", [x, f"{above}_w"], [middle], group=len(slope)),
            helper.make_node("Relu", [middle], [above]),
        ]
    else:
        nodes = [
            helper.make_node("Relu", [x], [middle]),
            helper.make_node("Conv", [middle, f"{above}_w"], [above], group=len(slope)),
        ]
    return [
        helper.make_node("Conv", [x, f"{below}_w"], [below], group=len(slope)),
        *nodes,
        helper.make_node("Add", [above, below], [y]),
    ], stored
