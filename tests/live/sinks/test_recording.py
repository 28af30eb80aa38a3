"""Recordings: playable, with the source's times and sound, whole or not there at all."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from engines.errors import BadInput, DoppelcamError, SinkLost
from live.frame import Format
from live.sinks.recording import Recording
from live.sound.of_file import FileTrack
from tests.clips import beep, grey, loud_at, numbered, read_clip, write_clip

ROOT = Path(__file__).parents[3]
FORMAT = Format(64, 48, 25.0)


@pytest.fixture
def record(tmp_path, safe_frame):
    """Records these pictures at these times; the answer is the file."""

    def make(pictures, times, format=FORMAT, name="out.mp4", **settings):
        path = tmp_path / name
        sink = Recording(str(path), preset="ultrafast", **settings)
        sink.open(format)
        for picture, time in zip(pictures, times, strict=True):
            sink.write(safe_frame(picture, time))
        sink.close()
        return path

    return make


def test_every_frame_can_be_read_back_in_order(record):
    path = record([numbered(n) for n in range(20)], np.arange(20) / 25)
    pictures, times = read_clip(path)
    assert [round(float(p.mean())) for p in pictures] == pytest.approx([grey(n) for n in range(20)], abs=3)
    np.testing.assert_allclose(times, np.arange(20) / 25, atol=1e-3)


def test_it_is_h264_in_mp4_as_every_player_reads_it(record):
    with av.open(str(record([numbered(0)] * 3, [0, 0.04, 0.08]))) as container:
        video = container.streams.video[0]
        assert "mp4" in container.format.name
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert not container.streams.audio


def test_times_are_kept_with_their_gaps(record):
    times = [0.0, 0.04, 0.3, 0.34, 1.5, 1.54]
    assert read_clip(record([numbered(n) for n in range(6)], times))[1] == pytest.approx(times, abs=1e-3)


def test_the_recording_begins_with_its_first_frame(record):
    times = read_clip(record([numbered(n) for n in range(3)], [7.0, 7.04, 7.2]))[1]
    assert times == pytest.approx([0, 0.04, 0.2], abs=1e-3)


def test_frames_that_do_not_go_on_in_time_are_left_out(record):
    path = record([numbered(n) for n in range(5)], [0.0, 0.04, 0.04, 0.02, 0.08])
    pictures, times = read_clip(path)
    assert times == pytest.approx([0, 0.04, 0.08], abs=1e-3)
    assert [round(float(p.mean())) for p in pictures] == pytest.approx([grey(0), grey(1), grey(4)], abs=3)


def test_covers_before_the_first_picture_have_no_place(record):
    path = record([numbered(9), numbered(0), numbered(1)], [None, 1.0, 1.04])
    assert len(read_clip(path)[0]) == 2


@pytest.mark.parametrize("colour", [(200, 60, 60), (60, 200, 60), (60, 60, 200), (255, 255, 255), (0, 0, 0)])
def test_colours_are_kept(record, colour):
    pictures, _ = read_clip(record([np.full((48, 64, 3), colour, np.uint8)] * 2, [0, 0.04]))
    assert np.abs(pictures[0].mean((0, 1)) - colour).max() < 8


def test_odd_sizes_lose_their_last_row_and_column(record):
    picture = np.full((49, 65, 3), 120, np.uint8)
    pictures, _ = read_clip(record([picture] * 2, [0, 0.04], format=Format(65, 49, 25.0)))
    assert pictures[0].shape == (48, 64, 3)


def test_the_picture_is_left_alone(tmp_path, safe_frame):
    sink = Recording(str(tmp_path / "out.mp4"))
    frame = safe_frame(numbered(3), 0.0)
    sink.open(FORMAT)
    sink.write(frame)
    sink.close()
    assert np.array_equal(frame.image, numbered(3))


@pytest.mark.parametrize("first_s", [0.0, 0.6])
def test_sound_is_carried_in_step_with_the_pictures(record, tmp_path, first_s):
    clip = write_clip(tmp_path / "in.mp4", [numbered(n) for n in range(50)], sound=beep(2, 1.0))
    times = np.arange(first_s, 2, 0.04)
    path = record([numbered(n) for n in range(len(times))], times, format=Format(64, 48, 25.0, FileTrack(str(clip))))
    assert loud_at(clip) == pytest.approx(1.0, abs=0.05)
    assert loud_at(path) == pytest.approx(1.0 - first_s, abs=0.05)


def test_sound_stays_in_step_when_frames_are_missing(record, tmp_path):
    clip = write_clip(tmp_path / "in.mp4", [numbered(n) for n in range(75)], sound=beep(3, 2.0))
    times = [0.0, 0.04, 0.8, 0.84, 1.96, 2.0, 2.04, 2.9]
    path = record([numbered(n) for n in range(8)], times, format=Format(64, 48, 25.0, FileTrack(str(clip))))
    assert loud_at(path) == pytest.approx(2.0, abs=0.05)


def test_sound_is_not_carried_further_than_the_pictures(record, tmp_path):
    clip = write_clip(tmp_path / "in.mp4", [numbered(n) for n in range(75)], sound=beep(3, 2.0))
    path = record(
        [numbered(n) for n in range(25)], np.arange(25) / 25, format=Format(64, 48, 25.0, FileTrack(str(clip)))
    )
    with av.open(str(path)) as container:
        assert container.duration / av.time_base == pytest.approx(1.0, abs=0.15)
    assert loud_at(path) is None


def partial_files(folder):
    return [path.name for path in folder.iterdir() if path.name != "old.mp4"]


def test_without_a_frame_nothing_is_left(tmp_path, safe_frame):
    sink = Recording(str(tmp_path / "out.mp4"))
    sink.open(FORMAT)
    sink.write(safe_frame(numbered(0), None, "cover"))
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_without_a_frame_an_older_recording_stays(tmp_path):
    path = tmp_path / "old.mp4"
    path.write_bytes(b"older")
    sink = Recording(str(path))
    sink.open(FORMAT)
    sink.close()
    assert path.read_bytes() == b"older" and partial_files(tmp_path) == []


def test_the_target_is_replaced_only_at_the_end(tmp_path, safe_frame):
    path = tmp_path / "old.mp4"
    path.write_bytes(b"older")
    sink = Recording(str(path))
    sink.open(FORMAT)
    for n in range(30):
        sink.write(safe_frame(numbered(n), n / 25))
        assert path.read_bytes() == b"older"
    sink.close()
    assert len(read_clip(path)[0]) == 30 and partial_files(tmp_path) == []


def test_closed_twice_and_used_again(record, tmp_path, safe_frame):
    path = tmp_path / "out.mp4"
    sink = Recording(str(path))
    for count in (3, 5):
        sink.open(FORMAT)
        for n in range(count):
            sink.write(safe_frame(numbered(n), n / 25))
        sink.close()
        sink.close()
        assert len(read_clip(path)[0]) == count


def test_a_higher_quality_number_makes_a_smaller_file(record):
    noise = [np.random.default_rng(n).integers(0, 256, (48, 64, 3), np.uint8) for n in range(10)]
    good, poor = (record(noise, np.arange(10) / 25, name=f"{q}.mp4", quality=q) for q in (10, 45))
    assert poor.stat().st_size < good.stat().st_size / 2


def test_a_path_may_begin_at_home(tmp_path, safe_frame, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    sink = Recording("~/out.mp4")
    sink.open(FORMAT)
    sink.write(safe_frame(numbered(0), 0.0))
    sink.close()
    assert (tmp_path / "out.mp4").is_file()


def test_a_folder_that_is_not_there_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        Recording(str(tmp_path / "none" / "out.mp4")).open(FORMAT)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_recording(tmp_path):
    with pytest.raises(BadInput, match="is a folder"):
        Recording(str(tmp_path)).open(FORMAT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder in which nobody may write")
def test_a_folder_in_which_nothing_can_be_written_is_bad_input():
    sink = Recording("/proc/out.mp4")
    with pytest.raises(BadInput, match="cannot be written") as caught:
        sink.open(FORMAT)
    assert caught.value.hint
    sink.close()


@pytest.mark.parametrize("data", [b"", b"no sound in here"])
def test_a_sound_file_that_cannot_be_read_is_told_and_leaves_nothing(tmp_path, data):
    sound = tmp_path / "old.mp4"
    sound.write_bytes(data)
    sink = Recording(str(tmp_path / "out.mp4"))
    with pytest.raises(DoppelcamError):
        sink.open(Format(64, 48, 25.0, FileTrack(str(sound))))
    sink.close()
    assert partial_files(tmp_path) == []


def test_after_a_failed_open_it_can_be_closed_and_opened(tmp_path, safe_frame):
    (tmp_path / "out").mkdir()
    sink = Recording(str(tmp_path / "out" / "a.mp4"))
    (tmp_path / "out").rmdir()
    with pytest.raises(BadInput):
        sink.open(FORMAT)
    sink.close()
    (tmp_path / "out").mkdir()
    sink.open(FORMAT)
    sink.write(safe_frame(numbered(0), 0.0))
    sink.close()
    assert (tmp_path / "out" / "a.mp4").is_file()


def test_an_mkv_is_made_too(record):
    path = record([numbered(n) for n in range(20)], np.arange(20) / 25, name="out.mkv")
    with av.open(str(path)) as container:
        assert "matroska" in container.format.name
    pictures, times = read_clip(path)
    assert [round(float(p.mean())) for p in pictures] == pytest.approx([grey(n) for n in range(20)], abs=3)
    np.testing.assert_allclose(times, np.arange(20) / 25, atol=2e-3)


def test_a_name_that_is_neither_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match=r"\.mp4 or \.mkv"):
        Recording(str(tmp_path / "out.avi")).open(FORMAT)
    assert list(tmp_path.iterdir()) == []


BEGIN = """
import os, resource, signal, sys
import numpy as np
from engines.errors import SinkLost
from live import frame as values
from live.frame import Format, SafeFrame
from live.sinks.recording import Recording

