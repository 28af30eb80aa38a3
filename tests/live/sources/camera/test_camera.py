"""The camera as a source: settings, when the light was caught, a replug, and what it refuses."""

from __future__ import annotations

import logging
import os
from typing import ClassVar

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import BadInput, NotAvailable, SourceLost
from live.sources import camera
from live.sources.camera import Camera
from live.sources.camera.modes import Mode
from live.sources.camera.opencv import OpencvCapture
from tests.live.sources.camera.fake_driver import pictures

MS = 1_000_000


@pytest.fixture
def webcam(machine, driver):
    return machine.add("/dev/video0", "Webcam")


def read(driver, *script, first=(1000.0, 990.0)):
    """Open, then read at these (now, driver's time) in ms; the first is the picture that open() looks at."""
    driver.due = [(*pictures(50)[0][:1], int(stamp * MS), 0x2000) for _, stamp in (first, *script)]
    source = Camera()
    source.open()
    captured = []
    for now_ms, _ in (first, *script):
        driver.now_ns = int(now_ms * MS)
        captured.append(source.read())
    source.close()
    return captured[1:]


def test_the_format_is_what_the_camera_gives_and_that_is_said_once(webcam, driver, caplog):
    driver.due = pictures(50, 60)
    source = Camera()
    with caplog.at_level(logging.WARNING, "doppelcam.sources"):
        format = source.open()
        source.close()
        source.open()
    assert (format.width, format.height, format.fps, format.sound) == (64, 48, 30.0, None)
    assert [r.getMessage() for r in caplog.records] == [
        "the camera gives 64x48 at 30 (YUYV); asked for: 1280x720 at 30"
    ]
    source.close()


def test_what_was_asked_for_and_is_given_needs_no_words(webcam, driver, caplog):
    driver.modes, driver.due = {"YUYV": {(64, 48): [30, 60]}}, pictures(50)
    source = Camera(width=64, height=48, fps=60)
    with caplog.at_level(logging.WARNING, "doppelcam.sources"):
        source.open()
    assert driver.rate == 60 and not caplog.records
    source.close()


@pytest.mark.parametrize("letters", ["MJPEG", "x", "", "MJP\xe9"])
def test_a_pixel_format_is_four_letters(webcam, letters):
    if letters:
        with pytest.raises(BadInput, match="not four letters"):
            Camera(pixel_format=letters).open()
    else:
        assert Camera().pixel_format == "auto"


def test_a_time_shortly_before_now_is_believed(webcam, driver):
    (captured,) = read(driver, (2000.0, 1960.0))
    assert captured.captured_ns == 1960 * MS


@pytest.mark.parametrize("stamp_ms", [0.0, 1000.0, 2030.0, 5000.0, 1.7e9])
def test_a_time_that_makes_no_sense_is_not_believed(webcam, driver, stamp_ms):
    (captured,) = read(driver, (2000.0, stamp_ms))
    assert captured.captured_ns == 2000 * MS


def test_positions_begin_at_zero_and_follow_the_light(webcam, driver):
    captured = read(driver, (2033.0, 1960.0), (2040.0, 1993.0), (2071.0, 2027.0), first=(2000.0, 1927.0))
    assert [one.position_s for one in captured] == pytest.approx([0.033, 0.066, 0.1])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(1, 100), st.one_of(st.just(0.0), st.floats(-4, 450))), min_size=1, max_size=20))
def test_positions_never_go_back(webcam, driver, steps):
    now, script = 1000.0, []
    for step, delay in steps:
        now += step
        script.append((now, now - delay if delay else 0.0))
    positions = [one.position_s for one in read(driver, *script)]
    assert positions[0] >= 0 and positions == sorted(positions)


def test_replugged_under_another_number_it_is_the_same_camera_and_its_time_goes_on(machine, webcam, driver):
    driver.due = pictures(50, 60)
    source = Camera("0")
    source.open()
    assert source.read().position_s == 0
    machine.remove("/dev/video0")
    machine.add("/dev/video0", "Somebody else's", bus="usb-2")
    source.close()
    with pytest.raises(SourceLost, match="Webcam"):
        source.open()
    source.close()
    machine.add("/dev/video6", "Webcam")
    driver.due, driver.now_ns = pictures(70, 80), 4_000_000_000
    source.open()
    assert source._capture._device.path == "/dev/video6"
    assert source.read().position_s == 3.0
    source.close()


