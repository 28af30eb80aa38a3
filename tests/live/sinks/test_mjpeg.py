"""Motion JPEG: real consumers read it, slow ones harm nobody, and nothing is packed while nobody watches."""

from __future__ import annotations

import socket
import threading
import time

import av
import cv2
import httpx
import numpy as np
import pytest

from engines.errors import BadInput, SinkLost
from live.frame import Format
from live.sinks import mjpeg
from live.sinks.mjpeg import Mjpeg
from tests.numbered import HEIGHT, WIDTH, feeding, numbered
from tests.time_code import read

FORMAT = Format(WIDTH, HEIGHT, 30.0)
QUICK_S = 0.01  # between two pictures


@pytest.fixture
def sink():
    part = Mjpeg(port=0)
    part.open(FORMAT)
    yield part
    part.close()


def stream_of(sink):
    return sink.url + "stream.mjpg"


def numbers(url, count):
    """What ffmpeg's reader decodes, which is what OBS's media source and VLC read with."""
    with av.open(url, format="mpjpeg", timeout=10) as container:
        frames = container.decode(video=0)
        return [read(next(frames).to_ndarray(format="bgr24")) for _ in range(count)]


def test_every_picture_can_be_decoded_and_they_go_on(sink, safe_frame):
    with feeding(sink, safe_frame, period_s=QUICK_S):
        seen = numbers(stream_of(sink), 20)
    assert None not in seen and seen == sorted(set(seen))


def test_colours_and_size_arrive(sink, safe_frame):
    with (
        feeding(sink, safe_frame, period_s=QUICK_S),
        av.open(stream_of(sink), format="mpjpeg", timeout=10) as container,
    ):
        image = next(container.decode(video=0)).to_ndarray(format="bgr24")
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(image[50:].mean((0, 1)) - (200, 120, 40)).max() < 6


@pytest.fixture
def packed(monkeypatch):
    """Counts how often a picture is made a JPEG."""
    count = []
    pack = cv2.imencode
    monkeypatch.setattr(mjpeg.cv2, "imencode", lambda *args: count.append(1) or pack(*args))
    return count


def test_nothing_is_packed_while_nobody_watches(sink, safe_frame, packed):
    for number in range(5):
        sink.write(safe_frame(numbered(number)))
    assert not packed
    with feeding(sink, safe_frame, period_s=QUICK_S):
        numbers(stream_of(sink), 3)
    wait_for(lambda: sink._watchers == 0)
    before = len(packed)
    for number in range(5):
        sink.write(safe_frame(numbered(number)))
    assert len(packed) == before


def test_each_picture_is_packed_once_for_all_watchers(sink, safe_frame, packed):
    seen = []
    with feeding(sink, safe_frame, period_s=QUICK_S) as newest:
        watchers = [threading.Thread(target=lambda: seen.append(numbers(stream_of(sink), 15))) for _ in range(4)]
        for watcher in watchers:
            watcher.start()
        for watcher in watchers:
            watcher.join()
    assert [len(s) for s in seen] == [15] * 4
    assert len(packed) <= newest[0]


def test_a_cover_that_stands_is_packed_once(sink, safe_frame, packed):
    cover = safe_frame(numbered(7), None, "cover")
    over = threading.Event()

    def feed():
        while not over.wait(0.02):
            sink.write(cover)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        assert numbers(stream_of(sink), 5) == [7] * 5
    finally:
        over.set()
        thread.join()
    assert len(packed) == 1


def test_who_comes_later_does_not_see_an_old_picture(sink, safe_frame):
    with feeding(sink, safe_frame, period_s=QUICK_S) as newest:
        numbers(stream_of(sink), 3)
        wait_for(lambda: sink._watchers == 0)
        after = newest[0]
        assert numbers(stream_of(sink), 1)[0] > after


def test_a_watcher_that_takes_nothing_delays_nobody_and_is_not_shown_old_pictures(sink, safe_frame):
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)  # about 200 kB a picture
    with socket.socket() as lazy, feeding(sink, safe_frame, lambda n: numbered(n, behind=noise), QUICK_S) as newest:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        host, port = stream_of(sink).split("/")[2].split(":")
        lazy.connect((host, int(port)))
        path = "/" + stream_of(sink).split("/", 3)[3]
        lazy.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        wait_for(lambda: sink._watchers == 1)
        first = numbers(stream_of(sink), 40)
        assert first == sorted(set(first)) and newest[0] - first[0] >= 39
        lazy.settimeout(10)
        late = newest[0]
        data = b""
        while data.count(b"\xff\xd9\r\n--picture") < 8:  # what lay in the buffers of the system, then new ones
            data += lazy.recv(1 << 20)
    pictures = [part[part.index(b"\xff\xd8") :] for part in data.split(b"\r\n--picture") if b"\xff\xd8" in part][:8]
    seen = [read(cv2.imdecode(np.frombuffer(part, np.uint8), cv2.IMREAD_COLOR)) for part in pictures]
    assert sum(number < late for number in seen) <= 4, seen
    assert seen[-1] >= late


def test_too_many_watchers_are_turned_away(sink, safe_frame, monkeypatch):
    monkeypatch.setattr(mjpeg, "_MOST_WATCHERS", 1)
    with feeding(sink, safe_frame, period_s=QUICK_S), httpx.stream("GET", stream_of(sink)) as first:
        parts = first.iter_raw()
        next(parts)
        with httpx.stream("GET", stream_of(sink)) as second:
            assert second.status_code == 503
        next(parts)


def test_a_closed_sink_ends_its_streams_and_opens_at_the_same_address(safe_frame):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    sink = Mjpeg(port=port)
    sink.open(FORMAT)
    url = stream_of(sink)
    with httpx.stream("GET", url) as stream:
        sink.write(safe_frame(numbered(1)))
        sink.close()
        assert stream.read().startswith(b"--picture")  # it ends
    sink.open(FORMAT)
    with feeding(sink, safe_frame, period_s=QUICK_S):
        assert stream_of(sink) == url and len(numbers(url, 2)) == 2
    sink.close()


def test_a_second_one_on_the_same_port_is_bad_input(sink):
    port = int(stream_of(sink).split(":")[2].split("/")[0])
    other = Mjpeg(port=port)
    with pytest.raises(BadInput, match=f"mjpeg cannot listen on port {port}"):
        other.open(FORMAT)
    other.close()


def test_a_server_that_ended_is_a_lost_sink(sink, safe_frame):
    sink._server.stop()
    with pytest.raises(SinkLost):
        sink.write(safe_frame(numbered(1)))


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
