"""The WebRTC sink, watched by a client that is no browser."""

from __future__ import annotations

import threading
import time

import cv2
import httpx
import numpy as np
import pytest

from engines.errors import SinkLost
from live.frame import Format
from live.sinks import webrtc
from live.sinks.webrtc import Webrtc
from live.sinks.webrtc.encoder import Encoder
from live.sinks.webrtc.watcher import Watcher
from live.sources.sample import CLIP
from live.sources.video_file import VideoFile
from tests.numbered import HEIGHT, WIDTH, feeding, numbered
from tests.time_code import read
from tests.webrtc_clients import offer_of, watch

FORMAT = Format(WIDTH, HEIGHT, 30.0)


@pytest.fixture(params=["vp8", "h264"])
def codec(request):
    return request.param


@pytest.fixture
def sink(codec):
    part = Webrtc(port=0, codec=codec)
    part.open(FORMAT)
    yield part
    part.close()


def whep(sink):
    return sink.url + "whep"


def test_every_picture_arrives_with_its_colours(sink, safe_frame):
    with feeding(sink, safe_frame):
        pictures = watch(whep(sink), 20)
    seen = [read(picture) for picture in pictures]
    assert None not in seen
    assert seen == sorted(set(seen))
    assert np.abs(pictures[-1][50:].mean((0, 1)) - (200, 120, 40)).max() < 8


def test_who_comes_later_begins_with_a_whole_new_picture(sink, safe_frame):
    with feeding(sink, safe_frame) as newest:
        watch(whep(sink), 3)
        before = newest[0]
        first = read(watch(whep(sink), 1)[0])
    assert first is not None and first > before


def test_several_watchers_share_one_encoder(sink, safe_frame, monkeypatch):
    packed = []
    pack = Encoder.encode
    monkeypatch.setattr(Encoder, "encode", lambda *args, **more: packed.append(1) or pack(*args, **more))
    seen = []
    with feeding(sink, safe_frame) as newest:
        watchers = [threading.Thread(target=lambda: seen.append(len(watch(whep(sink), 10)))) for _ in range(2)]
        for watcher in watchers:
            watcher.start()
        for watcher in watchers:
            watcher.join()
    assert seen == [10, 10] and len(packed) <= newest[0]


def test_nothing_is_packed_while_nobody_watches(sink, safe_frame):
    sink.write(safe_frame(numbered(1)))
    assert sink._encoder is None
    with feeding(sink, safe_frame):
        watch(whep(sink), 2)
    assert not sink._watchers  # it took leave
    sink.write(safe_frame(numbered(1)))
    assert sink._encoder is None


def test_odd_sizes_lose_their_last_row_and_column(codec, safe_frame):
    sink = Webrtc(port=0, codec=codec)
    sink.open(Format(WIDTH + 1, HEIGHT + 1, 30.0))
    with feeding(sink, safe_frame, lambda number: numbered(number, WIDTH + 1, HEIGHT + 1)):
        picture = watch(whep(sink), 1)[0]
    sink.close()
    assert picture.shape == (HEIGHT, WIDTH, 3)


def test_an_offer_without_the_codec_is_refused_with_the_reason(sink, codec):
    other = {"vp8": "h264", "h264": "vp8"}[codec]
    answer = httpx.post(whep(sink), content=offer_of(codec=other))
    assert answer.status_code == 400 and codec.upper() in answer.text
    assert not sink._watchers


def test_too_many_are_turned_away(codec, monkeypatch):
    monkeypatch.setattr(webrtc, "_MOST_WATCHERS", 0)
    sink = Webrtc(port=0, codec=codec)
    sink.open(FORMAT)
    assert httpx.post(whep(sink), content=offer_of()).status_code == 503
    sink.close()


def test_nobody_elses_connection_can_be_ended(sink):
    assert httpx.delete(whep(sink) + "/guessed").status_code == 404


def test_close_ends_the_connections_and_it_opens_again(sink, safe_frame):
    assert httpx.post(whep(sink), content=offer_of()).status_code == 201
    sink.close()
    assert not sink._watchers
    sink.open(FORMAT)
    with feeding(sink, safe_frame):
        assert len(watch(whep(sink), 2)) == 2


def test_a_server_that_ended_is_a_lost_sink(sink, safe_frame):
    sink._server.stop()
    with pytest.raises(SinkLost):
        sink.write(safe_frame(numbered(1)))


def test_the_bit_rate_is_kept(codec):
    encoder = Encoder(codec, FORMAT, 500_000)
    size = 0
    clip = VideoFile(str(CLIP), paced=False)
    clip.open()
    for number in range(60):
        image = cv2.resize(clip.read().image, (WIDTH, HEIGHT))
        packets = encoder.encode(image, number * 3000, key=number == 0)
        assert len(packets) == 1  # no picture waits in the encoder
        size += 8 * packets[0].size if number >= 30 else 0
    clip.close()
    assert 100_000 < size < 650_000  # in the second second


class Packet:
    def __init__(self, number, is_keyframe=False):
        self.number, self.is_keyframe = number, is_keyframe


def test_a_watcher_that_falls_behind_begins_again_at_a_key_picture():
    import asyncio

    async def run():
        asked = []
        watcher = Watcher(lambda: asked.append(1))
        watcher.put(Packet(0))  # before the first key picture
        watcher.put(Packet(1, True))
        for number in range(2, 40):
            watcher.put(Packet(number))
        assert asked
        watcher.put(Packet(40, True))
        watcher.put(Packet(41))
        return [(await watcher.recv()).number for _ in range(2)], watcher._packets.qsize()

    assert asyncio.run(run()) == ([40, 41], 0)


def test_the_time_of_writing_is_short_for_the_loop(sink, safe_frame):
    """A watcher that never connects holds up nothing."""
    assert httpx.post(whep(sink), content=offer_of()).status_code == 201
    began = time.monotonic()
    with feeding(sink, safe_frame) as newest:
        while newest[0] < 40 and time.monotonic() < began + 20:
            time.sleep(0.01)
    assert newest[0] >= 40
