"""DeepFaceLab 2: every reference model gives the program's own outputs; what is damaged or unknown is told."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import shutil
from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import BadInput, ModelError
from export.folder import export, find
from export.graph import Graph
from export.readers.deepfacelab2 import Deepfacelab2
from tests.export.nets import TOLERANCE, WRONG, build_wrongly, damage, run, run_bytes, worst

# Name, size, crop.
MODELS = {
    "saehd_df": ("SAEHD df", 64, "whole_face"),
    "saehd_df_ud": ("SAEHD df-ud", 96, "full"),
    "saehd_df_udt": ("SAEHD df-udt", 64, "whole_face"),
    "saehd_liae_ud": ("SAEHD liae-ud", 64, "whole_face"),
    "saehd_liae_udt": ("SAEHD liae-udt", 64, "whole_face"),
    "saehd_liae_dc": ("SAEHD liae-dc", 64, "whole_face"),
    "amp": ("AMP", 64, "whole_face"),
}
MORPHS = (0, 0.33, 0.5, 0.75, 1)
MISTAKES = ("sub-pixels channel first", "padded by TensorFlow's rule")


def read(folder, **options):
    return Deepfacelab2.read(folder, options)


def runs(folder, morph=True):
    """What the program was given beside the face, and what it answered."""
    held = np.load(folder / "io.npz")
    names = [f"_{round(100 * value):03}" for value in MORPHS] if morph else [""]
    for value, name in zip(MORPHS, names, strict=False):
        feeds = {"morph": np.array([value], np.float32)} if morph else {}
        masks = {"face_mask": held["mask_dst"], "celeb_mask": held[f"mask_src{name}"]}
        yield held["face"], feeds, {"image": held[f"bgr{name}"], **masks}


def off(trained, folder):
    return max(worst(run(trained, face, **feeds), wanted) for face, feeds, wanted in runs(folder, trained.morph))


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


def change(folder, part, **tensors):
    """Change tensors of a part ("encoder"), a dot in a name standing for a slash; None takes one out."""
    [path] = folder.glob(f"*_{part}.npy")
    held = pickle.loads(path.read_bytes())
    held |= {name.replace(".", "/") + ":0": array for name, array in tensors.items()}
    path.write_bytes(pickle.dumps({name: array for name, array in held.items() if array is not None}, protocol=4))
    return path


def forget_notes(folder):
    for path in (*folder.glob("*_data.dat"), *folder.glob("*_summary.txt")):
        path.unlink()


@pytest.mark.parametrize("name", MODELS)
def test_it_gives_what_the_program_gave(reference, name):
    folder = reference(name)
    trained = read(folder)
    assert off(trained, folder) < TOLERANCE
    model, size, face_type = MODELS[name]
    assert (trained.program, trained.model, trained.crop) == ("DeepFaceLab 2", model, (face_type, "dfl33"))
    assert (trained.size, trained.out_size, trained.iterations, trained.warnings) == (size, size, 1000, ())
    assert Deepfacelab2.recognise(folder) == f"DeepFaceLab 2 {model.split()[0]}"
    [data] = folder.glob("*_data.dat")
    noted = pickle.loads(data.read_bytes())["options"]
    assert all(trained.facts[key] == noted[key] for key in trained.facts if key in noted)


@pytest.mark.parametrize("name", MODELS)
def test_bytes_in_and_out_differ_by_rounding_alone(reference, name):
    trained = read(reference(name))
    for face, feeds, _ in runs(reference(name), trained.morph):
        face = np.round(face * 255).astype(np.uint8)
        answers, floats = run_bytes(trained, face, **feeds), run(trained, face.astype(np.float32) / 255, **feeds)
        assert worst(answers, {key: array * 255 for key, array in floats.items()}) < 0.51


@pytest.mark.parametrize(("name", "how"), list(product(MODELS, MISTAKES)))
def test_a_net_put_together_wrongly_is_far_off(reference, monkeypatch, name, how):
    trained = read(reference(name))
    build_wrongly(monkeypatch, how)
    assert off(trained, reference(name)) > WRONG


@pytest.mark.parametrize("name", MODELS)
def test_dense_layers_are_in_hwc_order_where_the_user_says_so(reference, name):
    assert off(read(reference(name), dense_order="HWC"), reference(name)) > WRONG
    with pytest.raises(BadInput, match="dense_order=NHWC is no order"):
        read(reference(name), dense_order="NHWC")


def test_what_both_calls_of_a_decoder_use_is_stored_once(reference):
    trained, graph = read(reference("saehd_liae_udt")), Graph()
    assert len(graph.finish(**trained.build(graph))) < 4.1 * trained.parameters


def test_half_precision_is_read(copy):
    folder = copy("saehd_df_ud")  # its weights are the same numbers in float16
    for path in folder.glob("*.npy"):
        held = pickle.loads(path.read_bytes())
        path.write_bytes(pickle.dumps({name: array.astype(np.float16) for name, array in held.items()}))
    assert off(read(folder), folder) < TOLERANCE


@pytest.mark.parametrize("name", MODELS)
def test_the_summary_tells_what_the_data_would(copy, name):
    folder = copy(name)
    with_data = read(folder)
    next(folder.glob("*_data.dat")).unlink()
    without = read(folder)
    assert (without.model, without.crop, without.facts) == (with_data.model, with_data.crop, with_data.facts)
    assert without.iterations == 1000


@pytest.mark.parametrize("name", MODELS)
def test_without_notes_the_letters_must_be_said(copy, name):
    folder = copy(name)
    forget_notes(folder)
    options = {}
    if name != "amp":
        with pytest.raises(ModelError, match="tells its architecture") as caught:
            read(folder)
        assert "archi=liae-udt" in caught.value.hint
        options = {"archi": MODELS[name][0].split()[1]}
    trained = read(folder, **options)
    assert off(trained, folder) < TOLERANCE
    assert trained.crop == ("whole_face", "dfl33") and "whole_face is assumed" in trained.warnings[0]
    assert read(folder, **options, crop="head").crop == ("head", "dfl33")
    with pytest.raises(BadInput, match="crop=wf names no crop"):
        read(folder, **options, crop="wf")


def test_it_warns_of_a_pretrained_model(copy):
    folder = copy("saehd_df")
    note(folder, pretrain=True)
    assert "pretrained" in read(folder).warnings[0]


@pytest.mark.parametrize(
    ("old", "now"), [("dfuhd", "df-u"), ("liaeuhd", "liae-u"), ("dfhd", ""), ("liaehd", ""), ("liaech", ""), ("sd", "")]
)
def test_architectures_of_old_are_mapped_or_refused_by_name(copy, old, now):
    folder = copy("saehd_df" if old.startswith("df") else "saehd_liae_ud")
    note(folder, archi=old)
    if not now:
        with pytest.raises(ModelError, match=old):
            read(folder)
    elif now == "df-u":
        assert read(folder).model == "SAEHD df-u"
    else:
        with pytest.raises(ModelError, match=r"holds out_conv1/weight:0, which liae-u has no place"):
            read(folder)


def quick96(folder, upscale="upscale"):
    """saehd_df_ud as if it were a Quick96, which notes no options."""
    for path in folder.glob("*_SAEHD_*"):
        path.rename(folder / path.name.replace("SAEHD", "Quick96"))
    note(folder, **dict.fromkeys(("resolution", "face_type", "archi", "ae_dims", "e_dims", "d_dims", "d_mask_dims")))


def test_a_quick96_is_a_df_ud(copy):
    folder = copy("saehd_df_ud")
    quick96(folder)
    trained = read(folder)
    assert (trained.model, trained.crop, trained.facts["archi"]) == ("Quick96", ("full", "dfl33"), "df-ud")
    assert off(trained, folder) < TOLERANCE
    with pytest.raises(BadInput, match="no SAEHD"):
        read(folder, archi="df-ud")
    change(folder, "decoder_src", **{"upscale0.conv1.weight": None})
    with pytest.raises(ModelError, match="begun before June 2020"):
        read(folder)


CONTRADICTIONS = {
    "resolution": (128, "says resolution: 128, but the tensors in .* say 96"),
    "ae_dims": (np.int64(12), "says ae_dims: 12, but .* 10"),
    "e_dims": (8, "says e_dims: 8, but .* 6"),
    "d_dims": (6, "says d_dims: 6, but .* 4"),
    "d_mask_dims": (4, "says d_mask_dims: 4, but .* 2"),
    "archi": ("df-u", "decoder_src.npy holds out_conv1/weight:0, which df-u has no place for"),
    "face_type": ("wide", "face_type is 'wide'"),
    "pretrain": ("maybe", "pretrain is 'maybe'"),
}


@pytest.mark.parametrize("option", CONTRADICTIONS)
def test_notes_that_contradict_the_tensors_are_told(copy, option):
    folder = copy("saehd_df_ud")
    value, message = CONTRADICTIONS[option]
    note(folder, **{option: value})
    with pytest.raises(ModelError, match=message):
        read(folder)


@pytest.mark.parametrize(
    ("archi", "message"),
    [
        ("df-udt", "encoder.npy holds no down2/conv1/weight:0, which df-udt has"),
        ("liae-ud", "holds no mdfud_SAEHD_inter_AB.npy"),
        ("df-udx", "no architecture 'df-udx'"),
        (["df"], "no architecture"),
    ],
)
def test_another_architecture_than_the_files_is_told(copy, archi, message):
    folder = copy("saehd_df_ud")
    note(folder, archi=archi)
    with pytest.raises(ModelError, match=message):
        read(folder)


DAMAGE = [
    ("encoder", {"down1.downs_2.conv1.bias": None}, "holds no down1/downs_2/conv1/bias:0"),
    ("inter", {"dense1.weight": np.zeros((100, 10), np.float32)}, "dense1: a dense kernel of shape .100, 10. meets"),
    ("inter", {"dense2.weight": np.zeros((10, 70), np.float32)}, "dense2/weight:0 has 70 columns"),
    ("inter", {"dense2.weight": np.zeros((10, 0), np.float32)}, "dense2/weight:0 has 0 columns"),
    ("inter", {"dense2.bias": np.zeros((10, 90), np.float32)}, "dense2/bias:0 has shape .10, 90.; 1 dimensions"),
    ("decoder_src", {"res1.conv2.bias": np.zeros(3, np.float32)}, "res1/conv2: a convolution's bias"),
    ("decoder_src", {"out_conv.weight": np.full((1, 1, 8, 3), np.nan, np.float32)}, "out_conv/weight:0 holds values"),
    ("decoder_dst", {"out_convm.weight": np.zeros((1, 1, 2, 1))}, "'out_convm/weight:0' is float64"),
    ("decoder_dst", {"out_convm.weight": [1.0]}, "'out_convm/weight:0' is list"),
    (
        "decoder_dst",
        {"scale_add.weight": np.zeros(3, np.float32)},
        "'scale_add/weight:0', which df-ud has no place for",
    ),
]


@pytest.mark.parametrize(("part", "tensors", "message"), DAMAGE)
def test_tensors_that_do_not_fit_are_told_by_file_and_name(copy, part, tensors, message):
    folder = copy("saehd_df_ud")
    path = change(folder, part, **tensors)
    with pytest.raises(ModelError, match=message) as caught:
        read(folder)
    assert str(path) in caught.value.message


@pytest.mark.parametrize("name", MODELS)
def test_damage_is_told(reference, tmp_path, name):
    for folder, what, files in damage(reference(name), tmp_path / "work"):
        parts = {re.sub(r"(_src|_dst|_AB|_B)?\.npy", "", file) for file in files}
        if what.endswith("data.dat gone") or (what.endswith("swapped") and len(parts) == 1):
            continue  # the summary says the same; nothing tells the two sides apart
        with pytest.raises(ModelError) as caught:
            read(folder)
            pytest.fail(what)
        assert any(file in caught.value.message for file in files), what


def test_a_swap_of_equals_is_another_swap(copy):
    """Files of the two sides have the same shapes: nothing tells when they are mixed up."""
    folder = copy("saehd_df")
    src, dst = (folder / f"mdf_SAEHD_decoder_{side}.npy" for side in ("src", "dst"))
    src.rename(folder / "x")
    dst.rename(src)
    (folder / "x").rename(dst)
    assert off(read(folder), folder) > WRONG


def test_one_of_several_is_chosen_by_name(copy):
    folder = copy("saehd_df")
    for path in copy("amp").glob("*_AMP_*"):
        shutil.move(path, folder)
    (folder / "XSeg_256.npy").write_bytes(b"")  # lies beside models in every workspace
    assert Deepfacelab2.recognise(folder) == "DeepFaceLab 2 AMP, SAEHD"
    with pytest.raises(BadInput, match="several models: mamp_AMP, mdf_SAEHD"):
        read(folder)
    assert read(folder, model="mamp_AMP").model == "AMP"
    with pytest.raises(BadInput, match="no model 'other'"):
        read(folder, model="other")


def test_what_is_not_of_the_family_is_left_to_others(reference, tmp_path):
    assert Deepfacelab2.recognise(reference("dfl1_saehd_df")) is None
    assert Deepfacelab2.recognise(tmp_path / "nowhere") is None
    with pytest.raises(ModelError, match="no model of DeepFaceLab 2"):
        read(tmp_path)
    with pytest.raises(BadInput, match="no option 'mask'"):
        read(tmp_path, mask="yes")


def test_no_preview_reaches_the_model_folder(copy, tmp_path):
    """DeepFaceLab keeps crops of the faces that it learns from in data.dat."""
    folder = copy("saehd_df_ud")
    [path] = folder.glob("*_data.dat")
    held = pickle.loads(path.read_bytes())
    face = np.frombuffer(b"A FACE SEEN ONLY HERE" * 64, np.uint8).reshape(21, 64)
    path.write_bytes(pickle.dumps(held | {"sample_for_preview": [[face], [face]]}))
    found = find(folder, {})
    assert "SEEN" not in repr(found.trained)
    card = export(found, tmp_path / "out", "worn", precision="fp16")
    assert card.facts["model"] == "SAEHD df-ud"
    written = [path.read_bytes() for path in card.folder.iterdir()]
    assert len(written) == 4 and not any(b"A FACE SEEN ONLY HERE" in data for data in written)


def told_or_size(folder):
    """The size of the model; if it is refused, the model's name if the message has it."""
    try:
        return read(folder).size
    except ModelError as error:
        return next((match[0] for match in re.finditer(r"m[a-z]+_SAEHD", error.message)), error.message)