random = np.random.default_rng(0)


def write(sink, count):
    for n in range(count):
        noise = random.integers(0, 256, (240, 320, 3), np.uint8)
        sink.write(SafeFrame(values._GUARDS_KEY, noise, "live", n / 25, None))


sink = Recording(sys.argv[1], preset="ultrafast")
sink.open(Format(320, 240, 25.0))
"""
FULL = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
for step in (lambda: write(sink, 200), sink.close):
    try:
        step()
    except SinkLost as lost:
        print(lost, "|", lost.hint, "|", lost.closed)
sink.close()
"""


def apart(script, path):
    return subprocess.run(
        [sys.executable, "-c", BEGIN + script, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk_is_told_and_leaves_an_mkv_that_plays(tmp_path):
    done = apart(FULL, tmp_path / "out.mkv")
    assert done.returncode == 0, done.stderr
    assert "broke off" in done.stdout and "is the disk full?" in done.stdout and "can be played" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["out.part.mkv"]
    assert len(read_clip(tmp_path / "out.part.mkv")[0]) > 3


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk_is_told_and_leaves_no_mp4_that_nobody_can_play(tmp_path):
    done = apart(FULL, tmp_path / "out.mp4")
    assert done.returncode == 0, done.stderr
    assert "broke off" in done.stdout and ".mkv keeps" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_after_a_crash_an_mkv_plays(tmp_path):
    done = apart("write(sink, 100)\nos.kill(os.getpid(), signal.SIGKILL)\n", tmp_path / "out.mkv")
    assert done.returncode == -9
    assert len(read_clip(tmp_path / "out.part.mkv")[0]) > 50


def test_a_folder_that_vanishes_is_told(tmp_path, safe_frame):
    folder = tmp_path / "stick"
    folder.mkdir()
    sink = Recording(str(folder / "out.mp4"))
    sink.open(FORMAT)
    sink.write(safe_frame(numbered(0), 0.0))
    shutil.rmtree(folder)
    with pytest.raises(SinkLost, match="could not be finished"):
        for n in range(1, 5):
            sink.write(safe_frame(numbered(n), n / 25))
        sink.close()
    sink.close()


@pytest.mark.soak
def test_an_hour_stays_flat_in_memory(tmp_path, safe_frame):
    sink = Recording(str(tmp_path / "out.mkv"), preset="ultrafast", quality=51)
    sink.open(Format(64, 48, 25.0))
    process, sizes = psutil.Process(), []
    for n in range(3600 * 25):
        sink.write(safe_frame(numbered(n), n / 25))
        if n % 9000 == 8999:
            sizes.append(process.memory_info().rss / 2**20)
    sink.close()
    assert max(sizes[1:]) - sizes[1] < 15, sizes
