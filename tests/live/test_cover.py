"""The cover: a readable slate of any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.cover import draw_cover
from live.guard import LOST, NO_FACE, NOT_COVERED, STARTING

REASONS = [STARTING, NO_FACE, LOST, NOT_COVERED, "camera lost, looking for it", "the swap failed"]


def marked(image):
    """Where something else than the background is drawn."""
    return (image != image[0, 0]).any(2)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 400), st.integers(1, 300))
def test_the_size_is_the_one_asked_for(width, height):
    cover = draw_cover(width, height, "why")
    assert cover.shape == (height, width, 3) and cover.dtype == np.uint8 and cover.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (720, 1280), (320, 240), (160, 120)])
def test_each_reason_looks_different(width, height):
    covers = [draw_cover(width, height, reason) for reason in REASONS]
    assert len({cover.tobytes() for cover in covers}) == len(REASONS)


def test_the_same_reason_looks_the_same():
    assert np.array_equal(draw_cover(640, 360, LOST), draw_cover(640, 360, LOST))


def test_the_title_is_there_whatever_the_reason():
    upper = [draw_cover(640, 360, reason)[: 360 // 2] for reason in REASONS]
    assert all(np.array_equal(upper[0], other) for other in upper[1:])
    assert marked(upper[0]).any()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 2), (8, 6), (16, 16), (32, 4), (4, 32), (64, 48)])
def test_tiny_covers_are_not_empty(width, height):
    cover = draw_cover(width, height, "no face in sight")
    assert cover.max() > 0
    if min(width, height) >= 8:
        assert marked(cover).any()


@pytest.mark.parametrize("reason", [*REASONS, "x" * 60, "the source gives nothing right now " * 4])
@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1280, 720), (640, 480), (720, 1280)])
def test_text_keeps_to_the_middle_square(width, height, reason):
    rows, columns = np.nonzero(marked(draw_cover(width, height, reason)))
    side = min(width, height)
    assert columns.min() >= (width - side) // 2 and columns.max() < (width + side) // 2
    assert rows.min() >= (height - side) // 2 and rows.max() < (height + side) // 2


def test_a_reason_may_be_empty_or_in_another_script():
    assert not np.array_equal(draw_cover(320, 240, "Gesicht verloren, größer"), draw_cover(320, 240, ""))
