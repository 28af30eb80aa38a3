"""Chains of layers: how they are told apart and wired. The readers' tests hold them against the original programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import ModelError
from export.graph import Shapes
from export.keras_chain import face_size, lanes, out_size, picture, split, walk
from export.keras_weights import Layer

FILE = Path("net.h5")


def layer(name, *shape):
    kernel = np.zeros(shape, np.float32) if shape else None
    return Layer(FILE, name, name.rsplit("_", 1)[0], kernel)


def through(layers, shape, **how):
    graph = Shapes()
    return walk(graph, graph.input("x", shape), layers, **how).shape


def test_shapes_follow_the_layers():
    up = [layer("conv2d_1", 3, 3, 4, 8), layer("leaky_re_lu_1"), layer("pixel_shuffler_1")]
    assert through(up, (1, 4, 8, 8)) == (1, 2, 16, 16)
    block = [layer("conv2d_2", 3, 3, 2, 2), layer("add_1"), layer("leaky_re_lu_2")]
    assert through([*up, *block], (1, 4, 8, 8)) == (1, 2, 16, 16)
    code = [layer("flatten_1"), layer("dense_1", 256, 18), layer("reshape_1"), layer("conv2d_3", 3, 3, 2, 8)]
    assert through(code, (1, 4, 8, 8)) == (1, 8, 3, 3)
    assert through(code[:3], (1, 4, 8, 8), channels=2) == (1, 2, 3, 3)
    assert through([layer("conv2d_4", 5, 5, 4, 6)], (1, 4, 8, 8), stride=2) == (1, 6, 4, 4)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([layer("p_re_lu_1")], "p_re_lu_1: layers of this kind are not supported"),
        ([layer("zero_padding2d_1"), layer("leaky_re_lu_1")], "zero_padding2d_1: layers of this kind"),
        ([layer("conv2d_1", 3, 3, 5, 8)], "conv2d_1: a kernel of shape .* meets 4 channels"),
        ([layer("conv2d_1", 3, 3, 4, 6), layer("add_1")], r"add_1: nothing before it has the shape \[1, 6, 8, 8\]"),
        ([layer("pixel_shuffler_1"), layer("pixel_shuffler_2")], "pixel_shuffler_2: 1 channels"),
        ([layer("flatten_1"), layer("reshape_1")], "reshape_1: "),
        ([layer("dense_1", 4, 4)], "dense_1: a dense kernel"),
    ],
)
def test_what_does_not_fit_names_file_and_layer(layers, words):
    with pytest.raises(ModelError, match=rf"^net\.h5: {words}"):
        through(layers, (1, 4, 8, 8))


def test_branches_are_taken_apart():
    names = ["input_1", "conv2d_1", "conv2d_3", "leaky_re_lu_1", "leaky_re_lu_2", "conv2d_2", "conv2d_4"]
    first, second = lanes([layer(name) for name in names], 2)
    assert [each.name for each in first] == ["conv2d_1", "leaky_re_lu_1", "conv2d_2"]
    assert [each.name for each in second] == ["conv2d_3", "leaky_re_lu_2", "conv2d_4"]
    with pytest.raises(ModelError, match=r"conv2d_3: 2 branches of the same layers are expected; .* leaky_re_lu_1"):
        lanes([layer(name) for name in ("conv2d_1", "conv2d_2", "leaky_re_lu_1", "conv2d_3")], 2)
    with pytest.raises(ModelError, match="holds 3 layers"):
        lanes([layer(name) for name in ("conv2d_1", "conv2d_2", "conv2d_3")], 2)
    with pytest.raises(ModelError, match="holds 0 layers"):
        lanes([layer("input_1")], 2)


def test_a_net_is_split_behind_a_layer():
    layers = [layer("conv2d_1"), layer("flatten_1"), layer("dense_1")]
    assert split(layers, "flatten") == (layers[:2], layers[2:])
    with pytest.raises(ModelError, match=r"net\.h5 has no reshape layer"):
        split(layers, "reshape")


@given(st.integers(1, 5), st.integers(1, 12), st.integers(1, 16))
def test_the_face_s_size_follows_from_what_the_dense_layer_takes(halvings, across, channels):
    size = across << halvings
    net = [layer(f"conv2d_{k}", 5, 5, 3 if not k else channels, channels) for k in range(halvings)]
    dense = Layer(FILE, "dense_1", "dense", np.broadcast_to(np.float32(0), (channels * across**2, 1)))

    def encode(graph, face):
        return walk(graph, face, [*net, layer("flatten_1")], stride=2)

    assert face_size(encode, [dense]) == size
    odd = Layer(FILE, "dense_1", "dense", np.broadcast_to(np.float32(0), (channels * across**2 + 1, 1)))
    if channels > 1:
        with pytest.raises(ModelError, match=r"dense_1: it takes .* no square face"):
            face_size(encode, [odd])


def test_an_absurd_size_is_refused():
    huge = Layer(FILE, "dense_1", "dense", np.broadcast_to(np.float32(0), (3 * 4096**2, 1)))
    with pytest.raises(ModelError, match="no square face"):
        face_size(lambda graph, face: graph.flatten(face, "HWC"), [huge])


def test_a_mask_s_decoder_does_not_make_an_image():
    def build(graph):
        return {"image": picture(graph, graph.face(64), [layer("conv2d_1", 5, 5, 3, 1)], channels)}

    channels = 1
    assert out_size(build, "net") == 64
    channels = 3
    with pytest.raises(ModelError, match=r"net\.h5: conv2d_1: .* a square image is expected"):
        out_size(build, "net")


def test_pictures_are_all_of_one_sane_size():
    with pytest.raises(ModelError, match="'image': 64, 'celeb_mask': 32"):
        out_size(lambda graph: {"image": graph.face(64), "celeb_mask": graph.input("mask", (1, 1, 32, 32))}, "net")
    with pytest.raises(ModelError, match="4096"):
        out_size(lambda graph: {"image": graph.face(4096)}, "net")
