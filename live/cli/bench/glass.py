"""`doppelcam bench glass`: from the light before the camera to the picture in a meeting program, drivers and all."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer

from engines.errors import BadInput, NotAvailable
from live.cli.bench.marker import COUNT, Reader, draw
from live.cli.output import check_target, write_whole
from live.cli.screen import err, out
from live.frame import Format, Image

_FPS = 30
_PICTURES = 45  # of the clip, shown to and fro
_FROM_S = 0.5  # where they begin in the clip
_SETTLE_S = 2.0
_AT = 40  # px from the edges: nearer, markers are overlooked


def glass(
    virtual: Annotated[str, typer.Option(help="The virtual camera that doppelcam writes to, e.g. /dev/video18.")],
    camera: Annotated[
        str | None, typer.Option(help="A second v4l2loopback device that stands for the webcam, e.g. /dev/video8.")
    ] = None,
    face: Annotated[str, typer.Option(help="As for doppelcam run.")] = "sample",
    seconds: Annotated[float, typer.Option(help="How long is measured.", min=1, max=3600)] = 15.0,
    wait: Annotated[float, typer.Option(help="How long to wait for the first picture.", min=1, max=3600)] = 180.0,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the figures as JSON too.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="One setting of the run. May be given again.")] = None,
) -> None:
    """Measure glass to glass: a numbered picture goes in at the camera and is looked for in the virtual camera.

    With [bold]--camera[/] all of it is software: the sample clip with a marker is written into a loopback device, and
    doppelcam is started between the two. Needs two devices:
    [bold]sudo modprobe v4l2loopback devices=2 exclusive_caps=0,1 video_nr=8,18[/]

    Without it a window shows the clip and the marker. Aim your webcam at the screen so that it sees both, and run
    [bold]doppelcam run --source camera --sink virtual:/dev/video18[/] beside it: then screen, webcam and USB count too.
    """
    if json_ is not None:
        check_target(json_, "the figures")
    with err.status("waiting for the first picture ...") as status:
        plan = _Plan(virtual, seconds, wait, tell=status.update)
        watcher = _by_window(plan) if camera is None else _by_loopback(plan, camera, face, set_ or [])
    tree = watcher.figures(seconds)
    _print(tree)
    if json_ is not None:
        write_whole(json_, (json.dumps(tree, indent=2) + "\n").encode(), "the figures")


@dataclass(frozen=True)
class _Plan:
    """What is looked at, for how long, how long its first picture is waited for, and whom to tell of it."""

    virtual: str
    seconds: float
    wait_s: float
    tell: Callable[[str], None]


def _by_window(plan: _Plan) -> Watcher:
    """Show the marker on this screen; a window belongs to the main thread, so watching gets one of its own."""
    present, shown = _window(), Shown()
    watcher = Watcher(plan.virtual, shown, plan.wait_s, None)
    looking = threading.Thread(target=watcher.watch, args=(plan.seconds, plan.wait_s, plan.tell), daemon=True)
    looking.start()
    while looking.is_alive():
        _step(present, shown)
    return watcher.done()


def _by_loopback(plan: _Plan, camera: str, face: str, pairs: list[str]) -> Watcher:
    """Feed the marker into a loopback camera, and run doppelcam from there to the virtual one."""
    present, shown, stop = _loopback(camera), Shown(), threading.Event()
    feeder = threading.Thread(target=_feed, args=(present, shown, stop), daemon=True)
    feeder.start()
    process = _doppelcam(camera, plan.virtual, face, pairs)
    try:
        watcher = Watcher(plan.virtual, shown, plan.wait_s, process)
        watcher.watch(plan.seconds, plan.wait_s, plan.tell)
        return watcher.done()
    finally:
        stop.set()
        process.terminate()
        process.wait(30)
        feeder.join(5)


@dataclass
class Shown:
    """When each number was shown last (clock seconds), and which one is next."""

    number: int = 0
    at_s: list[float] = field(default_factory=lambda: [0.0] * COUNT)


def _pictures(width: int, height: int) -> list[Image]:
    """Some of the sample's pictures with room for the marker, each with its own next to the face."""
    from live.sources.sample import Sample

    source = Sample(paced=False)
    source.open()
    found: list[Image] = []
    while len(found) < _PICTURES:
        captured = source.read()
        if captured.position_s >= _FROM_S:
            found.append(np.asarray(cv2.resize(captured.image, (width, height)), np.uint8))
    source.close()
    return found + found[-2:0:-1]


Present = Callable[[int], None]


def _loopback(device: str) -> Present:
    """Writes picture and marker of a number into a v4l2loopback device. Raises BadInput, NotAvailable."""
    if sys.platform != "linux":
        raise NotAvailable("loopback cameras exist on Linux only", hint="leave out --camera, and aim a webcam")
    from live.sinks.virtual_camera.loopback import Loopback

    width, height = 1280, 720
    writer = Loopback(device, Format(width, height, _FPS), "YUYV")
    # Converted once: the machine shall be busy with what is measured, not with this.
    pictures = [np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_YUY2)) for picture in _pictures(width, height)]
    side = height // 4
    markers = [draw(number, side) for number in range(COUNT)]

    def present(number: int) -> None:
        picture = pictures[number % len(pictures)]
        picture[_AT : _AT + side, _AT : _AT + side, 0] = markers[number % COUNT] // 2 + 64
        picture[_AT : _AT + side, _AT : _AT + side, 1] = 128
        writer.write_bytes(np.ascontiguousarray(picture))

    return present


