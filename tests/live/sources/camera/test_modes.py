"""What a camera offers, and which mode is taken for a wish."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.sources.camera.modes import PIXELS, Mode, best, offered

WISH = Mode("", 1280, 720, 30.0)

# What usual webcams list: plain pixels only as fast as USB 2 carries them, Motion JPEG at full rate.
USUAL = [
    *(Mode("YUYV", w, h, f) for w, h, f in [(640, 480, 30), (640, 360, 30), (1280, 720, 10), (1920, 1080, 5)]),
    *(Mode("MJPG", w, h, 30) for w, h in [(640, 480), (1280, 720), (1920, 1080)]),
]


def taken(modes, wish=WISH):
    found = best(modes, wish)
    return found and (found.pixels, found.width, found.height, found.fps)


def test_motion_jpeg_is_taken_where_plain_pixels_come_too_seldom():
    assert taken(USUAL) == ("MJPG", 1280, 720, 30)


def test_plain_pixels_are_taken_where_they_come_as_fast():
    assert taken(USUAL, Mode("", 640, 480, 30.0)) == ("YUYV", 640, 480, 30)
    assert taken([*USUAL, Mode("NV12", 1280, 720, 30)]) == ("NV12", 1280, 720, 30)


def test_without_motion_jpeg_a_smaller_picture_beats_a_slide_show():
    assert taken([mode for mode in USUAL if mode.pixels == "YUYV"]) == ("YUYV", 640, 360, 30)


def test_a_pixel_format_that_is_asked_for_is_taken_or_nothing():
    assert taken(USUAL, Mode("YUYV", 1280, 720, 30.0))[0] == "YUYV"
    assert taken(USUAL, Mode("UYVY", 1280, 720, 30.0)) is None


def test_the_nearest_size_is_taken():
    modes = [Mode("MJPG", w, h, 30) for w, h in [(320, 240), (800, 600), (1024, 576), (1920, 1080)]]
    assert taken(modes) == ("MJPG", 1024, 576, 30)
    assert taken(modes, Mode("", 3840, 2160, 30.0)) == ("MJPG", 1920, 1080, 30)


def test_the_rate_that_is_asked_for_beats_a_faster_one():
    modes = [Mode("MJPG", 1280, 720, fps) for fps in (60, 30, 15)]
    assert taken(modes) == ("MJPG", 1280, 720, 30)
    assert taken(modes[:1]) == ("MJPG", 1280, 720, 60)
    assert taken(modes, Mode("", 1280, 720, 50.0)) == ("MJPG", 1280, 720, 60)


def test_what_cannot_be_decoded_is_never_taken():
    assert taken([Mode("H264", 1280, 720, 30), Mode("Z16", 1280, 720, 30)]) is None
    assert taken([Mode("H264", 1280, 720, 30), Mode("GREY", 320, 240, 5)]) == ("GREY", 320, 240, 5)


@given(
    st.lists(
        st.builds(
            Mode,
            st.sampled_from([*PIXELS, "H264"]),
            st.integers(16, 8192),
            st.integers(16, 8192),
            st.one_of(st.just(0.0), st.floats(0.1, 1000)),
        )
    ),
    st.builds(Mode, st.sampled_from(["", "MJPG"]), st.integers(160, 7680), st.integers(120, 4320), st.floats(1, 240)),
)
def test_whatever_is_offered_the_choice_is_one_of_it_that_can_be_read(modes, wish):
    chosen = best(modes, wish)
    usable = [mode for mode in modes if mode.pixels in PIXELS and wish.pixels in ("", mode.pixels)]
    assert chosen in usable if usable else chosen is None
    exact = [mode for mode in usable if (mode.width, mode.height, mode.fps) == (wish.width, wish.height, wish.fps)]
    if any(mode.pixels != "GREY" for mode in exact):
        assert chosen in exact


def test_everything_that_is_listed_is_read(driver):
    driver.modes = {"YUYV": {(640, 480): [30, 15], (1280, 720): [10]}, "MJPG": {(1280, 720): [30]}}
    assert offered(driver.handle, WISH) == [
        Mode("YUYV", 640, 480, 30), Mode("YUYV", 640, 480, 15), Mode("YUYV", 1280, 720, 10), Mode("MJPG", 1280, 720, 30)
    ]  # fmt: skip


def test_of_ranges_the_nearest_is_read(driver):
    driver.modes = {"YUYV": {(48, 1000, 16, 32, 600, 2): (5, 25)}}
    assert offered(driver.handle, WISH) == [Mode("YUYV", 992, 600, 25)]
    assert offered(driver.handle, Mode("", 647, 361, 12.5)) == [Mode("YUYV", 640, 360, 12.5)]


@pytest.mark.parametrize("fails", ["ENUM_FMT", "ENUM_FRAMESIZES"])
def test_a_driver_that_lists_nothing_offers_nothing(driver, fails):
    driver.fails[fails] = 25
    assert offered(driver.handle, WISH) == []
    driver.fails = {"ENUM_FRAMEINTERVALS": 25}
    assert offered(driver.handle, WISH) == [Mode("YUYV", 64, 48, 0.0)]
