"""faceswap 1, 2 and 3: every reference model gives the program's own outputs; what does not fit together is told."""

from __future__ import annotations

import json
import shutil
import zipfile

import h5py
import numpy as np
import pytest

from engines.errors import BadInput, ModelError
from export.faceswap_state import State, is_rgb
from export.folder import export, find
from export.readers.faceswap import Faceswap
from tests.export.nets import TOLERANCE, WRONG, build_wrongly, run, run_bytes, worst

# Size in and out, and whether there is a mask.
MODELS = {
    "fs1_original": (64, 64, True),
    "fs2_original": (64, 64, True),
    "fs2_iae": (64, 64, True),
    "fs2_lightweight": (64, 64, False),
    "fs2_dfaker": (64, 128, False),
    "fs2_dfl_sae_liae": (64, 64, True),
    "fs2_unbalanced": (64, 64, False),
    "fs2_dlight": (128, 128, True),
    "fs2_villain": (128, 128, False),
    "fs3_original": (64, 64, True),
    "fs3_iae": (64, 64, False),
    "fs3_dfaker": (64, 128, False),
}
MISTAKES = ["sub-pixels channel first", "padded alike", "dense in CHW"]


def read(folder, **options):
    return Faceswap.read(folder, options)


def expected(folder, side="B"):
    """The face, and what the program made of it with this side's identity."""
    held = np.load(folder / "io.npz")
    if "fs1" in folder.name:
        outputs = [held[key] for key in sorted(held) if key.startswith(f"out_{side.lower()}")]
    elif "fs2" in folder.name:
        both = [held[key] for key in sorted(held) if key.startswith("out_")]
        outputs = both[: len(both) // 2] if side == "A" else both[len(both) // 2 :]
    else:
        outputs = [held[key] for key in sorted(held) if key.startswith("AtoB" if side == "B" else "BtoA")]
    wanted = {"image": outputs[0]}
    if len(outputs) > 1:
        wanted["celeb_mask"] = outputs[1][..., 0]
    return held["face"], wanted


@pytest.fixture
def copy(reference, tmp_path):
    """copy(name) is a reference model's folder of the test's own."""
    return lambda name: shutil.copytree(reference(name), tmp_path / name)


def edit_state(folder, **changes):
    """Change the state file's entries, or its config's; None takes one away."""
    [path] = folder.glob("*_state.json")
    held = json.loads(path.read_text())
    for name, value in changes.items():
        place = held if name in ("name", "iterations", "inputs", "training_size") else held["config"]
        place.pop(name, None)
        if value is not None:
            place[name] = value
    path.write_text(json.dumps(held))


# ---- what the program gave


@pytest.mark.parametrize("side", ["A", "B"])
@pytest.mark.parametrize("name", MODELS)
def test_it_gives_what_the_program_gave(reference, name, side):
    face, wanted = expected(reference(name), side)
    trained = read(reference(name), side=side)
    assert worst(run(trained, face), wanted) < TOLERANCE
    size, out_size, masked = MODELS[name]
    assert (trained.size, trained.out_size, "celeb_mask" in wanted) == (size, out_size, masked)
    assert trained.iterations == 1000
    assert trained.program == f"faceswap {name[2]}"
    assert trained.warnings == ()


def test_unless_a_side_is_named_b_is_worn(reference):
    face, wanted = expected(reference("fs2_original"), "B")
    assert worst(run(read(reference("fs2_original")), face), wanted) < TOLERANCE
    _, other = expected(reference("fs2_original"), "A")
    assert worst(wanted, other) > WRONG


@pytest.mark.parametrize("name", MODELS)
def test_in_bytes_it_is_the_same(reference, name):
    face, _ = expected(reference(name))
    face = np.round(face * 255).astype(np.uint8)
    trained = read(reference(name))
    floats, answers = run(trained, face / np.float32(255)), run_bytes(trained, face)
    assert answers.keys() == floats.keys()
    assert all(np.abs(answers[key] / 255.0 - floats[key]).max() < 1 / 255 for key in floats)


@pytest.mark.parametrize("how", MISTAKES)
@pytest.mark.parametrize("name", ["fs1_original", "fs2_iae", "fs2_unbalanced", "fs3_dfaker"])
def test_a_net_that_is_put_together_wrongly_gives_something_else(reference, name, how, monkeypatch):
    build_wrongly(monkeypatch, how)
    face, wanted = expected(reference(name))
    assert worst(run(read(reference(name)), face), wanted) > WRONG


@pytest.mark.parametrize("name", ["fs1_original", "fs2_dfaker", "fs3_original"])
def test_it_becomes_a_model_folder(reference, tmp_path, name):
    found = find(reference(name), {})
    card = export(found, tmp_path / "out", "me")
    assert card.facts["out_size"] == MODELS[name][1]
    assert card.facts["coverage"] == found.trained.facts["coverage"]
    assert (tmp_path / "out" / "net.onnx").is_file()


# ---- faceswap 1: a file for each net


def taken_apart(source, folder, name, nets):
    """The models in a model of faceswap 2 as faceswap 1 kept them: {"inter_a": "intermediate_A"}."""
    folder.mkdir()
    with h5py.File(next(source.glob("*.h5"))) as file:
        layers = {held["name"]: held for held in json.loads(file.attrs["model_config"])["config"]["layers"]}
        for inner, role in nets.items():
            with h5py.File(folder / f"{name}_{role}.h5", "w") as part:
                part.attrs["keras_version"] = b"2.2.4"
                description = {"class_name": "Model", "config": layers[inner]["config"]}
                part.attrs["model_config"] = json.dumps(description).encode()
                weights = file["model_weights"][inner]
                for path in weights.attrs["weight_names"]:
                    group = part.require_group(f"model_weights/{path.split('/')[0]}")
                    group[path] = weights[path][()]
                    group.attrs["weight_names"] = [*group.attrs.get("weight_names", []), path]
    return folder


CHAINS = {
    "iae": ("fs2_iae", {
        "encoder": "encoder", "inter_a": "intermediate_A", "inter_b": "intermediate_B", "inter_both": "inter",
        "decoder": "decoder",
    }),
    "dfl_sae": ("fs2_dfl_sae_liae", {
        "encoder_liae": "encoder", "intermediate_b": "intermediate_B", "intermediate_both": "intermediate",
        "decoder_both": "decoder",
    }),
}  # fmt: skip


@pytest.mark.parametrize("side", ["A", "B"])
@pytest.mark.parametrize("name", CHAINS)
def test_nets_with_intermediates_are_chained(reference, tmp_path, name, side):
    source, nets = CHAINS[name]
    folder = taken_apart(reference(source), tmp_path / "model", name, nets)
    assert Faceswap.recognise(folder) == f"faceswap 1 {name}"
    face, wanted = expected(reference(source), side)
    assert worst(run(read(folder, side=side), face), wanted) < TOLERANCE


@pytest.mark.parametrize("name", CHAINS)
def test_a_net_that_is_missing_is_named(reference, tmp_path, name):
    source, nets = CHAINS[name]
    for role in set(nets.values()) - {"intermediate_A"}:
        folder = taken_apart(reference(source), tmp_path / role, name, nets)
        (folder / f"{name}_{role}.h5").unlink()
        with pytest.raises(ModelError, match=rf"{name}_{role}\.h5 is missing"):
            read(folder)


# ---- what it was trained on


@pytest.mark.parametrize(
    ("name", "changes", "crop", "facts"),
    [
        ("fs1_original", {}, ("legacy", "dfl51"), {"centering": "legacy", "coverage": 176 / 256}),
        ("fs1_original", {"coverage": 62.7}, ("legacy", "dfl51"), {"centering": "legacy", "coverage": 160 / 256}),
        ("fs1_original", {"coverage": 80, "training_size": 128}, ("legacy", "dfl51"), {"coverage": 102 / 128}),
        ("fs2_original", {}, ("face", "faceswap"), {"centering": "face", "coverage": 0.875}),
        ("fs2_original", {"centering": None}, ("legacy", "dfl51"), {"centering": "legacy", "coverage": 0.875}),
        ("fs2_original", {"centering": "legacy"}, ("legacy", "faceswap"), {"coverage": 0.875}),
        ("fs2_original", {"centering": "head", "vertical_offset": -15}, ("fs_head", "faceswap"),
         {"vertical_offset": -15}),
        ("fs3_original", {}, ("face", "faceswap"), {"centering": "face", "coverage": 1}),
    ],
)  # fmt: skip
def test_the_state_tells_the_crop(copy, name, changes, crop, facts):
    folder = copy(name)
    edit_state(folder, **changes)
    trained = read(folder)
    assert trained.crop == crop
    assert {key: trained.facts[key] for key in facts} == pytest.approx(facts)
    assert ("vertical_offset" in trained.facts) == ("vertical_offset" in facts)
    assert trained.warnings == ()


@pytest.mark.parametrize(
    ("name", "crop", "coverage"),
    [
        ("fs1_original", ("legacy", "dfl51"), 0.6875),
        ("fs2_original", ("face", "faceswap"), 0.875),
        ("fs3_iae", ("face", "faceswap"), 1),
    ],
)
def test_without_a_state_the_usual_crop_is_taken_and_told(copy, name, crop, coverage):
    folder = copy(name)
    next(folder.glob("*_state.json")).unlink()
    trained = read(folder)
    assert Faceswap.recognise(folder) == f"faceswap {name[2]} {name[4:]}"
    assert (trained.crop, trained.facts["coverage"], trained.iterations) == (crop, coverage, None)
    [warning] = trained.warnings
    assert "_state.json" in warning and "crop=" in warning


@pytest.mark.parametrize(
    ("option", "crop", "coverage"),
    [
        ("face:75", ("face", "faceswap"), 0.75),
        ("head", ("fs_head", "faceswap"), 0.875),
        ("legacy:62.5", ("legacy", "faceswap"), 0.625),
    ],
)
def test_an_option_says_another_crop(reference, option, crop, coverage):
    trained = read(reference("fs2_original"), crop=option)
    assert (trained.crop, trained.facts["coverage"]) == (crop, coverage)


@pytest.mark.parametrize(
    "options",
    [{"crop": "nose"}, {"crop": "face:0"}, {"crop": "face:nan"}, {"crop": "face:x"}, {"side": "C"}, {"size": "64"}],
)
def test_options_that_make_no_sense_are_refused(reference, options):
    with pytest.raises(BadInput) as caught:
        Faceswap.read(reference("fs2_original"), options)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "changes", "match"),
    [
        ("fs2_original", {"learn_mask": False}, "says learn_mask: False, but the model says True"),
        ("fs2_dfaker", {"learn_mask": True}, "says learn_mask: True, but the model says False"),
        ("fs2_dlight", {"output_size": 256}, "says output_size: 256, but the model says 128"),
        ("fs2_dfl_sae_liae", {"input_size": 128}, "says input_size: 128, but the model says 64"),
        ("fs1_original", {"inputs": {"face_in:0": [128, 128, 3]}}, r"says 'face_in:0': \[128, 128, 3\]"),
        ("fs2_original", {"name": "dfaker"}, "says name: 'dfaker', but the model says 'original'"),
        ("fs2_original", {"coverage": 0}, "says coverage: 0; a number from 1 to 100"),
        ("fs2_original", {"coverage": "87"}, "says coverage: '87'; a number from 1 to 100"),
        ("fs2_original", {"centering": "nose"}, "says centering: 'nose'; legacy, face, head are known"),
        ("fs2_original", {"centering": ["face"]}, "says centering"),
        ("fs3_original", {"vertical_offset": 900}, "says vertical_offset: 900"),
    ],
)
def test_a_state_that_contradicts_the_net_is_refused(copy, name, changes, match):
    folder = copy(name)
    edit_state(folder, **changes)
    with pytest.raises(ModelError, match=rf"_state\.json {match}"):
        read(folder)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[]", '{"config": 3}', "\xff"])
