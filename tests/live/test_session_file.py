"""Sessions: pictures come back bit for bit; the same frames give the same result; a slow disk loses none unnoticed."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from engines.errors import BadInput, SourceLost
from live.loop import Loop
from live.parts import EndOfSource
from live.sealed import SealedWriter
from live.session_file import Digests, Notes, Recorder, Replayed, end, read_session
from tests.doubles import ColourFinder, GreenSwapper, NumberedCamera, make_loop, read_number


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def noisy(number, image):
    """Every bit of every picture matters."""
    rng = np.random.default_rng(number)
    image[20:] ^= rng.integers(0, 4, image[20:].shape, np.uint8)


def record(path, source, **loop):
    writer = SealedWriter(path)
    made = make_loop(Recorder(source, writer, {"run": {}}), **loop)
    made.parts.sinks["session"] = digests = Digests()
    notes = Notes()
    Loop(made.parts, made.guard, made.tracks, made.settings, lossless=loop.get("lossless", True), ledger=notes).run()
    made.parts.source.finish()
    end(writer, notes.taken, digests.seen, notes.report())
    writer.close()
    return made.parts.source, read_session(path)


def replay(session, **loop):
    made = make_loop(Replayed(session), **loop)
    made.parts.sinks["session"] = digests = Digests()
    notes = Notes()
    Loop(made.parts, made.guard, made.tracks, made.settings, lossless=True, ledger=notes).run()
    return digests.seen, notes


def pictures(source):
    source.open()
    found = []
    try:
        while True:
            found.append(source.read())
    except EndOfSource:
        return found


def test_pictures_and_times_come_back_bit_for_bit(tmp_path):
    _, session = record(tmp_path / "s", NumberedCamera(30, script=noisy))
    back = pictures(Replayed(session))
    direct = pictures(NumberedCamera(30, script=noisy))
    assert len(back) == session.pictures == 30
    for one, other in zip(back, direct, strict=True):
        assert (one.image == other.image).all() and one.image.flags.writeable
        assert one.position_s == other.position_s
    assert session.reader.whole


def test_odd_sizes_and_a_camera_that_changes_its_size(tmp_path):
    odd = np.random.default_rng(1).integers(0, 255, (61, 83, 3), np.uint8)
    source = NumberedCamera(12, script=lambda number, image: odd.copy() if number > 6 else None)
    _, session = record(tmp_path / "s", source, finder=ColourFinder(lambda number, faces: []))
    back = pictures(Replayed(session))
    assert [picture.image.shape[0] for picture in back] == [120] * 6 + [61] * 6
    assert (back[-1].image == odd).all()


def test_a_replay_shows_the_same_pictures_though_other_frames_were_dropped(tmp_path):
    slow = ColourFinder(lambda number, faces: threading.Event().wait(0.004) or None)
    source = NumberedCamera(120, script=noisy, wait=lambda number: threading.Event().wait(0.001))
    recorder, session = record(tmp_path / "s", source, finder=slow, lossless=False)
    assert recorder.written == session.pictures
    assert len(session.taken) < session.pictures
    seen, notes = replay(session)
    assert len(notes.taken) == len(session.taken)
    shown_then = {at: digest for at, digest in session.digests.items() if at in seen}
    assert len(shown_then) > 5 and all(seen[at] == digest for at, digest in shown_then.items())


def test_a_change_of_one_bit_is_seen(tmp_path):
    _, session = record(tmp_path / "s", NumberedCamera(10))

    def flip(number, faces):
        if number == 5:
            faces[0].points[0, 0] -= 1

    seen, _ = replay(session, finder=ColourFinder(flip))
    differ = [at for at, digest in session.digests.items() if seen[at] != digest]
    assert differ == [f"{5 / 30:.9f}"]


def test_the_loop_sees_only_what_the_session_holds(tmp_path):
    blocked = threading.Event()

    class SlowWriter(SealedWriter):
        def write(self, piece):
            if piece[:1] == b"P":
                blocked.wait(10)
            super().write(piece)

    writer = SlowWriter(tmp_path / "s")
    recorder = Recorder(NumberedCamera(50), writer, {})
    recorder.open()
    numbers = []
    with pytest.raises(EndOfSource):
        while True:
            numbers.append(read_number(recorder.read().image))
    blocked.set()
    recorder.finish()
    writer.close()
    assert recorder.lost == 50 - len(numbers) > 30
    back = pictures(Replayed(read_session(tmp_path / "s")))
    assert [read_number(picture.image) for picture in back] == numbers


def test_a_full_disk_ends_it_with_the_reason(tmp_path):
    class FullDisk(SealedWriter):
        def write(self, piece):
            if piece[:1] == b"P":
                raise OSError(28, "No space left on device")

    recorder = Recorder(NumberedCamera(10_000), FullDisk(tmp_path / "s"), {})
    recorder.open()
    with pytest.raises(SourceLost, match="No space left"):
        while True:
            recorder.read()
            threading.Event().wait(0.001)
    with pytest.raises(BadInput, match="No space left"):
        recorder.finish()


def test_a_session_that_broke_off_gives_its_pictures(tmp_path):
    record(tmp_path / "s", NumberedCamera(20))
    data = (tmp_path / "s").read_bytes()
    (tmp_path / "s").write_bytes(data[: len(data) * 3 // 4])
    session = read_session(tmp_path / "s")
    assert session.taken is None and session.report is None and not session.reader.whole
    assert [read_number(picture.image) for picture in pictures(Replayed(session))] == list(
        range(1, session.pictures + 1)
    )


def test_a_session_without_pictures_is_told(tmp_path):
    SealedWriter(tmp_path / "s").close()
    with pytest.raises(BadInput, match="no pictures"):
        read_session(tmp_path / "s")


def test_live_it_comes_in_its_own_time(tmp_path, monkeypatch):
    _, session = record(tmp_path / "s", NumberedCamera(5))
    now = [0]
    monkeypatch.setattr("live.session_file.clock", lambda: now[0])
    monkeypatch.setattr(
        "live.session_file.time.sleep", lambda seconds: now.__setitem__(0, now[0] + round(seconds * 1e9))
    )
    recorded = [picture.captured_ns for picture in pictures(Replayed(session))]
    paced = [picture.captured_ns for picture in pictures(Replayed(session, paced=True))]
    assert [t - recorded[0] for t in recorded] == [t - paced[0] for t in paced]
    assert now[0] == recorded[-1] - recorded[0]


def test_a_replay_spares_what_was_spared_then(tmp_path):
    levels = []

    class Sparing(GreenSwapper):
        drawn = True

        def swap(self, image, face):
            levels.append(self.spare)
            return super().swap(image, face)

    def play(source, **more):
        swapper = Sparing()
        swapper.spare = 0
        made = make_loop(source, swapper=swapper)
        levels.clear()
        notes = Notes()
        Loop(made.parts, made.guard, made.tracks, made.settings, lossless=True, ledger=notes, **more).run()
        return notes, list(levels)

    writer = SealedWriter(tmp_path / "s")
    recorder = Recorder(NumberedCamera(9), writer, {"run": {}})
    then = iter([0, 0, 1, 1, 2, 2, 3, 0, 0])
    notes, spared = play(recorder, spare=lambda: next(then))
    recorder.finish()
    end(writer, notes.taken, {}, notes.report())
    writer.close()
    assert spared == [0, 0, 1, 1, 2, 2, 3, 0, 0]
    source = Replayed(read_session(tmp_path / "s"))
    assert play(source, spare=source.spares())[1] == spared
