"""The microphone and the virtual one in a private PipeWire session; choosing one; and picture and sound in step."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from engines.errors import BadInput, NotAvailable, SourceLost
from live.frame import Captured, Format
from live.pipewire import AUTOCONNECT, INTO, Stream
from live.sinks.pipewire import Pipewire
from live.sinks.recording import Recording
from live.sound import microphone
from live.sound.microphone import _OFFER, RATE, Microphone, choose_microphone
from live.trace import clock
from tests.clips import loud_at, read_clip
from tests.doubles import BARE, FACE, HEIGHT, WIDTH, GreenSwapper, NumberedCamera, face_at, make_loop, write_number
from tests.pipewire_session import wait_until

ROOT = Path(__file__).parents[3]
S = 10**9


@pytest.fixture
def clicks(pipewire):
    """A microphone called "desk" that clicks at every whole second."""
    program = start_microphone(pipewire)
    yield program
    program.kill()
    program.wait()


def start_microphone(session):
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.fake_microphone", "desk"],
        cwd=ROOT, env=session.environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert program.stdout.readline() == "ready\n"
    wait_until(lambda: b'"desk"' in session.run("pw-dump"))
    return program


class Running:
    """A microphone part on a thread of its own."""

    def __init__(self, part, delay_ms=100.0):
        self.part, self.delay_ms, self.error = part, delay_ms, None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.part.open()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()
        self.part.close()

    def _run(self):
        try:
            while not self._end.is_set():
                self.part.step(self.delay_ms)
        except SourceLost as error:
            self.error = error


def hear(name, seconds):
    """When clicks of a microphone arrive at another program, as ms after the whole second."""
    properties = {"media.type": "Audio", "media.category": "Capture", "node.name": "ear", "target.object": name,
                  "node.latency": f"256/{RATE}"}  # fmt: skip
    ear, late, last, end = Stream("ear", INTO, properties, _OFFER, AUTOCONNECT), [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        data = ear.take()
        if data is None:
            time.sleep(0.002)
            continue
        loud = np.flatnonzero(data.view(np.float32)[::2] > 0.3)
        if loud.size:
            heard = ear.times()[2] - (len(data) // 8 - loud[0]) * S // RATE
            if heard - last > S // 2:
                late.append(heard % S / 1e6)
            last = heard
    ear.close()
    return late


def test_the_sound_is_heard_at_the_virtual_microphone(pipewire, clicks):
    with Running(Microphone()):
        assert hear("doppelcam.microphone", 2.5)


# On a machine with more to do than it has cores for, the other programs' own delays are what is measured.
TRIES = 3


@pytest.mark.long
@pytest.mark.parametrize("extra_ms", [0, 150])
def test_the_virtual_microphone_gives_the_sound_late(pipewire, clicks, extra_ms):
    with Running(Microphone(extra_ms=extra_ms), 200.0):
        late = [np.median(hear("doppelcam.microphone", 5.5)[1:]) for _ in range(TRIES)]
    assert min(abs(ms - 200 - extra_ms) for ms in late) < 20, late


@pytest.mark.long
def test_a_recording_has_the_sound_in_step_without_delay(pipewire, clicks, safe_frame, tmp_path):
    with Running(Microphone(virtual="")) as running:
        offsets = [recorded_offset(running.part, safe_frame, tmp_path / f"{k}.mp4") for k in range(TRIES)]
    # The picture turns white within one picture, 40 ms, after the whole second.
    assert any(-0.06 < offset < 0.02 for offset in offsets), offsets


def recorded_offset(part, safe_frame, path):
    """Sound minus picture in s; the picture turns white at a whole second, and is written 150 ms late, as after a slow
    swap.
    """
    sink = Recording(str(path), preset="ultrafast")
    sink.open(Format(64, 48, 25.0, part.track))
    time.sleep(0.3)
    first = clock()
    for n in range(100):
        captured = first + n * S // 25
        time.sleep(max(0, (captured + 150_000_000 - clock()) / 1e9))
        image = np.full((48, 64, 3), 255 if captured % S < S // 2 else 0, np.uint8)
        frame = safe_frame(image, n / 25)
        frame.trace.stamps["captured"] = captured
        sink.write(frame)
    sink.close()
    pictures, times = read_clip(path)
    flash = next(t for p, q, t in zip(pictures, pictures[1:], times[1:], strict=False) if p.mean() < 99 < q.mean())
    return (loud_at(path) - flash + 0.5) % 1 - 0.5


def test_a_pipewire_that_dies_is_told_and_all_can_be_opened_again(pipewire, clicks):
    part = Microphone()
    with Running(part) as running:
        wait_until(lambda: part._tape.end > RATE // 2)
        pipewire.kill()
        wait_until(lambda: running.error)
    assert "gone" in running.error.message
    with pytest.raises(NotAvailable, match="no PipeWire runs"):
        part.open()
    pipewire.start()
    again = start_microphone(pipewire)
    end = part._tape.end
    with Running(part):
        wait_until(lambda: part._tape.end > end + RATE // 2)
    again.kill()
    again.wait()


def test_without_a_microphone_it_is_not_available(pipewire):
    with pytest.raises(NotAvailable, match="no microphone is connected") as caught:
        Microphone().open()
    assert "--sound" in caught.value.hint


def test_a_name_that_fits_none_is_bad_input(pipewire, clicks):
    with pytest.raises(BadInput, match="'nope' is no microphone") as caught:
        Microphone(device="nope").open()
    assert "desk" in caught.value.hint


def node(name, description, media="Audio/Source", priority=1000):
    props = {"node.name": name, "node.description": description, "media.class": media, "priority.session": priority}
    return {"type": "PipeWire:Interface:Node", "info": {"props": props}}


def usual(name):
    metadata = [{"key": "default.audio.source", "value": {"name": name}}]
    return {"type": "PipeWire:Interface:Metadata", "metadata": metadata}


OWN = node("doppelcam.microphone", "doppelcam microphone")
HERE = [node("usb.0", "Blue Yeti"), node("usb.1", "Webcam C920", priority=2000), node("out", "Speakers", "Audio/Sink")]


@pytest.mark.parametrize(
    ("device", "graph", "chosen"),
    [
        ("auto", [*HERE, usual("usb.0")], "usb.0"),
        ("auto", HERE, "usb.1"),
        ("auto", [*HERE, OWN, usual("doppelcam.microphone")], "usb.1"),
        ("yeti", HERE, "usb.0"),
        ("usb.0", HERE, "usb.0"),
        ("Webcam C920", [*HERE, node("usb.2", "Webcam C920 Pro")], "usb.1"),
    ],
)
def test_which_microphone_is_meant(monkeypatch, device, graph, chosen):
    monkeypatch.setattr(microphone, "_dump", lambda: graph)
    assert choose_microphone(device, "doppelcam microphone") == chosen


def test_a_name_that_fits_several_is_bad_input(monkeypatch):
    monkeypatch.setattr(microphone, "_dump", lambda: HERE)
    with pytest.raises(BadInput, match="several"):
        choose_microphone("usb", "doppelcam microphone")


def test_without_pipewires_tools_the_system_chooses(monkeypatch):
    monkeypatch.setattr(microphone, "_dump", lambda: None)
    assert choose_microphone("auto", "x") is None and choose_microphone("usb.0", "x") == "usb.0"


class TimedCamera(NumberedCamera):
    """30 pictures a second, each with the ms of its capture in its pixels."""

    def read(self):
        self.number += 1
        time.sleep(max(0, (self.number + 1) / 30 - (time.monotonic() - self.began)))
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        x, y = face_at(self.number)
        image[y : y + FACE, x : x + FACE] = BARE
        now = clock()
        write_number(image, now // 10**6 % 2**24)
        return Captured(image, now, self.number / 30)

    def open(self):
        self.began = time.monotonic()
        return super().open()


@pytest.mark.long
@pytest.mark.parametrize("swap_ms", [25, 80])
def test_picture_and_sound_arrive_in_step_at_another_program(pipewire, clicks, swap_ms):
    if shutil.which("gst-launch-1.0") is None:
        pytest.skip("no GStreamer (apt install gstreamer1.0-tools gstreamer1.0-pipewire gstreamer1.0-plugins-base)")
    tries = []
    while not any(abs(sound - picture) < 20 for picture, sound in tries):
        assert len(tries) < TRIES, f"picture and sound, ms late: {tries}"
        tries.append(lateness(pipewire, swap_ms))


def lateness(session, swap_ms):
    """How late picture and sound arrive at another program, in ms."""
    slow = GreenSwapper(script=lambda number, patch: time.sleep(swap_ms / 1000))
    loop = make_loop(TimedCamera(), swapper=slow, sinks={"camera": Pipewire()}, lossless=False)
    loop.parts.sound = Microphone()
    running = threading.Thread(target=loop.run)
    running.start()
    try:
        wait_until(lambda: loop.ledger.sound_delay_ms > 0)
        args = [sys.executable, "-m", "tests.far_side", "14", WIDTH, HEIGHT, "doppelcam", "doppelcam.microphone"]
        args = [str(word) for word in args]
        far = subprocess.run(args, cwd=ROOT, env=session.environment, stdout=subprocess.PIPE, timeout=60)
    finally:
        loop.stop()
        running.join()
    assert loop.ledger.report()["errors"] == {}
    told = json.loads(far.stdout)
    assert len(told["clicks"]) >= 6
    picture = np.median([arrived // 10**6 % 2**24 - code for arrived, code, _ in told["pictures"] if code])
    return float(picture), float(np.median([heard % S / 1e6 for heard in told["clicks"][2:]]))