VALUES = st.one_of(
    st.none(), st.integers(-1, 2**70), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=2),
    st.sampled_from([np.int64(64), np.float64("nan"), np.array([1, 2])]),
)  # fmt: skip
OPTIONS = st.sampled_from(["resolution", "archi", "face_type", "ae_dims", "e_dims", "d_dims", "pretrain"])


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(OPTIONS, VALUES, min_size=1, max_size=3), count=VALUES)
def test_whatever_was_noted_gives_an_answer_or_a_clear_error(reference, tmp_path, changes, count):
    folder = tmp_path / "model"
    if not folder.exists():
        shutil.copytree(reference("saehd_df"), folder)
    [path] = folder.glob("*_data.dat")
    options = {"resolution": 64, "archi": "df", "face_type": "wf"} | changes
    path.write_bytes(pickle.dumps({"iter": count, "options": options}))
    assert told_or_size(folder) in ("mdf_SAEHD", 64)


SHAPES = st.lists(st.sampled_from([0, 1, 3, 10, 40, 160]), max_size=5).filter(lambda shape: prod(shape) < 1e6)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_shapes_tensors_have_gives_a_net_or_a_clear_error(reference, tmp_path, data):
    source, folder = reference("saehd_df_udt"), tmp_path / "model"
    if not folder.exists():
        shutil.copytree(source, folder)
    part = data.draw(st.sampled_from(["encoder", "inter", "decoder_src", "decoder_dst"]))
    path = source / f"mdfudt_SAEHD_{part}.npy"
    held = pickle.loads(path.read_bytes())
    name = data.draw(st.sampled_from(sorted(held)))
    held[name] = np.zeros(data.draw(SHAPES), np.float32)
    (folder / path.name).write_bytes(pickle.dumps(held))
    assert told_or_size(folder) in ("mdfudt_SAEHD", 64)
    shutil.copy(path, folder)


