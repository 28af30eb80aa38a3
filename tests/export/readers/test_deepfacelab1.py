"""DeepFaceLab 1: every reference model gives the program's own outputs; what is damaged or unknown is told."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest

from engines.errors import BadInput, ModelError
from export.keras_weights import Layer, read_layers
from export.readers.deepfacelab1 import Deepfacelab1
from tests.export.nets import TOLERANCE, WRONG, build_wrongly, damage, run, run_bytes, save_layers, worst

# Size, crop, and how its convolutions must not be padded ("": those that are padded are not strided).
MODELS = {
    "dfl1_h64": (64, ("half", "dfl51"), "padded alike"),
    "dfl1_h64_light": (64, ("half", "dfl51"), "padded alike"),
    "dfl1_h128": (128, ("half", "dfl51"), "padded alike"),
    "dfl1_df": (128, ("full", "dfl51"), "padded alike"),
    "dfl1_liaef128": (128, ("full", "dfl51"), "padded alike"),
    "dfl1_sae_df": (64, ("full", "dfl33_2019"), "padded by TensorFlow's rule"),
    "dfl1_sae_liae": (64, ("half", "dfl33_2019"), "padded by TensorFlow's rule"),
    "dfl1_sae_df_multiscale": (64, ("full", "dfl51"), "padded alike"),
    "dfl1_sae_liae_nomask": (64, ("full", "dfl51"), "padded alike"),
    "dfl1_saehd_df": (64, ("mid_full", "dfl33"), ""),
}
MISTAKES = [
    (name, how)
    for name, (_, _, padding) in MODELS.items()
    for how in ("sub-pixels channel first", "dense in CHW", padding)
    if how
]


def read(folder, **options):
    return Deepfacelab1.read(folder, options)


def expected(folder):
    """The face, and what the program made of it."""
    held = np.load(folder / "io.npz")
    wanted = {"image": held["bgr"]}
    if "mask_dst" in held:
        wanted |= {"celeb_mask": held["mask_src"], "face_mask": held["mask_dst"]}
    elif "mask" in held:
        wanted["celeb_mask"] = held["mask"]
    return held["face"], wanted


@pytest.fixture
def copy(reference, tmp_path):
    """copy(name) is a reference model's folder of the test's own."""
    return lambda name: shutil.copytree(reference(name), tmp_path / name)


def note(folder, **changes):
    """Change the options that DeepFaceLab noted; None takes one out."""
    [path] = folder.glob("*_data.dat")
    held = pickle.loads(path.read_bytes())
    held["options"] = {key: value for key, value in (held["options"] | changes).items() if value is not None}
    path.write_bytes(pickle.dumps(held))


@pytest.mark.parametrize("name", MODELS)
def test_it_gives_what_the_program_gave(reference, name):
    folder = reference(name)
    trained = read(folder)
    face, wanted = expected(folder)
    assert worst(run(trained, face), wanted) < TOLERANCE
    size, crop, _ = MODELS[name]
    assert (trained.size, trained.out_size, trained.crop, trained.iterations) == (size, size, crop, 1000)
    assert Deepfacelab1.recognise(folder) == f"{trained.program} {trained.model}"


@pytest.mark.parametrize("name", MODELS)
def test_bytes_in_and_out_differ_by_rounding_alone(reference, name):
    trained = read(reference(name))
    face = np.round(expected(reference(name))[0] * 255).astype(np.uint8)
    answers, floats = run_bytes(trained, face), run(trained, face.astype(np.float32) / 255)
    assert {array.dtype for array in answers.values()} == {np.dtype(np.uint8)}
    assert worst(answers, {key: array * 255 for key, array in floats.items()}) < 0.51


@pytest.mark.parametrize(("name", "how"), MISTAKES)
def test_a_net_put_together_wrongly_is_far_off(reference, monkeypatch, name, how):
    trained = read(reference(name))
    face, wanted = expected(reference(name))
    build_wrongly(monkeypatch, how)
    assert worst(run(trained, face), wanted) > WRONG


# The same readers with more files take ten seconds each.
DAMAGED = [
    pytest.param(name, marks=pytest.mark.long) if "sae" in name or name == "dfl1_liaef128" else name for name in MODELS
]


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_told(reference, tmp_path, name):
    liae_without_masks = name in ("dfl1_liaef128", "dfl1_sae_liae_nomask")
    unread = "_inter_B.h5" if liae_without_masks else "_decoder_dst.h5"  # the other side's are no part of a swap
    alike = [("_src.h5", "_dst.h5"), ("_srcm.h5", "_dstm.h5"), ("_inter_AB.h5", "_inter_B.h5")]  # in shape
    for folder, what, files in damage(reference(name), tmp_path / "damaged"):
        swapped = any(files == {file, file.replace(a, b)} for file in files for a, b in alike if a in file)
        if swapped or all(file.endswith(unread) for file in files) or what.endswith("data.dat gone"):
            read(folder)
            continue
        with pytest.raises(ModelError) as caught:
            read(folder)
        assert any(file in caught.value.message for file in files), (what, caught.value.message)


def test_a_gpu_s_number_may_stand_before_the_names(copy):
    folder = copy("dfl1_h64")
    for path in folder.glob("H64_*"):
        path.rename(folder / f"0_{path.name}")
    assert Deepfacelab1.recognise(folder) == "DeepFaceLab 1 0_H64"
    trained = read(folder)
    assert (trained.model, trained.iterations) == ("H64", 1000)


def test_of_several_models_in_a_folder_one_must_be_named(copy, reference):
    folder = copy("dfl1_h64")
    shutil.copytree(reference("dfl1_sae_df"), folder, dirs_exist_ok=True)
    assert Deepfacelab1.recognise(folder) == "DeepFaceLab 1 H64, SAE"
    with pytest.raises(BadInput, match="several models: H64, SAE") as caught:
        read(folder)
    assert "model=H64" in caught.value.hint
    assert read(folder, model="SAE").model == "SAE"
    with pytest.raises(BadInput, match="no model 'DF'"):
        read(folder, model="DF")


def test_other_folders_are_not_claimed(tmp_path, reference):
    (tmp_path / "encoder.h5").write_bytes(b"")
    assert Deepfacelab1.recognise(tmp_path) is None
    assert Deepfacelab1.recognise(tmp_path / "encoder.h5") is None
    assert Deepfacelab1.recognise(reference("saehd_df")) is None
    with pytest.raises(ModelError, match="no model of DeepFaceLab 1"):
        read(tmp_path)


# ---- what the files do not tell


def test_the_summary_stands_in_for_the_notes(copy):
    folder = copy("dfl1_saehd_df")
    (folder / "SAEHD_data.dat").unlink()
    trained = read(folder)
    assert (trained.iterations, trained.crop, trained.warnings) == (1000, ("mid_full", "dfl33"), ())


def test_without_notes_the_face_type_is_a_guess_that_is_told(copy):
    folder = copy("dfl1_sae_liae")
    (folder / "SAE_data.dat").unlink()
    (folder / "SAE_summary.txt").unlink()
    face, wanted = expected(folder)
    trained = read(folder)
    assert worst(run(trained, face), wanted) < TOLERANCE
    assert trained.iterations is None and trained.crop == ("full", "dfl33_2019")
    assert "no notes tell the face type" in trained.warnings[0]
    assert read(folder, crop="half:dfl51").crop == ("half", "dfl51")
    assert read(folder, crop="half:dfl51").warnings == ()


@pytest.mark.parametrize("crop", ["", "round", "half:dfl99", "dfl51", "half:dfl51:dfl51"])
def test_a_crop_that_there_is_not_is_refused(reference, crop):
    with pytest.raises(BadInput, match="names no crop"):
        read(reference("dfl1_h64"), crop=crop)


def test_the_models_of_early_2019_had_pictures_around_zero(reference):
    """The nets are the same but for the last function: tanh(z) / 2 + 1/2 is sigmoid(2 z), and faces run -1..1."""
    folder = reference("dfl1_sae_df_multiscale")
    face, wanted = expected(folder)
    doubled = {}
    for key, array in wanted.items():
        odds = (array.astype(np.float64) / (1 - array.astype(np.float64))) ** 2
        doubled[key] = odds / (1 + odds)
    assert worst(run(read(folder, tanh="yes"), (face + 1) / 2), doubled) < TOLERANCE


def test_tanh_is_refused_where_it_cannot_be(reference):
    with pytest.raises(BadInput, match="after September"):
        read(reference("dfl1_sae_df"), tanh="yes")
    with pytest.raises(BadInput, match="does not fit a model H64"):
        read(reference("dfl1_h64"), tanh="yes")
    with pytest.raises(BadInput, match="tanh=perhaps"):
        read(reference("dfl1_sae_df_multiscale"), tanh="perhaps")
    with pytest.raises(BadInput, match="no option 'colour'"):
        read(reference("dfl1_h64"), colour="RGB")


# ---- notes against nets


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"resolution": 128}, "resolution: 128, but the shapes in SAE_.*h5 say 64"),
        ({"ae_dims": 512}, "ae_dims: 512"),
        ({"ae_dims": "many"}, "ae_dims is 'many'"),
        ({"archi": "liae"}, "SAE_decoder.h5 is not there"),
        ({"archi": "vg"}, "archi is 'vg'; one of df, liae"),
        ({"face_type": "x"}, "face_type is 'x'"),
        ({"learn_mask": "often"}, "learn_mask is 'often'"),
    ],
)
def test_notes_that_contradict_the_nets_are_told(copy, changes, words):
    folder = copy("dfl1_sae_df")
    note(folder, **changes)
    with pytest.raises(ModelError, match=words):
        read(folder)


def test_masks_are_taken_where_the_notes_say_so(copy):
    folder = copy("dfl1_sae_df")
    note(folder, learn_mask=False)  # begun anew without masks: the files from before still lie there
    face, wanted = expected(folder)
    assert worst(run(read(folder), face), {"image": wanted["image"]}) < TOLERANCE
    note(folder, learn_mask=True)
    (folder / "SAE_decoder_srcm.h5").unlink()
    with pytest.raises(ModelError, match=r"SAE_decoder_srcm\.h5"):
        read(folder)


def test_numpy_s_numbers_and_early_names_are_understood(copy):
    folder = copy("dfl1_sae_df")
    note(folder, resolution=np.int64(64), ae_dims=np.float32(16))
    held = pickle.loads((folder / "SAE_data.dat").read_bytes())
    held["epoch"] = held.pop("iter")
    (folder / "SAE_data.dat").write_bytes(pickle.dumps(held))
    assert read(folder).iterations == 1000


def test_notes_that_would_run_something_are_refused(copy):
    class Runs:
        def __reduce__(self):
            return print, ("run",)

    folder = copy("dfl1_h64")
    (folder / "H64_data.dat").write_bytes(pickle.dumps({"iter": Runs(), "options": {}}))
    with pytest.raises(ModelError, match=r"H64_data\.dat: it wants to run .*print"):
        read(folder)


@pytest.mark.parametrize("held", [[], {"options": []}, {"iter": "often", "options": {}}, {"iter": 1.5}])
def test_notes_of_another_form_are_refused(copy, held):
    folder = copy("dfl1_h64")
    (folder / "H64_data.dat").write_bytes(pickle.dumps(held))
    with pytest.raises(ModelError, match=r"H64_data\.dat"):
        read(folder)


# ---- variants that no reference model is of


def test_an_saehd_of_archi_liae(copy):
    """A df model taken apart: its code goes in as [x, code], and the decoders look at the code half alone."""
    folder = copy("dfl1_saehd_df")
    face, wanted = expected(folder)
    note(folder, archi="liae")
    layers = read_layers(folder / "SAEHD_encoder.h5")
    at = next(k for k, layer in enumerate(layers) if layer.kind == "flatten") + 1
    save_layers(folder / "SAEHD_encoder.h5", layers[:at])
    save_layers(folder / "SAEHD_inter_AB.h5", layers[at:])
    other = [replace(layer, kernel=layer.kernel * 0.5) if layer.kernel is not None else layer for layer in layers[at:]]
    save_layers(folder / "SAEHD_inter_B.h5", other)
    for old, new in (("src", "decoder"), ("srcm", "decoderm")):
        first, *rest = (layer for layer in read_layers(folder / f"SAEHD_decoder_{old}.h5") if layer.kind != "input")
        wide = np.concatenate([np.zeros_like(first.kernel), first.kernel], axis=2)
        save_layers(folder / f"SAEHD_{new}.h5", [replace(first, kernel=wide), *rest])
    wanted["face_mask"] = wanted["celeb_mask"]  # [B, AB] and [AB, AB] are told apart by their first halves
    trained = read(folder)
    assert trained.facts["archi"] == "liae"
    assert worst(run(trained, face), wanted) < TOLERANCE
    first, *rest = (layer for layer in read_layers(folder / "SAEHD_decoderm.h5"))
    halves = np.split(first.kernel, 2, axis=2)
    save_layers(folder / "SAEHD_decoderm.h5", [replace(first, kernel=np.concatenate(halves[::-1], axis=2)), *rest])
    answers = run(read(folder), face)
    assert np.abs(answers["celeb_mask"] - wanted["celeb_mask"]).max() < TOLERANCE
    assert np.abs(answers["face_mask"] - wanted["celeb_mask"]).max() > WRONG


def test_mask_decoders_may_have_residual_blocks(copy):
    """So for some days in September 2019: here the image's decoder makes a mask of its first colour."""
    folder = copy("dfl1_sae_df")
    face, wanted = expected(folder)
    *body, head = read_layers(folder / "SAE_decoder_src.h5")
    save_layers(folder / "SAE_decoder_srcm.h5", [*body, replace(head, kernel=head.kernel[..., :1], bias=head.bias[:1])])
    assert np.abs(run(read(folder), face)["celeb_mask"] - wanted["image"][..., 0]).max() < TOLERANCE


