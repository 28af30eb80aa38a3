"""The virtual camera on Linux, against v4l2loopback's rules in memory. With the real driver: tests/devices."""

from __future__ import annotations

import errno
import os

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import BadInput, NotAvailable, SinkLost
from live.frame import Format
from tests.live.sinks.virtual_camera.fake_loopback import HD, FakeDevice, FakeDriver, fault, opened

loopback = pytest.importorskip("live.sinks.virtual_camera.loopback", exc_type=ImportError)  # Linux only


@pytest.fixture
def driver(monkeypatch):
    """driver(device, ...): the devices of this machine."""

    def make(*devices):
        fake = FakeDriver(*devices)
        fake.install(monkeypatch, loopback)
        monkeypatch.setattr("live.sinks.virtual_camera.sys.platform", "linux")
        return fake

    return make


def as_bgr(device):
    width, height, fourcc = device.told
    data = np.frombuffer(device.frames[-1], np.uint8)
    if fourcc == "YUYV":
        return cv2.cvtColor(data.reshape(height, width, 2), cv2.COLOR_YUV2BGR_YUY2)
    return cv2.cvtColor(data.reshape(height * 3 // 2, width), cv2.COLOR_YUV2BGR_I420)


@pytest.mark.parametrize("letters", ["YUYV", "I420"])
@pytest.mark.parametrize("colour", [(200, 60, 60), (60, 200, 60), (60, 60, 200), (255, 255, 255), (0, 0, 0)])
def test_colours_arrive_upright_and_not_mirrored(driver, safe_frame, letters, colour):
    device = FakeDevice("/dev/video8")
    driver(device)
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = colour
    frame = safe_frame(image)
    opened(pixel_format=letters).write(frame)
    arrived = as_bgr(device)
    assert np.abs(arrived[:24, :32].mean((0, 1)) - colour).max() < 4
    assert arrived[24:].max() < 8 and arrived[:, 32:].max() < 8
    assert (frame.image == image).all()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.tuples(st.integers(2, 200), st.integers(2, 200)),
    came=st.tuples(st.integers(2, 200), st.integers(2, 200)),
    fixed=st.none() | st.tuples(st.integers(1, 90), st.integers(1, 90), st.sampled_from(["YUYV", "YU12"])),
    letters=st.sampled_from(["YUYV", "I420"]),
)
def test_what_is_written_is_as_long_as_the_driver_was_told(driver, safe_frame, asked, came, fixed, letters):
    fixed = fixed and (fixed[0] * 2, fixed[1] * 2, fixed[2])
    device = FakeDevice("/dev/video8", fixed=fixed, reader=fixed is not None)
    driver(device)
    sink = opened(Format(*asked, 30.0), pixel_format=letters)
    sink.write(safe_frame(np.full((came[1], came[0], 3), 90, np.uint8)))
    assert [len(frame) for frame in device.frames] == [device.size()]
    assert fixed is None or device.told == fixed


def test_a_size_that_a_reader_holds_on_to_is_filled_with_the_whole_picture(driver, safe_frame):
    device = FakeDevice("/dev/video8", fixed=(128, 48, "YU12"), reader=True)
    driver(device)
    opened().write(safe_frame(np.full((48, 64, 3), 200, np.uint8)))
    arrived = as_bgr(device)
    assert arrived[:, 33:95].min() > 190  # in the middle, with black bars beside it
    assert arrived[:, :31].max() < 10 and arrived[:, 97:].max() < 10


@pytest.mark.parametrize("fixed", [(64, 48, "MJPG"), (65, 48, "YUYV")])
def test_a_format_that_cannot_be_served_is_told_with_who_holds_it(driver, fixed):
    driver(FakeDevice("/dev/video8", fixed=fixed, reader=True, holders=[(7, "zoom")]))
    with pytest.raises(NotAvailable, match=r"/dev/video8 is fixed at \d+x48 \w+ by .*zoom, process 7") as caught:
        opened()
    assert "close those programs" in caught.value.hint


def test_the_rate_is_told(driver):
    device = FakeDevice("/dev/video8")
    driver(device)
    opened(Format(64, 48, 30000 / 1001))
    assert (device.rate.numerator, device.rate.denominator) == (1001, 30000)


def test_the_one_called_doppelcam_comes_first(driver):
    driver(FakeDevice("/dev/video2", name="OBS"), FakeDevice("/dev/video8"))
    assert opened()._camera.path == "/dev/video8"
    assert opened(device="OBS")._camera.path == "/dev/video2"
    assert loopback.choose("2").path == "/dev/video2"


def test_without_one_called_doppelcam_the_first_free_one_is_taken(driver):
    busy = FakeDevice("/dev/video2", name="OBS", ready_for_output=False, ready_for_capture=True, holders=[(7, "obs")])
    driver(FakeDevice("/dev/video0", name="Webcam", driver="uvcvideo"), busy, FakeDevice("/dev/video3", name="cam"))
    assert opened()._camera.path == "/dev/video3"


def test_the_one_called_doppelcam_is_not_replaced_by_another_when_it_is_in_use(driver):
    busy = FakeDevice("/dev/video8", ready_for_output=False, ready_for_capture=True, holders=[(7, "obs")])
    driver(busy, FakeDevice("/dev/video9", name="other"))
    with pytest.raises(NotAvailable, match=r"/dev/video8 is written to by another program \(obs, process 7\)"):
        opened()


def test_what_other_users_hold_is_said_as_far_as_it_is_known(driver):
    driver(FakeDevice("/dev/video8", ready_for_output=False, ready_for_capture=True, secret=True))
    with pytest.raises(NotAvailable, match="another user's program"):
        opened()


@pytest.mark.parametrize("listed", [False, True])
def test_a_device_that_a_lost_writer_left_stuck_is_freed(driver, listed):
    device = FakeDevice("/dev/video8", ready_for_output=False, ready_for_capture=listed)
    driver(device)
    opened()
    assert device.ready_for_capture


def test_two_at_a_time_are_kept_apart_where_the_driver_does_not(driver):
    driver(FakeDevice("/dev/video8", exclusive=False))
    opened()
    with pytest.raises(NotAvailable, match="written to by another program"):
        opened()


def test_after_close_the_device_waits_for_the_next_writer(driver, safe_frame):
    device = FakeDevice("/dev/video8")
    driver(device)
    for _ in range(3):
        sink = opened(stay=False)
        sink.write(safe_frame(np.zeros((48, 64, 3), np.uint8)))
        sink.close()
        assert device.ready_for_output
        sink.close()
    assert len(device.frames) == 3


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.EACCES, NotAvailable, "may not be opened by this user"),
        (errno.EBUSY, NotAvailable, "written to by another program"),
        (errno.ENODEV, BadInput, "there is no virtual camera /dev/video8"),
        (errno.EIO, NotAvailable, "cannot be used"),
    ],
)
def test_a_device_that_does_not_open_is_told_in_the_users_words(driver, number, kind, words):
    driver(FakeDevice("/dev/video8", refuses=fault(number)))
    with pytest.raises(kind, match=words) as caught:
        opened(device="/dev/video8")
    assert caught.value.hint


