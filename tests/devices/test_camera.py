"""Cameras for real: vivid, a camera emulated by the kernel that keeps stale pictures like a webcam, and loopbacks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import BadInput, NotAvailable, SourceLost
from live import v4l2
from live.reopen import reopen
from live.sources.camera import Camera
from live.sources.camera.which import cameras, find
from live.trace import clock

bed = pytest.importorskip("tests.devices.bed")

DRIVER = Path("/sys/bus/platform/drivers/vivid")
SMALL = {"width": 640, "height": 360}  # vivid gives 30 frames a second of this size


def unplug():
    (DRIVER / "unbind").write_text("vivid.0")


def plug():
    (DRIVER / "bind").write_text("vivid.0")


@pytest.fixture(autouse=True)
def _vivid_as_new():
    """One guest runs all of these tests: each finds vivid at its own number, with nothing broken."""
    unplug()
    plug()
    assert bed.VIVID.exists()


@pytest.fixture
def camera(_vivid_as_new):
    made = []

    def open(*args, **settings):
        made.append(Camera(*args, **{**SMALL, **settings}))
        made[-1].open()
        return made[-1]

    yield open
    for one in made:
        one.close()


def test_without_a_word_the_real_camera_is_taken_and_loopbacks_only_by_path_or_name(feed):
    feed()
    assert find("").driver == "vivid"
    assert find("0").driver == "vivid"
    with pytest.raises(BadInput, match="virtual camera"):
        find("8")
    assert find(str(bed.CAMERA)).virtual and find("cam").path == str(bed.CAMERA)
    with pytest.raises(BadInput, match="nothing feeds"):
        find(str(bed.VIRTUAL))
    assert cameras()[0].path == str(bed.VIVID)


@pytest.mark.parametrize("pixels", ["YUYV", "UYVY", "NV12", "YU12", "RGB3", "BGR3", "GREY"])
def test_every_pixel_format_shows_the_colour_bars(camera, pixels):
    image = camera(pixel_format=pixels).read().image
    white, yellow = image[-40, 40].astype(int), image[-40, 120].astype(int)
    assert image.shape == (360, 640, 3)
    assert white.min() > 170
    assert pixels == "GREY" or (yellow[0] < 40 and yellow[1:].min() > 170)


def test_the_mode_follows_what_the_camera_lists(camera):
    source = camera()
    assert (source._capture.mode.width, source._capture.mode.height, source._capture.mode.fps) == (640, 360, 30.0)
    source.close()
    slow = camera(width=1280, height=720)._capture.mode
    assert (slow.width, slow.height, slow.fps) == (1280, 720, 12.5)


def test_a_reader_that_stalls_gets_a_fresh_picture_and_not_an_old_one(camera, record_property):
    """vivid's stamps lie within a period of the truth: good enough to tell 350 ms from 30."""
    source = camera()

    def ages(pause_s, count):
        found = []
        for _ in range(count):
            time.sleep(pause_s)
            _, stamp_ns = source._capture.read()
            found.append((clock() - stamp_ns) / 1e6)
        return float(np.median(found))

    ages(0, 10)
    for pause_ms in (0, 100, 600):
        record_property(f"age_after_{pause_ms}_ms", round(ages(pause_ms / 1000, 6), 1))
        assert ages(pause_ms / 1000, 6) < 80


def test_stamps_that_cannot_be_true_are_not_believed(camera):
    """vivid's lie in the future, when the picture would have ended."""
    source = camera()
    for _ in range(10):
        source.read()
    before = clock()
    captured_ns = source.read().captured_ns
    assert before <= captured_ns <= clock()


@pytest.mark.parametrize("held", [False, True])
def test_a_camera_that_is_unplugged_is_lost_at_once_and_found_again_under_any_number(camera, held, record_property):
    source = camera("vivid")
    before = [source.read().position_s for _ in range(5)][-1]
    # While some program holds the old node, the camera gets another number.
    handle = os.open(bed.VIVID, os.O_RDWR) if held else -1
    at = {}

    def pull():
        time.sleep(0.3)
        at["out"] = time.monotonic()
        unplug()
        time.sleep(2.3)
        plug()
        at["in"] = time.monotonic()

    hand = threading.Thread(target=pull)
    hand.start()

    def read_on():
        while True:
            source.read()

    with pytest.raises(SourceLost, match="unplugged"):
        read_on()
    lost_ms = (time.monotonic() - at["out"]) * 1000
    reopen(source.close, source.open, threading.Event())
    after = source.read()
    back_s = time.monotonic() - at["in"]
    hand.join()
    record_property("lost_after_ms", round(lost_ms, 1))
    record_property("back_after_s", round(back_s, 2))
    assert lost_ms < 200 and back_s < 2
    assert after.position_s > before
    assert source._capture._device.path == ("/dev/video1" if held else "/dev/video0")
    if held:
        os.close(handle)


