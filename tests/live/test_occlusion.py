"""What lies in front of a face: nothing on bare faces, a hand where a hand was drawn, steady from frame to frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from live.align import OVAL, face_from_mesh
from live.occlusion import Occlusion, follow_edges, sure_regions
from live.personas import SAMPLE_PORTRAITS, open_persona
from tests.clips import read_clip

CLIP = Path(SAMPLE_PORTRAITS).parent / "camera.mp4"
PORTRAITS = sorted(path.stem for path in SAMPLE_PORTRAITS.glob("*.jpg"))


@pytest.fixture
def occlusion():
    part = Occlusion()
    part.open()
    yield part
    part.close()


@pytest.fixture
def open_portrait(finder):
    def make(name):
        return open_persona(str(SAMPLE_PORTRAITS / f"{name}.jpg"), finder)

    return make


def around(image, face, margin=2):
    """The rectangle of the face's box inside the picture."""
    x0, y0, x1, y1 = face.box
    height, width = image.shape[:2]
    return (
        max(0, int(x0) - margin), max(0, int(y0) - margin), min(width, int(x1) + margin), min(height, int(y1) + margin)
    )  # fmt: skip


def oval(image, face):
    """Where the face is: bool [h, w]."""
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(face.mesh[list(OVAL), :2]).astype(np.int32)], 1)
    return mask > 0


def hold_up_a_hand(image, face):
    """A copy with four fingers, each shaded across, over mouth and chin; and where they are, bool [h, w]."""
    shown, where = image.copy(), np.zeros(image.shape[:2], np.uint8)
    mouth, chin = face.mesh[13, :2], face.mesh[152, :2]
    down = chin - mouth
    across = np.array([down[1], -down[0]])
    thick = float(np.linalg.norm(down)) * 0.4
    skin = np.median(image[oval(image, face)], axis=0)
    for i in range(4):
        top = mouth + across * (i - 1.5) * 0.42 - down * (0.15 - 0.12 * abs(i - 1.5))
        foot = top + 2.2 * down
        for part in np.linspace(1, 0.1, 12):
            ends = [tuple(np.round(p * 16).astype(int).tolist()) for p in (top, foot)]
            level = (1.15 - 0.75 * part**2) * skin
            cv2.line(shown, *ends, level.tolist(), max(1, round(thick * part)), cv2.LINE_AA, 4)
        cv2.line(where, *ends, 1, round(thick), cv2.LINE_8, 4)
    return shown, where > 0


def shift(image, face, x):
    """Picture and face moved to the right by x pixels."""
    moved = cv2.warpAffine(
        image, np.array([[1, 0, x], [0, 1, 0]], np.float32), image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE
    )
    mesh = (face.mesh + np.array([x, 0, 0], np.float32)).astype(np.float32)
    return moved, face_from_mesh(mesh, face.score, face.track)


@pytest.mark.parametrize("name", PORTRAITS)
def test_nothing_is_in_front_of_a_bare_face(occlusion, open_portrait, name):
    persona = open_portrait(name)
    for gain in (0.5, 1.0, 1.4):
        image = np.clip(persona.image * gain, 0, 255).astype(np.uint8)
        front = occlusion.see(image, persona.face, around(image, persona.face))
        assert (front.hidden, front.trusted) == (0, True)
        assert not front.mask.any()


def test_nothing_is_in_front_in_the_sample_clip(occlusion, finder):
    pictures, _ = read_clip(CLIP)
    previous = []
    for picture in pictures[::6]:
        image = np.ascontiguousarray(picture)
        previous = finder.find(image, previous)
        for face in previous:
            face.track = 0  # no memory: each frame must be right by itself
            assert occlusion.see(image, face, around(image, face)).hidden == 0


@pytest.mark.parametrize("name", PORTRAITS)
def test_a_hand_over_the_mouth_is_found(occlusion, open_portrait, name):
    persona = open_portrait(name)
    image, hand = hold_up_a_hand(persona.image, persona.face)
    front = occlusion.see(image, persona.face, (0, 0, image.shape[1], image.shape[0]))
    on_face = oval(image, persona.face)
    found = front.mask > 127
    assert front.trusted
    assert (found & hand & on_face).sum() > 0.7 * (hand & on_face).sum()
    assert (found & ~hand & on_face).sum() < 0.1 * (on_face & ~hand).sum()


def test_a_box_over_the_mouth_is_found(occlusion, portrait):
    image, face = portrait.image.copy(), portrait.face
    (x0, _), (x1, _) = face.mesh[205, :2], face.mesh[425, :2]
    top, bottom = int(face.mesh[2, 1]), int(face.mesh[152, 1])
    image[top:bottom, int(x0) : int(x1)] = (150, 60, 20)
    mask = occlusion.see(image, face, (0, 0, image.shape[1], image.shape[0])).mask
    assert (mask[top:bottom, int(x0) : int(x1)] > 127).mean() > 0.8


def test_the_mask_is_that_of_the_rectangle(occlusion, portrait):
    image, _ = hold_up_a_hand(portrait.image, portrait.face)
    x0, y0, x1, y1 = around(image, portrait.face)
    whole = occlusion.see(image, portrait.face, (x0, y0, x1, y1)).mask
    part = occlusion.see(image, portrait.face, (x0 + 40, y0 + 150, x1, y1)).mask
    assert whole.shape == (y1 - y0, x1 - x0) and whole.dtype == np.uint8
    assert part.shape == (y1 - y0 - 150, x1 - x0 - 40)
    assert np.mean((whole[150:, 40:] > 127) != (part > 127)) < 0.03
    for wrong in ((x0, y0, x0, y1), (-1, y0, x1, y1), (x0, y0, image.shape[1] + 1, y1)):
        with pytest.raises(ValueError, match="not inside"):
            occlusion.see(image, portrait.face, wrong)


