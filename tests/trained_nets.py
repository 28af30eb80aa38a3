"""Trained models as `doppelcam export` writes them, but tiny and of known effect: the same face, a tint, a grey."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from export.graph import Graph

SIZE = 128


def same(graph, face):
    """The wearer's own face."""
    return face


def tint(graph, face):
    """The wearer's own face with little blue and green: red."""
    return graph.multiply(face, graph.weight(np.array([0.3, 0.5, 1.0], np.float32).reshape(1, 3, 1, 1)))


def twice(graph, face):
    """The same face with each pixel four times."""
    return graph.depth_to_space(graph.concat([face] * 4))


def morphed(graph, face):
    """The face times the input `morph`."""
    return graph.multiply(face, graph.reshape(graph.input("morph", (1,)), (1, 1, 1, 1)))


def grey(graph, face):
    """The same grey everywhere, whatever comes in."""
    return graph.scale(face, 0.0, 128 / 255)


def make_trained(folder, picture=same, crop=("full", "dfl33"), size=SIZE, masks=None, **facts):
    """A model folder. `masks`: {"face_mask" or "celeb_mask": array 0..1 [out, out] that the net gives}."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = Graph(fused=True)
    image = picture(graph, graph.face(size))
    outputs = {name: graph.weight(np.asarray(a, np.float32)[None, None]) for name, a in (masks or {}).items()}
    data = graph.finish(image=image, **outputs)
    (folder / "net.onnx").write_bytes(data)
    tree = {
        "name": folder.name,
        "family": "trained",
        "files": {"onnx": "net.onnx"},
        "facts": {
            "kind": "trained",
            "program": "a test",
            "model": picture.__name__,
            "size": size,
            "out_size": image.shape[-1],
            "crop": list(crop),
            "outputs": ["image", *outputs],
            "morph": picture is morphed,
            **facts,
        },
        "licence": "CC0-1.0",
        "commercial_use": True,
        "source": "a test",
        "sha256": {"net.onnx": hashlib.sha256(data).hexdigest()},
    }
    (folder / "card.json").write_text(json.dumps(tree), encoding="utf-8")
    return folder
