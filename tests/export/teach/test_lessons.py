"""export/teach/lessons.py: what is done to a pair, and what must not be."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra `teach`)")

from export.teach.lessons import Lessons, painted  # noqa: E402
from tests.export.teach.toy import toy_pairs, toy_two  # noqa: E402


@pytest.fixture(scope="module")
def lessons():
    return Lessons(toy_pairs(24), 128, np.random.default_rng(3))


def test_as_they_are_is_the_middle_of_the_stored_picture():
    pairs = toy_pairs(4)
    batch = Lessons(pairs, 128, np.random.default_rng(0), things=False).plain(torch.arange(4))
    middle = pairs.faces[:, 16:144, 16:144].transpose(0, 3, 1, 2)
    assert np.abs(batch.face.numpy() * 255 - middle).max() < 1.01
    assert not batch.front.any()


def test_lessons_differ_and_stay_pictures(lessons):
    one, other = lessons.draw(8), lessons.draw(8)
    assert one.face.shape == one.target.shape == (8, 3, 128, 128)
    assert one.mask.shape == one.front.shape == (8, 1, 128, 128)
    assert not torch.equal(one.face, other.face)
    for plane in (one.face, one.target, one.mask, one.front):
        assert torch.isfinite(plane).all()
        assert 0 <= float(plane.min()) <= float(plane.max()) <= 1


def test_the_target_is_lit_as_the_face_is_and_shows_nothing_in_front(lessons):
    batches = [lessons.draw(8) for _ in range(6)]
    face, target, mask, front = (
        torch.cat([getattr(b, name) for b in batches]) for name in ("face", "target", "mask", "front")
    )
    around = ((mask == 0) & (front == 0)).expand_as(face)
    assert float((face - target).abs()[around].mean()) < 0.03, "outside of the new face both are one picture"
    hidden = (front > 0.9).flatten(1).any(1)
    assert 0.1 < float(hidden.float().mean()) < 0.6
    light = face.mean((1, 2, 3))
    assert float(light.std()) > 0.02, "each has another light"


def test_things_are_seen_and_do_not_hide_everything():
    things = painted(np.random.default_rng(1), 160, np.array([100, 140, 190], np.float32))
    share = (things[..., 3] > 127).mean((1, 2))
    assert things.dtype == np.uint8
    assert share.min() > 0.005
    assert share.max() < 0.65
    assert np.unique(things.reshape(len(things), -1), axis=0).shape[0] == len(things)


def test_what_is_done_badly_comes_more_often_but_not_alone():
    lessons = Lessons(toy_pairs(20), 128, np.random.default_rng(5))
    wrong = torch.ones(20)
    wrong[7] = 100
    for _ in range(8):
        lessons.remember(torch.arange(20), wrong)
    drawn = lessons.draw(160).which.numpy()
    share = np.bincount(drawn, minlength=20) / len(drawn)
    assert share[7] > 2 * np.delete(share, 7).max()
    assert (share > 0).all()


def test_a_face_that_is_its_own_target_is_bent_and_its_target_is_not():
    lessons = Lessons(toy_two(12).persona, 128, np.random.default_rng(2), warp=0.05)
    plain = lessons.plain(torch.arange(4))
    assert torch.allclose(plain.face, plain.target, atol=1e-4)
    batch = lessons.draw(24)
    clear = batch.front.amax((1, 2, 3)) == 0
    off = (batch.face - batch.target).abs().mean((1, 2, 3))[clear]
    straight = Lessons(toy_two(12).persona, 128, np.random.default_rng(2)).draw(24)
    still = straight.front.amax((1, 2, 3)) == 0
    assert float(off.mean()) > 1.5 * float((straight.face - straight.target).abs().mean((1, 2, 3))[still].mean())
