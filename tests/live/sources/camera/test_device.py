"""Reading a camera: always the newest picture, none that is broken, and a loss that is told at once."""

from __future__ import annotations

import errno
import os

import cv2
import numpy as np
import pytest

from engines.errors import BadInput, NotAvailable, SourceLost
from live import v4l2
from live.sources.camera.device import DeviceCapture, busy_with, cannot_open, decode
from live.sources.camera.modes import Mode
from tests.live.sources.camera.fake_driver import pictures, yuyv

WISH = Mode("", 64, 48, 30.0)


def grey_of(image):
    """The luma level that `yuyv` wrote."""
    return round(float(image.mean()) / 255 * 219 + 16)


@pytest.fixture
def camera(machine, driver):
    device = machine.add("/dev/video0", "Webcam")
    opened = []

    def open(*levels, wish=WISH):
        driver.due = [*pictures(100), *pictures(*levels, start_ns=2_000_000_000)]
        opened.append(DeviceCapture(device, wish))
        opened[-1].read()  # the one that open looked at
        return opened[-1]

    yield open
    for capture in opened:
        capture.close()


def test_pictures_come_in_order_to_a_reader_that_keeps_up(camera):
    capture = camera(50, 60, 70)
    read = [capture.read() for _ in range(3)]
    assert [grey_of(image) for image, _ in read] == pytest.approx([50, 60, 70], abs=1)
    assert [stamp for _, stamp in read] == [2_000_000_000, 2_033_000_000, 2_066_000_000]


def test_a_slow_reader_gets_the_newest_picture(camera, driver):
    capture = camera(50, 60, 70, 80)
    driver.arrive(3)
    assert grey_of(capture.read()[0]) == pytest.approx(70, abs=1)
    assert sorted(driver.queued) == [0, 1, 2, 3], "every buffer was given back"


def test_when_all_buffers_were_full_even_the_newest_is_old_and_the_next_one_is_waited_for(camera, driver):
    capture = camera(50, 60, 70, 80, 90, 99, 111)
    driver.arrive(6)  # the driver threw away two of them
    image, stamp = capture.read()
    assert grey_of(image) == pytest.approx(111, abs=1)
    assert stamp == 2_198_000_000


def test_a_device_with_fewer_buffers_does_not_wait(camera, driver):
    driver.buffers = 2
    capture = camera(50, 60, 70)
    driver.arrive(2)
    assert grey_of(capture.read()[0]) == pytest.approx(60, abs=1)


def test_pictures_are_fresh_and_writable(camera):
    capture = camera(50, 60)
    first = capture.read()[0]
    kept = first.copy()
    capture.read()
    assert np.array_equal(first, kept)
    first[:] = 0


def test_broken_pictures_are_left_out(camera, driver):
    capture = camera()
    driver.due = [
        (yuyv(50), 1, v4l2.FLAG_ERROR | v4l2.FLAG_MONOTONIC),
        (b"", 2, v4l2.FLAG_MONOTONIC),
        (yuyv(50)[:1000], 3, v4l2.FLAG_MONOTONIC),
        (yuyv(77), 4000, v4l2.FLAG_MONOTONIC),
    ]
    assert grey_of(capture.read()[0]) == pytest.approx(77, abs=1)


def test_a_time_of_another_clock_is_not_taken(camera, driver):
    capture = camera()
    driver.due = pictures(50, flags=0)
    assert capture.read()[1] is None


@pytest.mark.parametrize(("code", "words"), [(errno.ENODEV, "unplugged"), (errno.EIO, "failed: Input/output")])
@pytest.mark.parametrize("where", ["DQBUF", "poll"])
def test_a_camera_that_goes_is_lost_at_once(camera, driver, code, words, where):
    capture = camera(50)
    driver.fails[where] = code
    with pytest.raises(SourceLost, match=f"Webcam .*{words}"):
        capture.read()


def test_a_camera_that_falls_silent_is_lost(camera):
    capture = camera()
    with pytest.raises(SourceLost, match="gives no picture"):
        capture.read()


def test_a_camera_that_never_gives_a_picture_does_not_open(machine, driver):
    with pytest.raises(SourceLost, match="gives no picture"):
        DeviceCapture(machine.add("/dev/video0", "Webcam"), WISH)


@pytest.mark.parametrize("where", ["open", "S_FMT", "REQBUFS", "STREAMON"])
@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (errno.EBUSY, NotAvailable, r"in use by zoom \(process 42\)"),
        (errno.EACCES, BadInput, "may not be opened by this user"),
        (errno.ENODEV, SourceLost, "not there any more"),
        (errno.EIO, NotAvailable, "cannot be opened"),
    ],
)
def test_a_camera_that_refuses_says_why_and_is_closed(machine, driver, where, code, kind, words):
    device = machine.add("/dev/video0", "Webcam")
    machine.holders["/dev/video0"] = ([(42, "zoom"), (os.getpid(), "python")], False)
    driver.fails[where] = code
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(kind, match=words) as caught:
        DeviceCapture(device, WISH)
    assert caught.value.hint
    assert len(os.listdir("/proc/self/fd")) == before


def test_who_cannot_be_seen_is_called_another_users_program(machine):
    machine.holders["/dev/video0"] = ([], True)
    assert busy_with("/dev/video0") == "a program of another user"
    assert busy_with("/dev/video1") == "another program"


