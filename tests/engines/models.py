"""Small ONNX models and their folders, for the tests of engines/."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from engines.card import CARD_FILE, read_card


def model(nodes, inputs, outputs, weights=None, kind=TensorProto.FLOAT):
    """The bytes of a model; `inputs` and `outputs` map names to shapes, `weights` names to arrays."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def convolutions(size=16, channels=4, seed=0):
    """picture [1, 3, size, size] -> Conv, PRelu, Conv -> y [1, 2, size, size]; slopes above and below 1."""
    rng = np.random.default_rng(seed)
    weights = {
        "w1": rng.normal(0, 0.4, (channels, 3, 3, 3)).astype(np.float32),
        "slope": rng.uniform(0, 1, (channels, 1, 1)).astype(np.float32),
        "w2": rng.normal(0, 0.4, (2, channels, 3, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["picture", "w1"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("PRelu", ["a", "slope"], ["b"]),
        helper.make_node("Conv", ["b", "w2"], ["y"], pads=[1, 1, 1, 1]),
    ]
    return model(nodes, {"picture": [1, 3, size, size]}, {"y": [1, 2, size, size]}, weights)


def folder_of(path, data, name="test", more_files=None, **fields):
    """A model folder at `path`, read. `more_files` maps a format of the card to bytes."""
    path.mkdir(parents=True, exist_ok=True)
    files = {"onnx": data, **(more_files or {})}
    names = {kind: f"{kind}.bin" if kind.startswith("probes") else f"{kind}.onnx" for kind in files}
    for kind, held in files.items():
        (path / names[kind]).write_bytes(held)
    tree = {
        "name": name,
        "family": "test",
        "files": {kind: file for kind, file in names.items() if kind.startswith("onnx")},
        "sha256": {names[kind]: hashlib.sha256(held).hexdigest() for kind, held in files.items()},
        **fields,
    }
    (path / CARD_FILE).write_text(json.dumps(tree))
    return read_card(path)
