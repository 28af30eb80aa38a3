"""The virtual camera and its sentinel: who holds the device when, and what is left after which end."""

from __future__ import annotations

import errno
import logging

import cv2
import numpy as np
import pytest

from engines.errors import NotAvailable, SinkLost
from live import sentinel
from live.frame import Format
from live.sinks.virtual_camera import VirtualCamera
from live.sinks.virtual_camera.watched import Watched
from tests.live.sinks.virtual_camera.fake_loopback import HD, FakeDevice, FakeDriver, FakeHeld, opened

loopback = pytest.importorskip("live.sinks.virtual_camera.loopback", exc_type=ImportError)  # Linux only

PATH = "/dev/video8"


@pytest.fixture
def driver(monkeypatch):
    """One device, and the sentinels that were started."""
    fake = FakeDriver(FakeDevice(PATH))
    fake.install(monkeypatch, loopback)
    monkeypatch.setattr("live.sinks.virtual_camera.sys.platform", "linux")
    return fake


@pytest.fixture
def show(safe_frame):
    def write(sink, state="live"):
        sink.write(safe_frame(np.full((48, 64, 3), 90, np.uint8), state=state))

    return write


def test_the_sentinel_has_a_cover_in_the_devices_format(driver):
    opened(Format(640, 360, 30.0), pixel_format="YUYV")
    picture = np.frombuffer(driver.kept[PATH].cover, np.uint8).reshape(360, 640, 2)
    image = cv2.cvtColor(picture, cv2.COLOR_YUV2BGR_YUY2)
    assert 0 < (image.max(2) > 150).mean() < 0.1  # words on a slate


def test_it_is_told_what_is_shown_before_it_is_shown_and_that_the_loop_lives(driver, show):
    sink = opened()
    show(sink, "cover")
    sink.beat()
    show(sink, "hold")
    sink.beat()
    driver.devices[PATH].breaks = errno.EIO
    with pytest.raises(SinkLost):
        show(sink, "live")
    assert driver.kept[PATH].said == [False, False, True, True, True]
    with pytest.raises(SinkLost):
        show(sink, "cover")
    assert driver.kept[PATH].said[-1] is True  # the cover is not there


@pytest.mark.parametrize("stay", [True, False])
@pytest.mark.parametrize("state", ["live", "cover"])
def test_what_is_left_after_an_orderly_end(driver, show, caplog, stay, state):
    """A camera on which nothing but covers was seen need not stay: nobody is in a meeting with it."""
    caplog.set_level(logging.INFO, "doppelcam.live")
    sink = opened(stay=stay)
    show(sink, state)
    sink.close()
    sink.close()
    stays = stay and state == "live"
    assert (PATH in driver.kept) is stays and driver.devices[PATH].ready_for_output is not stays
    assert ("doppelcam release" in caplog.text) is stays


def test_the_next_run_takes_it_over_without_opening_it_again(driver, show):
    sink = opened()
    show(sink)
    sink.close()
    handle = driver.kept[PATH].handle
    assert VirtualCamera()._native and loopback.choose(None).path == PATH
    sink = opened()
    show(sink, "cover")
    assert driver.starts == 1 and sink._camera._loopback.handle == handle
    sink.close()  # nothing live in this run, but in the one before
    assert PATH in driver.kept


def test_a_second_run_beside_it_is_refused(driver):
    opened()
    driver.devices[PATH].holders = [(7, "doppelcam")]
    with pytest.raises(NotAvailable, match="doppelcam, process 7"):
        opened()


@pytest.mark.parametrize("looks", [True, False])
@pytest.mark.parametrize(
    "change", [{"pixel_format": "YUYV"}, {"format": Format(128, 96, 30.0)}], ids=["pixels", "size"]
)
def test_another_format_is_for_a_device_that_nobody_looks_at(driver, show, looks, change):
    sink = opened()
    show(sink)
    sink.close()
    driver.devices[PATH].holders = [(FakeHeld.process, "doppelcam-cover"), *([(9, "zoom")] if looks else [])]
    told = driver.devices[PATH].told
    sink = opened(**change)
    assert (driver.devices[PATH].told == told) is looks
    assert driver.starts == (1 if looks else 2)
    show(sink)
    assert len(driver.devices[PATH].frames[-1]) == driver.devices[PATH].size()


def test_a_device_that_broke_is_let_go_of_and_opened_anew(driver, show):
    sink = opened()
    show(sink)
    driver.devices[PATH].breaks = errno.EIO
    with pytest.raises(SinkLost):
        show(sink)
    sink.close()
    assert PATH not in driver.kept
    driver.devices[PATH].breaks = None
    sink.open(HD)
    show(sink)
    assert driver.starts == 2


def test_a_sentinel_that_ends_is_started_again_but_not_for_ever(driver, show, caplog):
    sink = opened()
    show(sink)
    driver.kept[PATH].ended = True  # it lived long: since_s is 0
    show(sink)
    assert driver.starts == 2 and "has ended" not in caplog.text
    driver.kept[PATH].ended, driver.kept[PATH].since_s = True, float("inf")
    show(sink)
    show(sink)
    assert driver.starts == 2 and caplog.text.count("has ended") == 1
    assert len(driver.devices[PATH].frames) == 4


def test_where_no_sentinel_can_be_started_the_camera_works_without(driver, show, monkeypatch, caplog):
    def start(*_):
        raise PermissionError(1, "is not this user's alone", "/tmp/x")

    monkeypatch.setattr(sentinel, "start", start)
    sink = opened()
    show(sink)
    sink.beat()
    sink.close()
    assert "no sentinel can be started" in caplog.text
    assert driver.devices[PATH].ready_for_output and len(driver.devices[PATH].frames) == 1


def test_a_device_that_fails_when_it_is_taken_over_goes_back_to_its_sentinel(driver, show, monkeypatch):
    sink = opened()
    show(sink)
    sink.close()
    monkeypatch.setattr(loopback.Loopback, "_agree", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
    with pytest.raises(NotAvailable):
        Watched(PATH, HD, "I420", True)
    assert sentinel.waits(PATH)