def test_a_virtual_camera_that_nobody_feeds_says_so(machine):
    error = cannot_open(machine.loopback("/dev/video8", "phone"), OSError(errno.EIO, "bad"))
    assert "phone" in error.message and "feeds it" in error.hint


def test_the_mode_that_was_chosen_reaches_the_driver(machine, driver):
    driver.modes = {"YUYV": {(64, 48): [10, 30], (32, 32): [60]}, "UYVY": {(64, 48): [15]}}
    driver.due = pictures(50)
    capture = DeviceCapture(machine.add("/dev/video0", "Webcam"), WISH)
    assert driver.set_format == ("YUYV", 64, 48)
    assert driver.rate == 30
    assert capture.mode == Mode("YUYV", 64, 48, 30.0)
    capture.close()


def test_a_driver_without_rates_keeps_the_one_of_its_list(machine, driver):
    driver.fails["S_PARM"] = errno.ENOTTY
    driver.modes = {"YUYV": {(64, 48): [25]}}
    driver.due = pictures(50)
    capture = DeviceCapture(machine.add("/dev/video0", "Webcam"), WISH)
    assert capture.mode.fps == 25
    capture.close()


def test_a_pixel_format_that_is_not_offered_is_refused_with_those_that_are(machine, driver):
    with pytest.raises(BadInput, match="does not give MJPG") as caught:
        DeviceCapture(machine.add("/dev/video0", "Webcam"), Mode("MJPG", 64, 48, 30.0))
    assert "YUYV" in caught.value.hint


def test_a_camera_with_nothing_that_can_be_read_is_not_available(machine, driver):
    driver.modes = {"H264": {(64, 48): [30]}}
    with pytest.raises(NotAvailable, match="gives only H264"):
        DeviceCapture(machine.add("/dev/video0", "Webcam"), WISH)


COLOUR = np.full((48, 64, 3), (40, 90, 200), np.uint8)


def planes(pixels):
    """COLOUR as this pixel format, [rows, bytes in a row]."""
    if pixels == "BGR3":
        return COLOUR.reshape(48, -1)
    if pixels == "RGB3":
        return COLOUR[..., ::-1].reshape(48, -1)
    if pixels == "GREY":
        return cv2.cvtColor(COLOUR, cv2.COLOR_BGR2GRAY)
    if pixels in ("YUYV", "UYVY"):
        code = {"YUYV": cv2.COLOR_BGR2YUV_YUY2, "UYVY": cv2.COLOR_BGR2YUV_UYVY}[pixels]
        return cv2.cvtColor(COLOUR, code).reshape(48, -1)
    planar = cv2.cvtColor(COLOUR, cv2.COLOR_BGR2YUV_I420)
    if pixels == "YU12":
        return planar
    u, v = planar[48:60].reshape(24, 32), planar[60:72].reshape(24, 32)
    return np.concatenate([planar[:48], np.stack([u, v], 2).reshape(24, 64)])


@pytest.mark.parametrize("padding", [0, 32])
@pytest.mark.parametrize("pixels", ["YUYV", "UYVY", "NV12", "YU12", "BGR3", "RGB3", "GREY"])
def test_every_pixel_format_is_read_in_its_colours(pixels, padding):
    rows = planes(pixels)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=255) if pixels != "YU12" else rows
    image = decode(padded.ravel(), pixels, 48, 64, padded.shape[1])
    wanted = np.repeat(cv2.cvtColor(COLOUR, cv2.COLOR_BGR2GRAY)[..., None], 3, 2) if pixels == "GREY" else COLOUR
    assert image.shape == (48, 64, 3) and image.flags.writeable
    assert np.abs(image.astype(int) - wanted).max() <= 4
    assert decode(padded.ravel()[:-40], pixels, 48, 64, padded.shape[1]) is None


def jpeg(level):
    return cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))[1].tobytes()


def without_tables(data):
    """As webcams send it: the Huffman tables (marker FFC4) are left out."""
    out, at = data[:2], 2
    while data[at : at + 2] != b"\xff\xda":
        length = int.from_bytes(data[at + 2 : at + 4], "big") + 2
        if data[at + 1] != 0xC4:
            out += data[at : at + length]
        at += length
    return out + data[at:]


def test_motion_jpeg_without_huffman_tables_is_read(camera, driver):
    driver.modes = {"MJPG": {(64, 48): [30]}}
    driver.due = [(without_tables(jpeg(90)) + b"\0" * 500, 1, 0)] * 2
    capture = DeviceCapture(v4l2.Device("/dev/video0", "Webcam"), WISH)
    assert capture.mode.pixels == "MJPG"
    assert abs(capture.read()[0].mean() - 90) < 2
    capture.close()


def test_motion_jpeg_that_was_cut_off_is_left_out_unless_the_camera_never_marks_the_end(machine, driver):
    driver.modes = {"MJPG": {(64, 48): [30]}}
    device = machine.add("/dev/video0", "Webcam")
    driver.due = [(data, 1, 0) for data in (jpeg(90), jpeg(50)[:-200], b"\xff\xd8 no jpeg \xff\xd9", jpeg(120))]
    capture = DeviceCapture(device, WISH)
    assert [round(float(capture.read()[0].mean())) for _ in range(2)] == pytest.approx([90, 120], abs=2)
    capture.close()
    driver.due = [(data[:-2], 1, 0) for data in (jpeg(90), jpeg(60))]
    capture = DeviceCapture(device, WISH)
    assert [round(float(capture.read()[0].mean())) for _ in range(2)] == pytest.approx([90, 60], abs=2)
    capture.close()
