"""Streams, received by a real ffmpeg: RTMP and MPEG-TS, with sound; servers that are not there, die and come back."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time

import av
import numpy as np
import psutil
import pytest

from engines.errors import BadInput, NotAvailable, SinkLost
from live.app import parts_of
from live.frame import Captured, Format
from live.run import read_run
from live.sinks.stream import Stream
from live.sound.of_file import FileTrack
from live.trace import clock
from tests.clips import beep, grey, loud_at, numbered, read_clip, write_clip
from tests.doubles import NumberedCamera, Witness, make_loop

KEY = "live_5up3r-secret"
FORMAT = Format(64, 48, 25.0)


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def receive(tmp_path):
    """receive(url) starts an ffmpeg that keeps what comes in the file `path`, until the stream ends."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed (Debian / Ubuntu: apt install ffmpeg)")
    programs = []

    class Receiver:
        def __init__(self, url):
            self.path = tmp_path / f"received{len(programs)}.mkv"
            listen = ["-listen", "1"] if url.startswith("rtmp") else []
            ends = "" if listen else "?timeout=1500000"  # in microseconds: UDP has no end
            args = ["ffmpeg", "-v", "fatal", *listen, "-i", url + ends, "-c", "copy", "-y"]
            self.program = subprocess.Popen([*args, str(self.path)], stdin=subprocess.DEVNULL)
            programs.append(self.program)
            port = int(url.split(":")[2].split("/")[0].split("?")[0])
            wait_until(lambda: in_use(port, "tcp" if listen else "udp"))

        def kill(self):
            self.program.kill()
            self.program.wait()

    yield Receiver
    for program in programs:
        program.kill()
        program.wait()


def in_use(port, kind):
    """Does a program of this machine hold the port? Asked without connecting: the server takes one client."""
    with open(f"/proc/net/{kind}") as table:
        return any(int(line.split()[1].split(":")[1], 16) == port for line in list(table)[1:])


def wait_until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def send(sink, safe_frame, count, format=FORMAT):
    sink.open(format)
    for n in range(count):
        sink.write(safe_frame(numbered(n), n / 25, "hold"))
        time.sleep(0.01)
    sink.close()


def numbers(path):
    pictures, times = read_clip(path)
    assert len(pictures) > 1 and times == sorted(times)
    return [round(float(picture.mean())) for picture in pictures], times


def test_rtmp_arrives_whole_and_in_order_with_its_sound(receive, safe_frame, tmp_path):
    clip = write_clip(tmp_path / "in.mp4", [numbered(n) for n in range(75)], sound=beep(3, 1.0))
    url = f"rtmp://127.0.0.1:{free_port()}/live/{KEY}"
    server = receive(url)
    send(Stream(url), safe_frame, 60, Format(64, 48, 25.0, FileTrack(str(clip))))
    server.program.wait(15)
    greys, times = numbers(server.path)
    assert greys == pytest.approx([grey(n) for n in range(60)], abs=3)
    assert np.diff(times) == pytest.approx(np.full(59, 0.04), abs=0.003)
    assert loud_at(server.path) - times[0] == pytest.approx(1.0, abs=0.06)


def test_mpeg_ts_over_udp_arrives_in_order(receive, safe_frame):
    url = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    receiver = receive(url)
    send(Stream(url, keyframe_s=0.2), safe_frame, 75)
    receiver.program.wait(15)
    greys, _ = numbers(receiver.path)
    first = greys[0]
    assert greys == pytest.approx([grey(n) for n in range(75)][-len(greys) :], abs=3) and len(greys) >= 50, first


def test_covers_before_the_first_picture_are_streamed_too(receive, safe_frame):
    url = f"rtmp://127.0.0.1:{free_port()}/live/{KEY}"
    server = receive(url)
    sink = Stream(url)
    sink.open(FORMAT)
    for n in range(5):
        time.sleep(0.02)
        sink.write(safe_frame(numbered(20 + n), None, "cover"))
    sink.write(safe_frame(numbered(0), 0.0))
    sink.close()
    server.program.wait(15)
    assert numbers(server.path)[0][:5] == pytest.approx([grey(20 + n) for n in range(5)], abs=3)


def test_there_is_a_keyframe_as_often_as_was_asked_for(receive, safe_frame):
    url = f"rtmp://127.0.0.1:{free_port()}/live/{KEY}"
    server = receive(url)
    send(Stream(url, keyframe_s=0.4), safe_frame, 60)
    server.program.wait(15)
    with av.open(str(server.path)) as container:
        keys = [index for index, packet in enumerate(container.demux(video=0)) if packet.is_keyframe]
    assert keys == [0, 10, 20, 30, 40, 50]


class LiveCamera(NumberedCamera):
    def read(self):
        time.sleep(1 / 30)
        captured = super().read()
        return Captured(captured.image, clock(), captured.position_s)


