"""Checks of cameras and of virtual cameras."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from live import v4l2
from live.doctor.finding import Finding, fault, note, ok
from live.parts import SINKS
from live.sources.camera import Camera
from live.sources.camera.device import cannot_open
from live.sources.camera.modes import Mode, best, modes_of
from live.sources.camera.which import cameras as find_cameras

_OTHERWISE = "plug one in; or --source sample, or --source rtsp://... for a camera on the network"
_MODPROBE = (
    "sudo modprobe -r v4l2loopback; sudo modprobe v4l2loopback exclusive_caps=1 max_buffers=4 card_label=doppelcam"
)
_PARAMETERS = Path("/sys/module/v4l2loopback/parameters")


def cameras() -> Iterator[Finding]:
    """Each camera: may it be opened, is it free, what does it give."""
    if sys.platform != "linux":
        yield ok("this system tells about cameras only when they are opened: doppelcam run --source camera")
        return
    real = [device for device in find_cameras() if not device.virtual]
    if not real:
        yield note("no camera is connected", _OTHERWISE)
    wish = Mode("", Camera.width, Camera.height, float(Camera.fps))
    for device in real:
        where = f"{device.path} ({device.name})"
        if device.trouble is not None:
            error = cannot_open(device, device.trouble)
            yield fault(error.message, error.hint)
            continue
        mode = best(modes_of(device, wish), wish)
        if mode is None:
            yield note(f"{where} gives nothing that can be read here", "doppelcam list --cameras shows what it gives")
        elif mode.width * mode.height < wish.width * wish.height or mode.fps < 0.8 * wish.fps:
            yield note(f"{where} gives at best {mode}", "a camera with MJPG, or a USB 3 socket, gives 1280x720 at 30")
        else:
            yield ok(f"{where} gives {mode}")
        if users := _users(device.path):
            yield note(f"{where} is open in {users}", "close it there if it cannot be opened here")


def virtual_cameras() -> Iterator[Finding]:
    """Can a virtual camera be written to, and do browsers see it."""
    error = SINKS.why_not("virtual_camera")
    if error is not None:
        yield note(error.message, error.hint)
    else:
        yield ok("a virtual camera can be written to")
    for device in v4l2.devices():
        if device.virtual and (users := _users(device.path)):
            yield ok(f"{device.path} ({device.name}) is open in {users}")
    exclusive = _PARAMETERS / "exclusive_caps"
    if exclusive.exists():
        first = exclusive.read_text().split(",")[0].strip()
        if first == "N":
            yield note("Chrome and other browsers do not see the virtual camera: exclusive_caps is off", _MODPROBE)


def _users(path: str) -> str:
    """Other programs that have this device open."""
    found, _ = v4l2.holders(path)
    return ", ".join(f"{name} (process {number})" for number, name in found if number != os.getpid())
