"""The virtual camera, with a device that keeps what it is sent."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engines.errors import BadInput, NotAvailable, SinkLost
from live.frame import Format

pyvirtualcam = pytest.importorskip("pyvirtualcam")

from pyvirtualcam import camera as registry  # noqa: E402

from live.sinks.virtual_camera import VirtualCamera  # noqa: E402

NAME = "kept-in-memory"


@pytest.fixture
def device():
    """The class of a registered back end; its attributes say what happened and what shall fail."""

    class Device:
        cameras, sent, closed = [], [], 0
        refuses = breaks = None

        def __init__(self, *, width, height, fps, fourcc, device, **more):
            if Device.refuses is not None:
                raise Device.refuses
            self.facts = (width, height, fps, device)
            self.fourcc = fourcc
            Device.cameras.append(self)

        def send(self, frame):
            if Device.breaks is not None:
                raise Device.breaks
            Device.sent.append(frame.copy())

        def close(self):
            Device.closed += 1

        def device(self):
            return self.facts[3] or "memory0"

        def native_fourcc(self):
            return self.fourcc

    pyvirtualcam.register_backend(NAME, Device)
    yield Device
    registry.BACKENDS.pop(NAME)


@pytest.fixture
def opened(device):
    made = []

    def make(width=64, height=48, **settings):
        sink = VirtualCamera(backend=NAME, **settings)
        sink.open(Format(width, height, 30.0))
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.close()


def as_bgr(device, width, height):
    """The last frame that was sent, as BGR."""
    fourcc = device.cameras[-1].fourcc
    sent = device.sent[-1]
    if fourcc == pyvirtualcam.camera.encode_fourcc(pyvirtualcam.PixelFormat.I420.value):
        return cv2.cvtColor(sent.reshape(height * 3 // 2, width), cv2.COLOR_YUV2BGR_I420)
    return sent.reshape(height, width, 3)


def test_the_device_gets_size_rate_and_name(opened, device):
    opened(device="/dev/video19")
    assert device.cameras[0].facts == (64, 48, 30.0, "/dev/video19")


def test_without_a_name_any_device_will_do(opened, device):
    opened()
    assert device.cameras[0].facts[3] is None


@pytest.mark.parametrize("colour", [(200, 60, 60), (60, 200, 60), (60, 60, 200), (255, 255, 255), (0, 0, 0)])
def test_colours_arrive(opened, device, safe_frame, colour):
    opened().write(safe_frame(np.full((48, 64, 3), colour, np.uint8)))
    assert np.abs(as_bgr(device, 64, 48).mean((0, 1)) - colour).max() < 4


def test_the_picture_arrives_upright_and_not_mirrored(opened, device, safe_frame):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = 255
    opened().write(safe_frame(image))
    arrived = as_bgr(device, 64, 48)
    assert arrived[:24, :32].min() > 240
    assert arrived[24:].max() < 15 and arrived[:, 32:].max() < 15


def test_odd_sizes_lose_their_last_row_and_column(opened, device, safe_frame):
    image = np.random.default_rng(0).integers(100, 110, (49, 65, 3), np.uint8)
    opened(65, 49).write(safe_frame(image))
    assert device.cameras[0].facts[:2] == (64, 48)
    assert np.abs(as_bgr(device, 64, 48).astype(int) - image[:48, :64]).max() < 20


def test_every_frame_is_sent_and_left_alone(opened, device, safe_frame):
    sink, frame = opened(), safe_frame(np.full((48, 64, 3), 70, np.uint8))
    for _ in range(5):
        sink.write(frame)
    assert len(device.sent) == 5
    assert (frame.image == 70).all() and not frame.image.flags.writeable


@pytest.mark.parametrize("error", [RuntimeError("device busy"), ValueError("device busy"), OSError("device busy")])
def test_a_device_that_does_not_open_is_not_available_and_says_what_to_do(device, error):
    device.refuses = error
    sink = VirtualCamera(backend=NAME)
    with pytest.raises(NotAvailable, match="device busy") as caught:
        sink.open(Format(64, 48, 30.0))
    assert caught.value.hint
    sink.close()


def test_an_unknown_back_end_is_named():
    with pytest.raises((BadInput, NotAvailable), match="no-such-back-end"):
        VirtualCamera(backend="no-such-back-end").open(Format(64, 48, 30.0))


@pytest.mark.parametrize("error", [RuntimeError("unplugged"), OSError("unplugged")])
def test_a_device_that_takes_no_more_frames_is_lost(opened, device, safe_frame, error):
    sink = opened(device="/dev/video19")
    device.breaks = error
    with pytest.raises(SinkLost, match=r"/dev/video19.*unplugged") as caught:
        sink.write(safe_frame(np.zeros((48, 64, 3), np.uint8)))
    assert caught.value.closed is False


def test_a_lost_device_can_be_opened_again(opened, device, safe_frame):
    sink, frame = opened(), safe_frame(np.zeros((48, 64, 3), np.uint8))
    device.breaks = RuntimeError("unplugged")
    with pytest.raises(SinkLost):
        sink.write(frame)
    sink.close()
    device.breaks = None
    sink.open(Format(64, 48, 30.0))
    sink.write(frame)
    assert (len(device.cameras), len(device.sent), device.closed) == (2, 1, 1)


def test_close_frees_the_device_once(opened, device):
    sink = opened()
    sink.close()
    sink.close()
    assert device.closed == 1
