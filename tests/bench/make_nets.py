"""Writes model folders with random weights in the shapes of the field's nets: python tests/bench/make_nets.py OUT.

For `doppelcam bench engines OUT/h64` and the like: what such a net costs on a machine, in fp32 and, made by the
project's own quantiser, in int8. The weights are random: pictures that come out mean nothing.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from engines.card import CARD_FILE, read_card
from engines.errors import ModelError
from export.precision import lower


class Net:
    """Grows a graph node by node."""

    def __init__(self, seed=0):
        self.rng, self.nodes, self.weights = np.random.default_rng(seed), [], []

    def weight(self, *shape):
        fan = np.prod(shape[1:])
        name = f"w{len(self.weights)}"
        values = self.rng.normal(0, np.sqrt(2 / fan), shape).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def add(self, kind, *inputs, **attributes):
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"{kind}{len(self.nodes)}", **attributes))
        return name

    def conv(self, x, cin, cout, kernel, stride=1, slope=0.1):
        before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
        weights = self.weight(cout, cin, kernel, kernel)
        y = self.add("Conv", x, weights, strides=[stride] * 2, pads=[before, before, after, after])
        return y if slope is None else self.add("LeakyRelu", y, alpha=slope)

    def up(self, x, cin, cout):
        return self.add("DepthToSpace", self.conv(x, cin, 4 * cout, 3), blocksize=2, mode="DCR")

    def dense(self, x, rows, columns):
        return self.add("MatMul", x, self.weight(rows, columns))

    def constant(self, values):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def write(self, folder, inputs, outputs):
        kind = TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes, folder.name,
            [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, kind, shape) for name, shape in outputs.items()], self.weights,
        )  # fmt: skip
        data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "net.onnx").write_bytes(data)
        card = {
            "name": folder.name, "family": "bench", "files": {"onnx": "net.onnx"},
            "sha256": {"net.onnx": hashlib.sha256(data).hexdigest()}, "source": "random weights",
            "tolerance": dict.fromkeys(outputs, 1.0),  # so that int8 is timed too: random pictures cannot be wrong
        }  # fmt: skip
        (folder / CARD_FILE).write_text(json.dumps(card))
        return read_card(folder)


def h64(folder):
    """FakeApp's and H64's autoencoder: 64 px, four strided convolutions, two dense layers, four upscales."""
    net = Net()
    x, cin = "face", 3
    for cout in (128, 256, 512, 1024):
        x, cin = net.conv(x, cin, cout, 5, stride=2), cout
    x = net.add("Reshape", x, net.constant([1, 16384]))
    x = net.dense(net.dense(x, 16384, 1024), 1024, 16384)
    x = net.add("Reshape", x, net.constant([1, 1024, 4, 4]))
    for cin, cout in ((1024, 512), (512, 256), (256, 128), (128, 64)):
        x = net.up(x, cin, cout)
    y = net.add("Sigmoid", net.conv(x, 64, 3, 5, slope=None))
    return net.write(folder, {"face": [1, 3, 64, 64]}, {y: [1, 3, 64, 64]})


def student(folder):
    """A small per-identity net: 128 px, a U of depthwise and pointwise convolutions."""
    net = Net()
    x = net.conv("face", 3, 24, 3, stride=2)
    x = net.conv(x, 24, 48, 3, stride=2)
    for _ in range(6):
        x = net.add("Add", x, net.conv(net.conv(x, 48, 24, 1), 24, 48, 3))
    x = net.up(x, 48, 24)
    x = net.up(x, 24, 8)
    y = net.add("Sigmoid", net.conv(x, 8, 3, 3, slope=None))
    return net.write(folder, {"face": [1, 3, 128, 128]}, {y: [1, 3, 128, 128]})


def one_photo(folder):
    """As heavy as the one-photo swappers of 128 px: strided convolutions, residual blocks at 32 x 32, upscales."""
    net = Net()
    x = net.conv("face", 3, 128, 7)
    x = net.conv(net.conv(x, 128, 256, 3, stride=2), 256, 1024, 3, stride=2)
    for _ in range(2):
        x = net.add("Add", x, net.conv(net.conv(x, 1024, 1024, 3), 1024, 1024, 3))
    x = net.up(net.up(x, 1024, 128), 128, 32)
    y = net.add("Sigmoid", net.conv(x, 32, 3, 7, slope=None))
    return net.write(folder, {"face": [1, 3, 128, 128]}, {y: [1, 3, 128, 128]})


def pictures(card, count=16):
    """Smooth random pictures 0..1, as many as a quantiser needs."""
    rng, size = np.random.default_rng(1), {"h64": 64}.get(card.name, 128)
    steps = np.linspace(0, 1, size, dtype=np.float32)
    feeds = []
    for _ in range(count):
        waves = [np.sin(steps * rng.uniform(2, 12) + rng.uniform(0, 6)) for _ in range(6)]
        image = np.stack([np.outer(waves[2 * c], waves[2 * c + 1]) for c in range(3)]) / 2 + 0.5
        feeds.append({"face": image[None].astype(np.float32)})
    return feeds


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for make in (h64, student, one_photo):
        made = make(Path(sys.argv[1]) / make.__name__)
        try:
            done = lower(made, "int8", pictures(made))
            sys.stdout.write(f"{made.name}: int8 by {done.how}, PSNR {done.verdict.psnr_db:.1f} dB\n")
        except ModelError as error:
            sys.stdout.write(f"{error.message}\n")