def test_a_quick96_of_full_size_gives_what_the_program_gave(reference, tmp_path):
    folder = shutil.copytree(reference("seeded_full_quick96"), tmp_path / "model")
    recipe = json.loads((folder / "recipe.json").read_text())
    rng, digest, files = np.random.RandomState(recipe["seed"]), hashlib.sha256(), {}
    for file, name, shape, most, exponent in recipe["tensors"]:
        numbers = rng.randint(-most, most + 1, size=shape, dtype=np.int64)
        array = (numbers * 2.0**exponent).astype("<f4")
        digest.update(array.tobytes())
        files.setdefault(file, {})[name] = array
    assert digest.hexdigest() == recipe["sha256_of_all_tensors_little_endian_float32_in_order"]
    for file, tensors in files.items():
        (folder / file).write_bytes(pickle.dumps(tensors, protocol=4))
    trained = read(folder)
    unused = re.compile(r"decoder_dst\.npy (upscale\d|res\d|out_conv\d?)/")  # the picture of the wearer's own face
    used = sum(prod(shape) for file, name, shape, *_ in recipe["tensors"] if not unused.search(f"{file} {name}"))
    assert (trained.model, trained.size, trained.parameters) == ("Quick96", 96, used)
    assert off(trained, folder) < TOLERANCE