def test_the_mask_moves_with_the_face(occlusion, portrait):
    image, _ = hold_up_a_hand(portrait.image, replace(portrait.face, track=1))
    face = replace(portrait.face, track=1)
    whole = (0, 0, image.shape[1], image.shape[0])
    for _ in range(5):
        before = occlusion.see(image, face, whole).mask
    image, face = shift(image, face, 24)
    face.missed = True  # not looked at again: what was believed goes along
    after = occlusion.see(image, face, whole).mask
    still = oval(image, face)
    assert before.any()
    assert np.mean((np.roll(before, 24, axis=1) > 127)[still] != (after > 127)[still]) < 0.02


def test_it_is_believed_slowly_and_forgotten_fast(occlusion, portrait):
    face = replace(portrait.face, track=3)
    rect = around(portrait.image, face)
    image, _ = hold_up_a_hand(portrait.image, face)
    hidden = [occlusion.see(image, face, rect).hidden > 0 for _ in range(6)]
    assert not hidden[0] and all(hidden[3:])
    shown = [occlusion.see(portrait.image, face, rect).hidden > 0 for _ in range(3)]
    assert not any(shown[1:])


def test_looks_are_spared_while_nothing_is_in_front(occlusion, portrait):
    looks = []
    net = occlusion._net

    class Counted:
        def run(self, feeds):
            looks.append(1)
            return net.run(feeds)

        def close(self):
            net.close()

    occlusion._net = Counted()
    face = replace(portrait.face, track=1)
    for _ in range(10):
        occlusion.see(portrait.image, face, around(portrait.image, face))
    assert len(looks) == 5


def test_faces_that_went_are_forgotten(occlusion, portrait):
    rect = around(portrait.image, portrait.face)
    for track in range(1, 4):
        occlusion.see(portrait.image, replace(portrait.face, track=track), rect)
    for _ in range(200):
        occlusion.see(portrait.image, replace(portrait.face, track=9), rect)
    assert list(occlusion._beliefs) == [9]


def test_a_face_that_seems_wholly_hidden_is_not_trusted(portrait):
    part = Occlusion(most=0.1)
    part.open()
    image, _ = hold_up_a_hand(portrait.image, portrait.face)
    front = part.see(image, portrait.face, around(image, portrait.face))
    part.close()
    assert front.hidden > 0.1 and not front.trusted
    assert not front.mask.any()


@pytest.mark.parametrize("yaw", [-50, 50])
def test_a_far_turned_face_is_not_trusted(occlusion, portrait, yaw):
    image, _ = hold_up_a_hand(portrait.image, portrait.face)
    front = occlusion.see(image, replace(portrait.face, pose=(yaw, 0.0, 0.0)), around(image, portrait.face))
    assert not front.trusted and not front.mask.any()


def test_without_a_mesh_nothing_is_in_front(occlusion, portrait):
    face = replace(portrait.face, mesh=None)
    assert occlusion.see(portrait.image, face, (0, 0, 10, 10)).mask.shape == (10, 10)


def test_the_picture_is_left_alone(occlusion, portrait):
    image, _ = hold_up_a_hand(portrait.image, portrait.face)
    kept = image.copy()
    occlusion.see(image, portrait.face, around(image, portrait.face))
    assert np.array_equal(image, kept)


def test_a_region_counts_only_where_it_is_sure_and_on_the_face():
    face = np.array([(8, 8), (40, 8), (40, 40), (8, 40)], np.float32)
    likely = np.zeros((48, 48), np.float32)
    likely[12:20, 12:20] = 0.6  # never sure
    likely[42:47, 42:47] = 0.95  # beside the face
    front, hidden = sure_regions(likely, face)
    assert hidden == 0 and not front[12:20, 12:20].any()
    likely[30:38, 30:38] = 0.95
    front, hidden = sure_regions(likely, face)
    assert hidden == pytest.approx(64 / 33**2, rel=0.05)
    assert front[30:38, 30:38].min() == 1 and not front[12:20, 12:20].any()


def test_the_mask_goes_to_the_pictures_edges():
    picture = np.full((96, 96, 3), 60, np.uint8)
    picture[:, 50:] = 180
    front = np.zeros((12, 12), np.float32)
    front[:, 6:] = 1  # its edge lies at 47.5, the picture's at 49.5
    to_mask = np.array([[1 / 8, 0, -7 / 16], [0, 1 / 8, -7 / 16]], np.float32)
    mask = follow_edges(front, to_mask, picture)
    assert mask[:, 52:].min() > 230 and mask[:, :46].max() < 30
    assert mask[48, 49] < 90 and mask[48, 50] > 165


def test_a_face_smaller_than_the_nets_crop_is_not_asked_about(occlusion, open_portrait):
    persona = open_portrait("nia")
    image, _ = hold_up_a_hand(persona.image, persona.face)
    for side_px, trusted in ((55, False), (120, True)):
        x0, y0, x1, y1 = persona.face.box
        scale = side_px / max(x1 - x0, y1 - y0)
        small = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        face = face_from_mesh((persona.face.mesh * np.float32(scale)).astype(np.float32), 1.0)
        front = occlusion.see(small, face, around(small, face))
        assert front.trusted == trusted
        assert front.mask.any() == trusted
