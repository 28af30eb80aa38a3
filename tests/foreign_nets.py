"""Tiny ONNX files that take and give what the models of the field do; their weights are nothing."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

EMAP = np.arange(512 * 512, dtype=np.float32).reshape(512, 512)
_ROWS = {8: 12800, 16: 3200, 32: 800}


def net(inputs, outputs, emap=False, transposed=False):
    """A file with these {name: shape}; None is an open size. Each output is the mean of all inputs, as often as needed.

    `emap`: an unused 512x512 weight besides. `transposed`: one ConvTranspose over the first input.
    """
    nodes, means, weights = [], [], []
    for i, name in enumerate(inputs):
        if transposed and i == 0:
            weights.append(numpy_helper.from_array(np.ones((3, 1, 1, 1), np.float32), "kernel"))
            nodes.append(helper.make_node("ConvTranspose", [name, "kernel"], ["wide"]))
            name = "wide"
        nodes.append(helper.make_node("ReduceMean", [name], [f"mean{i}"], keepdims=0))
        means.append(f"mean{i}")
    nodes.append(helper.make_node("Sum", means, ["all"]))
    for i, (name, shape) in enumerate(outputs.items()):
        size = np.array([n or 1 for n in shape], np.int64)
        weights.append(numpy_helper.from_array(size, f"shape{i}"))
        nodes.append(helper.make_node("Expand", ["all", f"shape{i}"], [name]))
    if emap:
        weights += [numpy_helper.from_array(EMAP[::-1], "older"), numpy_helper.from_array(EMAP, "emap")]
    ports = [
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [x or "N" for x in s]) for n, s in side.items()]
        for side in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "net", *ports, initializer=weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def embedding_swapper(size, *, target="target", source="source", **more):
    return {target: (1, 3, size, size), source: (1, 512)}, {"output": (1, 3, size, size)}, more


def scrfd(points=True, batch=False):
    widths = (1, 4, 10) if points else (1, 4)
    shapes = [(rows, width) for width in widths for rows in _ROWS.values()]
    names = ["448", "471", "494", "451", "474", "497", "454", "477", "500"]
    return (
        {"input.1": (1, 3, None, None)},
        {name: (1, *shape) if batch else shape for name, shape in zip(names, shapes, strict=False)},
        {},
    )


def with_mask(parts):
    inputs, outputs, more = parts
    return inputs, {**outputs, "mask": (1, 1, 256, 256)}, more


_IMAGE = {"input": (1, 3, 640, 640)}
_DFM_OUT = {"out_face_mask:0": 1, "out_celeb_face:0": 3, "out_celeb_face_mask:0": 1}


def dfm(size=64, batch=None, morph=False):
    inputs = {"in_face:0": (batch, size, size, 3), **({"morph_value:0": (1,)} if morph else {})}
    return inputs, {name: (batch, size, size, n) for name, n in _DFM_OUT.items()}, {}


# File name -> (family, what it takes, what it gives, more for `net`).
FOREIGN = {
    "inswapper_128.onnx": ("inswapper", *embedding_swapper(128, emap=True)),
    "simswap_256.onnx": ("simswap", *embedding_swapper(256)),
    "simswap_unofficial_512.onnx": ("simswap", *embedding_swapper(512)),
    "ghost_2_256.onnx": ("ghost", *embedding_swapper(256, transposed=True)),
    "hyperswap_1a_256.onnx": ("hyperswap", *with_mask(embedding_swapper(256))),
    "hififace_unofficial_256.onnx": ("hififace", *with_mask(embedding_swapper(256))),
    "blendswap_256.onnx": (
        "blendswap", {"target": (1, 3, 256, 256), "source": (1, 3, 112, 112)}, {"output": (1, 3, 256, 256)}, {},
    ),
    "uniface_256.onnx": (
        "uniface", {"source": (1, 3, 256, 256), "target": (1, 3, 256, 256)}, {"output": (1, 3, 256, 256)}, {},
    ),
    "somebody.dfm": ("dfm", *dfm()),
    "somebody_amp.dfm": ("dfm", *dfm(morph=True)),
    "crossface_ghost.onnx": ("crossface", {"input": (1, 512)}, {"output": (1, 512)}, {}),
    "w600k_r50.onnx": ("arcface", {"input.1": (None, 3, 112, 112)}, {"683": (1, 512)}, {}),
    "det_10g.onnx": ("scrfd", *scrfd()),
    "scrfd_no_points.onnx": ("scrfd", *scrfd(points=False, batch=True)),
    "yunet.onnx": (
        "yunet", _IMAGE,
        {f"{what}_{stride}": (1, rows // 2, n) for what, n in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
         for stride, rows in _ROWS.items()}, {},
    ),
    "retinaface_r50.onnx": (
        "retinaface", _IMAGE, {"loc": (1, 16800, 4), "conf": (1, 16800, 2), "landmarks": (1, 16800, 10)}, {},
    ),
    "yoloface_8n.onnx": ("yoloface", {"images": (1, 3, 640, 640)}, {"output0": (1, 20, 8400)}, {}),
    "xseg_1.onnx": ("xseg", {"input": (None, 256, 256, 3)}, {"output": (None, 256, 256, 1)}, {}),
    "gfpgan_1.4.onnx": ("gfpgan", {"input": (1, 3, 512, 512)}, {"output": (1, 3, 512, 512)}, {}),
    "codeformer.onnx": ("gfpgan", {"input": (1, 3, 512, 512), "weight": (1,)}, {"output": (1, 3, 512, 512)}, {}),
    "bisenet.onnx": (
        "bisenet", {"input": (1, 3, 512, 512)}, {f"out{i}": (1, 19, 512, 512) for i in range(3)}, {},
    ),
}  # fmt: skip


def foreign(file_name):
    """The bytes of one of FOREIGN."""
    _, inputs, outputs, more = FOREIGN[file_name]
    return net(inputs, outputs, **more)