def test_a_state_that_is_no_state_is_refused(copy, text):
    folder = copy("fs2_original")
    (folder / "original_state.json").write_text(text, encoding="latin1")
    with pytest.raises(ModelError, match=r"original_state\.json is no"):
        read(folder)


# ---- Phaze-A: the order of colours is not in the net


def as_phaze_a(folder, encoder):
    (folder / "original.h5").rename(folder / "phaze_a.h5")
    (folder / "original_state.json").rename(folder / "phaze_a_state.json")
    edit_state(folder, name="phaze_a", enc_architecture=encoder)
    return folder


@pytest.mark.parametrize(("encoder", "rgb"), [("efficientnet_b4", True), ("fs_original", False), ("vgg16", False)])
def test_phaze_a_takes_the_colours_that_its_encoder_wants(copy, encoder, rgb):
    folder = copy("fs2_original")
    face, wanted = expected(folder)
    trained = read(as_phaze_a(folder, encoder))
    if rgb:
        face, wanted["image"] = face[..., ::-1], wanted["image"][..., ::-1]
    assert worst(run(trained, face), wanted) < TOLERANCE
    assert trained.warnings == ()


def test_without_a_state_phaze_as_colours_are_told_by_the_encoder(copy):
    folder = as_phaze_a(copy("fs2_original"), None)
    assert "BGR" in read(folder).warnings[-1]
    assert [is_rgb(State(), "phaze_a", inner) for inner in ("efficientnetb4", "vgg16", None)] == [True, False, False]
    assert not is_rgb(State(), "original", "efficientnetb4")


