"""A face enhancer: adds nothing if it changes nothing, looks now and then, and its detail goes with the face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.errors import EngineError, ModelError
from live.cast import Cast
from live.frame import Face
from live.guard import covers_face
from tests.live.swappers.one_photo.test_one_photo import placed

MODEL = "hyperswap_1a_256.onnx"
BRIGHT = 20


@pytest.fixture
def pair(wear, add_enhancer):
    """pair(kind) is the same swapper twice, without and with an enhancer, all of whose detail is taken."""

    def make(kind, file_name="gfpgan_1.4.onnx", **look):
        more = {"enhance": 1.0, "enhance_every": 3, **look}
        return wear(MODEL), wear(MODEL, enhancer=add_enhancer(file_name, kind), **more)

    return make


def lighter(plain, fine, image, face):
    """How much lighter the enhanced patch is, in the middle of the face; 0 elsewhere if nothing is shown there."""
    one, two = plain.swap(image, face), fine.swap(image, face)
    assert np.array_equal(one.alpha, two.alpha) and (one.x, one.y) == (two.x, two.y)
    return two.pixels.astype(int) - one.pixels, one.alpha


@pytest.mark.parametrize("file_name", ["gfpgan_1.4.onnx", "codeformer.onnx"])
def test_one_that_changes_nothing_adds_nothing(pair, portrait, file_name):
    plain, fine = pair("same", file_name)
    for size_px, degrees in ((90, 0), (324, 37), (640, -20)):
        image, face = placed(portrait, size_px, degrees)
        before = image.copy()
        added, _ = lighter(plain, fine, image, face)
        assert np.abs(added).max() == 0
        assert np.array_equal(image, before)


@pytest.mark.parametrize("file_name", ["gfpgan_1.4.onnx", "codeformer.onnx"])
def test_what_it_adds_is_shown_where_the_face_is(pair, portrait, file_name):
    plain, fine = pair("bright", file_name)
    image, face = placed(portrait, 324, 15)
    added, alpha = lighter(plain, fine, image, face)
    assert np.abs(added[alpha > 250] - BRIGHT).max() <= 1
    assert covers_face(face, fine.swap(image, face), image)
    half = pair("bright", file_name, enhance=0.5)
    added, alpha = lighter(*half, image, face)
    assert np.abs(added[alpha > 250] - BRIGHT / 2).max() <= 1


def runs(swapper):
    """Counts the looks of the enhancer from now on."""
    engine, looks = swapper._enhancer.engine, []
    run = engine.run
    engine.run = lambda feeds: looks.append(1) or run(feeds)
    return looks


def test_it_looks_once_in_so_many_frames_and_its_detail_goes_with_the_face(pair, portrait):
    plain, fine = pair("bright")
    looks = runs(fine)
    for frame in range(7):
        image, face = placed(portrait, 324, 3 * frame, (600 + 9 * frame, 350))
        face.track, fine.spare = 1, 0
        added, alpha = lighter(plain, fine, image, face)
        assert np.abs(added[alpha > 250] - BRIGHT).max() <= 1
    assert len(looks) == 3


def test_where_work_is_spared_it_does_not_look_but_what_it_saw_stays(pair, portrait):
    plain, fine = pair("bright")
    looks = runs(fine)
    image, face = placed(portrait, 324, 0)
    face.track = 1
    fine.spare = 1
    assert np.abs(lighter(plain, fine, image, face)[0]).max() == 0
    fine.spare = 0
    for _ in range(8):
        added, alpha = lighter(plain, fine, image, face)
        assert np.abs(added[alpha > 250] - BRIGHT).max() <= 1
        fine.spare = 1
    assert len(looks) == 1


def test_where_the_face_moves_its_detail_fades_and_elsewhere_it_stays(pair, portrait):
    plain, fine = pair("bright")
    image, face = placed(portrait, 324, 0)
    face.track = 1
    lighter(plain, fine, image, face)
    # The mouth opens: what lies below the upper lip moves down, the five points stay.
    mesh = face.mesh.copy()
    lip, chin = mesh[13, 1], mesh[152, 1]
    low = (mesh[:, 1] > lip + 2) & (np.abs(mesh[:, 0] - mesh[13, 0]) < 60)
    mesh[low, 1] += 0.25 * (chin - lip)
    said = replace(face, mesh=mesh, missed=True)  # missed: it does not look
    added, _ = lighter(plain, fine, image, said)
    patch = plain.swap(image, said)

    def at(index):
        x, y = np.rint(mesh[index, :2]).astype(int)
        return added[y - patch.y, x - patch.x].mean()

    assert at(17) < 4 and at(4) > BRIGHT - 2 and at(151) > BRIGHT - 2


def test_one_face_a_frame_is_looked_at_and_each_comes_to_its_turn(pair, portrait):
    _, fine = pair("bright")
    cast, looks = Cast([fine]), runs(fine)
    image, _ = placed(portrait, 200, 0)
    faces = [placed(portrait, 200, 0, (250 + 300 * k, 360))[1] for k in range(3)]
    for track, face in enumerate(faces, 1):
        face.track = track
    for frame in range(3):
        cast.spare = 0
        for face in faces:
            cast.swap(image, face)
        assert len(looks) == frame + 1
    assert set(fine._enhancer._kept) == {1, 2, 3}
    assert cast.extra_ms == fine.extra_ms > 0


def test_a_face_without_a_mesh_is_enhanced_too(pair, portrait):
    plain, fine = pair("bright")
    image, face = placed(portrait, 324, 5)
    added, alpha = lighter(plain, fine, image, Face(face.points, None, 1.0, track=1))
    assert np.median(added[alpha > 250]) == BRIGHT
    added, _ = lighter(plain, fine, image, replace(face, track=1, missed=True))  # a mesh came: nothing to compare with
    assert np.abs(added).max() == 0


def test_what_it_takes_is_known_before_the_first_frame(pair):
    plain, fine = pair("same")
    assert plain.extra_ms == 0 < fine.extra_ms
    assert not fine._enhancer._kept and fine.spare == 0


def test_another_persona_gets_nothing_of_what_was_seen_before(pair, portrait):
    plain, fine = pair("bright")
    image, face = placed(portrait, 324, 0)
    face.track = 1
    fine.swap(image, face)
    fine.wear(portrait)
    fine.spare = 1
    assert np.abs(lighter(plain, fine, image, face)[0]).max() == 0


def test_one_that_gives_no_numbers_is_refused_before_going_live_and_covered_live(wear, add_enhancer, pair, portrait):
    with pytest.raises(ModelError, match="no numbers, already when it is tried out"):
        wear(MODEL, enhancer=add_enhancer("gfpgan_1.4.onnx", "nan"))
    _, fine = pair("bright")
    run = fine._enhancer.engine.run
    fine._enhancer.engine.run = lambda feeds: {name: array * np.nan for name, array in run(feeds).items()}
    with pytest.raises(EngineError, match="no numbers"):
        fine.swap(*placed(portrait, 324, 0))


def test_what_is_no_enhancer_is_told(wear, add_enhancer, tmp_path):
    with pytest.raises(ModelError, match="is no face enhancer"):
        wear(MODEL, enhancer="arcface_w600k_r50")
    folder = add_enhancer("gfpgan_1.4.onnx", "same")
    card = tmp_path / "gfpgan_1.4-same" / "card.json"
    text = card.read_text()
    for was, now in (
        ('"image_size": 512', '"image_size": 256'), ('"template": "ffhq_512"', '"template": "mine"'),
        ('"image": "input"', '"image": "picture"'), ('"outputs": {', '"outputs": 3, "x": {'),
    ):  # fmt: skip
        assert was in text
        card.write_text(text.replace(was, now))
        with pytest.raises(ModelError, match="is not what its card says"):
            wear(MODEL, enhancer=folder)