def _window() -> Present:
    """Shows them in a window on this screen. Raises NotAvailable."""
    from live.sinks.window import available

    available()
    width, height = 1280, 720
    pictures, side = _pictures(width, height), height // 3
    cv2.namedWindow("doppelcam glass", cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def present(number: int) -> None:
        picture = pictures[number % len(pictures)].copy()
        picture[_AT : _AT + side, _AT : _AT + side] = draw(number, side)[..., None]
        cv2.imshow("doppelcam glass", picture)
        cv2.pollKey()

    return present


def _step(present: Present, shown: Shown) -> None:
    """Show the next number, and note when; then wait for the next one's time."""
    began = time.perf_counter()
    present(shown.number)
    shown.at_s[shown.number % COUNT] = time.perf_counter()
    shown.number += 1
    time.sleep(max(0.0, began + 1 / _FPS - time.perf_counter()))


def _feed(present: Present, shown: Shown, stop: threading.Event) -> None:
    while not stop.is_set():
        _step(present, shown)


def _doppelcam(camera: str, virtual: str, face: str, pairs: list[str]) -> subprocess.Popen[str]:
    words = ["run", "--source", f"camera:{camera}", "--face", face, "--sink", f"virtual:{virtual}"]
    words += ["--set", "sinks.virtual_camera.stay=false"]  # a measurement leaves nothing behind
    for pair in pairs:
        words += ["--set", pair]
    command = [sys.executable, "-c", "from live.cli import main; main()", *words]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


class Watcher:
    """Reads the virtual camera as a meeting program does, and notes when each number is seen first."""

    def __init__(self, device: str, shown: Shown, wait_s: float, process: subprocess.Popen[str] | None) -> None:
        self._shown, self._process = shown, process
        self._reader = Reader()
        self.ages_ms: list[float] = []
        self.read = self.unread = 0
        self.trouble: BadInput | None = None
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self._capture = self._open(device, time.monotonic() + wait_s)

    def _open(self, device: str, end: float) -> cv2.VideoCapture:
        """It can be read from once doppelcam writes to it."""
        while True:
            capture = cv2.VideoCapture(device, cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY)
            if capture.isOpened() and capture.read()[0]:
                capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
                return capture
            capture.release()
            self._check(end, f"the virtual camera {device} gives no picture")
            time.sleep(0.2)

    def _check(self, end: float, words: str) -> None:
        if self._process is not None and self._process.poll() is not None:
            said = (self._process.stderr.read() if self._process.stderr else "").strip().splitlines()
            raise BadInput(f"doppelcam run ended: {said[0] if said else self._process.returncode}")
        if time.monotonic() > end:
            raise BadInput(words, hint="is doppelcam running, and does its camera see the marker beside a face?")

    def _frames(self) -> Iterator[tuple[float, int | None]]:
        while True:
            ok, picture = self._capture.read()
            now = time.perf_counter()
            yield now, self._reader.read(np.asarray(picture, np.uint8)) if ok and picture is not None else None

    def watch(self, seconds: float, wait_s: float, tell: Callable[[str], None]) -> None:
        """Wait for the first number, let things settle, then measure. What goes wrong is left in `trouble`."""
        try:
            end = time.monotonic() + wait_s
            for _, number in self._frames():
                if number is not None:
                    break
                self._check(end, "no marker is seen in the virtual camera")
            tell("measuring ...")
            began, last = time.perf_counter(), -1
            for now, number in self._frames():
                if now - began > _SETTLE_S + seconds:
                    return
                if now - began < _SETTLE_S:
                    continue
                self.read += 1
                if number is None:
                    self.unread += 1
                    self._check(time.monotonic() + 1, "")
                elif number != last:
                    last = number
                    self.ages_ms.append((now - self._shown.at_s[number]) * 1e3)
        except BadInput as error:
            self.trouble = error

    def figures(self, seconds: float) -> dict[str, Any]:
        if not self.ages_ms:
            raise BadInput("no marker was seen in the virtual camera while measuring")
        p50, p95, p99 = (round(float(np.percentile(self.ages_ms, p)), 1) for p in (50, 95, 99))
        return {
            "seconds": seconds,
            "frames_per_second": round(len(self.ages_ms) / seconds, 2),
            "glass_to_glass_ms": {"p50": p50, "p95": p95, "p99": p99, "max": round(max(self.ages_ms), 1)},
            "frames_read": self.read,
            "without_marker": self.unread,
        }

    def done(self) -> Watcher:
        """Let go of the camera. Raises what went wrong."""
        self._capture.release()
        if self.trouble is not None:
            raise self.trouble
        return self


def _print(tree: dict[str, Any]) -> None:
    age = tree["glass_to_glass_ms"]
    out.print(
        f"[bold]glass to glass p50 {age['p50']:.1f}  p95 {age['p95']:.1f}  p99 {age['p99']:.1f} ms[/]; "
        f"{tree['frames_per_second']:.1f} new pictures a second; {tree['without_marker']} of {tree['frames_read']} "
        f"pictures without the marker",
        soft_wrap=True,
    )
