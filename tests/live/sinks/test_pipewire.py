"""The PipeWire camera in a private session, watched by GStreamer as by any other program."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engines.errors import NotAvailable, SinkLost
from live.frame import Format
from live.sinks.pipewire import Pipewire
from tests.doubles import HEIGHT, WIDTH, read_number, write_number
from tests.pipewire_session import wait_until

ROOT = Path(__file__).parents[3]
FORMAT = Format(WIDTH, HEIGHT, 30.0)
WATCHER = shutil.which("gst-launch-1.0")
needs_watcher = pytest.mark.skipif(
    WATCHER is None,
    reason="no GStreamer (apt install gstreamer1.0-tools gstreamer1.0-pipewire gstreamer1.0-plugins-base)",
)


@pytest.fixture
def camera(pipewire):
    sink = Pipewire()
    sink.open(FORMAT)
    yield sink
    sink.close()


def picture(number, colour=(60, 60, 200)):
    image = np.full((HEIGHT, WIDTH, 3), colour, np.uint8)
    write_number(image, number)
    return image


def cameras(session):
    """Descriptions of the cameras that programs in the session are offered."""
    nodes = [item["info"]["props"] for item in json.loads(session.run("pw-dump")) if item["type"].endswith(":Node")]
    return [node["node.description"] for node in nodes if node.get("media.class") == "Video/Source"]


class Writer:
    """Writes 60 numbered pictures a second, as a loop's sink thread does; `errors` is what that raised."""

    def __init__(self, sink, safe_frame):
        self.sink, self.safe_frame, self.errors, self.number = sink, safe_frame, [], 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _run(self):
        while not self._end.wait(1 / 60):
            self.number += 1
            try:
                self.sink.write(self.safe_frame(picture(self.number)))
            except SinkLost as error:
                self.errors.append(error)
                return


def watch(session, pixels, count):
    """The first `count` pictures (BGR) that a program gets, which takes them in these pixels."""
    command = (
        f"{WATCHER} -q pipewiresrc target-object=doppelcam num-buffers={count} ! video/x-raw,format={pixels} "
        "! videoconvert ! video/x-raw,format=BGR ! fdsink fd=1 sync=false"
    )
    told = subprocess.run(command.split(), env=session.environment, capture_output=True, timeout=30).stdout
    return np.frombuffer(told, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)


def numbers(pictures):
    return [read_number(image) for image in pictures]


def test_it_is_offered_as_a_camera_while_it_is_open(pipewire):
    sink = Pipewire(name="my camera")
    sink.open(FORMAT)
    assert cameras(pipewire) == ["my camera"]
    sink.close()
    sink.close()
    wait_until(lambda: cameras(pipewire) == [])
    sink.open(FORMAT)
    assert cameras(pipewire) == ["my camera"]
    sink.close()


@needs_watcher
@pytest.mark.parametrize("pixels", ["I420", "YUY2", "BGRx"])
def test_pictures_arrive_whole_in_order_and_in_their_colours(pipewire, camera, safe_frame, pixels):
    with Writer(camera, safe_frame):
        pictures = watch(pipewire, pixels, 40)
    seen = numbers(pictures)
    assert len(seen) == 40 and None not in seen
    assert seen == sorted(set(seen)) and seen[-1] - seen[0] < 60
    assert pictures[-1][60, 80] == pytest.approx((60, 60, 200), abs=4)


@needs_watcher
def test_watchers_come_and_go(pipewire, camera, safe_frame):
    with Writer(camera, safe_frame) as writer:
        for _ in range(3):
            assert len(set(numbers(watch(pipewire, "I420", 5)))) == 5
        both = [threading.Thread(target=lambda: seen.append(numbers(watch(pipewire, "I420", 10)))) for _ in range(2)]
        seen = []
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
    assert [len(set(one)) for one in seen] == [10, 10] and None not in seen[0] + seen[1]
    assert writer.errors == []


def test_while_nobody_watches_writing_costs_nothing_and_fails_not(camera, safe_frame):
    for n in range(1, 100):
        camera.write(safe_frame(picture(n)))


@needs_watcher
def test_odd_sizes_lose_their_last_row_and_column(pipewire, safe_frame):
    sink = Pipewire()
    sink.open(Format(WIDTH + 1, HEIGHT + 1, 29.97))
    wide = np.full((HEIGHT + 1, WIDTH + 1, 3), 90, np.uint8)
    with Writer(sink, lambda _: safe_frame(wide)):
        pictures = watch(pipewire, "I420", 3)
    sink.close()
    assert pictures.shape == (3, HEIGHT, WIDTH, 3) and (np.abs(pictures.astype(int) - 90) < 4).all()


@needs_watcher
def test_a_pipewire_that_dies_is_told_and_the_camera_can_be_opened_again(pipewire, safe_frame):
    sink = Pipewire()
    sink.open(FORMAT)
    with Writer(sink, safe_frame) as writer:
        watch(pipewire, "I420", 3)
        pipewire.kill()
        wait_until(lambda: writer.errors)
    assert "gone" in writer.errors[0].message and not writer.errors[0].closed
    sink.close()
    with pytest.raises(NotAvailable, match="no PipeWire runs") as caught:
        sink.open(FORMAT)
    assert "systemctl" in caught.value.hint
    pipewire.start()
    sink.open(FORMAT)
    with Writer(sink, safe_frame):
        assert len(watch(pipewire, "I420", 3)) == 3
    sink.close()


def test_without_a_session_it_is_not_available(monkeypatch, tmp_path):
    for name in ("XDG_RUNTIME_DIR", "PIPEWIRE_RUNTIME_DIR", "PIPEWIRE_REMOTE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NotAvailable, match=r"XDG_RUNTIME_DIR|not to be had"):
        Pipewire().open(FORMAT)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(NotAvailable, match=r"no PipeWire runs|not to be had") as caught:
        Pipewire().open(FORMAT)
    assert caught.value.hint


def test_something_else_behind_the_socket_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("PIPEWIRE_RUNTIME_DIR", raising=False)
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "pipewire-0"))
        with pytest.raises(NotAvailable, match=r"does not answer|not to be had"):
            Pipewire().open(FORMAT)
        deaf.listen()
        with pytest.raises(NotAvailable, match=r"no answer|not to be had"):
            Pipewire().open(FORMAT)


@pytest.mark.long
@pytest.mark.timeout(300)
@needs_watcher
def test_the_swapped_sample_is_seen_by_another_program(pipewire):
    run = [sys.executable, "-c", "from live.cli import main; main()", "run", "--source", "sample", "--face", "sample",
           "--sink", "pipewire", "--set", "sources.sample.repeat=true", "--seconds", "150"]  # fmt: skip
    program = subprocess.Popen(run, cwd=ROOT, env=pipewire.environment, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: "doppelcam" in cameras(pipewire), 60)
        command = (
            f"{WATCHER} -q pipewiresrc target-object=doppelcam num-buffers=90 ! videoconvert "
            "! video/x-raw,format=BGR ! fdsink fd=1 sync=false"
        )
        told = subprocess.run(command.split(), env=pipewire.environment, capture_output=True, timeout=100).stdout
    finally:
        program.terminate()
        _, errors = program.communicate(timeout=60)
    assert program.returncode == 0, errors
    pictures = np.frombuffer(told, np.uint8).reshape(90, 720, 1280, 3)
    swapped = [image for image in pictures if len(np.unique(image.reshape(-1, 3)[::7], axis=0)) > 1000]
    assert len(swapped) > 30  # a cover has a handful of colours
    assert sum((one != other).any() for one, other in pairwise(swapped)) > 25