# ---- folders


def test_other_programs_folders_are_not_claimed(reference, tmp_path):
    for name in ("fakeapp", "dfl1_h64_light", "dfl1_liaef128", "saehd_df", "keras2_layers", "keras3_layers"):
        assert Faceswap.recognise(reference(name)) is None
    (tmp_path / "notes.h5").write_bytes(b"nothing")
    (tmp_path / "net.keras").write_bytes(b"nothing")
    assert Faceswap.recognise(tmp_path) is None
    assert Faceswap.recognise(tmp_path / "notes.h5") is None
    assert Faceswap.recognise(tmp_path / "missing") is None
    with pytest.raises(ModelError, match="holds no model of faceswap"):
        read(tmp_path)


def test_one_of_several_models_is_chosen_by_its_file(copy, reference):
    folder = copy("fs2_original")
    for path in reference("fs2_iae").glob("iae*"):
        shutil.copy(path, folder)
    assert Faceswap.recognise(folder) == "faceswap 2 iae, faceswap 2 original"
    with pytest.raises(BadInput, match="several models: iae, original"):
        read(folder)
    assert read(folder / "iae.h5").model == "iae"
    assert Faceswap.recognise(folder / "original_state.json") is None


def test_of_a_model_that_faceswap_3_has_taken_over_the_newer_file_is_read(copy, reference):
    folder = copy("fs3_original")
    shutil.copy(reference("fs2_original") / "original.h5", folder)
    assert read(folder).program == "faceswap 3"


