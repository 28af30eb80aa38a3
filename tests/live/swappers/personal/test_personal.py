"""A personal engine of known effect is worn: its own face in looks that it knows, the mesh swap's in others."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest

from engines.card import read_card
from engines.errors import BadInput, EngineError, EngineLost, ModelError
from live.align import CORE, face_from_mesh
from live.blenders.feather import Feather
from live.frame import Persona
from live.guard import covers_face
from live.personas import open_persona
from live.swappers.mesh import Mesh
from live.swappers.personal import Personal
from live.swappers.personal.picture import crossed
from live.swappers.personal.turn import AGAIN, AHEAD, FADE
from live.swappers.trained.net import Net
from tests.personal_nets import SIZE, change_card, ellipse, known_looks, make_personal
from tests.trained_nets import grey, make_trained, same, tint

ENGINE = "onnx_runtime:cpu:fp32"


@pytest.fixture(scope="module")
def persona(portrait, finder, tmp_path_factory):
    """Joel, taught to who is in `portrait`: what the net draws is red."""
    return worn(make_personal(tmp_path_factory.mktemp("joel"), known_looks(portrait)), finder)


def worn(folder, finder):
    joel = open_persona("sample:joel", finder)
    return Persona("worn", joel.views, read_card(folder), "synthetic")


@pytest.fixture
def personal(persona):
    return opened(persona)


def opened(persona, **settings):
    swapper = Personal(engine=ENGINE, **settings)
    swapper.open()
    swapper.wear(persona)
    return swapper


@pytest.fixture
def face(portrait):
    return replace(portrait.face, track=1)


@pytest.fixture
def looks(monkeypatch):
    """What the wearer looks like from now on is as far from the lessons as it says."""
    far = {"is": 0.0}
    monkeypatch.setattr("live.fit.known.Known.far", lambda known, look: far["is"])
    return far


@pytest.fixture
def counted(monkeypatch):
    """How often the net ran, and the mesh swap."""
    calls = {"net": 0, "mesh": 0}
    run, swap = Net.run, Mesh.swap

    def ran(net, crop, morph):
        calls["net"] += 1
        return run(net, crop, morph)

    def swapped(mesh, image, face):
        calls["mesh"] += 1
        return swap(mesh, image, face)

    monkeypatch.setattr(Net, "run", ran)
    monkeypatch.setattr(Mesh, "swap", swapped)
    return calls


def shown(image, face, patch):
    """The picture with the patch."""
    picture = image.copy()
    Feather().blend(picture, face, patch)
    return picture


def is_red(patch, face):
    """Is it the net's face, by its colour?"""
    at = np.rint(face.mesh[list(CORE), :2]).astype(int) - (patch.x, patch.y)
    blue, _, red = patch.pixels[at[:, 1], at[:, 0]].astype(float).mean(0)
    return red > 2.2 * blue


def test_a_known_look_is_drawn_by_the_net_alone(personal, portrait, face, counted):
    for _ in range(10):
        patch = personal.swap(portrait.image, face)
        assert covers_face(face, patch, portrait.image) and is_red(patch, face)
    assert counted == {"net": 10, "mesh": 0}
    assert not personal.stood_in and not personal.wants_irises and patch.hidden is None


def test_it_lies_where_the_face_was(portrait, face, finder, tmp_path):
    folder = make_personal(tmp_path / "net", known_looks(portrait), lambda graph, face: graph.scale(face, 0.8))
    patch = opened(worn(folder, finder)).swap(portrait.image, face)
    inner = patch.alpha > 250
    here = portrait.image[patch.y : patch.y + len(inner), patch.x : patch.x + inner.shape[1]].astype(float)
    off = np.abs(patch.pixels[inner] / 0.8 - here[inner])
    moved = np.abs(patch.pixels[inner] / 0.8 - np.roll(here, 8, 1)[inner])
    assert np.median(off) < 6 and off.mean() < 0.7 * moved.mean()


