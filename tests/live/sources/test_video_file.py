"""Video files: every frame with its time, in real time or not, from the beginning again, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from engines.errors import BadInput
from live.parts import EndOfSource
from live.sound.of_file import FileTrack
from live.sources import _pace, video_file
from live.sources.video_file import VideoFile
from tests.clips import beep, grey, numbered, turn_clockwise, write_clip


@pytest.fixture
def clip(tmp_path):
    return str(write_clip(tmp_path / "clip.mp4", [numbered(n) for n in range(12)], fps=25))


@pytest.fixture
def opened():
    made = []

    def make(path, **settings):
        source = VideoFile(str(path), **{"paced": False, **settings})
        made.append(source)
        source.open()
        return source

    yield make
    for source in made:
        source.close()


def read_all(source):
    captured = []
    while True:
        try:
            captured.append(source.read())
        except EndOfSource:
            return captured


def greys(captured):
    return [round(float(one.image.mean())) for one in captured]


def test_the_format_is_the_files(clip):
    source = VideoFile(clip)
    format = source.open()
    assert (format.width, format.height, format.fps, format.sound) == (64, 48, 25.0, None)
    source.close()


def test_every_frame_comes_in_order_with_its_position(opened, clip):
    captured = read_all(opened(clip))
    assert greys(captured) == pytest.approx([grey(n) for n in range(12)], abs=2)
    np.testing.assert_allclose([one.position_s for one in captured], np.arange(12) / 25, atol=1e-3)


def test_after_the_end_comes_the_end_again(opened, clip):
    source = opened(clip)
    read_all(source)
    with pytest.raises(EndOfSource):
        source.read()


def test_pictures_are_fresh_and_writable(opened, clip):
    source = opened(clip)
    first = source.read().image
    kept = first.copy()
    source.read()
    assert np.array_equal(first, kept)
    first[:] = 0
    assert first.flags["C_CONTIGUOUS"] and first.dtype == np.uint8


def test_colours_are_kept(opened, tmp_path):
    patches = [np.full((48, 64, 3), colour, np.uint8) for colour in ((200, 60, 60), (60, 200, 60), (60, 60, 200))]
    captured = read_all(opened(write_clip(tmp_path / "colours.mp4", patches)))
    for one, patch in zip(captured, patches, strict=True):
        assert np.abs(one.image.mean((0, 1)) - patch[0, 0]).max() < 6


def test_times_of_a_file_with_gaps_are_kept(opened, tmp_path):
    times = [0.0, 0.04, 0.5, 0.54, 1.2]
    path = write_clip(tmp_path / "gaps.mp4", [numbered(n) for n in range(5)], times=times)
    np.testing.assert_allclose([one.position_s for one in read_all(opened(path))], times, atol=2e-3)


def test_positions_begin_at_zero_whatever_the_file_says(opened, tmp_path):
    times = [2.0, 2.04, 2.08]
    path = write_clip(tmp_path / "late.mkv", [numbered(n) for n in range(3)], times=times)
    positions = [one.position_s for one in read_all(opened(path))]
    np.testing.assert_allclose(positions, [0, 0.04, 0.08], atol=2e-3)


def test_repeating_goes_on_growing(opened, clip):
    source = opened(clip, repeat=True)
    captured = [source.read() for _ in range(30)]
    assert greys(captured) == pytest.approx([grey(n % 12) for n in range(30)], abs=2)
    np.testing.assert_allclose([one.position_s for one in captured], np.arange(30) / 25, atol=3e-3)


@pytest.fixture
def damaged(tmp_path):
    """damaged(start, end): a film of noise, of which that part is nonsense."""
    pictures = list(np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), np.uint8))
    data = write_clip(tmp_path / "whole.mp4", pictures).read_bytes()

    def damage(start, end):
        a, b = int(len(data) * start), int(len(data) * end)
        nonsense = np.random.default_rng(1).bytes(b - a)
        (tmp_path / "damaged.mp4").write_bytes(data[:a] + nonsense + data[b:])
        return tmp_path / "damaged.mp4"

    return damage


def test_what_is_damaged_in_the_middle_is_left_out_and_told(opened, damaged, caplog):
    seen = read_all(opened(damaged(0.4, 0.6)))
    assert 20 <= len(seen) < 40
    times = [one.position_s for one in seen]
    assert times == sorted(times) and times[-1] > 1.5
    assert sum("is damaged: pictures are missing" in line for line in caplog.messages) == 1


def test_a_file_of_which_the_rest_is_damaged_ends_with_one_line_and_never_begins_again(opened, damaged):
    source, seen = opened(damaged(0.4, 0.97)), []
    with pytest.raises(BadInput, match="broke off: its rest cannot be read"):
        while True:
            seen.append(source.read())
    assert 5 <= len(seen) < 30


def test_closed_and_opened_again_it_begins_anew(opened, clip):
    source = opened(clip)
    for _ in range(5):
        source.read()
    source.close()
    source.close()
    source.open()
    captured = read_all(source)
    assert greys(captured) == pytest.approx([grey(n) for n in range(12)], abs=2)
    assert captured[0].position_s == 0


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self, monkeypatch):
        self.now, self.slept = 10_000_000_000, []
        monkeypatch.setattr(_pace, "clock", lambda: self.now)
        monkeypatch.setattr(video_file, "clock", lambda: self.now)
        monkeypatch.setattr(_pace, "time", SimpleNamespace(sleep=self.sleep))

    def sleep(self, seconds):
        assert seconds > 0
        self.slept.append(seconds)
        self.now += round(seconds * 1e9)


def test_paced_frames_come_when_they_are_due(opened, clip, monkeypatch):
    time = FakeTime(monkeypatch)
    source = opened(clip, paced=True)
    began = time.now
    for n in range(12):
        captured = source.read()
        assert captured.captured_ns - began == pytest.approx(n * 40e6, abs=2e6)
        assert time.now >= captured.captured_ns
    assert sum(time.slept) == pytest.approx(11 * 0.04, abs=0.005)


def test_a_late_reader_does_not_wait_and_is_told_when_frames_were_due(opened, clip, monkeypatch):
    time = FakeTime(monkeypatch)
    source = opened(clip, paced=True)
    began = source.read().captured_ns
    time.now += 200_000_000
    due = [source.read().captured_ns - began for _ in range(4)]
    assert due == pytest.approx([40e6, 80e6, 120e6, 160e6], abs=2e6)
    assert time.slept == []


def test_after_a_long_pause_the_file_goes_on_from_there_instead_of_racing(opened, clip, monkeypatch):
    time = FakeTime(monkeypatch)
    source = opened(clip, paced=True)
    source.read()
    time.now += 60_000_000_000
    assert source.read().captured_ns == time.now
    source.read()
    assert sum(time.slept) == pytest.approx(0.04, abs=0.003)


def test_not_paced_it_never_sleeps(opened, clip, monkeypatch):
    time = FakeTime(monkeypatch)
    read_all(opened(clip))
    assert time.slept == []


def test_a_file_with_sound_says_so(tmp_path):
    path = write_clip(tmp_path / "sound.mp4", [numbered(n) for n in range(25)], sound=beep(1, 0.5))
    source = VideoFile(str(path))
    assert source.open().sound == FileTrack(str(path))
    source.close()


def test_a_picture_turned_by_the_phone_is_upright(opened, tmp_path):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32] = 230  # the left half is the upper one after a clockwise turn
    path = write_clip(tmp_path / "phone.mp4", [image] * 3)
    turn_clockwise(path)
    source = opened(path)
    turned = source.read().image
    assert turned.shape == (64, 48, 3)
    assert turned[:28].min() > 180 and turned[36:].max() < 60
    source.close()
    assert (source.open().width, source.open().height) == (48, 64)


@pytest.mark.parametrize(("width", "height"), [(63, 48), (64, 47), (33, 31)])
def test_odd_sizes_are_kept(opened, tmp_path, width, height):
    pictures = [numbered(n, width, height) for n in range(3)]
    path = write_clip(tmp_path / "odd.mkv", pictures, pixels="yuv444p")
    captured = read_all(opened(path))
    assert [one.image.shape for one in captured] == [(height, width, 3)] * 3
    assert greys(captured) == pytest.approx([grey(n) for n in range(3)], abs=2)


def test_a_path_may_begin_at_home(clip, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    source = VideoFile("~/clip.mp4", paced=False)
    assert source.open().width == 64
    source.close()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"no video file .*gone\.mp4"):
        VideoFile(str(tmp_path / "gone.mp4")).open()


def test_a_folder_is_no_video(tmp_path):
    with pytest.raises(BadInput, match="no video file"):
        VideoFile(str(tmp_path)).open()


@pytest.mark.parametrize("data", [b"", b"no video at all", b"\0" * 5000, b"\0\0\0\x18ftypmp42" + b"\0" * 100])
def test_what_is_no_video_is_refused(tmp_path, data):
    path = tmp_path / "bad.mp4"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"bad\.mp4"):
        VideoFile(str(path)).open()


def test_a_file_with_only_sound_is_refused(tmp_path):
    path = write_clip(tmp_path / "song.m4a", [], sound=beep(1, 0.5))
    with pytest.raises(BadInput, match="no video in it"):
        VideoFile(str(path)).open()


def test_a_refused_source_can_be_closed(tmp_path):
    source = VideoFile(str(tmp_path / "gone.mp4"))
    with pytest.raises(BadInput):
        source.open()
    source.close()
    source.close()


def test_an_address_is_no_file():
    with pytest.raises(BadInput, match="an address") as caught:
        VideoFile("http://user:secret@127.0.0.1/clip.mp4").open()
    assert "network" in caught.value.hint and "secret" not in caught.value.message


def test_a_file_cut_off_in_the_middle_ends_or_breaks_off(opened, tmp_path):
    path = write_clip(tmp_path / "whole.mkv", [numbered(n) for n in range(40)])
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    source = opened(cut)
    seen = []

    def read_on():
        for _ in range(50):
            seen.append(source.read())

    with pytest.raises((EndOfSource, BadInput)):
        read_on()
    assert 0 < len(seen) < 40
    assert greys(seen[:5]) == pytest.approx([grey(n) for n in range(5)], abs=2)
