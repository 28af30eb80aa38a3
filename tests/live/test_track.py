"""Tracks: the same number for the same face, a missed face moves on, a lost one is counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live import track
from live.align import LEFT_EYE
from live.frame import Face
from live.track import Tracks

FPS = 30
SIZE = 40.0
SHAPE = np.array([[-1, -1], [1, -1], [0, 0], [-1, 1], [1, 1]], np.float32) * (SIZE / 2)


def face(x, y=100.0, track=0, mesh=False):
    points = SHAPE + np.array([x, y], np.float32)
    depth = np.arange(5, dtype=np.float32)[:, None]
    return Face(points, np.hstack([points, depth]) if mesh else None, 1.0, track=track)


def centre(one):
    return tuple(float(v) for v in one.points.mean(0))


class Run:
    """Feeds Tracks frame by frame, as the loop with a finder that carries tracks does."""

    def __init__(self, **settings):
        self.tracks, self.frame = Tracks(**settings), 0

    def see(self, *found):
        """(faces to swap, lost count) for the next frame; a number stands for a face at that x."""
        found = [face(one) if isinstance(one, (int, float)) else one for one in found]
        position = self.frame / FPS
        self.frame += 1
        return self.tracks.update(found, position)

    def follow(self, x, y=100.0, track=1, **more):
        return self.see(face(x, y, track, **more))


def numbers(faces):
    return [one.track for one in faces]


def test_new_faces_get_new_numbers_from_one():
    faces, lost = Run().see(100, 400)
    assert numbers(faces) == [1, 2]
    assert lost == 0


def test_a_face_that_the_finder_follows_keeps_its_number():
    run = Run()
    run.see(100)
    for x in range(105, 400, 5):
        faces, lost = run.follow(x)
        assert numbers(faces) == [1] and lost == 0 and not faces[0].missed


def test_a_face_that_came_in_later_gets_another_number():
    run = Run()
    run.see(100)
    faces, _ = run.see(face(100, track=1), face(400))
    assert numbers(faces) == [1, 2]


def test_a_number_is_not_given_again_to_somebody_else():
    run = Run(coast_ms=0, linger_ms=0)
    run.see(100)
    run.see()
    assert numbers(run.see(500)[0]) == [2]


def test_a_missed_face_moves_on_with_its_last_speed():
    run = Run()
    run.see(100)
    run.follow(105, 102)
    faces, lost = run.see()
    assert centre(faces[0]) == pytest.approx((110, 104))
    assert (faces[0].track, bool(faces[0].missed), lost) == (1, True, 0)
    assert centre(run.see()[0][0]) == pytest.approx((115, 106))


def test_speed_is_taken_over_the_time_that_really_passed():
    tracks = Tracks()
    tracks.update([face(100)], 0.0)
    tracks.update([face(110, track=1)], 0.2)
    faces, _ = tracks.update([], 0.22)
    assert centre(faces[0]) == pytest.approx((111, 100))


def test_the_mesh_moves_with_the_points_and_keeps_its_depth():
    run = Run()
    run.see(face(100, mesh=True))
    run.follow(105, mesh=True)
    coasting = run.see()[0][0]
    np.testing.assert_allclose(coasting.mesh[:, :2], coasting.points, atol=1e-4)
    np.testing.assert_allclose(coasting.mesh[:, 2], np.arange(5))
    assert coasting.mesh.dtype == coasting.points.dtype == np.float32


def with_irises(one):
    one.irises = np.array([[*one.points[0], 4], [*one.points[1], 5]], np.float32)
    return one


def test_the_irises_move_with_the_points_and_keep_their_size():
    run = Run()
    run.see(with_irises(face(100)))
    found = with_irises(face(105, 102, track=1))
    before = found.irises.copy()
    run.see(found)
    coasting = run.see()[0][0]
    np.testing.assert_allclose(coasting.irises[:, :2], coasting.points[:2], atol=1e-4)
    np.testing.assert_array_equal(coasting.irises[:, 2], [4, 5])
    assert coasting.irises.dtype == np.float32
    np.testing.assert_array_equal(found.irises, before)  # what was found is left alone


def test_a_face_without_irises_coasts_without():
    run = Run()
    run.see(100)
    assert run.see()[0][0].irises is None


class Pushed:
    """Stands in for Steady: every point moves by (3, -2), those of the left eye by (8, 1)."""

    def __init__(self, strength):
        pass

    def update(self, image, mesh, at_s):
        steady = mesh + np.array([3, -2, 0], np.float32)
        steady[list(LEFT_EYE), :2] += np.array([5, 3], np.float32)
        return steady


def test_the_irises_move_along_with_their_lids_when_these_are_steadied(monkeypatch):
    monkeypatch.setattr(track, "Steady", Pushed)
    mesh = np.random.default_rng(0).uniform(50, 150, (468, 3)).astype(np.float32)
    irises = np.array([[80, 90, 4], [120, 91, 5]], np.float32)
    found = Face(SHAPE + 100, mesh, 0.9, irises=irises.copy())
    (steady,), _ = Tracks().update([found], 0.0, np.zeros((200, 200, 3), np.uint8))
    np.testing.assert_allclose(steady.irises, irises + np.array([[3, -2, 0], [8, 1, 0]]), atol=1e-3)
    assert steady.irises.dtype == np.float32 and steady.score == 0.9
    np.testing.assert_array_equal(found.irises, irises)


def test_steadied_faces_without_irises_stay_without(monkeypatch):
    monkeypatch.setattr(track, "Steady", Pushed)
    found = Face(SHAPE + 100, np.zeros((468, 3), np.float32), 1.0)
    (steady,), _ = Tracks().update([found], 0.0, np.zeros((200, 200, 3), np.uint8))
    assert steady.irises is None


def test_a_face_seen_once_coasts_where_it_was():
    run = Run()
    run.see(100)
    assert centre(run.see()[0][0]) == (100, 100)


def test_a_face_that_moved_fast_is_not_coasted_but_lost():
    run = Run()
    run.see(100)
    run.follow(160)
    assert run.see() == ([], 1)


def test_after_coasting_a_face_counts_as_lost_while_it_lingers():
    run = Run(coast_ms=70, linger_ms=300)
    run.see(100)
    seen = [run.see() for _ in range(12)]
    assert [len(faces) for faces, _ in seen] == [1, 1] + [0] * 10
    assert [lost for _, lost in seen] == [0, 0] + [1] * 6 + [0] * 4


def test_a_lost_face_is_not_coasted_again():
    run = Run(coast_ms=40, linger_ms=1000)
    run.see(100)
    assert [len(run.see()[0]) for _ in range(6)] == [1, 0, 0, 0, 0, 0]


def test_without_coasting_a_missed_face_is_lost_at_once():
    run = Run(coast_ms=0, linger_ms=100)
    run.see(100)
    assert run.see() == ([], 1)


def test_what_to_look_for_next_are_the_faces_of_this_frame():
    run = Run(coast_ms=40)
    run.see(100)
    faces, _ = run.see()
    assert len(faces) == 1 and run.tracks.faces == faces
    run.see()
    assert run.tracks.faces == []


def test_found_again_while_coasting_keeps_its_number():
    run = Run(coast_ms=200)
    run.see(100)
    run.see()
    faces, lost = run.see(115)
    assert (numbers(faces), bool(faces[0].missed), lost) == ([1], False, 0)


def test_found_again_while_lost_keeps_its_number_and_is_lost_no_more():
    run = Run(coast_ms=40, linger_ms=1000)
    run.see(100)
    assert [run.see()[1] for _ in range(4)] == [0, 1, 1, 1]
    faces, lost = run.see(120)
    assert (numbers(faces), lost) == ([1], 0)
    assert run.follow(122) == (run.tracks.faces, 0)


def test_somebody_far_away_is_not_taken_for_the_lost_one():
    run = Run(coast_ms=0, linger_ms=1000)
    run.see(100)
    run.see()
    faces, lost = run.see(500)
    assert (numbers(faces), lost) == ([2], 1)


def test_after_lingering_somebody_at_the_same_place_is_new():
    run = Run(coast_ms=0, linger_ms=100)
    run.see(100)
    for _ in range(10):
        run.see()
    assert numbers(run.see(100)[0]) == [2]


def test_two_who_are_lost_get_their_own_numbers_back():
    run = Run(coast_ms=0, linger_ms=1000)
    run.see(100, 400)
    assert run.see() == ([], 2)
    faces, lost = run.see(405, 105)
    assert {one.track: centre(one)[0] for one in faces} == {1: 105, 2: 405}
    assert lost == 0


def test_two_side_by_side_who_are_lost_get_their_own_numbers_back():
    run = Run(coast_ms=0, linger_ms=1000)
    run.see(100, 160)
    run.see()
    faces, _ = run.see(162, 102)
    assert {one.track: centre(one)[0] for one in faces} == {1: 102, 2: 162}


def test_a_clock_that_goes_back_makes_nobody_forgotten_and_nobody_lost_for_ever():
    tracks = Tracks()
    tracks.update([face(100)], 100.0)
    faces, lost = tracks.update([face(100)], 0.0)
    assert (len(faces), lost) == (1, 0)
    tracks.update([face(100, track=1), face(400)], 50.0)
    faces, lost = tracks.update([], 0.0)
    assert ([one.missed for one in faces], lost) == ([True, True], 0)
    assert tracks.update([], 0.3) == ([], 2)
    assert tracks.update([], 0.6) == ([], 0)


def test_two_faces_that_cross_keep_their_numbers():
    run = Run()
    run.see(100, 500)
    for k in range(1, 41):
        left, right = 100 + 10 * k, 500 - 10 * k
        faces, lost = run.see(face(right, track=2), face(left, track=1))
        assert {one.track: centre(one)[0] for one in faces} == {1: left, 2: right}
        assert lost == 0


def test_one_hidden_by_the_other_while_crossing_gets_its_number_back():
    run = Run()
    run.see(100, 160)
    run.see(face(105, track=1), face(155, track=2))
    run.see(face(110, track=1))
    faces, _ = run.see(face(115, track=1), face(145))
    assert {one.track: centre(one)[0] for one in faces} == {1: 115, 2: 145}


def test_a_followed_face_does_not_lose_its_number_to_a_new_one_beside_it():
    run = Run()
    run.see(100)
    faces, lost = run.see(face(130), face(100, track=1))
    assert {centre(one)[0]: one.track for one in faces} == {100: 1, 130: 2}
    assert lost == 0


STEPS = st.lists(
    st.tuples(st.lists(st.integers(0, 8), max_size=3, unique=True), st.lists(st.booleans(), min_size=3, max_size=3)),
    min_size=1,
    max_size=30,
)


@given(STEPS, st.sampled_from([0, 40, 100]), st.sampled_from([200, 1000]))
def test_numbers_are_unique_and_no_face_vanishes_uncounted(steps, coast, linger):
    run = Run(coast_ms=coast, linger_ms=linger)
    shown, gone = set(), 0
    for places, followed in steps:
        previous = {round(centre(one)[0]): one.track for one in run.tracks.faces}
        found = [
            face(100 * place, track=previous.get(100 * place, 0) if follow else 0)
            for place, follow in zip(places, followed, strict=False)
        ]
        faces, gone = run.see(*found)
        now = numbers(faces)
        assert len(set(now)) == len(now) and 0 not in now
        assert len(faces) >= len(found)
        assert len(shown - set(now)) <= gone
        shown = set(now)
