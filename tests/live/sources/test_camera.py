"""Cameras: which one a word means, when the light was caught, and what is said when there is none."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import BadInput, NotAvailable, SourceLost
from live.sources import camera
from live.sources.camera import Camera, find_camera, list_cameras

MS = 1_000_000
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists cameras as files")


@pytest.fixture
def devices(tmp_path, monkeypatch):
    """Makes the system list these cameras: {node: name}."""
    monkeypatch.setattr(camera, "_V4L", tmp_path)

    def make(**names):
        for node, name in names.items():
            (tmp_path / node).mkdir()
            if name is not None:
                (tmp_path / node / "name").write_text(name + "\n")

    return make


class FakeCapture:
    """Stands in for cv2.VideoCapture; the class attributes say how the camera behaves."""

    works, size, fps, script, made = True, (480, 640), 30.0, [], []

    def __init__(self, target, backend):
        self.target, self.asked, self.released, self.kernel_ms = target, {}, False, 0.0
        type(self).made.append(self)

    def isOpened(self):  # noqa: N802
        return self.works

    def set(self, key, value):
        self.asked[key] = value
        return True

    def get(self, key):
        return {cv2.CAP_PROP_POS_MSEC: self.kernel_ms, cv2.CAP_PROP_FPS: self.fps}.get(key, 0.0)

    def read(self):
        """Each entry of `script`: None for a failed read, else (now in ms, kernel time in ms)."""
        if not self.script:
            return True, np.zeros((*self.size, 3), np.uint8)
        entry = self.script.pop(0)
        if entry is None:
            return False, None
        type(self).now_ms, self.kernel_ms = entry
        return True, np.zeros((*self.size, 3), np.uint8)

    def release(self):
        self.released = True


@pytest.fixture
def capture(monkeypatch):
    class Capture(FakeCapture):
        script, made, now_ms = [], [], 0.0

    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    monkeypatch.setattr(camera, "clock", lambda: int(Capture.now_ms * MS))
    return Capture


def read(capture, *script, first=(1000.0, 990.0)):
    """Open, then read these; the first entry is the picture that open() looks at."""
    capture.script = [first, *script]
    source = Camera()
    source.open()
    return [source.read() for _ in script]


@pytest.mark.parametrize("number", [0, 1, 12])
def test_a_number_is_a_number(devices, number):
    devices()
    assert find_camera(str(number)) == number


def test_a_path_is_a_path(devices):
    devices()
    assert find_camera("/dev/video9") == "/dev/video9"
    assert find_camera("/dev/v4l/by-id/usb-x") == "/dev/v4l/by-id/usb-x"


@only_linux
@pytest.mark.parametrize("word", ["Integrated Camera", "integrated", "CAMERA"])
def test_a_name_or_part_of_it_is_found(devices, word):
    devices(video0="Integrated Camera", video2="OBS Virtual Cam")
    assert find_camera(word) == "/dev/video0"


@only_linux
def test_the_first_of_several_nodes_of_the_same_camera_is_taken(devices):
    devices(video10="HD Webcam", video2="HD Webcam", video3="Other")
    assert find_camera("webcam") == "/dev/video2"


@only_linux
def test_an_exact_name_wins_over_one_that_contains_it(devices):
    devices(video0="Webcam Pro", video1="Webcam")
    assert find_camera("webcam") == "/dev/video1"


@only_linux
def test_a_name_that_fits_several_is_refused_with_them(devices):
    devices(video0="Webcam left", video2="Webcam right", video4="Capture card")
    with pytest.raises(BadInput, match="'webcam' fits several") as caught:
        find_camera("webcam")
    assert "Webcam left" in caught.value.hint and "Webcam right" in caught.value.hint
    assert "Capture card" not in caught.value.hint


@only_linux
def test_a_name_that_fits_none_is_refused_with_all(devices):
    devices(video0="Webcam", video2="Capture card")
    with pytest.raises(BadInput, match="no camera named 'phone'") as caught:
        find_camera("phone")
    assert "/dev/video0 (Webcam)" in caught.value.hint and "/dev/video2 (Capture card)" in caught.value.hint


def test_a_name_where_there_is_no_camera(devices):
    devices()
    with pytest.raises(BadInput) as caught:
        find_camera("webcam")
    assert "none" in caught.value.hint


@only_linux
def test_cameras_are_listed_by_number_and_nameless_nodes_left_out(devices):
    devices(video10="ten", video9="nine", video0="zero", video3=None)
    assert list_cameras() == [("/dev/video0", "zero"), ("/dev/video9", "nine"), ("/dev/video10", "ten")]


@only_linux
@pytest.mark.parametrize("device", ["/dev/video987", "987"])
def test_a_device_that_is_not_there_is_bad_input_with_those_that_are(devices, device):
    devices(video0="Webcam")
    with pytest.raises(BadInput, match="there is no camera") as caught:
        Camera(device).open()
    assert device in caught.value.message and "Webcam" in caught.value.hint


@only_linux
def test_a_device_that_is_there_and_does_not_open_is_not_available(devices, capture, tmp_path):
    devices()
    capture.works = False
    with pytest.raises(NotAvailable, match="cannot be opened") as caught:
        Camera(str(tmp_path)).open()
    assert "another program" in caught.value.hint


def test_a_camera_without_a_picture_is_not_available(capture):
    capture.script = [None]
    with pytest.raises(NotAvailable, match="gives no picture"):
        Camera().open()


def test_what_was_asked_for_reaches_the_camera(capture):
    Camera("2", width=640, height=480, fps=15, pixel_format="YUYV").open()
    (made,) = capture.made
    assert made.target == 2
    assert (made.asked[cv2.CAP_PROP_FRAME_WIDTH], made.asked[cv2.CAP_PROP_FRAME_HEIGHT]) == (640, 480)
    assert made.asked[cv2.CAP_PROP_FPS] == 15
    assert made.asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"YUYV")


def test_without_a_pixel_format_the_camera_chooses(capture):
    Camera(pixel_format="").open()
    assert cv2.CAP_PROP_FOURCC not in capture.made[0].asked


def test_the_format_is_what_the_camera_gives_and_not_what_was_asked_for(capture):
    capture.size, capture.fps = (360, 640), 25.0
    format = Camera(width=1280, height=720).open()
    assert (format.width, format.height, format.fps, format.sound) == (640, 360, 25.0, None)


@pytest.mark.parametrize("fps", [0.0, -1.0, 1e6, float("nan")])
def test_a_rate_that_makes_no_sense_is_replaced_by_the_one_asked_for(capture, fps):
    capture.fps = fps
    assert Camera(fps=24).open().fps == 24.0


def test_a_pixel_format_is_four_letters(capture):
    with pytest.raises(BadInput, match="'MJPEG' is not four letters"):
        Camera(pixel_format="MJPEG").open()


@pytest.mark.parametrize("trouble", ["format", "picture", "works"])
def test_a_failed_open_leaves_no_device_open(capture, trouble):
    source = Camera("/dev/video987", pixel_format="x" if trouble == "format" else "MJPG")
    capture.works = trouble != "works"
    capture.script = [None] if trouble == "picture" else []
    with pytest.raises((BadInput, NotAvailable)):
        source.open()
    source.close()
    assert all(made.released for made in capture.made)


def test_close_releases_the_device_and_may_be_called_again(capture):
    source = Camera()
    source.open()
    source.close()
    source.close()
    assert capture.made[0].released


def test_a_failed_read_means_the_camera_is_lost(capture):
    capture.script = [(1000.0, 990.0), (1033.0, 1020.0), None]
    source = Camera("3")
    source.open()
    source.read()
    with pytest.raises(SourceLost, match="camera 3"):
        source.read()


def test_a_kernel_time_shortly_before_now_is_believed(capture):
    (captured,) = read(capture, (2000.0, 1960.0))
    assert captured.captured_ns == 1960 * MS


@pytest.mark.parametrize("kernel_ms", [0.0, -1.0, 1000.0, 5000.0, 1.7e12])
def test_a_kernel_time_that_makes_no_sense_is_not_believed(capture, kernel_ms):
    (captured,) = read(capture, (2000.0, kernel_ms))
    assert captured.captured_ns == 2000 * MS


def test_positions_begin_at_zero_and_follow_the_light(capture):
    captured = read(capture, (2000.0, 1960.0), (2040.0, 1993.0), (2071.0, 2027.0))
    assert [one.position_s for one in captured] == pytest.approx([0.0, 0.033, 0.067])


def test_a_doubtful_kernel_time_in_between_does_not_turn_time_back(capture):
    captured = read(capture, (2000.0, 1960.0), (2033.0, 0.0), (2066.0, 2026.0), (2099.0, 2059.0))
    positions = [one.position_s for one in captured]
    assert positions == sorted(positions)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(1, 100), st.one_of(st.just(0.0), st.floats(-4, 450))), min_size=1, max_size=20))
def test_positions_never_go_back(capture, steps):
    now, script = 1000.0, []
    for step, delay in steps:
        now += step
        script.append((now, now - delay if delay else 0.0))
    positions = [one.position_s for one in read(capture, *script)]
    assert positions[0] == 0 and positions == sorted(positions)


def test_positions_go_on_after_the_camera_was_lost_and_opened_again(capture):
    capture.script = [(1000.0, 0.0), (1000.0, 0.0), (4000.0, 0.0), (5000.0, 0.0), (5000.0, 0.0)]
    source = Camera()
    source.open()
    before = [source.read().position_s for _ in range(2)]
    source.close()
    source.open()
    assert [*before, source.read().position_s] == [0.0, 3.0, 4.0]