def test_a_new_look_fades_into_the_mesh_swap_and_back_without_a_jump(personal, portrait, face, looks, counted):
    image = cv2.resize(portrait.image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    face = replace(face_from_mesh(face.mesh * np.float32(0.5), 1.0), track=1)
    pictures, mesh_from = [], None
    for number in range(120):
        looks["is"] = 3.0 if 10 <= number < 60 else 0.0
        patch = personal.swap(image, face)
        assert covers_face(face, patch, image)
        if counted["mesh"] and mesh_from is None:
            mesh_from = number
        pictures.append(shown(image, face, patch))
        pictures[-1] = cv2.GaussianBlur(pictures[-1], (0, 0), 3).astype(float)  # without the grain
        assert personal.stood_in == (personal._wearers[1].turn.share > 0)
    change = np.array([np.abs(b - a).mean() for a, b in pairwise(pictures)])
    whole = np.abs(pictures[55] - pictures[5]).mean()
    assert change.max() < 2 * whole / FADE
    assert 10 <= mesh_from < 18 and change[: mesh_from + AHEAD - 1].max() < whole / 50  # unseen at first
    assert np.abs(pictures[-1] - pictures[5]).mean() < whole / 20
    assert counted["mesh"] < 50 + AHEAD + 2 * FADE + 12 and counted["net"] < 120 - 20


def test_the_irises_are_looked_for_while_the_mesh_swap_draws(personal, portrait, face, looks):
    assert personal.wants_irises  # nobody knows yet who draws first
    personal.swap(portrait.image, face)
    assert not personal.wants_irises
    looks["is"] = 3.0
    for _ in range(AHEAD):
        personal.swap(portrait.image, face)
    assert personal.wants_irises and not personal.stood_in


def test_who_comes_in_with_a_new_look_gets_the_mesh_swap_at_once(personal, portrait, face, looks, counted):
    looks["is"] = 2.0
    assert not is_red(personal.swap(portrait.image, face), face)
    assert personal.stood_in and counted == {"net": 0, "mesh": 1}


def test_the_pose_counts(personal, portrait, face):
    turned = replace(face, pose=(face.pose[0] + 60, *face.pose[1:]))
    personal.swap(portrait.image, turned)
    assert personal.stood_in
    assert not opened_alike(personal, reach=10.0, image=portrait.image, face=turned).stood_in


def opened_alike(personal, reach, image, face):
    personal.reach = reach
    personal._wearers = {}
    personal.swap(image, face)
    return personal


def test_each_face_has_its_own_turn(personal, portrait, face):
    other = replace(face, track=2, pose=(60.0, 0.0, 0.0))
    for _ in range(3):
        assert is_red(personal.swap(portrait.image, face), face)
        assert not is_red(personal.swap(portrait.image, other), face)


def test_what_is_spared_is_told_to_the_mesh_swap(personal, portrait, face, looks):
    looks["is"] = 2.0
    personal.spare = 3
    personal.swap(portrait.image, face)
    assert personal._mesh.spare == 3


FLAT = np.full((SIZE, SIZE, 3), 90, np.uint8)
ANSWERS = {
    "no mask": lambda given, crop: given | {"face_mask": given["face_mask"] * 0},
    "half a mask": lambda given, crop: given | {"face_mask": given["face_mask"] // 2},
    "a small mask": lambda given, crop: given | {"face_mask": given["face_mask"][:40, :40]},
    "no picture": lambda given, crop: {"face_mask": given["face_mask"]},
    "a small picture": lambda given, crop: given | {"image": given["image"][:40, :40]},
    "floats": lambda given, crop: given | {"image": np.full((SIZE, SIZE, 3), np.nan, np.float32)},
    "flat": lambda given, crop: given | {"image": FLAT},
    "black": lambda given, crop: given | {"image": given["image"] // 40},
    "the wearer": lambda given, crop: given | {"image": crop.copy()},
    "nearly the wearer": lambda given, crop: given | {"image": cv2.GaussianBlur(crop, (3, 3), 0.5)},
}


def answering(monkeypatch, change):
    run = Net.run
    monkeypatch.setattr(Net, "run", lambda net, crop, morph: change(dict(run(net, crop, morph)), crop))


def failing(monkeypatch, error):
    def fails(*_):
        raise error

    monkeypatch.setattr(Net, "run", fails)


@pytest.mark.parametrize("change", ANSWERS.values(), ids=ANSWERS)
def test_a_picture_that_cannot_be_used_is_handed_over(personal, portrait, face, monkeypatch, change, caplog):
    answering(monkeypatch, change)
    patch = personal.swap(portrait.image, face)
    assert covers_face(face, patch, portrait.image) and not is_red(patch, face)
    assert personal.stood_in
    assert sum("the mesh swap stands in" in line for line in caplog.messages) == 1


@pytest.mark.parametrize("error", [EngineError("out of memory"), MemoryError(), ValueError("bug")], ids=repr)
def test_a_net_that_raises_is_handed_over_and_comes_back(personal, portrait, face, monkeypatch, error):
    with monkeypatch.context() as patch:
        failing(patch, error)
        for _ in range(3):
            assert not is_red(personal.swap(portrait.image, face), face)
    for _ in range(AGAIN + FADE):
        last = personal.swap(portrait.image, face)
    assert is_red(last, face) and not personal.stood_in


def test_a_mesh_swap_that_raises_leaves_the_face_to_the_net(personal, portrait, face, looks, monkeypatch):
    looks["is"] = 3.0

    def fails(*_):
        raise ValueError("bug")

    monkeypatch.setattr(Mesh, "swap", fails)
    for _ in range(5):
        patch = personal.swap(portrait.image, face)
        assert is_red(patch, face) and covers_face(face, patch, portrait.image)
    assert not personal.stood_in


def test_where_both_fail_the_error_goes_up(personal, portrait, face, monkeypatch):
    def fails(*_):
        raise ValueError("the second")

    failing(monkeypatch, EngineError("the first"))
    monkeypatch.setattr(Mesh, "swap", fails)
    for _ in range(3):
        with pytest.raises(EngineError, match="the first"):
            personal.swap(portrait.image, face)


def test_a_lost_engine_goes_up_since_the_loop_opens_it_again(personal, portrait, face, monkeypatch):
    failing(monkeypatch, EngineLost("gone"))
    with pytest.raises(EngineLost):
        personal.swap(portrait.image, face)
    monkeypatch.undo()
    personal.close()
    personal.open()


def test_what_lies_in_front_stays_in_front(portrait, face, finder, tmp_path):
    front = np.zeros((SIZE, SIZE), np.float32)
    front[60:100, 30:62] = 1  # a hand over a cheek
    persona = worn(make_personal(tmp_path / "hand", known_looks(portrait), front=front), finder)
    swapper = opened(persona)
    for _ in range(6):
        patch = swapper.swap(portrait.image, face)
    assert patch.hidden is not None and covers_face(face, patch, portrait.image)
    part = patch.hidden > 200
    assert 0.03 < part.mean() < 0.4 and patch.alpha[part].max() < 60
    bare = opened(persona, front=False).swap(portrait.image, face)
    assert bare.hidden is None


@pytest.mark.parametrize("front", [np.ones((SIZE, SIZE)), np.full((SIZE, SIZE), 0.5)], ids=["all", "unsure"])
def test_an_unbelievable_front_draws_the_new_face(portrait, face, finder, tmp_path, front):
    swapper = opened(worn(make_personal(tmp_path / "front", known_looks(portrait), front=front), finder))
    for _ in range(6):
        patch = swapper.swap(portrait.image, face)
    assert patch.hidden is None and is_red(patch, face) and covers_face(face, patch, portrait.image)


def test_a_narrow_mask_is_widened_to_the_features(portrait, face, finder, tmp_path):
    mask = ellipse(0.24, 0.22, (0.5, 0.54))
    swapper = opened(worn(make_personal(tmp_path / "narrow", known_looks(portrait), face_mask=mask), finder))
    patch = swapper.swap(portrait.image, face)
    at = np.rint(face.mesh[list(CORE[1:]), :2]).astype(int) - (patch.x, patch.y)
    assert (patch.alpha[at[:, 1], at[:, 0]] > 127).all() and not swapper.stood_in


def test_a_face_outside_the_picture_gives_a_patch_that_shows_nothing(personal, portrait, face):
    far = np.array([9000, 0, 0], np.float32)
    gone = replace(face, mesh=face.mesh + far, points=face.points + far[:2])
    patch = personal.swap(portrait.image, gone)
    assert patch.alpha.max() == 0


def test_both_faces_in_one_patch_are_between_the_two_pictures(portrait, face, persona, looks):
    swapper = opened(persona)
    net = swapper.swap(portrait.image, face)
    mesh = swapper._mesh.swap(portrait.image, face)
    ends = [shown(portrait.image, face, one).astype(float) for one in (net, mesh)]
    between = shown(portrait.image, face, crossed(net, mesh, 0.5)).astype(float)
    assert np.abs(between - (ends[0] + ends[1]) / 2).mean() < 0.5
    alone = crossed(net, mesh, 0.0)
    assert np.abs(shown(portrait.image, face, alone) - ends[0]).mean() < 0.2


def test_what_is_no_personal_engine_is_refused(portrait, finder, tmp_path):
    swapper = Personal(engine=ENGINE)
    swapper.open()
    with pytest.raises(BadInput, match="no personal engine"):
        swapper.wear(portrait)
    trained = read_card(make_trained(tmp_path / "trained", tint))
    with pytest.raises(BadInput, match="no personal engine"):
        swapper.wear(Persona("x", portrait.views, trained))
    folder = make_personal(tmp_path / "joel", known_looks(portrait))
    with pytest.raises(BadInput, match="without the face"):
        swapper.wear(Persona("x", (), read_card(folder)))
    with pytest.raises(ModelError, match="which looks"):
        change_card(folder, facts={"taught": {}})
        swapper.wear(worn(folder, finder))
    swapper.close()


def test_a_net_without_a_mask_is_refused(portrait, finder, tmp_path):
    folder = make_personal(tmp_path / "joel", known_looks(portrait))
    taught = read_card(folder).facts["taught"]
    bare = change_card(make_trained(tmp_path / "bare", grey, taught=taught), family="personal")
    swapper = Personal(engine=ENGINE)
    swapper.open()
    with pytest.raises(ModelError, match="no face_mask"):
        swapper.wear(worn(bare, finder))
    swapper.close()


def test_a_net_that_gives_the_same_face_shows_the_mesh_swap(portrait, face, finder, tmp_path):
    swapper = opened(worn(make_personal(tmp_path / "same", known_looks(portrait), same), finder))
    patch = swapper.swap(portrait.image, face)
    assert swapper.stood_in and covers_face(face, patch, portrait.image)
