"""What the page is shown: only while somebody watches, at most 15 a second, the newest first, each watcher alone."""

from __future__ import annotations

import asyncio

import cv2
import numpy as np
import pytest

from live.frame import Captured, Format
from live.panel import preview as module
from live.panel.preview import Mirror, Preview
from live.panel.watchers import AFTER, BEFORE, MOST, Watchers

FORMAT = Format(1280, 720, 30.0)


@pytest.fixture
def now(monkeypatch):
    """The clock, in ms."""
    time = [0.0]
    monkeypatch.setattr(module, "clock", lambda: int(time[0] * 1e6))
    return time


@pytest.fixture
def watchers():
    return Watchers(lambda call, *args: call(*args))


@pytest.fixture
def watcher(watchers):
    made = watchers.add()
    made.watch(frozenset({AFTER}))
    return made


@pytest.fixture
def preview(watchers, now):
    made = Preview(watchers)
    made.open(FORMAT)
    return made


def picture(grey=90):
    return np.full((720, 1280, 3), grey, np.uint8)


def taken(watcher):
    """The mean grey of the next picture; None where there is none. The page has it at once."""
    held = watcher.take()
    if held is None:
        return None
    watcher.took()
    return round(float(cv2.imdecode(np.frombuffer(held[1], np.uint8), cv2.IMREAD_COLOR).mean()))


def test_nothing_is_made_while_nobody_watches(preview, watchers, safe_frame, monkeypatch):
    monkeypatch.setattr(module, "small_jpeg", lambda image: pytest.fail("a picture for nobody"))
    watchers.add()  # a page in the background
    preview.write(safe_frame(picture()))


def test_at_most_15_a_second_are_made_evenly(preview, watcher, now, safe_frame):
    seen = 0
    for number in range(300):  # ten seconds of 30
        now[0] = number * 1000 / 30
        preview.write(safe_frame(picture()))
        seen += taken(watcher) is not None
    assert 148 <= seen <= 151


def test_a_cover_comes_at_once(preview, watcher, now, safe_frame):
    preview.write(safe_frame(picture(90)))
    assert taken(watcher) == 90
    now[0] = 1.0
    preview.write(safe_frame(picture(200)))
    assert taken(watcher) is None
    preview.write(safe_frame(picture(30), state="cover"))
    assert taken(watcher) == 30


def test_pictures_are_small_and_the_frame_is_left_alone(preview, watcher, safe_frame):
    frame = safe_frame(np.random.default_rng(1).integers(0, 255, (720, 1280, 3)))
    before = frame.image.copy()
    preview.write(frame)
    kind, jpeg = watcher.take()
    assert kind == AFTER
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (360, 640, 3)
    assert np.array_equal(frame.image, before)


def test_a_slow_page_gets_the_newest_when_it_is_ready_and_delays_nobody(preview, watchers, watcher, now, safe_frame):
    quick = watchers.add()
    quick.watch(frozenset({AFTER}))
    preview.write(safe_frame(picture(0)))
    assert watcher.take() is not None  # and it does not say that it came
    for number in (1, 2, 3):
        now[0] = number * 100.0
        preview.write(safe_frame(picture(number * 40)))
        assert taken(quick) == number * 40 and watcher.take() is None
    watcher.took()
    assert taken(watcher) == 120


class Camera:
    def open(self):
        return FORMAT

    def read(self):
        return Captured(picture(77), 1, 0.0)

    def close(self):
        pass


def test_the_cameras_own_picture_goes_only_to_who_asked(watchers, watcher, now):
    mirror = Mirror(Camera(), watchers)
    assert mirror.open() == FORMAT
    mirror.read()
    assert watcher.take() is None
    asks = watchers.add()
    asks.watch(frozenset({BEFORE}))
    captured = mirror.read()
    assert watcher.take() is None and taken(asks) == 77
    assert captured.image.flags.writeable and captured.image.mean() == 77
    watchers.remove(asks)
    assert not watchers.wants(BEFORE)
    mirror.close()


def test_what_is_no_longer_watched_is_forgotten(watchers):
    watcher = watchers.add()
    watcher.watch(frozenset({AFTER, BEFORE, "other"}))
    assert watcher.kinds == {AFTER, BEFORE}
    watchers.show(BEFORE, b"camera")
    watcher.watch(frozenset({AFTER}))
    assert watcher.take() is None


def test_there_is_room_for_so_many(watchers):
    for _ in range(MOST):
        assert watchers.add() is not None
    assert watchers.add() is None


def test_pages_are_woken_for_what_has_changed(watchers):
    async def wait():
        watcher = watchers.add()
        watcher.stale = False
        watchers.wake()
        await asyncio.wait_for(watcher.changed.wait(), 5)
        assert watcher.stale

    asyncio.run(wait())