@pytest.mark.parametrize("name", ["fs1_original", "fs2_dfl_sae_liae", "fs3_iae"])
def test_a_file_that_is_cut_short_is_named(copy, name):
    folder = copy(name)
    for path in [path for path in folder.iterdir() if path.suffix in (".h5", ".keras")]:
        if "decoder_A" in path.name:
            continue  # which B's face does not need
        whole = path.read_bytes()
        for size in (0, 7, len(whole) // 3, len(whole) - 1):
            path.write_bytes(whole[:size])
            assert Faceswap.recognise(folder)
            with pytest.raises(ModelError, match=path.name):
                read(folder)
        path.write_bytes(whole)


def test_a_part_of_another_model_is_told(copy, reference):
    folder = copy("fs1_original")
    shutil.copy(folder / "original_encoder.h5", folder / "original_decoder_B.h5")
    with pytest.raises(ModelError, match=r"original_decoder_B\.h5: layer input_3 takes \[64, 64, 3\], and is fed with"):
        read(folder)
    shutil.copy(folder / "original_decoder_A.h5", folder / "original_encoder.h5")
    with pytest.raises(ModelError, match=r"original_encoder\.h5 takes \[8, 8, 16\]; square pictures of three colours"):
        read(folder)


def test_a_model_of_one_side_is_told(copy):
    folder = copy("fs2_lightweight")
    with h5py.File(folder / "lightweight.h5", "a") as file:
        description = json.loads(file.attrs["model_config"])
        description["config"]["output_layers"].pop()
        file.attrs["model_config"] = json.dumps(description)
    with pytest.raises(ModelError, match=r"lightweight\.h5 has 2 inputs and 1 outputs"):
        read(folder)


def test_weights_of_another_place_are_told(copy):
    """In a .keras file places are counted by kind: one layer more before them, and all would be others."""
    folder = copy("fs3_original")
    with zipfile.ZipFile(folder / "original.keras") as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    description = json.loads(held["config.json"])
    layers = description["config"]["layers"][2]["config"]["layers"]
    layers.insert(1, {**layers[1], "name": "more"})
    with zipfile.ZipFile(folder / "original.keras", "w") as archive:
        for name, data in {**held, "config.json": json.dumps(description)}.items():
            archive.writestr(name, data)
    with pytest.raises(ModelError, match=r"original\.keras: .*layer encoder/conv_4_0_conv2d \(Conv2D\)"):
        read(folder)
