"""Wearing trained models of known effect: the face stays in its place, is covered, and takes what it is told to."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import BadInput, EngineError
from live.align import CORE, face_from_mesh
from live.align.landmarks import FEATURES, landmarks
from live.blenders.feather import Feather
from live.frame import Patch, Persona
from live.guard import covers_face
from live.swappers.trained import Trained
from tests.trained_nets import SIZE, grey, morphed, same, tint, twice

CROPS = [
    ("half", "dfl33"), ("mid_full", "dfl33"), ("full", "dfl33"), ("whole_face", "dfl33"), ("head", "dfl33"),
    ("full", "dfl51"), ("legacy", "faceswap"), ("face", "faceswap"), ("fs_head", "faceswap"),
]  # fmt: skip
BLACK = np.zeros((SIZE, SIZE))
WHITE = np.ones((SIZE, SIZE))


def under(image, patch):
    rows, columns = patch.alpha.shape
    return image[patch.y : patch.y + rows, patch.x : patch.x + columns]


def shown_at(patch, points):
    """Alpha at these points of the frame; 0 outside the patch."""
    x, y = np.rint(points).astype(int).T - np.array([[patch.x], [patch.y]])
    rows, columns = patch.alpha.shape
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    return np.where(inside, patch.alpha[np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)], 0)


def shift_px(image, patch):
    """How far the patch's picture lies from what it covers: least squares over the gradients (Lucas, Kanade, 1981)."""
    one, other = (
        cv2.GaussianBlur(cv2.cvtColor(p, cv2.COLOR_BGR2GRAY), (0, 0), 2).astype(float)
        for p in (under(image, patch), patch.pixels)
    )
    slopes = np.stack([g[patch.alpha > 200] for g in np.gradient((one + other) / 2)], 1)
    return float(np.hypot(*np.linalg.lstsq(slopes, (one - other)[patch.alpha > 200], rcond=None)[0]))


def moved(face, x=0.0, y=0.0, scale=1.0):
    mesh = face.mesh * np.float32(scale) + np.array([x, y, 0], np.float32)
    return face_from_mesh(mesh.astype(np.float32), 1.0, face.track)


def tilted(persona, degrees, scale=1.0):
    """Picture and face, turned and scaled about the nose."""
    nose = tuple(map(float, persona.face.mesh[4, :2]))
    turn = cv2.getRotationMatrix2D(nose, degrees, scale)
    mesh = persona.face.mesh.copy()
    mesh[:, :2] = mesh[:, :2] @ turn[:, :2].T + turn[:, 2]
    image = cv2.warpAffine(persona.image, turn, persona.image.shape[1::-1], flags=cv2.INTER_CUBIC)
    return image, face_from_mesh(mesh.astype(np.float32), 1.0)


def test_a_shift_is_measured(portrait):
    image, away = portrait.image, np.roll(portrait.image, 1, 1)[300:600, 300:600]
    patch = Patch(away.copy(), np.full((300, 300), 255, np.uint8), 300, 300)
    assert shift_px(image, patch) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("crop", CROPS, ids="-".join)
def test_a_net_that_changes_nothing_gives_the_face_back_in_its_place(wear, portrait, crop):
    swapper = wear(crop=crop, size=256)
    for degrees, scale in ((0, 0.5), (25, 0.45), (-60, 0.6)):
        image, face = tilted(portrait, degrees, scale)
        patch = swapper.swap(image, face)
        seen = under(image, patch)
        assert shift_px(image, patch) < 0.3
        coarse = cv2.GaussianBlur(seen, (0, 0), 1.5), cv2.GaussianBlur(patch.pixels, (0, 0), 1.5)
        off = np.abs(coarse[0].astype(int) - coarse[1])[patch.alpha > 200]
        assert off.mean() < 2.5
        assert covers_face(face, patch, image)


def test_a_net_with_a_larger_picture_than_its_crop_draws_in_the_same_place(wear, portrait):
    image, face = tilted(portrait, 10, 0.4)
    patch = wear(picture=twice, size=128).swap(image, face)
    assert shift_px(image, patch) < 0.3
    assert covers_face(face, patch, image)


def test_a_picture_much_larger_than_the_face_is_drawn_without_sparkle(wear, portrait, monkeypatch):
    swapper = wear(size=512, look={"colour": "off"})
    checkers = np.indices(portrait.image.shape[:2]).sum(0) % 2 * 255
    image = np.repeat(checkers[..., None], 3, 2).astype(np.uint8)
    new = ((np.indices((512, 512)).sum(0) % 2 * 255)[..., None].repeat(3, 2)).astype(np.uint8)
    monkeypatch.setattr(type(swapper._net), "run", lambda net, crop, morph: {"image": new})
    face = moved(portrait.face, scale=70 / (portrait.face.box[2] - portrait.face.box[0]))
    patch = swapper.swap(image, face)
    assert patch.pixels[patch.alpha > 200].std() < 30


