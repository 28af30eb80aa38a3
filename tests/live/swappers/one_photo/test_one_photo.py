"""Every public signature: a net that gives back what it takes must give back the camera's picture; masks, colours."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import BadInput, EngineError, ModelError, NotAvailable
from live.align import CORE, INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE, face_from_mesh
from live.blenders.feather import Feather
from live.frame import Face, Persona
from live.guard import covers_face
from live.swappers.one_photo import OnePhoto
from tests.one_photo_nets import SWAPPERS, make_model, swapper


def placed(portrait, size_px, degrees, at=(640, 360)):
    """The portrait's face in a picture of 1280x720: so high, turned so far, its nose there; and the picture: waves
    that differ in each colour, so that a shift or two colours exchanged would show, and that the coarsest net can hold.
    """
    box = portrait.face.box
    nose = tuple(map(float, portrait.face.mesh[4, :2]))
    turn = cv2.getRotationMatrix2D(nose, degrees, size_px / (box[3] - box[1]))
    turn[:, 2] += np.array(at) - nose
    mesh = portrait.face.mesh.copy()
    mesh[:, :2] = mesh[:, :2] @ turn[:, :2].T + turn[:, 2]
    y, x = np.mgrid[:720, :1280].astype(np.float32)
    waves = [np.sin(x / size_px * a + y / size_px * b + c) for a, b, c in ((5, 3, 0), (-4, 5, 1), (2, -6, 2))]
    image = np.stack([128 + 70 * wave for wave in waves], -1).round().astype(np.uint8)
    return image, face_from_mesh(mesh.astype(np.float32), 1.0)


def under(image, patch):
    rows, columns = patch.alpha.shape
    return image[patch.y : patch.y + rows, patch.x : patch.x + columns]


def off(image, patch):
    return np.abs(under(image, patch).astype(int) - patch.pixels)[patch.alpha > 0]


def right(image, patch):
    """Within one level. A picture that is drawn much larger is rounded three times: by chance a pixel is two off."""
    return off(image, patch).max() <= 2 and (off(image, patch) > 1).mean() < 2e-3


def shown_at(patch, points):
    """Alpha at these points of the frame."""
    x, y = np.rint(points[:, :2]).astype(int).T
    return patch.alpha[y - patch.y, x - patch.x]


@pytest.mark.parametrize("file_name", SWAPPERS)
def test_a_net_that_changes_nothing_gives_the_cameras_picture_back(wear, portrait, file_name):
    swapper = wear(file_name)
    for size_px, degrees in ((90, 0), (324, 0), (324, 37), (500, -20), (200, 170)):
        image, face = placed(portrait, size_px, degrees)
        before = image.copy()
        patch = swapper.swap(image, face)
        assert np.array_equal(image, before)
        assert (patch.alpha > 127).sum() > 0.4 * size_px**2
        assert right(image, patch)
        assert covers_face(face, patch, image)
        Feather().blend(image, face, patch)
        assert np.abs(image.astype(int) - before).max() <= 2


@pytest.mark.parametrize("file_name", ["inswapper_128.onnx", "hyperswap_1a_256.onnx"])
@pytest.mark.parametrize("boost", [2, 3])
def test_a_finer_crop_comes_back_too_and_holds_finer_details(wear, portrait, file_name, boost):
    plain, fine = wear(file_name), wear(file_name, boost=boost)
    image, face = placed(portrait, 480, 12)
    assert right(image, fine.swap(image, face))
    noise = np.random.default_rng(3).integers(0, 256, image.shape, np.uint8)
    noise = cv2.GaussianBlur(noise, (0, 0), 1.5)
    assert off(noise, fine.swap(noise, face)).mean() < 0.8 * off(noise, plain.swap(noise, face)).mean()


def test_the_wearers_colours_change_nothing_where_they_are_right_already(wear, portrait):
    swapper = wear("simswap_256.onnx", colour="rct")
    image, face = placed(portrait, 324, 10)
    assert off(image, swapper.swap(image, face)).max() <= 2


def test_a_tint_is_seen_and_the_wearers_colours_take_it_back(wear, portrait):
    image, face = portrait.image, portrait.face
    plain, right = (wear("ghost_1_256.onnx", "tint", colour=colour).swap(image, face) for colour in ("off", "rct"))
    inside = plain.alpha > 250
    blue, green, red = (plain.pixels[inside].mean(0) - under(image, plain)[inside].mean(0)).tolist()
    assert blue < -40 and green < -30 and abs(red) < 2
    assert np.abs(right.pixels[inside].mean(0) - under(image, right)[inside].mean(0)).max() < 6


@pytest.mark.parametrize("file_name", SWAPPERS)
def test_random_weights_run_and_cover_the_face(wear, portrait, file_name):
    patch = wear(file_name, "random", colour="rct").swap(portrait.image, portrait.face)
    assert covers_face(portrait.face, patch, portrait.image)
    assert off(portrait.image, patch).mean() > 10


@pytest.mark.parametrize("mask", ["both", "hull", "model"])
def test_a_mask_never_uncovers_the_core(wear, portrait, mask, monkeypatch):
    swapper = wear(mask=mask)
    run = type(swapper._net).run
    monkeypatch.setattr(
        type(swapper._net), "run",
        lambda net, crop, source: replace(run(net, crop, source), mask=np.zeros((256, 256), np.uint8)),
    )  # fmt: skip
    patch = swapper.swap(portrait.image, portrait.face)
    assert shown_at(patch, portrait.face.mesh[list(CORE)]).min() > 200
    wide = (patch.alpha > 127).sum()
    monkeypatch.undo()
    assert (swapper.swap(portrait.image, portrait.face).alpha > 127).sum() > (
        1.1 * wide if mask != "hull" else wide - 1
    )


def test_without_a_mask_of_its_own_the_outline_is_shown_unless_the_models_is_asked_for(wear, portrait):
    assert covers_face(portrait.face, wear("inswapper_128.onnx").swap(portrait.image, portrait.face), portrait.image)
    with pytest.raises(BadInput, match="gives no mask"):
        wear("inswapper_128.onnx", mask="model")


@pytest.mark.parametrize(
    ("keep", "kept", "covered"),
    [("mouth", (INNER_LIPS,), (RIGHT_EYE,)), ("lips", (OUTER_LIPS,), (LEFT_EYE,)),
     ("eyes", (RIGHT_EYE, LEFT_EYE), (INNER_LIPS,)), ("eyes and lips", (RIGHT_EYE, OUTER_LIPS), ())],
)  # fmt: skip
def test_what_is_kept_of_the_wearers_face(wear, portrait, keep, kept, covered):
    patch = wear(keep=keep).swap(portrait.image, portrait.face)
    mesh = portrait.face.mesh
    for outline in kept:
        assert shown_at(patch, mesh[list(outline)].mean(0, keepdims=True)).max() < 40
    for outline in covered:
        assert shown_at(patch, mesh[list(outline)]).min() > 200
    assert covers_face(portrait.face, patch, portrait.image)


def test_the_mask_is_made_narrower_wider_and_softer(wear, portrait):
    def area(low, **look):
        return (wear(**look).swap(portrait.image, portrait.face).alpha > low).sum()

    assert area(127, erode=8) < 0.95 * area(127) < 0.95 * area(127, erode=-8)
    assert area(250, blur=16) < 0.95 * area(250, blur=2)


def test_a_face_without_a_mesh_is_covered_too(wear, portrait):
    image, with_mesh = placed(portrait, 324, 15)
    face = Face(with_mesh.points, None, 1.0)
    swapper = wear()
    patch, meshed = swapper.swap(image, face), swapper.swap(image, with_mesh)
    assert covers_face(face, patch, image) and covers_face(with_mesh, patch, image)
    assert right(image, patch)
    assert (patch.alpha > 127).sum() == pytest.approx((meshed.alpha > 127).sum(), rel=0.2)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(x=st.floats(-900, 2200), y=st.floats(-900, 1600), size_px=st.floats(15, 2500), degrees=st.floats(-180, 180))
def test_the_patch_lies_inside_the_frame_wherever_the_face_is(wear, opened, portrait, x, y, size_px, degrees):
    swapper = opened or opened.append(wear(colour="rct")) or opened
    image, face = placed(portrait, size_px, degrees, (x, y))
    patch = swapper[0].swap(image, face)
    rows, columns = patch.alpha.shape
    assert 0 <= patch.x <= 1280 - columns and 0 <= patch.y <= 720 - rows
    assert patch.pixels.shape == (rows, columns, 3) and patch.pixels.dtype == patch.alpha.dtype == np.uint8


@pytest.mark.parametrize("file_name", ["inswapper_128.onnx", "hyperswap_1a_256.onnx"])
def test_faces_side_by_side_are_what_they_are_one_after_the_other(wear, portrait, file_name):
    from live.abreast import Abreast

    image = portrait.image
    faces = [
        placed(portrait, size_px, 5, at)[1] for size_px, at in ((300, (250, 300)), (420, (500, 500)), (180, (700, 200)))
    ]
    for number, face in enumerate(faces, 1):
        face.track = number
    one, other = (wear(file_name, "random", colour="rct") for _ in range(2))
    abreast = Abreast()
    for _ in range(4):
        together = abreast.swap(one, image, faces)
        for face, patch in zip(faces, together, strict=True):
            alone = other.swap(image, face)
            assert np.array_equal(alone.pixels, patch.pixels) and np.array_equal(alone.alpha, patch.alpha)
            assert (alone.x, alone.y) == (patch.x, patch.y)
    abreast.close()


@pytest.fixture
def opened():
    return []


def test_a_box_held_before_the_mouth_stays_in_front(wear, portrait):
    image, face = portrait.image.copy(), portrait.face
    (x0, _), (x1, _) = face.mesh[205, :2], face.mesh[425, :2]
    top, bottom = int(face.mesh[2, 1]), int(face.mesh[152, 1])
    image[top:bottom, int(x0) : int(x1)] = (150, 60, 20)
    patch = wear(front=True, colour="rct").swap(image, face)
    box = np.s_[top - patch.y + 10 : bottom - patch.y - 10, int(x0) - patch.x + 10 : int(x1) - patch.x - 10]
    assert (patch.alpha[box] < 60).mean() > 0.7 and (patch.hidden[box] > 127).mean() > 0.7


@pytest.mark.parametrize(("kind", "words"), [("nan", "no numbers"), ("black", "one colour")])
@pytest.mark.parametrize("file_name", ["inswapper_128.onnx", "uniface_256.onnx"])
def test_a_net_that_gives_no_picture_is_refused_before_anything_is_shown(wear, kind, words, file_name):
    with pytest.raises(ModelError, match=f"{words}, already when it is tried out"):
        wear(file_name, kind)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0])
def test_a_net_that_breaks_while_live_raises_and_gives_no_patch(wear, portrait, value):
    swapper = wear()
    run = swapper._net.engine.run

    def broken(feeds):
        answer = {name: array.copy() for name, array in run(feeds).items()}
        answer["output"][...] = value
        return answer

    swapper._net.engine.run = broken
    with pytest.raises(EngineError, match=r"no numbers|one colour"):
        swapper.swap(portrait.image, portrait.face)
    swapper._net.engine.run = run
    swapper.swap(portrait.image, portrait.face)


def test_one_value_that_is_no_number_is_enough(wear, portrait):
    swapper = wear("simswap_unofficial_512.onnx", boost=2)
    run, calls = swapper._net.engine.run, []

    def broken(feeds):
        answer = {name: array.copy() for name, array in run(feeds).items()}
        calls.append(1)
        if len(calls) == 3:
            answer["output"][0, 1, 200, 17] = np.nan
        return answer

    swapper._net.engine.run = broken
    with pytest.raises(EngineError, match="no numbers"):
        swapper.swap(portrait.image, portrait.face)


def test_another_persona_is_put_on(wear, portrait, finder):
    from live.personas import open_persona

    swapper = wear("hyperswap_1a_256.onnx", "id")
    before = swapper.swap(portrait.image, portrait.face).pixels.astype(int)
    swapper.wear(open_persona("sample:nia", finder))
    after = swapper.swap(portrait.image, portrait.face).pixels
    assert np.abs(before - after).max() > 2
    swapper.wear(portrait)
    assert np.array_equal(swapper.swap(portrait.image, portrait.face).pixels, before)


def test_what_cannot_be_worn_is_told(wear, models, tmp_path, portrait):
    with pytest.raises(BadInput, match="which one-photo model"):
        OnePhoto().open()
    with pytest.raises(BadInput, match="there is no model 'inswapper'"):
        OnePhoto(model="inswapper").open()
    with pytest.raises(ModelError, match="'arcface_w600k_r50' is no one-photo swapper"):
        OnePhoto(model="arcface_w600k_r50").open()
    with pytest.raises(BadInput, match="is a trained model"):
        wear().wear(Persona("aunt", ()))
    with pytest.raises(BadInput, match="no model 'nobody'"):
        wear(recogniser="nobody")


def test_a_net_that_is_not_what_its_card_says(models, tmp_path):
    folder = make_model(tmp_path / "m", "simswap_256.onnx", swapper("simswap_256.onnx"))
    text = (folder / "card.json").read_text()
    for was, now, words in (
        ('"image_size": 256', '"image_size": 512', "is not what its card says"),
        ('"image_size": 256', '"image_size": 7', "'image_size' must be one of"),
        ('"output": "0..1"', '"output": "0..255"', "'output' must be"),
        ('"template": "arcface_112_v1"', '"template": "mine"', "'template' must be"),
        ('"std": [0.229, 0.224, 0.225]', '"std": [0, 1, 1]', "'std' must be"),
        ('"mean": [0.485, 0.456, 0.406]', '"mean": "half"', "'mean' must be"),
        ('"RGB"', '"BGR"', "'colour' must be"),
        ('"target": "target"', '"target": 4', "'inputs' must be"),
    ):
        assert was in text
        (folder / "card.json").write_text(text.replace(was, now))
        part = OnePhoto(model=str(folder), engine="onnx_runtime:cpu:fp32", front=False)
        with pytest.raises(ModelError, match=words):
            part.open()
        part.close()


def test_without_a_recogniser_or_converter_it_says_what_to_get(tmp_path, monkeypatch, portrait):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr("engines.door.admit", lambda card: None)

    def put_on(file_name):
        folder = make_model(tmp_path / file_name[:-5], file_name, swapper(file_name, "same"))
        part = OnePhoto(model=str(folder), engine="onnx_runtime:cpu:fp32", threads=1, front=False)
        part.open()
        part.wear(portrait)

    with pytest.raises(NotAvailable, match="no face recogniser is installed") as caught:
        put_on("hyperswap_1a_256.onnx")
    assert "models pull arcface_w600k_r50" in caught.value.hint
    put_on("blendswap_256.onnx")  # it takes a picture
    from engines.store import user_store
    from tests.one_photo_nets import RECOGNISER, recogniser

    make_model(user_store().root / RECOGNISER[:-5], RECOGNISER, recogniser())
    with pytest.raises(NotAvailable, match="needs crossface_ghost besides") as caught:
        put_on("ghost_1_256.onnx")
    assert caught.value.hint == "doppelcam models pull crossface_ghost"