@pytest.mark.parametrize("fault", ["inject_fatal_streaming_error", "disconnect"])
def test_a_driver_that_fails_in_mid_stream_is_a_lost_camera(camera, fault):
    source = camera()
    source.read()
    subprocess.run(["v4l2-ctl", "-d", str(bed.VIVID), "-c", f"{fault}=0"], check=True)
    began = time.monotonic()

    def read_on():
        while True:
            source.read()

    with pytest.raises(SourceLost):
        read_on()
    assert time.monotonic() - began < 2


def test_broken_and_dropped_buffers_are_left_out(camera):
    source = camera()
    for control in ("percentage_of_dropped_buffers=40", "inject_v4l2_buf_flag_error=0"):
        subprocess.run(["v4l2-ctl", "-d", str(bed.VIVID), "-c", control], check=True)
        assert all(source.read().image[-40, 40].min() > 170 for _ in range(10))


def test_a_camera_in_use_names_the_program(camera):
    holder = subprocess.Popen(
        [sys.executable, "-c",
         "from live.sources.camera import Camera; c = Camera('0'); c.open(); print('ready', flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "ready\n"
    with pytest.raises(NotAvailable, match=rf"in use by python\S* \(process {holder.pid}\)"):
        camera()
    holder.communicate("\n")
    assert camera().read().image.shape == (360, 640, 3)


def test_motion_jpeg_is_read_from_a_device(camera, tmp_path):
    words = "ffmpeg -loglevel error -re -f lavfi -i color=0x2080c0:s=640x360:r=30 -c:v mjpeg -q:v 2 -f v4l2"
    sender = subprocess.Popen([*words.split(), str(bed.CAMERA2)])
    try:
        end = time.monotonic() + 10
        while True:
            try:
                source = camera(str(bed.CAMERA2))
                break
            except (BadInput, NotAvailable, SourceLost):
                assert time.monotonic() < end
                time.sleep(0.1)
        assert source._capture.mode.pixels in ("MJPG", "JPEG")
        assert np.abs(source.read().image[180, 320].astype(int) - (0xC0, 0x80, 0x20)).max() < 12
    finally:
        sender.kill()
        sender.wait()


def test_a_loopback_whose_feeder_ends_is_lost_and_back(camera, feed, record_property):
    webcam = feed()
    source = camera(str(bed.CAMERA), width=1280, height=720)
    assert source.read().image.shape == (720, 1280, 3)
    webcam.kill()
    webcam.wait()
    ended = time.monotonic()

    def read_on():
        while True:
            source.read()

    with pytest.raises(SourceLost):
        read_on()
    record_property("lost_after_s", round(time.monotonic() - ended, 2))
    assert time.monotonic() - ended < 2
    feed()
    reopen(source.close, source.open, threading.Event())
    assert source.read().image.shape == (720, 1280, 3)


def test_opencv_would_hand_out_old_pictures(record_property):
    """Why the camera is not read through OpenCV: the figures side by side with those above."""
    capture = cv2.VideoCapture(str(bed.VIVID), cv2.CAP_V4L2)
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, 640)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, 360)
    capture.set(cv2.CAP_PROP_FPS, 30)
    for pause_ms in (0, 100, 600):
        ages = []
        for _ in range(12):
            time.sleep(pause_ms / 1000)
            assert capture.read()[0]
            ages.append(clock() / 1e6 - capture.get(cv2.CAP_PROP_POS_MSEC))
        record_property(f"age_after_{pause_ms}_ms", round(float(np.median(ages[6:])), 1))
    capture.release()
    assert np.median(ages[6:]) > 500


def test_the_holder_of_a_device_is_found():
    handle = os.open(bed.VIVID, os.O_RDWR)
    assert (os.getpid() in [process for process, _ in v4l2.holders(str(bed.VIVID))[0]]) is True
    os.close(handle)
    assert v4l2.holders(str(bed.VIVID)) == ([], False)
    assert v4l2.ask("/dev/video77").trouble.errno == errno.ENOENT


def test_the_doctor_knows_these_devices(feed):
    feed()
    command = [sys.executable, "-m", "live.doctor"]
    told = subprocess.run([*command, "cameras"], capture_output=True, text=True, check=True).stdout
    assert "vivid-000-vid-cap" in told and "at best 1280x720 at 12.5" in told
    told = subprocess.run([*command, "virtual cameras"], capture_output=True, text=True, check=True).stdout
    assert "a virtual camera can be written to" in told and '"fault"' not in told
