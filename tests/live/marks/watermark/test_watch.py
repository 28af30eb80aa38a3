"""Following a video: where the mark is, whose it is, and where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from live.marks.watermark.watch import Watch
from tests.live.marks.call import sample
from tests.live.marks.watermark.test_watermark import marked


def follow(*shots, fps=8):
    """Shots are (picture, seconds); the answer is what the watch says of one after the other."""
    watch, number = Watch(), 0
    for picture, seconds in shots:
        for _ in range(round(seconds * fps)):
            watch.add(picture, number / fps)
            number += 1
    return watch, watch.finish()


@pytest.fixture(scope="module")
def bare():
    return sample(0, 1)[0]


@pytest.fixture(scope="module")
def one(bare):
    return marked([bare], 0x111111)[0]


@pytest.fixture(scope="module")
def other(bare):
    return marked([bare], 0x222222)[0]


def said(stretches):
    return [(round(s.from_s), round(s.to_s), s.payload and f"{s.payload.session:06x}") for s in stretches]


def test_a_whole_video_is_one_stretch(one):
    assert said(follow((one, 25))[1]) == [(0, 25, "111111")]


def test_a_video_without_the_mark_has_no_stretch_and_a_low_score(bare):
    watch, stretches = follow((bare, 4))
    assert stretches == [] and watch.best < 5


def test_where_it_begins_and_ends_is_told_to_two_seconds(bare, one):
    assert said(follow((bare, 6), (one, 8), (bare, 6))[1]) == [(6, 14, "111111")]


def test_two_sessions_cut_together_are_told_apart(one, other):
    assert said(follow((one, 6), (other, 6))[1]) == [(0, 6, "111111"), (6, 12, "222222")]


def test_a_gap_makes_two_stretches(bare, one):
    assert said(follow((one, 4), (bare, 4), (one, 4))[1]) == [(0, 4, "111111"), (8, 12, "111111")]


def test_a_part_of_the_picture_is_followed_too(one):
    _, stretches = follow((np.ascontiguousarray(one[:, 280:1000]), 6))
    assert said(stretches) == [(0, 6, "111111")]
    assert not stretches[0].place.stretched


def test_a_single_picture_is_enough(one):
    watch = Watch()
    watch.add(one, 0.0)
    assert [s.payload.session for s in watch.finish()] == [0x111111]


def test_no_picture_is_no_stretch():
    assert Watch().finish() == []
