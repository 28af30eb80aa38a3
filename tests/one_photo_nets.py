"""Contract models: small ONNX files that take and give exactly what the public one-photo models and their helpers do.

Their weights are random, or such that the net gives back what it takes: then the swap must give back the camera's
picture. `python tests/one_photo_nets.py FOLDER` writes all of them, to be added with `doppelcam models add`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# File name -> (side, template, mean and std of what it takes, what it gives, the source's shape, gives a mask)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PLAIN, HALF = ((0.0,) * 3, (1.0,) * 3), ((0.5,) * 3, (0.5,) * 3)
VECTOR = (1, 512)
SWAPPERS = {
    "inswapper_128.onnx": (128, PLAIN, "0..1", VECTOR, False),
    "simswap_224.onnx": (224, PLAIN, "0..1", VECTOR, False),
    "simswap_256.onnx": (256, IMAGENET, "0..1", VECTOR, False),
    "simswap_unofficial_512.onnx": (512, PLAIN, "0..1", VECTOR, False),
    "ghost_1_256.onnx": (256, HALF, "-1..1", VECTOR, False),
    "hyperswap_1a_256.onnx": (256, HALF, "-1..1", VECTOR, True),
    "hififace_unofficial_256.onnx": (256, HALF, "-1..1", VECTOR, True),
    "blendswap_256.onnx": (256, PLAIN, "0..1", (1, 3, 112, 112), False),
    "uniface_256.onnx": (256, HALF, "-1..1", (1, 3, 256, 256), False),
}
CONVERTERS = ("crossface_simswap.onnx", "crossface_ghost.onnx", "crossface_hififace.onnx")
ENHANCERS = {"gfpgan_1.4.onnx": (), "codeformer.onnx": (1,)}  # and the shape of a second input
RECOGNISER = "arcface_w600k_r50.onnx"
DETECTORS = {"scrfd_2.5g.onnx": "scrfd", "scrfd_10g.onnx": "scrfd", "yunet_2023mar.onnx": "yunet"}


class Net:
    """Grows a graph; each step gives the name of what it made."""

    def __init__(self, seed=0):
        self.nodes, self.weights, self.dice = [], [], np.random.default_rng(seed)

    def weight(self, array, name=None):
        name = name or f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def floats(self, array):
        return self.weight(np.asarray(array, np.float32))

    def do(self, kind, *inputs, out=None, **more):
        out = out or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **more))
        return out

    def random(self, *shape):
        return self.floats(self.dice.normal(0, 1, shape) / np.sqrt(np.prod(shape[1:])))

    def conv(self, x, cin, cout, kernel=3, stride=1):
        pad = kernel // 2
        return self.do(
            "Conv", x, self.random(cout, cin, kernel, kernel), strides=[stride] * 2, pads=[pad] * 4,
            kernel_shape=[kernel] * 2,
        )  # fmt: skip

    def bytes(self, inputs, outputs, half=False, doubles=()):
        kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        ports = [
            [
                helper.make_tensor_value_info(n, TensorProto.DOUBLE if n in doubles else kind, [x or "N" for x in s])
                for n, s in side.items()
            ]
            for side in (inputs, outputs)
        ]
        graph = helper.make_graph(self.nodes, "net", *ports, initializer=self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model)
        return model.SerializeToString()


@cache
def emap():
    """A turn in 512 dimensions."""
    return np.linalg.qr(np.random.default_rng(512).normal(0, 1, (512, 512)))[0].astype(np.float32)


def swapper(file_name, kind="random", seed=0):
    """The bytes of one of SWAPPERS. `kind`: "random"; "same": gives back the picture that it takes; "tint": the same
    with little blue and green; "nan", "black": what a broken net gives; "id": brighter by the first number of the
    source, if that is a vector.
    """
    size, (mean, std), gives, source, mask = SWAPPERS[file_name]
    net = Net(seed)
    pixels = net.do(
        "Add", net.do("Mul", "target", net.floats(np.reshape(std, (1, 3, 1, 1)))),
        net.floats(np.reshape(mean, (1, 3, 1, 1))),
    )  # fmt: skip
    told = net.do("ReduceMean", "source", axes=[*range(1, len(source))], keepdims=0)  # [1]
    nothing = net.do("Reshape", net.do("Mul", told, net.floats([0.0])), net.weight(np.array([1, 1, 1, 1], np.int64)))
    if kind == "random":
        style = net.do("Reshape", told, net.weight(np.array([1, 1, 1, 1], np.int64)))
        deep = net.do("Relu", net.do("Add", net.conv("target", 3, 8, stride=2), style))
        if "ghost" in file_name:  # by this public ghost nets are told from simswap's
            wide = net.do("ConvTranspose", deep, net.random(8, 8, 2, 2), strides=[2, 2], kernel_shape=[2, 2])
        else:
            scales = net.floats([1, 1, 2, 2])
            wide = net.do("Resize", deep, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")
        drawn = net.do("Sigmoid", net.conv(wide, 8, 3))
    elif kind == "tint":
        drawn = net.do("Mul", pixels, net.floats(np.reshape((1.0, 0.5, 0.3), (1, 3, 1, 1))))
    elif kind == "black":
        drawn = net.do("Mul", pixels, net.floats([0.0]))
    elif kind == "nan":
        drawn = net.do("Div", pixels, net.do("Mul", pixels, net.floats([0.0])))
    elif kind == "id":
        first = net.do("Slice", "source", *(net.weight(np.array([n], np.int64)) for n in (0, 1, 1)))
        first = net.do("Mul", first, net.floats([9.0]))
        drawn = net.do("Add", pixels, net.do("Reshape", first, net.weight(np.array([1, 1, 1, 1], np.int64))))
    else:
        drawn = pixels
    if "ghost" in file_name and kind != "random":
        one = net.floats(np.eye(3).reshape(3, 3, 1, 1))
        drawn = net.do("ConvTranspose", drawn, one, kernel_shape=[1, 1])
    if gives == "-1..1":
        drawn = net.do("Sub", net.do("Mul", drawn, net.floats([2.0])), net.floats([1.0]))
    net.do("Add", drawn, nothing, out="output")
    outputs = {"output": (1, 3, size, size)}
    if mask:
        grey = net.do("ReduceMean", pixels, axes=[1], keepdims=1)
        net.do("Add", net.do("Mul", grey, net.floats([0.0])), net.floats([1.0]), out="mask")
        outputs["mask"] = (1, 1, size, size)
    if "inswapper" in file_name:
        net.weight(emap(), "emap")  # no operator takes it
    inputs = {"target": (1, 3, size, size), "source": source}
    if "uniface" in file_name:
        inputs = dict(reversed(inputs.items()))
    return net.bytes(inputs, outputs)


def enhancer(file_name="gfpgan_1.4.onnx", kind="sharp"):
    """`kind`: "sharp": twice as far from the mean of its surroundings; "same": what it takes; "bright": lighter by 20
    levels, times the second input if there is one; "nan": no numbers.
    """
    net, inputs = Net(), {"input": (1, 3, 512, 512)}
    weight = net.floats([1.0])
    doubles = ()
    if ENHANCERS[file_name]:
        inputs["weight"], doubles = ENHANCERS[file_name], ("weight",)
        weight = net.do("Cast", "weight", to=TensorProto.FLOAT)
    drawn = net.do("Mul", "input", net.do("Mul", weight, net.floats([0.0]))) if kind == "nan" else "input"
    if kind == "nan":
        drawn = net.do("Div", drawn, drawn)
    elif kind == "sharp":
        soft = net.do("AveragePool", "input", kernel_shape=[5, 5], pads=[2] * 4)
        drawn = net.do("Sub", net.do("Mul", "input", net.floats([2.0])), soft)
    elif kind == "bright":
        drawn = net.do("Add", "input", net.do("Mul", weight, net.floats([20 / 127.5])))
    net.do("Add", drawn, net.do("Mul", weight, net.floats([0.0])), out="output")
    return net.bytes(inputs, {"output": (1, 3, 512, 512)}, doubles=doubles)


def converter():
    """512 numbers in, twice the same out."""
    net = Net()
    net.do("Mul", "input", net.floats([2.0]), out="output")
    return net.bytes({"input": VECTOR}, {"output": VECTOR})


def recogniser(seed=1, open_batch=False):
    """A vector of the colours in each of 16 x 16 cells of the face, turned at random: enough to tell pictures apart."""
    net = Net(seed)
    cells = net.do("AveragePool", "input.1", kernel_shape=[7, 7], strides=[7, 7])
    flat = net.do("Reshape", cells, net.weight(np.array([1, 768], np.int64)))
    centred = net.do("Sub", flat, net.do("ReduceMean", flat, axes=[1], keepdims=1))
    net.do("MatMul", centred, net.random(768, 512), out="683")
    return net.bytes({"input.1": (None if open_batch else 1, 3, 112, 112)}, {"683": VECTOR})


def detector(family, faces=(), size=640, noise=0.0):
    """A SCRFD or YuNet that finds `faces` [(x0, y0, x1, y1, points [5, 2], score)], in pixels of its input, whatever
    it looks at; each at the cell of stride 16 in which its middle lies.
    """
    net, dice = Net(), np.random.default_rng(5)
    nothing = net.do("Mul", net.do("ReduceMean", "input.1" if family == "scrfd" else "input", keepdims=0),
                     net.floats(0.0))  # fmt: skip
    anchors = 2 if family == "scrfd" else 1
    outputs = {}
    for k, stride in enumerate((8, 16, 32)):
        n = size // stride
        rows = n * n * anchors
        score, box, points = np.zeros((rows, 1)), np.zeros((rows, 4)), np.zeros((rows, 10))
        box += dice.normal(0, noise, box.shape)
        for x0, y0, x1, y1, at, likely in faces if stride == 16 else ():
            column, row = int((x0 + x1) / 2 // stride), int((y0 + y1) / 2 // stride)
            i, corner = (row * n + column) * anchors, np.array([column, row]) * stride
            score[i] = likely
            points[i] = ((np.asarray(at) - corner) / stride).ravel()
            if family == "scrfd":
                box[i] = np.array([corner[0] - x0, corner[1] - y0, x1 - corner[0], y1 - corner[1]]) / stride
            else:
                middle = (np.array([x0 + x1, y0 + y1]) / 2 - corner) / stride
                box[i] = [*middle, *np.log([(x1 - x0) / stride, (y1 - y0) / stride])]
        if family == "scrfd":
            names = {str(448 + 23 * k): score, str(451 + 23 * k): box, str(454 + 23 * k): points}
        else:
            names = {f"cls_{stride}": score, f"obj_{stride}": score, f"bbox_{stride}": box, f"kps_{stride}": points}
        for name, values in names.items():
            values = values if family == "scrfd" else values[None]
            net.do("Add", net.floats(values), nothing, out=name)
            outputs[name] = values.shape
    return net.bytes({"input.1" if family == "scrfd" else "input": (1, 3, size, size)}, outputs)


def all_nets(kind="random"):
    """{file name: bytes} of everything a one-photo swap may need."""
    nets = {name: swapper(name, kind) for name in SWAPPERS}
    return {**nets, **{name: converter() for name in CONVERTERS}, RECOGNISER: recogniser(),
            **{name: enhancer(name) for name in ENHANCERS},
            **{name: detector(family) for name, family in DETECTORS.items()}}  # fmt: skip


def make_model(folder, file_name, data, family=""):
    """A model folder as `doppelcam models add` makes it, without the look in quarantine."""
    from engines.quarantine.onnx_file import read_onnx
    from live.families import EMAP_FILE
    from live.foreign import card_of, emap_of, recognise, signature_of

    folder.mkdir(parents=True)
    file = folder / file_name
    file.write_bytes(data)
    what, facts = recognise(signature_of(read_onnx(file)), file_name, family=family)
    sha256 = {file_name: hashlib.sha256(data).hexdigest()}
    if facts.get("emap") == EMAP_FILE:
        (folder / EMAP_FILE).write_bytes(emap_of(file))
        sha256[EMAP_FILE] = hashlib.sha256((folder / EMAP_FILE).read_bytes()).hexdigest()
    tree = {**card_of(what, facts, file, sha256[file_name]), "name": folder.name, "sha256": sha256}
    (folder / "card.json").write_text(json.dumps(tree), encoding="utf-8")
    return folder


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for file_name, data in all_nets().items():
        (folder / file_name).write_bytes(data)
        print(folder / file_name)  # noqa: T201
