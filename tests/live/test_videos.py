"""Videos from anybody: what is refused before the program opens it, and what happens to the rest."""

from __future__ import annotations

import av
import numpy as np
import pytest

from engines.errors import BadInput, NotAvailable
from engines.quarantine import child
from live import videos
from live.sources.sample import CLIP
from live.sources.video_file import VideoFile
from live.videos import look_into


def film(path, sizes=((64, 48),), frames=12, codec="libx264", form=None):
    """A video; with several sizes it changes from one to the other in mid-stream."""
    if len(sizes) > 1:
        parts = [film(path.with_name(f"part{k}.h264"), (size,), frames, form="h264") for k, size in enumerate(sizes)]
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        return path
    ((width, height),) = sizes
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=30, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for k in range(frames):
            image = np.full((height, width, 3), 20 * k % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return path


def test_a_good_video_passes(tmp_path):
    look_into(film(tmp_path / "a.mp4"))
    look_into(film(tmp_path / "a.mkv", frames=1))


def test_what_ships_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(videos, "ask", None)
    look_into(CLIP)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.mp4", b""),
        ("a.mp4", b"hello" * 1000),
        ("a.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{other}\n#EXT-X-ENDLIST\n"),
        ("a.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{other}\n#EXT-X-ENDLIST\n"),
        ("a.ffconcat", b"ffconcat version 1.0\nfile {other}\n"),
        ("a.sdp", b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"),
    ],
)
def test_lists_that_open_other_files_or_addresses_are_no_videos(tmp_path, name, data):
    other = film(tmp_path / "other.mp4")
    path = tmp_path / name
    path.write_bytes(data.replace(b"{other}", str(other).encode()))
    with pytest.raises(BadInput, match=r"is not a video that can be read"):
        look_into(path)


def test_a_cut_off_video_is_told(tmp_path):
    path = film(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(BadInput, match=r"a\.mp4 (is not a video|has no)"):
        look_into(path)


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "a.wav"
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(BadInput, match="has no video in it"):
        look_into(path)


def test_pictures_that_are_too_large_are_told_with_their_size(tmp_path):
    path = film(tmp_path / "a.mp4", ((7680, 4400),), frames=1)
    with pytest.raises(BadInput, match="pictures of 7680 x 4400"):
        look_into(path)


def test_pictures_that_grow_in_mid_stream_stop_the_source(tmp_path, monkeypatch):
    path = film(tmp_path / "a.h264", ((64, 48), (640, 480)))
    monkeypatch.setitem(videos.LIMITS, "max_pixels", str(320 * 240))
    source = VideoFile(path=str(path), paced=False)
    source.open()
    sizes = set()
    with pytest.raises(BadInput, match="broke off"):
        while True:
            sizes.add(source.read().image.shape)
    source.close()
    assert sizes == {(48, 64, 3)}


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("import os; os.abort()", BadInput, r"its beginning crashes \(SIGABRT\)"),
        ("import time; time.sleep(100)", BadInput, "takes more than 1 seconds"),
        ("raise SystemExit(3)", NotAvailable, "exit code 3"),
        ("print('[]')", NotAvailable, "could not be started"),
        ('print(\'{"problem": "\\\\u001b[2J"}\')', BadInput, r"a\.mp4 \?\[2J$"),
    ],
)
def test_whatever_happens_inside_is_one_line(tmp_path, monkeypatch, code, kind, words):
    monkeypatch.setattr(child, "START", code)
    monkeypatch.setattr(videos, "SECONDS", 1 if "sleep" in code else 30)
    with pytest.raises(kind, match=words) as caught:
        look_into(film(tmp_path / "a.mp4"))
    assert caught.value.message.isprintable()
