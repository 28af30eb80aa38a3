"""FakeApp and faceswap of 2018: the reference models give the program's own outputs; what is damaged is told."""

from __future__ import annotations

import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest

from engines.errors import BadInput, ModelError
from export.keras_weights import Layer, read_layers
from export.readers.fakeapp import Fakeapp
from tests.export.nets import TOLERANCE, WRONG, build_wrongly, damage, run, run_bytes, save_layers, worst


def read(folder, **options):
    return Fakeapp.read(folder, options)


@pytest.fixture
def io(reference):
    return dict(np.load(reference("fakeapp") / "io.npz"))


@pytest.mark.parametrize("side", ["A", "B"])
def test_it_gives_what_the_program_gave(reference, io, side):
    trained = read(reference("fakeapp"), side=side)
    assert worst(run(trained, io["face"]), {"image": io[f"bgr_{side}"]}) < TOLERANCE
    assert (trained.size, trained.out_size, trained.crop) == (64, 64, ("half", "dfl51"))
    assert Fakeapp.recognise(reference("fakeapp")) == f"{trained.program} {trained.model}"


def test_b_is_put_onto_a_unless_told_otherwise(reference, io):
    assert worst(run(read(reference("fakeapp")), io["face"]), {"image": io["bgr_B"]}) < TOLERANCE
    assert read(reference("fakeapp"), side="a").facts["side"] == "A"
    with pytest.raises(BadInput, match="side=C is neither A nor B"):
        read(reference("fakeapp"), side="C")
    with pytest.raises(BadInput, match="no option 'crop'"):
        read(reference("fakeapp"), crop="half")


def test_bytes_in_and_out_differ_by_rounding_alone(reference, io):
    trained = read(reference("fakeapp"))
    face = np.round(io["face"] * 255).astype(np.uint8)
    floats = run(trained, face.astype(np.float32) / 255)
    assert worst(run_bytes(trained, face), {"image": floats["image"] * 255}) < 0.51


@pytest.mark.parametrize("how", ["sub-pixels channel first", "dense in CHW", "padded alike"])
def test_a_net_put_together_wrongly_is_far_off(reference, io, monkeypatch, how):
    trained = read(reference("fakeapp"))
    build_wrongly(monkeypatch, how)
    assert worst(run(trained, io["face"]), {"image": io["bgr_B"]}) > WRONG


@pytest.mark.parametrize("side", ["A", "B"])
def test_damage_is_told(reference, tmp_path, side):
    unread = {"A": "decoder_B.h5", "B": "decoder_A.h5"}[side]
    for folder, what, files in damage(reference("fakeapp"), tmp_path / "damaged"):
        # Who exchanges the decoders' names wants the other side: so it was done in 2018.
        if files in ({unread}, {"decoder_A.h5", "decoder_B.h5"}):
            read(folder, side=side)
            continue
        with pytest.raises(ModelError) as caught:
            read(folder, side=side)
        assert any(file in caught.value.message for file in files), (what, caught.value.message)


def test_an_encoder_of_an_iae_is_told(reference, tmp_path):
    folder = shutil.copytree(reference("fakeapp"), tmp_path / "mixed")
    layers = read_layers(folder / "encoder.h5")
    save_layers(folder / "encoder.h5", layers[: next(at for at, each in enumerate(layers) if each.kind == "dense")])
    with pytest.raises(ModelError, match=r"encoder\.h5 has no dense layer"):
        read(folder)


def test_an_iae_is_put_together_as_later_versions_do(reference, tmp_path):
    """The net of faceswap 2's iae, whose outputs are known, in the files of the first version."""
    source = reference("fs2_iae")
    io = np.load(source / "io.npz")
    with h5py.File(next(source.glob("*.h5"))) as file:
        for net in ("encoder", "inter_A", "inter_B", "inter_both", "decoder"):
            save_layers(tmp_path / f"IAE_{net}.h5", list(unnested(file["model_weights"], net)))
    assert Fakeapp.recognise(tmp_path) == "FakeApp / faceswap 2018 IAE"
    assert worst(run(read(tmp_path, side="A"), io["face"]), {"image": io["out_0"]}) < TOLERANCE
    assert worst(run(read(tmp_path, side="B"), io["face"]), {"image": io["out_2"]}) < TOLERANCE
    (tmp_path / "IAE_inter_both.h5").unlink()
    with pytest.raises(ModelError, match=r"IAE_inter_both\.h5 is not there"):
        read(tmp_path)


