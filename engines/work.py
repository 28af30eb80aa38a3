"""How much arithmetic a model takes, and how much this machine can do: what a time is to be judged by."""

from __future__ import annotations

import math
import time

import numpy as np
import onnx
from threadpoolctl import threadpool_limits

from engines.errors import ModelError

_SIZE, _PRODUCTS = 1024, 12
_FEW = 64  # numbers; a tensor of more is never a shape


def flop(model: bytes) -> int:
    """Multiplications and additions of one run: those of its convolutions and matrix products, which are nearly all.

    A multiply-add counts as two. Raises ModelError for bytes that are no model; a node whose shape cannot be inferred
    counts as none.
    """
    try:
        tree = onnx.load_model_from_string(model)
        for tensor in tree.graph.initializer:
            if math.prod(tensor.dims) > _FEW:  # only its shape matters, and numbers are slow to carry around
                tensor.ClearField("raw_data")
        tree = onnx.shape_inference.infer_shapes(tree)
    except Exception as error:  # DecodeError of protobuf, InferenceError of onnx
        raise ModelError("not an ONNX model") from error
    graph = tree.graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        shapes[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    total = 0
    for node in graph.node:
        # In an int8 file the weights of a convolution come out of a DequantizeLinear, whose shape is inferred too.
        ins, out = [shapes.get(name, []) for name in node.input], shapes.get(node.output[0], [])
        if node.op_type == "Conv" and len(ins[1]) > 2:
            total += 2 * math.prod(out) * math.prod(ins[1][1:])
        elif node.op_type == "ConvTranspose" and len(ins[1]) > 2:
            total += 2 * math.prod(ins[0]) * math.prod(ins[1][1:])
        elif node.op_type in ("MatMul", "Gemm") and ins[0]:
            turned = any(each.name == "transA" and each.i for each in node.attribute)
            total += 2 * math.prod(out) * ins[0][-2 if turned else -1]
    return total


def peak_gflops(threads: int) -> float:
    """Billions of fp32 operations a second of so many threads: the best of some products of 1024 x 1024 matrices."""
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(_SIZE, _SIZE)).astype(np.float32) for _ in range(2))
    best = math.inf
    with threadpool_limits(limits=threads, user_api="blas"):
        for _ in range(_PRODUCTS):
            began = time.perf_counter()
            np.matmul(a, b)
            best = min(best, time.perf_counter() - began)
    return 2 * _SIZE**3 / best / 1e9
