"""What tests of readers share: run a net in ONNX Runtime, put it together wrongly, damage a checkpoint."""

from __future__ import annotations

import shutil
from itertools import combinations

import h5py
import numpy as np
import onnxruntime

from export.graph import Graph

TOLERANCE = 5e-5  # of floats against the original program
WRONG = 0.02  # a net that was put together wrongly is further off than this


def run(trained, face, **feeds):
    """The outputs in floats for a face [R, R, 3], 0..1 (and a morph): image [R, R, 3], masks [R, R]."""
    answers = _run(trained, Graph(), face.transpose(2, 0, 1)[None], feeds)
    return {name: array[0, 0] if "mask" in name else array[0].transpose(1, 2, 0) for name, array in answers.items()}


def run_bytes(trained, face, **feeds):
    """The outputs of the fused form in bytes, for a face in bytes."""
    return _run(trained, Graph(fused=True), face, feeds)


def worst(answers, wanted):
    """The largest difference of any output."""
    assert answers.keys() == wanted.keys()
    assert all(answers[name].shape == wanted[name].shape for name in wanted)
    return max(float(np.abs(answers[name].astype(np.float64) - wanted[name]).max()) for name in wanted)


def _run(trained, graph, face, feeds):
    model = graph.finish(**trained.build(graph))
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"face": np.ascontiguousarray(face), **feeds}), strict=True))


def save_layers(path, layers):
    """Writes layers in the layout of Keras' save_weights."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            held = {"kernel": layer.kernel, "bias": layer.bias}
            weights = {f"{layer.name}/{what}:0": array for what, array in held.items() if array is not None}
            group.attrs["weight_names"] = list(weights) or np.array([], "S1")
            for name, array in weights.items():
                group[name] = array


def damage(folder, work):
    """Copies of a model's folder with one file cut short or gone, or two files in each other's place.

    Gives (folder, what was done, names of the files that it was done to).
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in (".h5", ".npy", ".dat"))
    shutil.copytree(folder, work)
    for path in files:
        at, whole = work / path.name, path.read_bytes()
        for size in (0, 7, len(whole) // 3, len(whole) - 1):
            at.write_bytes(whole[:size])
            yield work, f"{path.name} cut to {size} bytes", {path.name}
        at.unlink()
        yield work, f"{path.name} gone", {path.name}
        at.write_bytes(whole)
    for first, second in combinations(files, 2):
        (work / first.name).write_bytes(second.read_bytes())
        (work / second.name).write_bytes(first.read_bytes())
        yield work, f"{first.name} and {second.name} swapped", {first.name, second.name}
        (work / first.name).write_bytes(first.read_bytes())
        (work / second.name).write_bytes(second.read_bytes())


def build_wrongly(patch, how):
    """Makes Graph put nets together in one of the ways that are wrong for most families."""
    conv, flatten, unflatten = Graph.conv, Graph.flatten, Graph.unflatten

    def channel_first(graph, x, block=2):
        shape = (1, x.shape[1] // block**2, x.shape[2] * block, x.shape[3] * block)
        return graph.node("DepthToSpace", [x], shape, blocksize=block, mode="CRD")

    def padded_alike(graph, x, kernel, bias=None, **more):
        return conv(graph, x, kernel, bias, **more | {"pad": kernel.shape[0] // 2})

    def padded_behind(graph, x, kernel, bias=None, **more):
        return conv(graph, x, kernel, bias, **more | {"pad": "same"})

    changes = {
        "sub-pixels channel first": {"depth_to_space": channel_first},
        "padded alike": {"conv": padded_alike},
        "padded by TensorFlow's rule": {"conv": padded_behind},
        "dense in CHW": {
            "flatten": lambda graph, x, order: flatten(graph, x, "CHW"),
            "unflatten": lambda graph, x, channels, size, order: unflatten(graph, x, channels, size, "CHW"),
        },
    }
    for name, wrong in changes[how].items():
        patch.setattr(Graph, name, wrong)