def test_the_device_that_this_process_writes_to_is_refused_as_a_source(machine, driver):
    machine.loopback("/dev/video9", "doppelcam")
    machine.holders["/dev/video9"] = ([(os.getpid(), "doppelcam")], False)
    with pytest.raises(BadInput, match="where the picture goes"):
        Camera("/dev/video9").open()
    machine.holders["/dev/video9"] = ([(1, "obs")], False)
    driver.due = pictures(50)
    source = Camera("/dev/video9")
    source.open()
    source.close()


def test_close_may_be_called_again_and_gives_the_device_back(webcam, driver):
    before = len(os.listdir("/proc/self/fd"))
    driver.due = pictures(50)
    source = Camera()
    source.open()
    source.close()
    source.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_a_camera_it_is_not_available(machine):
    with pytest.raises(NotAvailable, match="no camera is connected"):
        camera.available()


class FakeOpencv:
    """Stands in for cv2.VideoCapture."""

    works, picture, fps = True, True, 25.0

    def __init__(self, number, backend):
        self.number, self.asked, self.released = number, {}, False
        type(self).made.append(self)

    def isOpened(self):  # noqa: N802
        return self.works

    def set(self, key, value):
        self.asked[key] = value

    def get(self, key):
        return {cv2.CAP_PROP_POS_MSEC: 12.5, cv2.CAP_PROP_FPS: self.fps}.get(key, 0.0)

    def read(self):
        return self.picture, np.zeros((360, 640, 3), np.uint8) if self.picture else None

    def release(self):
        self.released = True


@pytest.fixture
def opencv(monkeypatch):
    class Fake(FakeOpencv):
        made: ClassVar = []

    monkeypatch.setattr(cv2, "VideoCapture", Fake)
    return Fake


def test_elsewhere_opencv_is_asked_for_the_wish_and_gives_what_it_has(opencv):
    capture = OpencvCapture("2", Mode("YUYV", 1280, 720, 30.0))
    (made,) = opencv.made
    assert made.number == 2
    assert (made.asked[cv2.CAP_PROP_FRAME_WIDTH], made.asked[cv2.CAP_PROP_FRAME_HEIGHT]) == (1280, 720)
    assert made.asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"YUYV")
    assert capture.mode == Mode("YUYV", 640, 360, 25.0)
    assert capture.read()[1] == 12_500_000
    opencv.picture = False
    with pytest.raises(SourceLost, match="camera 2"):
        capture.read()
    capture.close()
    assert made.released


@pytest.mark.parametrize("fps", [0.0, -1.0, 1e6, float("nan")])
def test_elsewhere_a_rate_that_makes_no_sense_is_replaced_by_the_one_asked_for(opencv, fps):
    opencv.fps = fps
    assert OpencvCapture("", Mode("", 640, 360, 24.0)).mode.fps == 24.0


@pytest.mark.parametrize("trouble", ["works", "picture"])
def test_elsewhere_a_failed_open_leaves_nothing_open(opencv, trouble):
    setattr(opencv, trouble, False)
    with pytest.raises(NotAvailable, match="camera 0"):
        OpencvCapture("0", Mode("", 640, 360, 30.0))
    assert opencv.made[0].released


def test_elsewhere_a_camera_has_a_number(opencv):
    with pytest.raises(BadInput, match="no camera 'webcam'"):
        OpencvCapture("webcam", Mode("", 640, 360, 30.0))


def test_on_other_systems_opencv_reads_the_camera(opencv, monkeypatch):
    monkeypatch.setattr(camera.sys, "platform", "darwin")
    source = Camera("1")
    format = source.open()
    assert (format.width, format.height, format.fps) == (640, 360, 25.0)
    assert source.read().image.shape == (360, 640, 3)
    source.close()
    assert opencv.made[0].released
