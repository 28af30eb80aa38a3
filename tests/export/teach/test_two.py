"""export/teach/two.py and twins.py: two people's faces teach, and each is painted from the other's."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra `teach`)")

from engines.engine import Variant  # noqa: E402
from engines.errors import BadInput  # noqa: E402
from engines.runtimes.onnx_runtime import OnnxRuntime  # noqa: E402
from export.teach.course import best_of, run  # noqa: E402
from export.teach.nets import Worn  # noqa: E402
from export.teach.pairs import SIZES  # noqa: E402
from export.teach.train import ByTeacher  # noqa: E402
from export.teach.twins import PERSONA, WEARER, Twins  # noqa: E402
from export.teach.two import ByFootage  # noqa: E402
from export.teach.write import write_engine  # noqa: E402
from tests.export.teach.toy import Steps, toy_pairs, toy_two  # noqa: E402

INNER = slice(16, 144)


@pytest.fixture(scope="module")
def two():
    return toy_two()


@pytest.fixture(scope="module")
def learned(two, tmp_path_factory):
    """A state, and all that was told, of a few small steps."""
    state = tmp_path_factory.mktemp("twins") / "state.pt"
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.teach.two._BATCHES", {WEARER: 2, PERSONA: 3})
        run(ByFootage(two, 128), 2.5, state, told.append, clock=Steps())
    return state, told


def pictures(pairs, which=slice(None, None, 5)):
    faces = pairs.faces[which, INNER, INNER]
    return torch.from_numpy(faces.transpose(0, 3, 1, 2).copy()).float() / 255


def test_it_learns_and_shows_both(learned):
    state, told = learned
    assert told[-1].best_db > told[0].psnr_db
    assert told[-1].preview.shape == (4 * 128, told[-1].preview.shape[1], 3)
    assert state.stat().st_mode & 0o777 == 0o600


@torch.no_grad()
def test_the_wearers_face_becomes_the_personas(two, learned):
    net, _ = best_of(learned[0])
    wearer, persona = pictures(two.wearer), pictures(two.persona)
    worn = net(wearer)[0]
    mouth, skin = (slice(None), slice(None), slice(82, 90), slice(50, 78)), (..., slice(100, 110), slice(50, 78))
    dark = worn[mouth].mean((1, 2, 3)) / worn[skin].mean((1, 2, 3))
    assert float(persona[mouth].mean() / persona[skin].mean()) < 0.5
    assert float(dark.max()) < 0.75, "the persona's mouth, which the wearer has not"
    assert float((wearer[mouth].mean((1, 2, 3)) / wearer[skin].mean((1, 2, 3))).min()) > 0.9


@torch.no_grad()
def test_light_passes_through(two, learned):
    net, _ = best_of(learned[0])
    wearer = pictures(two.wearer)
    tint = torch.tensor([0.5, 0.7, 0.9])[None, :, None, None]
    plain, tinted = net(wearer)[0], net(wearer * tint)[0]
    middle = (..., slice(50, 80), slice(50, 78))
    ratio = (tinted[middle].mean((0, 2, 3)) / plain[middle].mean((0, 2, 3))).numpy()
    assert np.abs(ratio - (0.5, 0.7, 0.9)).max() < 0.1


@torch.no_grad()
def test_what_is_meant_are_the_ways_in_which_both_differ_and_pose_lids_and_gaze(two):
    net = Twins(128)
    net.begin([two.wearer.told, two.persona.told], [torch.rand(3, 128, 128)] * 2)
    told = np.concatenate([two.wearer.told, two.persona.told])
    meant = net.meant(torch.from_numpy(told)).numpy()
    spread = meant.std(0)
    assert np.allclose(spread[[0, 1, 2, 3, -4, -3, -2, -1]], 1, atol=0.02)
    assert spread[4:-4].max() < 0.02, "there are four ways only, and the heads are not turned"
    assert abs(np.corrcoef(meant[:, -1], told[:, -1])[0, 1]) > 0.99


def test_it_goes_on_where_it_was_stopped_and_in_no_other_way(two, learned, tmp_path):
    state, told = tmp_path / "state.pt", []
    state.write_bytes(learned[0].read_bytes())
    run(ByFootage(two, 128), 2.7, state, told.append, clock=Steps())
    assert told[0].step == learned[1][-1].step and told[0].spent_s >= 2.5
    with pytest.raises(BadInput, match="taught in another way"):
        run(ByTeacher(toy_pairs(6), 128), 1.0, state, print)


def test_the_written_net_is_the_trained_one(two, learned, tmp_path):
    facts = {"taught": {"teacher": "footage"}}
    card = write_engine(learned[0], tmp_path / "me", "me", facts, two.wearer.faces)
    assert card.facts["outputs"] == ["image", "face_mask", "front"]
    worn, engine = Worn(best_of(learned[0])[0]).eval(), OnnxRuntime(card, Variant("onnx_runtime"))
    face = np.ascontiguousarray(two.wearer.faces[3, INNER, INNER])
    got = engine.run({"face": face})
    with torch.no_grad():
        wanted = worn(torch.from_numpy(face))
    for name, plane in zip(("image", "face_mask", "front"), wanted, strict=True):
        assert np.abs(got[name].astype(int) - plane.numpy()).max() <= 1
    engine.close()


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_a_new_net_paints_what_it_began_with_in_the_faces_light(size):
    net = Twins(size).eval()
    told = np.random.default_rng(0).normal(0, 1, (2, 30, len(net.calm))).astype(np.float32)
    first = torch.rand(2, 3, size, size)
    net.begin(list(told), list(first))
    face = torch.rand(1, 3, size, size) * 0.5
    for who in (WEARER, PERSONA):
        image, masks = net(face, who)
        assert masks.shape == (1, 2, size, size)
        assert float((net.light(image)[0] - net.light(face)[0]).abs().max()) < 0.01
        there, wanted = (
            image[0] - image[0].mean((1, 2), keepdim=True),
            first[who] - first[who].mean((1, 2), keepdim=True),
        )
        assert float((there * wanted).sum() / (there.norm() * wanted.norm())) > 0.99
