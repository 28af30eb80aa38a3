"""Small Keras 2 models for tests, written without Keras: layers as JSON, and a file with their weights."""

from __future__ import annotations

import json

import h5py
import numpy as np


def layer(kind, name, *inbound, **config):
    """One layer, used once, fed with the first output of each layer in `inbound`."""
    calls = [[[other, 0, 0, {}] for other in inbound]] if inbound else []
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": calls}


def start(*shape, name="face"):
    return layer("InputLayer", name, batch_input_shape=[None, *shape])


def model(layers, out, name="net", inputs=("face",)):
    config = {
        "name": name, "layers": layers,
        "input_layers": [[name, 0, 0] for name in inputs], "output_layers": [[out, 0, 0]],
    }  # fmt: skip
    return {"class_name": "Functional", "config": config}


def nested(description, name, *inbound):
    """A model as a layer of another; its outputs are numbered from 1 then."""
    return {**layer("Functional", name, *inbound), "config": description["config"]}


def save(path, description, weights=None, version="2.12.0"):
    """`weights`: {"conv": {"kernel": array}} by layer; {"encoder": {"conv/kernel": array}} for those in a model."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version
        file.attrs["model_config"] = description if isinstance(description, str) else json.dumps(description)
        groups = file.create_group("model_weights")
        for top, held in (weights or {}).items():
            group = groups.create_group(top)
            names = [f"{name if '/' in name else f'{top}/{name}'}:0" for name in held]
            group.attrs["weight_names"] = names
            for name, array in zip(names, held.values(), strict=True):
                group[name] = np.asarray(array)
    return path