def test_the_face_is_tinted_and_nothing_else(wear, portrait):
    swapper = wear(picture=tint, look={"colour": "off"})
    image = portrait.image.copy()
    patch = swapper.swap(portrait.image, portrait.face)
    Feather().blend(image, portrait.face, patch)
    x, y = np.rint(portrait.face.mesh[4, :2]).astype(int)
    before, after = (p[y - 3 : y + 4, x - 3 : x + 4].mean((0, 1)) for p in (portrait.image, image))
    assert abs(after[0] - 0.3 * before[0]) < 8 and abs(after[2] - before[2]) < 8
    x0, y0, x1, y1 = (int(v) for v in portrait.face.box)
    outside = np.ones(image.shape[:2], bool)
    outside[y0 - 20 : y1 + 20, x0 - 20 : x1 + 20] = False
    assert (image == portrait.image)[outside].all()


def test_the_patch_is_a_tight_box(wear, portrait):
    patch = wear(crop=("head", "dfl33")).swap(portrait.image, portrait.face)
    rows, columns = np.nonzero(patch.alpha)
    assert min(rows.min(), columns.min()) < 12 and rows.max() > len(patch.alpha) - 12
    assert columns.max() > patch.alpha.shape[1] - 12


FAILING = {
    "no face of the wearer": {"face_mask": BLACK, "celeb_mask": WHITE},
    "no new face": {"face_mask": WHITE, "celeb_mask": BLACK},
    "nothing": {"face_mask": BLACK, "celeb_mask": BLACK},
    "faint": {"face_mask": WHITE * 0.3, "celeb_mask": WHITE * 0.3},
    "one half": {"face_mask": np.repeat([[0, 1]], SIZE, 0).repeat(SIZE // 2, 1)},
    "a hole": {"celeb_mask": cv2.circle(WHITE.copy(), (SIZE // 2, SIZE // 2), SIZE // 4, 0, -1)},
}


@pytest.mark.parametrize("masks", FAILING.values(), ids=FAILING)
@pytest.mark.parametrize("crop", [("full", "dfl33"), ("head", "dfl33")], ids="-".join)
def test_whatever_the_net_leaves_out_eyes_nose_and_mouth_are_never_shown(wear, portrait, masks, crop):
    patch = wear(crop=crop, masks=masks).swap(portrait.image, portrait.face)
    assert covers_face(portrait.face, patch, portrait.image)
    assert shown_at(patch, landmarks(portrait.face.mesh)[FEATURES]).min() > 250
    assert shown_at(patch, portrait.face.mesh[list(CORE[1:]), :2]).min() > 250


@pytest.mark.parametrize("yaw", [-45, -20, 0, 20, 45])
@pytest.mark.parametrize("pitch", [-20, 0, 20])
@pytest.mark.parametrize("look", [{}, {"blur": 20}, {"blur": 0}], ids=str)
def test_the_smallest_crop_covers_what_the_guard_asks_for_in_every_pose(wear, portrait, canonical, yaw, pitch, look):
    """Forehead and chin lie outside a half face's crop, all else must be covered."""
    image, mesh = np.zeros((480, 640, 3), np.uint8), canonical(yaw, pitch)
    patch = wear(crop=("half", "dfl33"), masks={"face_mask": BLACK}, look=look).swap(image, face_from_mesh(mesh, 1.0))
    assert covers_face(face_from_mesh(mesh, 1.0), patch, image)


@pytest.mark.parametrize(
    ("mask", "shows"), [("both", (False, False)), ("face", (True, False)), ("celeb", (False, True))]
)
def test_the_mask_that_is_wished_for_is_taken(wear, portrait, mask, shows):
    """The wearer's mask holds the left half, the new face's the right one; the core is shown in any case."""
    left = np.repeat([[1, 0]], SIZE, 0).repeat(SIZE // 2, 1)
    swapper = wear(masks={"face_mask": left, "celeb_mask": 1 - left}, look={"mask": mask})
    patch = swapper.swap(portrait.image, portrait.face)
    sides = portrait.face.mesh[[172, 397], :2]  # corners of the jaw: in the crop, not in the core
    inward = sides + (portrait.face.mesh[4, :2] - sides) * 0.06
    assert tuple(shown_at(patch, inward) > 127) == shows


def test_without_masks_the_hull_is_shown(wear, portrait):
    by_hull = wear(look={"mask": "hull"}, masks={"celeb_mask": BLACK}).swap(portrait.image, portrait.face)
    without = wear().swap(portrait.image, portrait.face)
    assert np.array_equal(by_hull.alpha, without.alpha)
    jaw = landmarks(portrait.face.mesh)[:17]
    inward = jaw + (portrait.face.mesh[4, :2] - jaw) * 0.1
    assert shown_at(without, inward).min() > 127


def test_a_mask_that_the_net_has_not_is_refused(wear):
    with pytest.raises(BadInput, match="gives no celeb mask") as caught:
        wear(masks={"face_mask": WHITE}, look={"mask": "celeb"})
    assert "it gives face_mask" in caught.value.hint


@pytest.mark.parametrize(("look", "grows"), [({"erode": 10}, False), ({"erode": -10}, True)])
def test_the_mask_is_made_narrower_and_wider(wear, portrait, look, grows):
    areas = [(wear(look=more).swap(portrait.image, portrait.face).alpha > 127).sum() for more in ({}, look)]
    assert (areas[1] > 1.1 * areas[0]) if grows else (areas[1] < 0.95 * areas[0])


def test_the_soft_edge_is_as_wide_as_wished(wear, portrait):
    soft = []
    for blur in (0, 4, 12):
        alpha = wear(look={"blur": blur}).swap(portrait.image, portrait.face).alpha
        soft.append(((alpha > 10) & (alpha < 245)).sum() / (alpha > 127).sum())
    assert soft[0] < 0.06 < 0.6 * soft[1] < 0.36 * soft[2]


def test_scale_and_offset_move_the_new_face(wear, portrait):
    """The nose's tip, marked in the picture, is drawn where it is told to be."""
    image = np.full_like(portrait.image, 128)
    nose = portrait.face.mesh[4, :2]
    cv2.circle(image, tuple(np.rint(nose).astype(int).tolist()), 12, (255, 255, 255), -1)
    crop_px = float(np.hypot(*(wear()._net.crop.matrix(landmarks(portrait.face.mesh), 100)[0, :2])))

    def dot(**look):
        patch = wear(size=256, look={"colour": "off", **look}).swap(image, portrait.face)
        rows, columns = np.nonzero(patch.pixels[..., 0] > 200)
        return np.array([columns.mean() + patch.x, rows.mean() + patch.y]), len(rows)

    at, area = dot()
    np.testing.assert_allclose(at, nose, atol=1)
    aside, _ = dot(x=10, y=-5)
    turn = wear()._net.crop.matrix(landmarks(portrait.face.mesh), 100)[:, :2]
    np.testing.assert_allclose((aside - at) @ turn.T, (10, -5), atol=0.5)
    _, larger = dot(scale=130)
    assert larger == pytest.approx(area * 1.69, rel=0.1)
    assert crop_px > 0


def test_the_new_face_takes_the_wearers_colours(wear, portrait):
    off, on = (
        wear(picture=tint, look={"colour": colour}).swap(portrait.image, portrait.face) for colour in ("off", "rct")
    )
    inside = on.alpha > 250

    def mean(patch):
        return patch.pixels[inside].mean(0) - under(portrait.image, patch)[inside].mean(0)

    assert np.abs(mean(off)).max() > 40 and np.abs(mean(on)).max() < 6


def test_the_colours_are_calm_while_the_face_is_tracked_and_follow_a_lamp_at_once(wear, portrait):
    face, dice = replace(portrait.face, track=3), np.random.default_rng(2)

    def levels(face, pictures):
        swapper = wear(picture=grey, look={"blur": 0})
        return np.array([swapper.swap(picture, face).pixels.mean((0, 1)) for picture in pictures])

    flicker = [np.clip(portrait.image * (1 + g), 0, 255).astype(np.uint8) for g in dice.uniform(-0.03, 0.03, 8)]
    assert levels(face, flicker)[2:].std(0).max() < 0.6 * levels(portrait.face, flicker)[2:].std(0).max()
    dark = (portrait.image * 0.4).astype(np.uint8)
    before, after = levels(face, [portrait.image, dark])
    assert (after < 0.6 * before).all()


def test_a_missed_face_keeps_its_colours(wear, portrait):
    swapper = wear(picture=grey)
    face = replace(portrait.face, track=3)
    seen = swapper.swap(portrait.image, face)
    missed = swapper.swap(np.zeros_like(portrait.image), replace(face, missed=True))
    assert np.array_equal(seen.pixels, missed.pixels)


def test_sharpen_makes_edges_steeper(wear, portrait):
    plain, sharp = (wear(look={"sharpen": s}).swap(portrait.image, portrait.face).pixels for s in (0, 1.5))
    assert cv2.Laplacian(sharp, cv2.CV_64F).std() > 1.5 * cv2.Laplacian(plain, cv2.CV_64F).std()


def test_morph_reaches_the_net(wear, portrait):
    bright, dark = (
        wear(picture=morphed, look={"morph": m, "colour": "off"}).swap(portrait.image, portrait.face).pixels.mean()
        for m in (1.0, 0.5)
    )
    assert dark == pytest.approx(bright / 2, rel=0.05)


def test_a_box_held_before_the_mouth_stays_in_front(wear, portrait):
    image, face = portrait.image.copy(), portrait.face
    (x0, _), (x1, _) = face.mesh[205, :2], face.mesh[425, :2]
    top, bottom = int(face.mesh[2, 1]), int(face.mesh[152, 1])
    image[top:bottom, int(x0) : int(x1)] = (150, 60, 20)
    swapper = wear(picture=grey, look={"front": True})
    plain, patch = swapper.swap(portrait.image, face), swapper.swap(image, face)
    box = np.s_[top - patch.y + 10 : bottom - patch.y - 10, int(x0) - patch.x + 10 : int(x1) - patch.x - 10]
    assert (patch.alpha[box] < 60).mean() > 0.7 and (patch.hidden[box] > 127).mean() > 0.7
    assert covers_face(face, patch, image)
    colours = [p.pixels.reshape(-1, 3).mean(0) for p in (plain, patch)]
    assert np.abs(colours[0] - colours[1]).max() < 8  # the wearer's skin, not the box


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(x=st.floats(-900, 900), y=st.floats(-900, 900), scale=st.floats(0.05, 3), track=st.integers(0, 3))
def test_the_patch_lies_inside_the_frame_wherever_the_face_is(opened, portrait, x, y, scale, track):
    image, before = portrait.image, portrait.image.copy()
    face = replace(moved(portrait.face, x, y, scale), track=track)
    patch = opened.swap(image, face)
    rows, columns = patch.alpha.shape
    assert patch.pixels.shape == (rows, columns, 3) and patch.pixels.dtype == patch.alpha.dtype == np.uint8
    assert 0 <= patch.x <= image.shape[1] - columns and 0 <= patch.y <= image.shape[0] - rows
    assert np.array_equal(image, before)


@pytest.fixture
def opened(wear):
    return wear(picture=tint)


def test_points_that_are_no_numbers_give_no_patch_that_passes(wear, portrait):
    face = replace(portrait.face, mesh=np.full_like(portrait.face.mesh, np.nan))
    swapper = wear()
    try:
        patch = swapper.swap(portrait.image, face)
    except Exception:
        return  # the loop shows its cover
    assert not covers_face(face, patch, portrait.image)


def test_a_face_without_a_mesh_and_a_persona_without_a_model_are_refused(wear, portrait):
    with pytest.raises(ValueError, match="mesh"):
        wear().swap(portrait.image, replace(portrait.face, mesh=None))
    with pytest.raises(BadInput, match="no trained model"):
        wear().wear(Persona("joel", portrait.views))


def test_the_engines_are_those_of_the_model_and_of_what_sees_hands(wear):
    swapper = wear(look={"front": True})
    assert [engine.model for engine in swapper.engines] == ["occlusion", "model_0"]
    swapper.close()
    assert swapper.engines == []


def test_another_model_can_be_worn_while_open(wear, portrait, tmp_path):
    from live.personas import open_persona
    from tests.trained_nets import make_trained

    swapper = wear(picture=same, look={"colour": "off"})
    before = swapper.swap(portrait.image, portrait.face).pixels.mean((0, 1))
    swapper.wear(open_persona(str(make_trained(tmp_path / "other", tint)), None))
    after = swapper.swap(portrait.image, portrait.face).pixels.mean((0, 1))
    assert after[0] < 0.5 * before[0] and after[2] == pytest.approx(before[2], rel=0.05)


def test_a_failing_net_raises_and_gives_no_patch(wear, portrait):
    swapper = wear()

    def fail(feeds):
        raise EngineError("out of memory")

    swapper._net.engine.run = fail
    with pytest.raises(EngineError):
        swapper.swap(portrait.image, portrait.face)


def test_it_runs_on_the_thread_of_the_nets():
    assert Trained.drawn is False and Trained.wears_model is True
