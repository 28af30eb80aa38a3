"""The recording: playable, in step with the source and its sound, and nothing half-written left behind."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from engines.errors import BadInput
from live.frame import Format
from live.sinks.recording import Recording


def write(path, safe_frame, positions, sound=None, size=(120, 160)):
    sink = Recording(str(path))
    sink.open(Format(size[1], size[0], 30.0, sound))
    for i, position in enumerate(positions):
        sink.write(safe_frame(np.full((*size, 3), (i * 37) % 200, np.uint8), position))
    sink.close()


def times(path):
    with av.open(str(path)) as video:
        return [round(frame.time, 3) for frame in video.decode(video=0)]


def beeping_clip(path, at_s=1.0, seconds=3):
    rate = 44_100
    time = np.arange(rate * seconds) / rate
    wave = np.where((time > at_s) & (time < at_s + 0.3), 0.6 * np.sin(2 * np.pi * 880 * time), 0).astype(np.float32)
    with av.open(str(path), "w") as out:
        video, audio = out.add_stream("libx264", rate=30), out.add_stream("aac", rate=rate)
        video.width, video.height, video.pix_fmt, audio.layout = 64, 48, "yuv420p", "mono"
        for _ in range(30 * seconds):
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="bgr24")))
        out.mux(video.encode(None))
        for i in range(0, len(wave), 1024):
            piece = av.AudioFrame.from_ndarray(wave[None, i : i + 1024], format="fltp", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = rate, i, Fraction(1, rate)
            out.mux(audio.encode(piece))
        out.mux(audio.encode(None))


def beep_at(path):
    with av.open(str(path)) as clip:
        pieces = [(f.time, f.to_ndarray()[0], f.sample_rate) for f in clip.decode(audio=0)]
    sound = np.concatenate([samples for _, samples, _ in pieces])
    return pieces[0][0] + float(np.flatnonzero(np.abs(sound) > 0.3)[0]) / pieces[0][2]


def test_every_frame_is_there_at_its_time_also_after_a_gap(tmp_path, safe_frame):
    positions = [0.0, 1 / 30, 2 / 30, 0.5, 0.5 + 1 / 30]
    write(tmp_path / "a.mp4", safe_frame, positions)
    assert times(tmp_path / "a.mp4") == [round(p, 3) for p in positions]


def test_it_begins_with_the_first_picture_and_never_goes_back(tmp_path, safe_frame):
    write(tmp_path / "a.mp4", safe_frame, [None, None, 5.0, 5.1, 5.05, 5.2])
    assert times(tmp_path / "a.mp4") == [0.0, 0.1, 0.2]


def test_the_colours_survive(tmp_path, safe_frame):
    sink = Recording(str(tmp_path / "a.mp4"), quality=5)
    sink.open(Format(64, 48, 30.0))
    sink.write(safe_frame(np.full((48, 64, 3), (200, 120, 40), np.uint8), 0.0))
    sink.close()
    with av.open(str(tmp_path / "a.mp4")) as video:
        image = next(video.decode(video=0)).to_ndarray(format="bgr24")
    assert np.abs(image.reshape(-1, 3).mean(0) - (200, 120, 40)).max() < 5


@pytest.mark.parametrize("first_s", [0.0, 0.4])
def test_the_sound_of_a_file_source_is_carried_in_step(tmp_path, safe_frame, first_s):
    beeping_clip(tmp_path / "source.mp4", at_s=1.0)
    positions = [first_s + i / 30 for i in range(70)]
    write(tmp_path / "a.mp4", safe_frame, positions, sound=str(tmp_path / "source.mp4"))
    assert beep_at(tmp_path / "a.mp4") == pytest.approx(1.0 - first_s, abs=0.05)


def test_odd_sizes_lose_their_last_row_and_column(tmp_path, safe_frame):
    write(tmp_path / "a.mp4", safe_frame, [0.0, 0.1], size=(121, 161))
    with av.open(str(tmp_path / "a.mp4")) as video:
        assert (video.streams.video[0].width, video.streams.video[0].height) == (160, 120)


def test_nothing_is_left_when_no_picture_was_written(tmp_path):
    sink = Recording(str(tmp_path / "a.mp4"))
    sink.open(Format(64, 48, 30.0))
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_an_older_recording_stays_until_the_new_one_is_whole(tmp_path, safe_frame):
    target = tmp_path / "a.mp4"
    target.write_bytes(b"old")
    sink = Recording(str(target))
    sink.open(Format(64, 48, 30.0))
    sink.write(safe_frame(np.zeros((48, 64, 3), np.uint8), 0.0))
    assert target.read_bytes() == b"old"
    sink.close()
    assert times(target) == [0.0]
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("path", ["gone/a.mp4", "."])
def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path, path):
    with pytest.raises(BadInput):
        Recording(str(tmp_path / path)).open(Format(64, 48, 30.0))
    assert list(tmp_path.iterdir()) == []
