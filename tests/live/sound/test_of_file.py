"""The sound of a file, by the positions of its pictures."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from engines.errors import BadInput
from live.sound.of_file import FileTrack
from tests.clips import RATE, beep, numbered, write_clip


def read_all(path, until_s, block=1024, from_s=0.0):
    reader = FileTrack(str(path)).open()
    blocks = [reader.read(from_s + at / RATE, block, 0) for at in range(0, round((until_s - from_s) * RATE), block)]
    reader.close()
    return np.concatenate(blocks)


@pytest.mark.parametrize("from_s", [0.0, 0.7])
def test_sound_is_found_at_its_place(tmp_path, from_s):
    path = write_clip(tmp_path / "in.mp4", [numbered(n) for n in range(50)], sound=beep(2, 1.0))
    sound = read_all(path, 2.0, from_s=from_s)
    assert np.flatnonzero(np.abs(sound[:, 0]) > 0.3)[0] / RATE == pytest.approx(1.0 - from_s, abs=0.03)


def test_after_its_end_there_is_silence(tmp_path):
    path = write_clip(tmp_path / "in.mp4", [numbered(n) for n in range(50)], sound=beep(1, 0.2))
    sound = read_all(path, 3.0)
    assert len(sound) >= 3 * RATE and not sound[2 * RATE :].any()


def test_a_jump_forward_is_followed(tmp_path):
    path = write_clip(tmp_path / "in.mp4", [numbered(n) for n in range(100)], sound=beep(4, 3.0))
    reader = FileTrack(str(path)).open()
    reader.read(0.0, 1024, 0)
    assert np.abs(reader.read(3.0, 1600, 0)).max() > 0.3
    reader.close()


def test_no_more_is_held_than_is_asked_for(tmp_path):
    path = write_clip(tmp_path / "in.mp4", [numbered(0)], sound=beep(120, 60))
    reader = FileTrack(str(path)).open()
    tracemalloc.start()
    for at in range(0, 120 * RATE, 1024):
        reader.read(at / RATE, 1024, 0)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    reader.close()


@pytest.mark.parametrize("data", [b"", b"no sound in here"])
def test_what_cannot_be_read_is_bad_input(tmp_path, data):
    (tmp_path / "old.mp4").write_bytes(data)
    with pytest.raises(BadInput, match="sound"):
        FileTrack(str(tmp_path / "old.mp4")).open()