def test_the_experiments_of_spring_2019_are_refused_by_name(copy):
    folder = copy("dfl1_sae_df_multiscale")
    layers = read_layers(folder / "SAE_encoder.h5")
    layers.insert(2, Layer(folder / "SAE_encoder.h5", "batch_normalization_1", "batch_normalization"))
    save_layers(folder / "SAE_encoder.h5", layers)
    with pytest.raises(ModelError, match=r"SAE_encoder\.h5: batch_normalization_1: .* not supported"):
        read(folder)


def test_an_saehd_of_before_its_net_changed_is_refused_by_name(copy):
    folder = copy("dfl1_saehd_df")
    layers = read_layers(folder / "SAEHD_encoder.h5")
    at = next(k for k, layer in enumerate(layers) if layer.name == "conv2d_5")
    layers[at] = replace(layers[at], kernel=layers[at].kernel[1:4, 1:4])
    save_layers(folder / "SAEHD_encoder.h5", layers)
    with pytest.raises(ModelError, match=r"conv2d_5.*5x5 is expected") as caught:
        read(folder)
    assert "December 2019" in caught.value.hint


def test_quick96_is_refused_by_name(copy):
    folder = copy("dfl1_h64")
    for path in folder.glob("H64_*"):
        path.rename(folder / path.name.replace("H64", "Quick96"))
    assert Deepfacelab1.recognise(folder) == "DeepFaceLab 1 Quick96"
    with pytest.raises(ModelError, match=r"Quick96 .*DenseMaxout"):
        read(folder)


