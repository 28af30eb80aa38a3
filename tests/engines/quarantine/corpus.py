"""Makes model files that must be refused, each with the words that its refusal must hold."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from engines import quarantine
from engines.card import ModelCard
from engines.errors import ModelError

FLOAT = TensorProto.FLOAT
Make = Callable[[Path], None]
CASES: dict[str, tuple[str, Make]] = {}  # name -> (a regular expression, writes the file)


def malformed(words: str) -> Callable[[Callable], Callable]:
    """Put a function into CASES: it writes the file itself, or gives the bytes or the model to write."""

    def put(function: Callable) -> Callable:
        def write(path: Path) -> None:
            made = function(path) if function.__code__.co_argcount else function()
            if made is not None:
                path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())

        CASES[function.__name__] = (words, write)
        return function

    return put


def model(nodes=None, weights=(), inputs=None, outputs=None, opset=17, values=(), **more):
    """y = image * gain, or what is given instead."""
    weights = weights or [numpy_helper.from_array(np.full(4, 2, np.float32), "gain")]
    graph = helper.make_graph(
        nodes or [helper.make_node("Mul", ["image", "gain"], ["y"], name="times")],
        "graph",
        inputs if inputs is not None else [port("image", [1, 4])],
        outputs if outputs is not None else [port("y", [1, 4])],
        weights,
        value_info=list(values),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **more)


def port(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def tensor(dims, name="gain", raw=b"", kind=FLOAT, **fields):
    made = TensorProto(name=name, data_type=kind, dims=dims, **fields)
    if raw:
        made.raw_data = raw
    return made


def outside(location, **more):
    """A model that keeps its weights in another file."""
    made = tensor([4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        made.external_data.add(key=key, value=str(value))
    return model(weights=[made])


def nested(depth):
    """If inside If inside If ..."""
    inner = helper.make_graph([helper.make_node("Identity", ["image"], ["out"])], "g", [], [port("out", [1, 4])])
    for _ in range(depth):
        node = helper.make_node("If", ["yes"], ["out"], then_branch=inner, else_branch=inner)
        inner = helper.make_graph([node], "g", [], [port("out", [1, 4])])
        del inner.node[0].attribute[1]  # twice the same would double the file with each step
    yes = numpy_helper.from_array(np.array(True), "yes")
    return model([*inner.node, helper.make_node("Identity", ["out"], ["y"])], [yes])


def refuse_all(folder: Path) -> dict:
    """Each case through `admit`, as a model folder of its own: its refusal, and what it took in all.

    Run in a process of its own: the peak of its children counts what their parent held when it started them.
    """

    def refused(name: str) -> str:
        where = folder / name
        where.mkdir()
        CASES[name][1](where / "model.onnx")
        try:
            quarantine.admit(ModelCard(where, name, "test", {"onnx": "model.onnx"}, {}, "", False, "", {}))
        except ModelError as error:
            return error.message
        except Exception as error:
            return f"WRONG ERROR: {error!r}"
        return "ADMITTED"

    began = time.monotonic()
    quick = [name for name in CASES if name != "hung"]
    with ThreadPoolExecutor(2) as pool:
        refusals = dict(zip(quick, pool.map(refused, quick), strict=True))
    quarantine.SECONDS = 3.0  # which "hung" waits for
    refusals["hung"] = refused("hung")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return {"refusals": refusals, "peak_bytes": peak, "seconds": time.monotonic() - began}


# ------------------------------------------------------------------------------------------- not an ONNX file at all


@malformed("is empty")
def empty():
    return b""


@malformed("git-lfs pointer, not the model")
def lfs_pointer():
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a" * 16 + b"\nsize 553707520\n"


@malformed("web page, not the model")
def web_page():
    return b"\r\n<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>"


@malformed("is text, not an ONNX model")
def text():
    return "import os\nprint('a scrïpt')\n".encode()


@malformed("zip archive")
def zip_bomb():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as held:
        held.writestr("model.onnx", bytes(64 << 20))
    return out.getvalue()


@malformed("gzip archive")
def gzip_bomb():
    return gzip.compress(bytes(64 << 20))


@malformed("tar archive")
def tar():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as held:
        held.addfile(tarfile.TarInfo("model.onnx"), io.BytesIO())
    return out.getvalue()


@malformed("a Python pickle")
def pickle():
    return b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."


@malformed("HDF5")
def hdf5():
    return b"\x89HDF\r\n\x1a\n" + bytes(100)


@malformed("safetensors")
def safetensors():
    return (64).to_bytes(8, "little") + b'{"w": {"dtype": "F32"}}' + bytes(41)


@malformed("TFLite")
def tflite():
    return b"\x1c\x00\x00\x00TFL3" + bytes(40)


@malformed("is a directory")
def directory(path):
    path.mkdir()


@malformed("is a pipe")
def pipe(path):
    os.mkfifo(path)


@malformed("is a link")
def link_to_a_good_model(path):
    good = path.with_name("elsewhere.onnx")
    good.write_bytes(model().SerializeToString())
    path.symlink_to(good)


@malformed("is a link")
def link_to_a_device(path):
    path.symlink_to("/dev/zero")


@malformed("is a link")
def link_to_itself(path):
    path.symlink_to(path)


@malformed("cannot be read: No such file")
def nothing(path):
    pass


@malformed(r"has 8590 MB; the limit is 1074 MB")
def eight_gigabytes(path):
    with path.open("wb") as file:
        file.write(model().SerializeToString())
        file.truncate(8 << 30)  # with a hole: it takes no room on the disk


# ------------------------------------------------------------------------------------------------- damaged protobuf


@malformed("damaged|cut short")
def noise():
    return b"\x08" + np.random.default_rng(7).bytes(4096)


@malformed("cut short or damaged")
def truncated():
    return model().SerializeToString()[:-20]


@malformed("damaged or not ONNX")
def zeros():
    return b"\x08\x08" + bytes(1000)


@malformed("it has no graph")
def only_a_version():
    return b"\x08\x08"


@malformed("cut short or damaged: a part ends after")
def a_length_of_two_to_the_62():
    return b"\x08\x08\x3a" + b"\xff" * 8 + b"\x3f"


@malformed("cut short or damaged: it ends within a number")
def a_number_without_end():
    return b"\x08" + b"\xff" * 4000


@malformed("more than 34 MB besides its weights")
def forty_megabytes_of_words():
    return model(doc_string="lorem ipsum " * 3_500_000)


@malformed("more than 500,000 parts")
def millions_of_empty_nodes():
    body = b"\x0a\x00" * 3_000_000
    return b"\x08\x08\x3a" + varint(len(body)) + body


@malformed(r"takes more than [0-9]+ MB of memory|loading it crashes \(SIGSEGV\)")  # protobuf 7, and 6
def sixteen_million_empty_parts_of_one_part():
    body = b"\x22\x00" * 16_000_000  # the metadata of a value: two bytes here, a hundred in memory
    body = b"\x6a" + varint(len(body)) + body
    return b"\x08\x08\x3a" + varint(len(body)) + body


@malformed("is no text")
def names_that_are_no_text():
    return model().SerializeToString().replace(b"gain", b"\xff\xfe\xfd\xfc")


@malformed("nested more than 8 deep")
def graphs_in_graphs_in_graphs():
    return nested(12)


@malformed("nested more than 8 deep")
def parts_in_parts_500_deep():
    body = b""
    for _ in range(500):
        for tag in (b"\x32", b"\x2a", b"\x0a"):  # an attribute's graph, a node's attribute, a graph's node
            body = tag + varint(len(body)) + body
    return b"\x08\x08\x3a" + varint(len(body)) + body


def varint(value):
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


# ---------------------------------------------------------------------------------------------------- external data


@malformed("kept in another file")
def weights_in_a_parent_folder():
    return outside("../../../../etc/passwd")


@malformed("kept in another file")
def weights_at_an_absolute_path():
    return outside("/etc/shadow", offset=0, length=16)


@malformed("kept in another file")
def weights_in_the_model_itself():
    return outside("model.onnx", offset=0, length=16)


@malformed("kept in another file")
def weights_beyond_the_end_of_a_file(path):
    path.with_name("weights.bin").write_bytes(bytes(16))
    path.write_bytes(outside("weights.bin", offset=1 << 62, length=1 << 40).SerializeToString())


@malformed("kept in another file")
def weights_behind_a_link(path):
    path.with_name("weights.bin").symlink_to("/dev/zero")
    path.write_bytes(outside("weights.bin").SerializeToString())


@malformed("kept in another file")
def weights_elsewhere_in_a_constant():
    value = outside("../secret").graph.initializer[0]
    return model([helper.make_node("Constant", [], ["y"], value=value)], outputs=[port("y", [4])])


# ---------------------------------------------------------------------------------- tensors that are not what they say


@malformed("declared as float32 4, but 2 numbers are there")
def fewer_bytes_than_declared():
    return model(weights=[tensor([4], raw=bytes(8))])


@malformed("declared as float32 2, but 4 numbers are there")
def more_bytes_than_declared():
    return model(weights=[tensor([2], raw=bytes(16))])


@malformed("but 0 numbers are there")
def weights_without_numbers():
    return model(weights=[tensor([4])])


@malformed("has 15 bytes, which is no number of float32")
def half_a_number():
    return model(weights=[tensor([4], raw=bytes(15))])


@malformed("declared as float32 1099511627776x1099511627776, but")
def dims_that_overflow_64_bits():
    return model(weights=[tensor([1 << 40, 1 << 40], raw=bytes(16))])


@malformed("has a negative size")
def negative_dims():
    return model(weights=[tensor([-2, -2], raw=bytes(16))])


@malformed("has a negative size")
def a_negative_input():
    return model(inputs=[port("image", [1, -4])])


@malformed("has 2000 dimensions")
def two_thousand_dims():
    return model(weights=[tensor([1] * 2000, raw=bytes(4))])


@malformed("are not stored as float32")
def numbers_in_the_wrong_field():
    return model(weights=[tensor([4], int64_data=[1, 2, 3, 4])])


@malformed("come in several pieces")
def numbers_twice():
    return model(weights=[tensor([4], raw=bytes(16), float_data=[1, 2, 3, 4])])


@malformed("is of the type number 99")
def a_type_that_does_not_exist():
    return model(weights=[tensor([4], raw=bytes(16), kind=99)])


@malformed("is of the type STRING")
def weights_of_text():
    return model(weights=[tensor([1], kind=TensorProto.STRING, string_data=[b"x"])])


@malformed("sparse weights")
def sparse_weights():
    made = model()
    sparse = made.graph.sparse_initializer.add()
    sparse.dims.append(1 << 50)
    return made


@malformed(r"needs \d+ MB of memory or more; the limit is 3221 MB")
def an_input_of_a_terabyte():
    return model(inputs=[port("image", [1 << 20, 1 << 18])])


@malformed(r"needs \d+ MB of memory or more; the limit is 3221 MB")
def a_middle_of_a_petabyte():
    return model(values=[port("middle", [1 << 24, 1 << 24])])


# ------------------------------------------------------------------------------------------------- graphs out of order


@malformed("nodes form a cycle")
def a_cycle_beside_900_megabytes(path):
    """The weights are a hole at the end of the file, which takes no room on the disk."""
    size = 900 << 20
    weights = tensor([size // 4]).SerializeToString() + b"\x4a" + varint(size)
    graph = a_cycle().graph
    del graph.initializer[:]
    head = graph.SerializeToString() + b"\x2a" + varint(len(weights) + size) + weights
    made = model()
    made.ClearField("graph")
    with path.open("wb") as file:
        file.write(made.SerializeToString() + b"\x3a" + varint(len(head) + size) + head)
        file.truncate(file.tell() + size)


@malformed("nodes form a cycle")
def a_cycle():
    return model([helper.make_node("Add", ["image", "a"], ["b"]), helper.make_node("Neg", ["b"], ["a"])])


@malformed("nodes form a cycle")
def a_node_that_feeds_itself():
    return model([helper.make_node("Add", ["y", "image"], ["y"])])


@malformed("cannot load model|cycle")
def a_branch_that_uses_what_its_own_if_makes():
    inner = helper.make_graph([helper.make_node("Neg", ["y"], ["out"])], "g", [], [port("out", [1, 4])])
    node = helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)
    return model([node], [numpy_helper.from_array(np.array(True), "yes")])


@malformed("uses 'nowhere', which nothing makes")
def an_input_that_nothing_makes():
    return model([helper.make_node("Neg", ["nowhere"], ["y"])])


@malformed("nothing makes its output 'z'")
def an_output_that_nothing_makes():
    return model(outputs=[port("z", [1, 4])])


@malformed("the name 'y' is given twice")
def two_nodes_make_the_same():
    return model([helper.make_node("Neg", ["image"], ["y"]), helper.make_node("Abs", ["image"], ["y"])])


@malformed("the name 'gain' is given twice")
def two_weights_of_one_name():
    return model(weights=[tensor([4], raw=bytes(16))] * 2)


@malformed("has 0 outputs")
def no_outputs():
    return model(outputs=[])


@malformed("has 200 inputs")
def two_hundred_inputs():
    return model(inputs=[port("image", [1, 4]), *(port(f"more{k}", [1]) for k in range(199))])


@malformed("has more than 20,000 nodes")
def thirty_thousand_nodes():
    names = ["image", *(f"n{k}" for k in range(29_999)), "y"]
    return model([helper.make_node("Neg", [a], [b]) for a, b in pairwise(names)])


@malformed("has 5000 letters")
def a_name_of_five_thousand_letters():
    return model(weights=[tensor([4], name="g" * 5000, raw=bytes(16))])


# --------------------------------------------------------------------------------------------- operators, opsets, kinds


@malformed("of the domain 'com.stranger'")
def an_operator_of_a_stranger():
    return model([helper.make_node("Run", ["image"], ["y"], domain="com.stranger")])


@malformed("no such operator is known in com.microsoft")
def an_operator_of_microsoft_that_is_not_needed():
    return model([helper.make_node("Tokenizer", ["image"], ["y"], domain="com.microsoft")])


@malformed("no such operator is known in ai.onnx")
def an_operator_that_does_not_exist():
    return model([helper.make_node("Frobnicate", ["image"], ["y"])])


@malformed("of the domain 'com.stranger'")
def a_foreign_operator_inside_an_if():
    node = helper.make_node("Run", ["image"], ["out"], domain="com.stranger")
    branch = helper.make_graph([node], "g", [], [port("out", [1, 4])])
    made = helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)
    return model([made], [numpy_helper.from_array(np.array(True), "yes")])


@malformed("written for opset 4000")
def an_opset_of_the_future():
    return model(opset=4000)


@malformed("does not say which opset")
def no_opset():
    made = model()
    del made.opset_import[:]
    return made


@malformed("operators of its own")
def functions_that_call_themselves():
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    node = helper.make_node("Again", ["a"], ["b"], domain="own")
    again = helper.make_function("own", "Again", ["a"], ["b"], [node, node], imports)
    return model([helper.make_node("Again", ["image"], ["y"], domain="own")], functions=[again])


@malformed("should be a tensor, its type is sequence_type")
def a_sequence_for_input():
    return model(inputs=[helper.make_tensor_sequence_value_info("image", FLOAT, [1, 4])])


# ------------------------------------------------------------------------- what only shows when it is loaded, and run


@malformed("cannot load model")
def types_that_do_not_fit():
    return model(inputs=[port("image", [1, 4], TensorProto.INT64)])


@malformed("cannot load model")
def shapes_that_do_not_fit():
    return model(weights=[tensor([3], raw=bytes(12))])


@malformed("cannot load model")
def an_attribute_of_the_wrong_type():
    return model([helper.make_node("Softmax", ["image"], ["y"], axis="left")])


@malformed("static shapes are needed")
def a_shape_that_is_open():
    return model(inputs=[port("image", ["n", 4])], outputs=[port("y", ["n", 4])])


@malformed("takes more than .* MB of memory")
def sixteen_gigabytes_made_of_four_numbers():
    size = numpy_helper.from_array(np.array([1 << 16, 1 << 16], np.int64), "size")
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["much"]),
        helper.make_node("ReduceMax", ["much"], ["most"], keepdims=0),
        helper.make_node("Add", ["image", "most"], ["y"]),
    ]
    return model(nodes, [size])


@malformed("takes more than .* MB of memory")
def a_dozen_times_100_megabytes():
    sizes = [numpy_helper.from_array(np.array([25_000_000 + k], np.int64), f"size{k}") for k in range(12)]
    nodes = [helper.make_node("Expand", ["image", f"size{k}"], [f"part{k}"]) for k in range(12)]
    nodes.append(helper.make_node("Concat", [f"part{k}" for k in range(12)], ["all"], axis=0))
    nodes.append(helper.make_node("ReduceMax", ["all"], ["y"], keepdims=0))
    return model(nodes, sizes, inputs=[port("image", [1])], outputs=[port("y", [])])


@malformed("takes more than .* MB of memory")
def a_sum_that_needs_64_gigabytes():
    nodes = [
        helper.make_node("Transpose", ["image"], ["up"], perm=[1, 0]),
        helper.make_node("Add", ["image", "up"], ["square"]),
        helper.make_node("ReduceSum", ["square"], ["y"]),
    ]
    return model(nodes, inputs=[port("image", [1, 1 << 17])], outputs=[port("y", [1, 1])])


@malformed("takes more than [0-9]+ seconds|takes too long")
def hung():
    """A loop of 2^62 turns."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Neg", ["x"], ["out"])],
        "body",
        [port("turn", [], TensorProto.INT64), port("go", [], TensorProto.BOOL), port("x", [1, 4])],
        [port("on", [], TensorProto.BOOL), port("out", [1, 4])],
    )
    turns = numpy_helper.from_array(np.array(1 << 62, np.int64), "turns")
    return model([helper.make_node("Loop", ["turns", "", "image"], ["y"], body=body)], [turns])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(refuse_all(Path(sys.argv[1]))))
