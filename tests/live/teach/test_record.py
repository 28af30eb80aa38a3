"""Recording: the script fills the time, the pictures come back as a session, and what ends it early loses nothing."""

from __future__ import annotations

import pytest

from engines.errors import BadInput, SourceLost
from live.session_file import read_session
from live.teach import record as recording
from live.teach.footage import Footage, footage_of, is_live, open_footage
from live.teach.record import record
from live.teach.script import script, step_at
from tests.footage import video


@pytest.fixture
def path(tmp_path, home, monkeypatch):
    monkeypatch.setattr("live.session_file._BEHIND", 10_000)  # a clip that is not paced may run ahead of the disk
    return tmp_path / "footage.session"


def test_the_script_fills_the_time_and_each_step_has_some():
    for seconds in (60.0, 100.0, 180.0):
        steps = script(seconds)
        assert steps[0].start_s == 0 and steps[-1].end_s == pytest.approx(seconds)
        assert all(step.end_s - step.start_s > 2 for step in steps)
        assert step_at(steps, 0.0) is steps[0]
        assert step_at(steps, steps[3].start_s + 0.1) is steps[3]
        assert step_at(steps, seconds + 1) is steps[-1]


def test_what_is_recorded_is_a_session_with_all_pictures(clip, finder, path):
    told = []
    done = record(video(clip), finder, path, 2.0, told.append)
    assert done.whole and done.seconds == pytest.approx(2.0, abs=0.05)
    session = read_session(path)
    assert session.pictures == done.pictures and done.lost + done.pictures == len(told) + done.lost
    assert path.stat().st_mode & 0o077 == 0
    assert [now.at_s for now in told] == sorted(now.at_s for now in told)
    assert told[0].seen and len({now.step.words for now in told}) > 10
    source = open_footage(Footage(""), path.parent)
    assert source.open().fps == 30
    source.close()


@pytest.mark.parametrize("ends", [KeyboardInterrupt, SourceLost("unplugged")])
def test_what_ends_it_early_keeps_what_came_until_then(clip, finder, path, monkeypatch, ends):
    monkeypatch.setattr(recording, "_LEAST_S", 0.5)

    def tell(now):
        if now.at_s > 1:
            raise ends

    done = record(video(clip), finder, path, 4.0, tell)
    assert not done.whole and 1 < done.seconds < 1.2
    assert read_session(path).pictures == done.pictures > 20


def test_too_little_is_told_and_not_kept(clip, finder, path, tmp_path):
    with pytest.raises(BadInput, match="ended after 6 seconds"):
        record(video(clip), finder, path, 100.0, lambda now: None)
    assert not list(tmp_path.glob("footage*"))


def test_a_full_disk_is_told_before_and_while(clip, finder, path, tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="are needed in"):
        record(video(clip), finder, path, 1e12, lambda now: None)

    def full(self, piece):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recording.SealedWriter, "write", full)
    with pytest.raises(BadInput, match="No space left"):
        record(video(clip), finder, path, 4.0, lambda now: None)
    assert not list(tmp_path.glob("footage*"))


def test_what_source_means(clip, tmp_path, home, finder, path):
    record(video(clip), finder, path, 1.0, lambda now: None)
    for one, live in (("sample", False), (str(clip), False), (str(path), False), ("camera:3", True), ("browser", True)):
        assert is_live(one) is live
    assert footage_of("camera") == Footage("")
    assert footage_of(str(clip), "left").who == "left"
    with pytest.raises(BadInput, match="no footage"):
        footage_of(str(tmp_path / "gone.mp4"))
    with pytest.raises(BadInput, match="whose face"):
        footage_of("sample", "everyone")
    with pytest.raises(BadInput, match="no source called"):
        footage_of("camrea")


def test_a_clip_that_changed_is_told(tmp_path, clip):
    copy = tmp_path / "me.mp4"
    copy.write_bytes(clip.read_bytes())
    footage = footage_of(str(copy))
    copy.write_bytes(clip.read_bytes()[:-1])
    with pytest.raises(BadInput, match="has changed"):
        open_footage(footage, tmp_path)
