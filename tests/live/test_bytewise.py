"""Byte by byte: rounded to the nearest, kept within a byte, in the picture's own memory."""

from __future__ import annotations

import numpy as np
import pytest

from live.bytewise import change, lay_in, mix, rows_of


def test_every_mixture_is_rounded_to_the_nearest():
    old, alpha = np.meshgrid(np.arange(256), np.arange(256))
    for new in (*range(0, 256, 15), 1, 254):
        below = old.astype(np.uint8)
        mix(below, np.full_like(below, new), alpha.astype(np.uint8))
        exact = old * (255 - alpha) + new * alpha
        assert (np.abs(255 * below.astype(int) - exact) <= 127).all()


def test_every_change_stays_within_a_byte():
    old, by = np.meshgrid(np.arange(256), np.arange(-128, 128))
    picture = old.astype(np.uint8)
    change(picture, by.astype(np.int8))
    assert np.array_equal(picture, np.clip(old + by, 0, 255))


def test_a_part_of_a_picture_is_changed_in_place_and_nothing_around_it():
    picture = np.full((20, 30, 3), 100, np.uint8)
    alpha = np.full((5, 6), 255, np.uint8)
    alpha[0] = 0
    lay_in(picture[4:9, 7:13], np.full((5, 12, 3), 7, np.uint8)[:, ::2], alpha)
    expected = np.full_like(picture, 100)
    expected[5:9, 7:13] = 7
    assert np.array_equal(picture, expected)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 6, 3), np.uint8)[:, ::2],
        np.zeros((4, 6, 3), np.uint8)[..., ::-1],
        np.zeros((4, 6, 3), np.uint8).transpose(1, 0, 2),
        np.zeros((4, 6, 4), np.uint8),
        np.zeros((4, 6, 3), np.float32),
    ],
)
def test_what_does_not_lie_in_rows_of_bytes_is_refused(image):
    with pytest.raises(ValueError, match="is no picture in BGR"):
        rows_of(image)
