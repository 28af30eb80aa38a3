"""A V4L2 driver that exists in memory only: its device is a memfd, so that mapping its buffers is real."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from live import v4l2
from live.v4l2 import Device

REAL = v4l2.CAP_CAPTURE | v4l2.CAP_STREAMING


@dataclass
class FakeDriver:
    """Offers `modes` {pixels: {(w, h): [fps]}}; `due` are the pictures to come: (bytes, time in ns, flags)."""

    modes: dict = field(default_factory=lambda: {"YUYV": {(64, 48): [30]}})
    fails: dict = field(default_factory=dict)
    buffers: int = 4
    length: int = 64 * 48 * 2
    due: list = field(default_factory=list)
    queued: list = field(default_factory=list)
    full: list = field(default_factory=list)
    set_format: tuple | None = None
    rate: float = 0.0
    streaming: bool = False
    closed: int = 0

    def __post_init__(self):
        self.handle = os.memfd_create("camera")
        os.ftruncate(self.handle, self.buffers * 65536)

    def arrive(self, count=1):
        """The next pictures fill buffers, as far as there are empty ones."""
        for _ in range(count):
            data, time_ns, flags = self.due.pop(0)
            if self.queued:
                index = self.queued.pop(0)
                os.pwrite(self.handle, data, index * 65536)
                self.full.append((index, len(data), time_ns, flags))

    def ready(self, handle, wait_s):
        """Stands in for poll: a picture arrives if none is there."""
        if "poll" in self.fails:
            raise OSError(self.fails["poll"], os.strerror(self.fails["poll"]))
        if not self.full and self.due:
            self.arrive()
        return bool(self.full) or "DQBUF" in self.fails

    def ioctl(self, handle, request, argument):
        name = next(name for name, code in vars(v4l2).items() if name.isupper() and code == request)
        if name in self.fails:
            raise OSError(self.fails[name], os.strerror(self.fails[name]))
        getattr(self, f"_{name.lower()}", lambda _: None)(argument)

    def _enum_fmt(self, a):
        a.pixelformat = v4l2.fourcc(self._nth(list(self.modes), a.index))

    def _enum_framesizes(self, a):
        size = self._nth(list(self.modes[v4l2.letters(a.pixel_format)]), a.index)
        a.type = v4l2.DISCRETE if len(size) == 2 else 3
        for i, value in enumerate(size):
            a.sizes[i] = value

    def _enum_frameintervals(self, a):
        sizes = self.modes[v4l2.letters(a.pixel_format)]
        rates = sizes.get((a.width, a.height)) or next(iter(sizes.values()))
        if isinstance(rates, tuple):  # a range
            self._nth([rates], a.index)
            a.type = 3
            for interval, rate in zip(a.intervals, rates[::-1], strict=False):
                interval.numerator, interval.denominator = 1, rate
        else:
            a.type = v4l2.DISCRETE
            rate = self._nth(rates, a.index)
            a.intervals[0].numerator, a.intervals[0].denominator = 10, round(rate * 10)

    def _nth(self, things, index):
        if index >= len(things):
            raise OSError(errno.EINVAL, "no more")
        return things[index]

    def _s_fmt(self, a):
        pix = a.fmt.pix
        self.set_format = (v4l2.letters(pix.pixelformat), pix.width, pix.height)
        pix.bytesperline = pix.width * {"YUYV": 2, "UYVY": 2, "RGB3": 3, "BGR3": 3}.get(self.set_format[0], 1)

    def _s_parm(self, a):
        interval = a.parm.capture.timeperframe
        self.rate = interval.denominator / interval.numerator

    def _reqbufs(self, a):
        a.count = min(a.count, self.buffers)

    def _querybuf(self, a):
        a.length, a.m.offset = 65536, a.index * 65536

    def _qbuf(self, a):
        assert a.index not in self.queued
        self.queued.append(a.index)
        a.timestamp.tv_sec = a.timestamp.tv_usec = a.flags = 0  # as the kernel does

    def _dqbuf(self, a):
        if not self.full:
            raise BlockingIOError(errno.EAGAIN, "nothing there")
        a.index, a.bytesused, time_ns, a.flags = self.full.pop(0)
        a.timestamp.tv_sec, a.timestamp.tv_usec = divmod(time_ns // 1000, 1_000_000)

    def _streamon(self, a):
        self.streaming = True


@dataclass
class FakeMachine:
    """Which video nodes there are; `add` and `remove` are what plugging and unplugging does."""

    devices: list[Device] = field(default_factory=list)
    holders: dict = field(default_factory=dict)

    def add(self, path, name, driver="uvcvideo", bus="usb-1", caps=REAL, trouble=None):
        self.devices.append(Device(path, name, driver, bus, caps, trouble))
        return self.devices[-1]

    def loopback(self, path, name, fed=True):
        caps = REAL if fed else v4l2.CAP_OUTPUT
        return self.add(path, name, v4l2.LOOPBACK, f"platform:v4l2loopback-{path[-1]}", caps)

    def remove(self, path):
        self.devices = [device for device in self.devices if device.path != path]

    def ask(self, path, name=""):
        found = [device for device in self.devices if device.path == path]
        return found[0] if found else Device(path, name)


def yuyv(level, height=48, width=64):
    return np.stack([np.full((height, width), level, np.uint8), np.full((height, width), 128, np.uint8)], 2).tobytes()


def pictures(*levels, start_ns=1_000_000_000, step_ns=33_000_000, flags=v4l2.FLAG_MONOTONIC):
    return [(yuyv(level), start_ns + i * step_ns, flags) for i, level in enumerate(levels)]


def exists(*paths):
    """A stand-in for Path.exists that knows these device files as well."""
    real = Path.exists

    def answer(self, **more):
        return str(self) in paths or real(self, **more)

    return answer
