"""The sentinel's process, with a file as its device: what is written there is what a meeting program would see."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from live import sentinel
from live.sentinel import __main__ as process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sentinel is for Linux")

COVER = b"cover"
SOON_S = 10.0


def wait_for(condition):
    end = time.monotonic() + SOON_S
    while not (value := condition()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return value


@pytest.fixture
def runtime(monkeypatch):
    """A short folder: the name of a socket has 107 letters at most."""
    folder = tempfile.mkdtemp(prefix="dc", dir="/tmp")
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


class Device:
    """A device of a test: a file to which everything written is appended."""

    def __init__(self, file):
        self.file, self.name = file, f"/dev/{file.name}"
        self.handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def write(self, picture):
        os.write(self.handle, picture)

    def covers(self):
        return self.file.read_bytes().count(COVER)

    def ends_with(self, picture):
        return self.file.read_bytes().endswith(picture)


@pytest.fixture
def device(runtime, tmp_path):
    made = Device(tmp_path / "video18")
    yield made
    for path in sentinel.held():
        sentinel.release(path)
    for number in running(made):
        os.kill(number, signal.SIGKILL)


def running(device):
    """The processes of sentinels that have this device open."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == str(device.file) and int(link.parts[2]) != os.getpid():
                found.append(int(link.parts[2]))
        except OSError:
            continue
    return sorted(set(found))


def started(device):
    held = sentinel.start(device.name, device.handle, COVER)
    wait_for(lambda: sentinel.held() == [device.name])
    return held


def test_it_covers_when_its_owner_is_gone_and_again_and_again(device):
    held = started(device)
    held.beat(True)
    device.write(b"live")
    time.sleep(0.2)
    assert device.covers() == 0
    held.leave()
    wait_for(lambda: device.covers() >= 2)  # a reader that waits for the next picture gets one


def test_it_covers_when_the_owner_says_nothing_although_it_shows_a_face(device):
    held = started(device)
    held.beat(True)
    wait_for(lambda: device.covers() == 1)
    held.beat(True)  # it goes on
    for _ in range(8):
        time.sleep(0.1)
        held.beat(True)
    assert device.covers() == 1
    wait_for(lambda: device.covers() >= 3)
    held.leave()


def test_an_owner_that_shows_a_cover_may_be_silent(device):
    """A start takes its time, and the cover with the reason is there already."""
    held = started(device)
    held.beat(True)
    held.beat(False)
    time.sleep(0.8)
    assert device.covers() == 0
    held.leave()
    wait_for(lambda: device.covers() >= 1)