@pytest.mark.parametrize(
    ("net", "layer", "cut", "words"),
    [
        ("encoder", "conv2d_2", np.s_[:, :, :-1], "conv2d_2: a kernel of shape .* meets 4 channels"),
        ("encoder", "dense_1", np.s_[:-1], "dense_1: it takes 511 values"),
        ("encoder", "dense_2", np.s_[:, :-1], "dense_2: a dense layer's bias has shape"),
        ("decoder_src", "conv2d_8", np.s_[:, :, 1:], "conv2d_8: a kernel"),
        ("decoder_src", "conv2d_13", np.s_[0], "conv2d_13: its kernel has shape .* 4 dimensions"),
    ],
)
def test_shapes_that_contradict_each_other_name_file_and_layer(copy, net, layer, cut, words):
    folder = copy("dfl1_h64")
    path = folder / f"H64_{net}.h5"
    layers = [replace(each, kernel=each.kernel[cut]) if each.name == layer else each for each in read_layers(path)]
    save_layers(path, layers)
    with pytest.raises(ModelError, match=rf"H64_{net}\.h5: {words}"):
        read(folder)


@pytest.mark.parametrize(
    ("name", "net", "kept", "words"),
    [
        ("dfl1_h64", "encoder", ["flatten"], r"H64_encoder\.h5 has no dense layer"),
        ("dfl1_h64", "encoder", ["conv2d", "dense"], r"H64_encoder\.h5 has no flatten layer"),
        ("dfl1_h64", "decoder_src", ["leaky_re_lu"], r"H64_decoder_src\.h5: leaky_re_lu_8: what comes out has shape"),
        ("dfl1_liaef128", "inter_AB", ["conv2d"], r"LIAEF128_inter_AB\.h5 has no dense layer"),
        ("dfl1_saehd_df", "encoder", ["concatenate", "flatten", "dense"], r"SAEHD_encoder\.h5 holds 0 layers"),
        ("dfl1_saehd_df", "decoder_src", ["input"], r"SAEHD_decoder_src\.h5: input_2: what comes out"),
    ],
)
def test_nets_of_other_layers_are_told(copy, name, net, kept, words):
    folder = copy(name)
    [path] = folder.glob(f"*_{net}.h5")
    save_layers(path, [layer for layer in read_layers(path) if layer.kind in kept])
    with pytest.raises(ModelError, match=words):
        read(folder)


@pytest.mark.long
def test_a_full_size_h64(reference, tmp_path):
    folder = shutil.copytree(reference("seeded_full_h64"), tmp_path / "full")
    recipe = json.loads((folder / "recipe.json").read_text())
    rng, seen, nets = np.random.RandomState(5), hashlib.sha256(), {}
    for file, name, shape, low, power in recipe["tensors"]:
        array = (rng.randint(-low, low + 1, size=shape, dtype=np.int64) * 2.0**power).astype(np.float32)
        seen.update(array.astype("<f4").tobytes())
        nets.setdefault(file, {}).setdefault(name.split("/")[0], {})[name.split("/")[1].split(":")[0]] = array
    assert seen.hexdigest() == recipe["sha256_of_all_tensors_little_endian_float32_in_order"]
    small = reference("dfl1_h64")  # whose files list the same layers
    for file, arrays in nets.items():
        layers = [replace(layer, **arrays.get(layer.name, {})) for layer in read_layers(small / file)]
        save_layers(folder / file, layers)
    trained = read(folder)
    face, wanted = expected(folder)
    assert worst(run(trained, face), wanted) < TOLERANCE
