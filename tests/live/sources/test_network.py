"""Pictures from real servers: live ones as they come, recorded ones in their time; losses, secrets, tricks."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import numpy as np
import pytest

from engines.errors import BadInput, SourceLost
from live.app import parts_of
from live.parts import EndOfSource
from live.reopen import reopen
from live.run import Run
from live.sources import _pace, network
from live.sources.network import Network
from tests.clips import grey, numbered, write_clip
from tests.streams import HttpCamera, RtspCamera, free_port, write_hls


@pytest.fixture
def serve():
    made = []

    def start(*args, **more):
        made.append(HttpCamera(*args, **more).start())
        return made[-1]

    yield start
    for camera in made:
        camera.stop()


@pytest.fixture
def opened():
    made = []

    def make(address, **settings):
        made.append(Network(address, **{"timeout_s": 2.0, **settings}))
        made[-1].open()
        return made[-1]

    yield make
    for source in made:
        source.close()


@pytest.fixture(scope="module")
def rtsp():
    if why := RtspCamera.missing():
        pytest.skip(why)
    camera = RtspCamera().start()
    yield camera
    camera.kill()


def level(captured):
    return round(float(captured.image.mean()))


@pytest.mark.parametrize("path", ["video", "ts"])
def test_live_pictures_come_in_order_as_they_arrive(serve, opened, path):
    source = opened(serve().url(path))
    captured = [source.read() for _ in range(20)]
    levels = [level(one) for one in captured]
    assert levels == sorted(levels) and len(set(levels)) > 10
    assert captured[0].image.shape == (48, 64, 3) and captured[0].image.flags.writeable
    assert captured[0].position_s == 0
    assert all(a.captured_ns <= b.captured_ns for a, b in pairwise(captured))
    assert all(a.position_s <= b.position_s for a, b in pairwise(captured))


def test_rtsp_is_read(rtsp, opened):
    source = opened(rtsp.url())
    assert source.read().image.shape == (240, 320, 3)
    assert source.read().image.mean() > 250


def back_again(source, stop, start):
    """The source loses its server, says so as long as it is gone, and goes on where time is when it is there again."""
    before = source.read().position_s
    stop()

    def read_on():
        while True:
            source.read()

    with pytest.raises(SourceLost):
        read_on()
    source.close()
    with pytest.raises(SourceLost, match="cannot be reached"):
        source.open()
    start()
    reopen(source.close, source.open, threading.Event(), tries=5)
    assert source.read().position_s > before


@pytest.mark.long
def test_rtsp_is_back_when_its_server_was_killed_and_started_again(rtsp, opened):
    back_again(opened(rtsp.url()), rtsp.kill, rtsp.start)


def test_http_is_back_when_its_server_was_stopped_and_started_again(serve, opened):
    camera = serve()
    back_again(opened(camera.url("video")), camera.stop, camera.start)


def test_a_server_that_falls_silent_is_lost_after_the_time_limit(serve, opened):
    source = opened(serve(silent_after=5).url("video"), timeout_s=0.5)

    def read_on():
        while True:
            source.read()

    with pytest.raises(SourceLost, match=r"silent for 0\.5 s"):
        read_on()


def test_a_server_that_never_answers_is_given_up():
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with pytest.raises(SourceLost, match="cannot be reached"):
            Network(f"http://127.0.0.1:{listening.getsockname()[1]}/video", timeout_s=0.5).open()


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self, monkeypatch):
        self.now, self.slept = 10_000_000_000, 0.0
        for module in (_pace, network):
            monkeypatch.setattr(module, "clock", lambda: self.now)
        monkeypatch.setattr(_pace.time, "sleep", self.sleep)

    def sleep(self, seconds):
        self.slept += seconds
        self.now += round(seconds * 1e9)


@pytest.mark.parametrize("kind", ["file", "hls"])
def test_recorded_pictures_come_in_their_own_time_and_have_an_end(serve, opened, tmp_path, monkeypatch, kind):
    pictures = [numbered(n) for n in range(30)]
    if kind == "file":
        write_clip(tmp_path / "clip.mp4", pictures, fps=25)
    else:
        write_hls(tmp_path, pictures)
    camera = serve(tmp_path)
    fake = FakeTime(monkeypatch)
    source = opened(camera.url("clip.mp4" if kind == "file" else "list.m3u8"))
    captured = [source.read() for _ in range(30)]
    assert [level(one) for one in captured] == pytest.approx([grey(n) for n in range(30)], abs=3)
    np.testing.assert_allclose([one.position_s for one in captured], np.arange(30) / 25, atol=2e-3)
    assert fake.slept == pytest.approx(29 / 25, abs=0.01)
    with pytest.raises(EndOfSource):
        source.read()


def test_sound_is_not_fetched_a_second_time(serve, tmp_path):
    from tests.clips import beep

    write_clip(tmp_path / "clip.mp4", [numbered(n) for n in range(10)], sound=beep(0.4, 0.1))
    source = Network(serve(tmp_path).url("clip.mp4"))
    assert source.open().sound is None
    source.close()


@pytest.mark.parametrize(
    "address",
    ["file:///etc/passwd", "concat:a|b", "http://", "ftp://h/x", "data://x", "pipe://0", "x", "", "subfile,,start://x"],
)
def test_odd_addresses_are_refused_with_the_schemes_that_are_known(address):
    with pytest.raises(BadInput, match="no address") as caught:
        Network(address).open()
    assert "rtsp://" in caught.value.hint


@pytest.mark.parametrize("what", ["hls", "concat", "sdp"])
def test_what_a_server_answers_never_opens_a_local_file(serve, tmp_path, what):
    secret = write_clip(tmp_path / "secret.ts", [numbered(n) for n in range(25)])
    text = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{secret}'\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 26\n",
    }[what]
    (tmp_path / "trap").write_text(text)
    with pytest.raises((BadInput, SourceLost)):
        Network(serve(tmp_path).url("trap"), timeout_s=1.0).open()


@pytest.mark.parametrize("data", [b"", b"<html>no video</html>" * 50, b"\0" * 4000, b"\xff\xd8\xff" * 900])
def test_junk_is_refused_in_one_line(serve, tmp_path, data):
    (tmp_path / "junk").write_bytes(data)
    with pytest.raises((BadInput, SourceLost)) as caught:
        Network(serve(tmp_path).url("junk"), timeout_s=1.0).open()
    assert caught.value.hint and "\n" not in caught.value.message


def test_what_is_not_there_is_named(serve):
    camera = serve()
    with pytest.raises(BadInput, match="404"):
        Network(camera.url("nope")).open()


def test_a_password_opens_the_camera_and_is_never_told(serve, opened, capfd, caplog):
    camera = serve(password="me:s3cret", silent_after=40)
    source = opened(camera.url("video", "me:s3cret@") + "?token=t0ken", timeout_s=0.5)

    def read_on():
        while True:
            source.read()

    lines = []
    with pytest.raises(SourceLost) as lost:
        read_on()
    lines.append(lost.value.message + lost.value.hint)
    for user, path in (("me:wr0ng@", "video?token=t0ken"), ("me:s3cret@", "nope?token=t0ken")):
        with pytest.raises(BadInput) as refused:
            Network(camera.url(path, user)).open()
        lines.append(refused.value.message + refused.value.hint)
    camera.stop()
    with pytest.raises(SourceLost) as gone:
        source.open()
    lines.append(gone.value.message + gone.value.hint)
    printed = "".join(capfd.readouterr()) + caplog.text + "".join(lines) + repr(source)
    assert all(secret not in printed for secret in ("s3cret", "wr0ng", "t0ken"))
    assert "127.0.0.1" in lines[0]


def test_rtsp_passwords_are_asked_for_and_never_told(rtsp, capfd):
    for user in ("", "me:wr0ng@"):
        with pytest.raises(BadInput, match="wants to know who asks") as refused:
            Network(rtsp.url(user)).open()
        assert "wr0ng" not in refused.value.message + refused.value.hint + "".join(capfd.readouterr())


def test_a_closed_port_is_told_at_once():
    began = time.monotonic()
    with pytest.raises(SourceLost, match="cannot be reached"):
        Network(f"rtsp://127.0.0.1:{free_port()}/cam", timeout_s=30).open()
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("address", ["rtsp://host/cam", "http://host:8080/video", "network:udp://127.0.0.1:5000"])
def test_an_address_as_source_means_the_network(address):
    parts = parts_of(Run(source=address, face="sample", sinks=["null"]))
    assert type(parts.source) is Network
    assert parts.source.address == address.removeprefix("network:")


def test_an_address_cannot_be_run_as_fast_as_it_goes():
    with pytest.raises(BadInput, match="only a file") as caught:
        parts_of(Run(source="http://me:s3cret@host/video", face="sample", sinks=["null"], fast=True))
    assert "s3cret" not in caught.value.message