OWNER = """
import os, sys, time
from live import sentinel
device = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND)
held = sentinel.start("/dev/video18", device, b"cover")
while True:
    held.beat(True)
    os.write(device, b"live.")
    time.sleep(0.01)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_killed_and_a_stopped_program_are_covered_and_nothing_live_follows(device, how):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, device.file], cwd=Path(__file__).parents[3], stdin=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: sentinel.held() == [device.name] and device.ends_with(b"live."))
        owner.send_signal(how)
        wait_for(lambda: device.covers() >= 2)
        assert device.ends_with(COVER * 2)
        if how == signal.SIGSTOP:
            owner.send_signal(signal.SIGCONT)
            wait_for(lambda: device.ends_with(b"live.live.live."))
    finally:
        owner.kill()
        owner.wait()
    before = device.covers()
    wait_for(lambda: device.covers() > before and device.ends_with(COVER))


def test_it_outlives_ctrl_c_and_the_terminal(device):
    started(device).leave()
    (number,) = running(device)
    assert os.getsid(number) == number  # a session of its own: the terminal's signals do not reach it
    for other in (signal.SIGINT, signal.SIGHUP):
        os.kill(number, other)
    before = device.covers()
    wait_for(lambda: device.covers() > before + 1)
    assert Path(f"/proc/{number}/comm").read_text().strip() == "doppelcam-cover"


def test_a_new_owner_gets_the_same_open_device_and_the_old_state(device):
    first = started(device)
    assert sentinel.take(device.name) is None and not sentinel.waits(device.name)
    first.beat(True)
    first.leave()
    wait_for(lambda: sentinel.waits(device.name))
    held, handle = wait_for(lambda: sentinel.take(device.name))
    assert held.worn and [held.process] == running(device)
    assert not os.get_inheritable(handle)
    assert os.fstat(handle).st_ino == device.file.stat().st_ino
    assert not sentinel.waits(device.name) and sentinel.held() == [device.name]
    before = device.covers()
    time.sleep(0.8)
    assert device.covers() == before  # its owner writes now
    held.leave()
    wait_for(lambda: device.covers() > before)
    again, _ = wait_for(lambda: sentinel.take(device.name))
    again.release()


def test_released_it_is_gone_when_the_answer_comes(device):
    held = started(device)
    assert not sentinel.release(device.name)  # doppelcam runs
    assert running(device)
    held.release()
    assert not running(device) and sentinel.held() == []
    started(device).leave()
    wait_for(lambda: sentinel.waits(device.name))
    assert sentinel.release(device.name)
    assert not running(device) and sentinel.held() == []
    assert sentinel.release(device.name)  # nobody has it


def test_one_that_was_killed_leaves_nothing_in_the_way(device, runtime):
    held = started(device)
    (number,) = running(device)
    os.kill(number, signal.SIGKILL)
    wait_for(lambda: not held.beat(True) or time.sleep(0.1))
    assert list((runtime / "doppelcam").iterdir()) and sentinel.held() == [] and not sentinel.waits(device.name)
    started(device).release()


def test_it_ends_with_the_session_of_its_user_and_with_the_device(device, runtime):
    started(device).leave()
    wait_for(lambda: sentinel.waits(device.name))
    (runtime / "doppelcam" / "video18.sock").unlink()
    wait_for(lambda: not running(device))


def test_it_ends_when_it_is_told_to_by_a_signal(device, runtime):
    started(device)
    os.kill(running(device)[0], signal.SIGTERM)
    wait_for(lambda: not running(device))
    assert list((runtime / "doppelcam").iterdir()) == []


def test_only_its_user_may_speak_to_it(device, runtime, monkeypatch):
    held = started(device)
    place = runtime / "doppelcam" / "video18.sock"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    monkeypatch.setattr(sentinel.os, "getuid", lambda: 12345)  # a sentinel of somebody else is not believed
    assert not sentinel.waits(device.name)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    held.release()


def test_it_answers_no_other_user(tmp_path, runtime, monkeypatch):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    handle = os.open(tmp_path / "video18", os.O_RDWR | os.O_CREAT)
    watching = process.Sentinel("/dev/video18", handle, COVER, theirs)
    ours.close()
    assert watching._listen()
    for question in (sentinel.TAKE, sentinel.RELEASE, sentinel.ASK):
        visitor = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        visitor.connect(sentinel.address("/dev/video18"))
        visitor.send(question)
        with monkeypatch.context() as patch:
            patch.setattr(sentinel, "same_user", lambda link: False)
            assert watching._receive()
        with pytest.raises(ConnectionResetError):
            visitor.recv(sentinel.MOST)
        visitor.close()
    watching.close()


@pytest.mark.parametrize("make", ["open", "link"])
def test_a_folder_that_is_not_the_users_alone_is_refused(runtime, make):
    if make == "open":
        (runtime / "doppelcam").mkdir()
        (runtime / "doppelcam").chmod(0o777)
    else:
        (runtime / "elsewhere").mkdir(mode=0o700)
        (runtime / "doppelcam").symlink_to(runtime / "elsewhere")
    with pytest.raises(OSError, match="not this user's alone"):
        sentinel.folder()
    assert sentinel.held() == [] and not sentinel.waits("/dev/video18")


def test_without_a_folder_of_the_session_it_is_one_in_the_temporary_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert sentinel.folder() == tmp_path / f"doppelcam-{os.getuid()}"
    assert stat.S_IMODE(sentinel.folder().stat().st_mode) == 0o700


def test_nothing_heavy_is_imported():
    script = (
        "import sys, live.sentinel.__main__; print([n for n in ('numpy', 'cv2', 'live.frame') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