@pytest.mark.long
def test_a_server_that_dies_and_comes_back_gets_the_stream_again(receive, capfd):
    url = f"rtmp://127.0.0.1:{free_port()}/live/{KEY}"
    first, witness = receive(url), Witness()
    loop = make_loop(LiveCamera(count=100_000), sinks={"stream": Stream(url), "witness": witness}, lossless=False)
    running = threading.Thread(target=loop.run)
    running.start()
    wait_until(lambda: len(witness.seen) > 60)
    first.kill()
    wait_until(lambda: loop.ledger.report()["errors"])
    seen = len(witness.seen)
    second = receive(url)
    time.sleep(12)
    assert len(witness.seen) > seen + 200  # the other sink went on
    loop.stop()
    running.join()
    second.program.wait(15)
    assert len(numbers(second.path)[0]) > 60
    report = json.dumps(loop.ledger.report())
    assert "broke off" in report and KEY not in report
    assert KEY not in "".join(capfd.readouterr())


@pytest.mark.parametrize("scheme", ["rtmp", "tcp"])
def test_a_server_that_is_not_there_is_told_without_the_key(scheme):
    sink = Stream(f"{scheme}://127.0.0.1:{free_port()}/live/{KEY}")
    with pytest.raises(NotAvailable, match=r"127\.0\.0\.1.*refused") as caught:
        sink.open(FORMAT)
    assert KEY not in f"{caught.value} {caught.value.hint}" or scheme == "tcp"
    sink.close()


def test_a_host_that_does_not_exist_is_told_without_the_key():
    sink = Stream(f"rtmp://user:word@nobody.invalid/live/{KEY}")
    with pytest.raises(NotAvailable, match=r"nobody\.invalid") as caught:
        sink.open(FORMAT)
    assert KEY not in str(caught.value) and "word" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "http://127.0.0.1/live", "file:///etc/passwd", "rtmp:/x"])
def test_other_addresses_are_refused(url):
    with pytest.raises(BadInput, match="no address of a stream") as caught:
        Stream(url).open(FORMAT)
    assert "rtmp://" in caught.value.hint


def test_a_protocol_that_pyav_does_not_have_is_told():
    if "srt" in getattr(av, "protocols_available", ()):
        pytest.skip("this PyAV speaks SRT")
    with pytest.raises(NotAvailable, match="srt"):
        Stream(f"srt://127.0.0.1:{free_port()}").open(FORMAT)


def test_a_lost_server_is_told_without_the_key(receive, safe_frame):
    url = f"rtmp://127.0.0.1:{free_port()}/live/{KEY}"
    server, sink = receive(url), Stream(url)
    sink.open(FORMAT)
    sink.write(safe_frame(numbered(0), 0.0))
    server.kill()
    with pytest.raises(SinkLost, match="broke off") as caught:
        for n in range(1, 500):
            sink.write(safe_frame(numbered(n), n / 25))
            time.sleep(0.01)
    assert KEY not in str(caught.value) and not caught.value.closed
    sink.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_key_is_on_no_command_line(receive, monkeypatch):
    receive(url := f"rtmp://127.0.0.1:{free_port()}/live/{KEY}")
    sink = Stream(url)
    sink.open(FORMAT)
    children = psutil.Process().children(recursive=True)
    lines = [" ".join(child.cmdline()) for child in children if "ffmpeg" not in child.name()]
    sink.close()
    assert any("_sender" in line for line in lines) and KEY not in "".join(lines)


def test_the_report_knows_a_stream_by_a_name_without_its_key():
    flags = {"face": "sample", "source": "sample", "sink": [f"rtmp://host/live/{KEY}", f"rtmp://host/live/{KEY}2"]}
    parts = parts_of(read_run(None, [], flags))
    assert list(parts.sinks) == ["rtmp://host/live/...", "rtmp://host/live/... (2)"]
    flags["sink"] = [f"rtmp://host/live/{KEY}"] * 2
    with pytest.raises(BadInput, match="given twice") as caught:
        parts_of(read_run(None, [], flags))
    assert KEY not in str(caught.value)


def test_a_server_that_does_not_answer_is_left_in_time():
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        sink = Stream(f"rtmp://127.0.0.1:{deaf.getsockname()[1]}/live/{KEY}", patience_s=1.0)
        with pytest.raises(NotAvailable, match="no stream can be sent") as caught:
            sink.open(FORMAT)
        sink.close()
    assert KEY not in str(caught.value)


def test_a_server_that_takes_no_more_is_lost_in_time(safe_frame):
    noise = np.random.default_rng(0)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        sink = Stream(f"tcp://127.0.0.1:{deaf.getsockname()[1]}", patience_s=1.0, bitrate=50_000)
        sink.open(Format(320, 240, 25.0))
        with pytest.raises(SinkLost, match="broke off"):
            for n in range(2000):
                sink.write(safe_frame(noise.integers(0, 256, (240, 320, 3), np.uint8), n / 25, "hold"))
        sink.close()