def unnested(group, net):
    """The layers of a net as faceswap 2 keeps them, in the first version's words, without the mask's branch."""
    group = group[net.lower() if net.startswith("inter_") else net]
    kernels = [name for name in group.attrs["weight_names"] if name.endswith("kernel:0")]
    if net == "decoder":
        kernels = [name for name in kernels if "_1_conv2d" not in name and "mask" not in name]
    for at, name in enumerate(kernels, 1):
        kernel, bias = group[name][()], group[name.replace("kernel", "bias")][()]
        kind = "conv2d" if kernel.ndim == 4 else "dense"
        yield Layer(None, f"{kind}_{at}", kind, kernel, bias)
        for following in {5: ["leaky_re_lu"], 3: ["leaky_re_lu", "pixel_shuffler"]}.get(kernel.shape[0], []):
            if kind == "conv2d" and kernel.shape[-1] != 3:
                yield Layer(None, f"{following}_{at}", following)
    if net == "encoder":
        yield Layer(None, "flatten_1", "flatten")
    elif net.startswith("inter"):
        yield Layer(None, "reshape_1", "reshape")


@pytest.mark.parametrize("prefix", ["lowmem_", ""])
def test_a_lowmem_has_one_layer_less(reference, tmp_path, io, prefix):
    """It equals an Original whose fourth layer only takes each second pixel, if its dense layer looks at those."""
    for path in reference("fakeapp").glob("*.h5"):
        shutil.copy(path, tmp_path / f"{prefix}{path.name}")
    path = tmp_path / f"{prefix}encoder.h5"
    layers = read_layers(path)
    third, fourth, dense = (
        next(at for at, layer in enumerate(layers) if layer.name == name)
        for name in ("conv2d_3", "conv2d_4", "dense_1")
    )
    # All positive, or the leaky unit behind the fourth layer would count.
    layers[third] = replace(layers[third], bias=np.full(16, 5, np.float32))
    passing = np.zeros((5, 5, 16, 32), np.float32)
    passing[1, 1, range(16), range(16)] = 1  # "same" pads one pixel before and two behind
    layers[fourth] = replace(layers[fourth], kernel=passing, bias=np.zeros(32, np.float32))
    rows = layers[dense].kernel.reshape(4, 4, 32, 32).copy()
    rows[:, :, 16:] = 0
    layers[dense] = replace(layers[dense], kernel=rows.reshape(-1, 32))
    save_layers(path, layers)
    wanted = run(read(tmp_path), io["face"])

    sparse = np.zeros((8, 8, 16, 32), np.float32)
    sparse[::2, ::2] = rows[:, :, :16]
    layers[dense] = replace(layers[dense], kernel=sparse.reshape(-1, 32))
    save_layers(path, layers[:fourth] + layers[fourth + 2 :])
    trained = read(tmp_path)
    assert (trained.model, trained.size, trained.out_size) == ("LowMem", 64, 64)
    assert worst(run(trained, io["face"]), wanted) < TOLERANCE


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (["netGA_GAN128.h5", "netGB_GAN128.h5"], "GAN"),
        (["encoder_0302_orig.h5", "decoder_A_0302_orig.h5"], "OriginalHighRes"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(tmp_path, files, name):
    for file in files:
        (tmp_path / file).write_bytes(b"")
    assert Fakeapp.recognise(tmp_path) == f"FakeApp / faceswap 2018 {name}"
    with pytest.raises(ModelError, match=f"{name} models of faceswap 2018 are not supported"):
        read(tmp_path)


def test_other_folders_are_not_claimed(tmp_path, reference):
    (tmp_path / "encoder.h5").write_bytes(b"")
    assert Fakeapp.recognise(tmp_path) is None
    assert Fakeapp.recognise(tmp_path / "encoder.h5") is None
    assert Fakeapp.recognise(reference("dfl1_h64")) is None
    assert Fakeapp.recognise(reference("fs1_original")) is None
    with pytest.raises(ModelError, match="no model of FakeApp"):
        read(tmp_path)
