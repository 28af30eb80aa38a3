"""v4l2loopback in memory: devices with its rules of 0.12.7, asked through the same functions as the real driver."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field

from live import sentinel, v4l2
from live.frame import Format
from live.sinks.virtual_camera import VirtualCamera

SIZES = {"YUYV": 4, "YU12": 3, "MJPG": 2}  # halves of a byte per pixel


def fault(number):
    return OSError(number, os.strerror(number))


@dataclass
class FakeDevice:
    """One device. `reader`: some program reads it, so its format stays as it is."""

    path: str
    name: str = "doppelcam"
    driver: str = v4l2.LOOPBACK
    exclusive: bool = True
    reader: bool = False
    fixed: tuple[int, int, str] | None = None  # width, height, fourcc that a reader holds on to
    ready_for_output: bool = True
    ready_for_capture: bool = False
    holders: list[tuple[int, str]] = field(default_factory=list)
    secret: bool = False
    refuses: OSError | None = None  # opening fails
    breaks: int | None = None  # writing fails
    short: int = 0  # so many bytes are not taken
    frames: list[bytes] = field(default_factory=list)
    told: tuple[int, int, str] = (0, 0, "")
    controls: dict[str, int] = field(default_factory=dict)
    locked: int | bool = False  # or by whom

    @property
    def caps(self):
        if not self.exclusive:
            return v4l2.CAP_CAPTURE | v4l2.CAP_OUTPUT
        return v4l2.CAP_CAPTURE * self.ready_for_capture | v4l2.CAP_OUTPUT * self.ready_for_output

    def size(self):
        width, height, fourcc = self.told
        return width * height * SIZES[fourcc] // 2


class FakeHeld:
    """The sentinel of a device: it has the device open, too, until it is released."""

    process, since_s = 4711, 0.0

    def __init__(self, driver, path, handle, cover):
        self.driver, self.path, self.handle, self.cover = driver, path, handle, cover
        self.worn, self.owned, self.ended = False, True, False
        self.said = []

    def beat(self, live):
        self.said.append(live)
        self.worn = self.worn or live
        return not self.ended

    def leave(self):
        self.owned = False

    def release(self):
        del self.driver.kept[self.path]
        self.driver.set_control(self.handle, 1, 0)
        self.driver.close(self.handle)


class FakeDriver:
    """All devices of a machine, put in the place of the system calls by `install`."""

    def __init__(self, *devices):
        self.devices = {device.path: device for device in devices}
        self.open_files = {}  # handle -> [device, writer?]
        self.kept = {}  # path -> FakeHeld
        self.starts = 0

    def install(self, monkeypatch, module):
        monkeypatch.setattr(v4l2, "devices", lambda: [self.ask(path) for path in self.devices])
        monkeypatch.setattr(v4l2, "ask", self.ask)
        monkeypatch.setattr(v4l2, "holders", lambda p: (self.devices[p].holders, self.devices[p].secret))
        monkeypatch.setattr(v4l2, "ioctl", self.ioctl)
        monkeypatch.setattr(v4l2, "controls", lambda handle: {"timeout": 1, "timeout_image_io": 2})
        monkeypatch.setattr(v4l2, "set_control", self.set_control)
        monkeypatch.setattr(sentinel, "start", self.start)
        monkeypatch.setattr(sentinel, "take", self.take)
        monkeypatch.setattr(sentinel, "waits", lambda path: path in self.kept and not self.kept[path].owned)
        monkeypatch.setattr(module, "os", self)
        monkeypatch.setattr(module, "fcntl", self)

    # what the module uses of os and fcntl
    O_RDWR, O_CLOEXEC, LOCK_EX, LOCK_NB = os.O_RDWR, os.O_CLOEXEC, 2, 4
    getpid = staticmethod(os.getpid)

    def open(self, path, flags):
        if path not in self.devices:
            raise fault(errno.ENOENT)
        device = self.devices[path]
        if device.refuses is not None:
            raise device.refuses
        handle = 1000 + len(self.open_files)
        self.open_files[handle] = [device, False]
        return handle

    def start(self, path, handle, cover):
        self.starts += 1
        self.kept[path] = FakeHeld(self, path, handle, cover)
        return self.kept[path]

    def take(self, path):
        held = self.kept.get(path)
        if held is None or held.owned:
            return None
        held.owned = True
        return held, held.handle

    def close(self, handle):
        if any(held.handle == handle for held in self.kept.values()):
            return  # the sentinel has it open still
        device, writer = self.open_files[handle]
        self.open_files[handle] = [None, False]
        if writer:
            device.ready_for_output, device.locked = True, False
        if not device.reader and all(other is not device for other, _ in self.open_files.values()):
            device.ready_for_capture = False

    def write(self, handle, data):
        device = self.open_files[handle][0]
        if device.breaks is not None:
            raise fault(device.breaks)
        device.ready_for_output, device.ready_for_capture = False, True
        device.frames.append(bytes(data))
        return len(device.frames[-1]) - device.short

    def flock(self, handle, how):
        device = self.open_files[handle][0]
        if device.locked not in (False, handle):
            raise BlockingIOError
        device.locked = handle

    # what it uses of live.v4l2
    def ask(self, path, name=""):
        device = self.devices[path]
        trouble = device.refuses
        return v4l2.Device(
            path, device.name, "" if trouble else device.driver, "", 0 if trouble else device.caps, trouble
        )

    def ioctl(self, handle, request, argument):
        device = self.open_files[handle][0]
        if request == v4l2.S_FMT:
            pix = argument.fmt.pix
            device.told = device.fixed or (pix.width, pix.height, v4l2.letters(pix.pixelformat))
        elif request == v4l2.G_FMT:
            width, height, fourcc = device.told
            argument.fmt.pix = v4l2.PixFormat(
                width=width, height=height, pixelformat=v4l2.fourcc(fourcc), sizeimage=device.size()
            )
        elif request == v4l2.S_PARM:
            device.rate = argument.parm.capture.timeperframe
        elif request == v4l2.STREAMON:
            self.open_files[handle][1] = True
            device.ready_for_output = False
            if not device.told[0]:
                raise fault(errno.EINVAL)
            device.ready_for_capture = True
        else:
            raise fault(errno.EINVAL)

    def set_control(self, handle, number, value):
        self.open_files[handle][0].controls[{1: "timeout", 2: "timeout_image_io"}[number]] = value


HD = Format(64, 48, 30.0)


def opened(format=HD, **more):
    sink = VirtualCamera(**more)
    sink.open(format)
    return sink