def test_no_permission_for_any_device_is_told(driver):
    driver(FakeDevice("/dev/video8", refuses=fault(errno.EACCES)))
    with pytest.raises(NotAvailable, match="may not be opened by this user") as caught:
        opened()
    assert "usermod -aG video" in caught.value.hint


@pytest.mark.parametrize("device", ["/dev/video77", "nonsense"])
def test_a_device_that_is_not_there_is_told_with_those_that_are(driver, device):
    driver(FakeDevice("/dev/video8"))
    with pytest.raises(BadInput, match=f"there is no virtual camera {device}") as caught:
        opened(device=device)
    assert "/dev/video8 (doppelcam)" in caught.value.hint


def test_a_real_camera_is_no_virtual_one(driver):
    driver(FakeDevice("/dev/video0", name="Webcam", driver="uvcvideo"))
    with pytest.raises(BadInput, match=r"/dev/video0 \(Webcam\) is no virtual camera"):
        opened(device="/dev/video0")


def test_a_machine_without_any_is_told_the_one_line_that_makes_one(driver):
    driver()
    with pytest.raises(NotAvailable, match="there is no virtual camera") as caught:
        opened()
    assert loopback.MODPROBE in caught.value.hint


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        ({"breaks": errno.ENODEV}, os.strerror(errno.ENODEV)),
        ({"breaks": errno.EIO}, os.strerror(errno.EIO)),
        ({"breaks": errno.EBUSY, "holders": [(7, "obs")]}, "used by obs, process 7"),
        ({"short": 100}, "took 4508 of 4608 bytes"),
    ],
)
def test_a_device_that_takes_no_more_frames_is_lost_and_can_be_opened_again(driver, safe_frame, fails, words):
    device = FakeDevice("/dev/video8")
    driver(device)
    sink, frame = opened(), safe_frame(np.zeros((48, 64, 3), np.uint8))
    for name, value in fails.items():
        setattr(device, name, value)
    with pytest.raises(SinkLost, match=rf"/dev/video8.*{words}") as caught:
        sink.write(frame)
    assert not caught.value.closed
    sink.close()
    device.breaks, device.short = None, 0
    sink.open(HD)
    sink.write(frame)


def test_a_driver_that_keeps_no_picture_is_used_without(driver, safe_frame):
    device = FakeDevice("/dev/video8")  # the fake knows no buffers
    driver(device)
    sink = opened()
    sink.write(safe_frame(np.zeros((48, 64, 3), np.uint8), state="cover"))
    assert device.controls == {"timeout_image_io": 0}
    sink.close()
    assert device.controls["timeout"] == 0
