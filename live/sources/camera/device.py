"""A camera on Linux, read without anything in between: it gives the newest picture, and tells at once when it has gone.

OpenCV's capture would do for a start, but it hands out the oldest queued picture, and waits ten seconds for a camera
that has been unplugged.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import select
import time

import cv2
import numpy as np
import numpy.typing as npt

from engines.errors import BadInput, DoppelcamError, NotAvailable, SourceLost
from live import v4l2
from live.frame import Image
from live.sources.camera.modes import PIXELS, Mode, best, offered

_BUFFERS = 4
_FIRST_S, _SILENT_S = 5.0, 1.0  # how long the first picture, and every other one, is waited for
_CONVERT = {
    "YUYV": cv2.COLOR_YUV2BGR_YUY2,
    "UYVY": cv2.COLOR_YUV2BGR_UYVY,
    "NV12": cv2.COLOR_YUV2BGR_NV12,
    "YU12": cv2.COLOR_YUV2BGR_I420,
    "RGB3": cv2.COLOR_RGB2BGR,
    "GREY": cv2.COLOR_GRAY2BGR,
}
JPEGS = ("MJPG", "JPEG")
_END = b"\xff\xd9"
Bytes = npt.NDArray[np.uint8]


class DeviceCapture:
    """An open camera that streams. `mode` is what it really gives. Made and used on one thread."""

    def __init__(self, device: v4l2.Device, wish: Mode) -> None:
        """`wish.pixels` may be empty. Raises BadInput, NotAvailable, and SourceLost where it gives no picture."""
        self._device = device
        self._handle = -1
        self._memory: list[mmap.mmap] = []
        self._kept: tuple[Image, int | None] | None = None
        self._marks_end = False  # some cameras leave out the mark at the end of a JPEG, always
        try:
            self._handle = os.open(device.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self.mode = self._set(wish)
            self._start()
            self._kept = self._next(_FIRST_S)
        except OSError as error:
            self.close()
            raise cannot_open(device, error) from None
        except DoppelcamError:
            self.close()
            raise

    def read(self) -> tuple[Image, int | None]:
        """The newest picture, fresh and writable; the driver's time for it in ns, if it is of the right clock.

        Raises SourceLost.
        """
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return kept
        try:
            return self._next(max(_SILENT_S, 3 / self.mode.fps))
        except OSError as error:
            raise SourceLost(f"camera {self._device.name} {_trouble(error)}") from None

    def close(self) -> None:
        for memory in self._memory:
            memory.close()
        self._memory.clear()
        if self._handle >= 0:
            os.close(self._handle)  # stops the stream, too
        self._handle = -1

    def _set(self, wish: Mode) -> Mode:
        """Agree on a mode with the driver, which may change whatever it cannot do."""
        modes = offered(self._handle, wish)
        chosen = best(modes, wish)
        if chosen is None and modes:
            given = ", ".join(sorted({mode.pixels for mode in modes if wish.pixels == "" or mode.pixels in PIXELS}))
            if wish.pixels:
                raise BadInput(
                    f"camera {self._device.name} does not give {wish.pixels}", hint=f"it gives {given}; auto chooses"
                )
            raise NotAvailable(f"camera {self._device.name} gives only {given}, which cannot be read here")
        chosen = chosen or Mode(wish.pixels or "YUYV", wish.width, wish.height, wish.fps)
        wanted = v4l2.Format(type=v4l2.BUF_TYPE_CAPTURE)
        pix = wanted.fmt.pix
        pix.width, pix.height, pix.field = chosen.width, chosen.height, v4l2.FIELD_NONE
        pix.pixelformat = v4l2.fourcc(chosen.pixels)
        v4l2.ioctl(self._handle, v4l2.S_FMT, wanted)
        pixels = v4l2.letters(pix.pixelformat)
        if pixels not in PIXELS:
            raise NotAvailable(f"camera {self._device.name} gives {pixels}, which cannot be read here")
        self._stride, self._size = pix.bytesperline, (pix.height, pix.width)
        return Mode(pixels, pix.width, pix.height, self._set_rate(chosen.fps or wish.fps) or chosen.fps or wish.fps)

    def _set_rate(self, fps: float) -> float:
        """The rate that the driver says it will keep; 0 where it does not tell."""
        asked = v4l2.StreamParm(type=v4l2.BUF_TYPE_CAPTURE)
        interval = asked.parm.capture.timeperframe
        interval.numerator, interval.denominator = 1000, round(fps * 1000)
        with contextlib.suppress(OSError):  # many drivers have one rate and no such request
            v4l2.ioctl(self._handle, v4l2.S_PARM, asked)
            if interval.numerator and 1 <= interval.denominator / interval.numerator <= 1000:
                return float(interval.denominator / interval.numerator)
        return 0.0

    def _start(self) -> None:
        asked = v4l2.RequestBuffers(count=_BUFFERS, type=v4l2.BUF_TYPE_CAPTURE, memory=v4l2.MEMORY_MMAP)
        v4l2.ioctl(self._handle, v4l2.REQBUFS, asked)
        for index in range(asked.count):
            buffer = _buffer(index)
            v4l2.ioctl(self._handle, v4l2.QUERYBUF, buffer)
            self._memory.append(
                mmap.mmap(self._handle, buffer.length, mmap.MAP_SHARED, mmap.PROT_READ, offset=buffer.m.offset)
            )
            v4l2.ioctl(self._handle, v4l2.QBUF, buffer)
        if not self._memory:
            raise OSError(errno.ENOMEM, "the driver gives no buffers")
        v4l2.ioctl(self._handle, v4l2.STREAMON, ctypes.c_int(v4l2.BUF_TYPE_CAPTURE))

    def _next(self, patience_s: float) -> tuple[Image, int | None]:
        """Wait for a picture that is fresh and whole. Raises OSError, and SourceLost when none comes."""
        end = time.monotonic() + patience_s
        while (left_s := end - time.monotonic()) > 0:
            if not _ready(self._handle, left_s):
                continue
            taken, buffer = self._newest()
            if buffer is None:
                continue
            stamp = _time_of(buffer)
            try:
                # Every buffer was full: the driver had none left to fill, so even the newest is an old one.
                starved = taken == len(self._memory) >= _BUFFERS
                image = None if starved or buffer.flags & v4l2.FLAG_ERROR else self._picture(buffer)
            finally:
                v4l2.ioctl(self._handle, v4l2.QBUF, buffer)  # which wipes its time and flags
            if image is not None:
                return image, stamp
        raise SourceLost(f"camera {self._device.name} gives no picture")

    def _newest(self) -> tuple[int, v4l2.Buffer | None]:
        """Take everything that is ready, give all but the newest back; how many there were."""
        newest, taken = None, 0
        while True:
            buffer = _buffer(0)
            try:
                v4l2.ioctl(self._handle, v4l2.DQBUF, buffer)
            except BlockingIOError:
                return taken, newest
            if newest is not None:
                v4l2.ioctl(self._handle, v4l2.QBUF, newest)
            newest, taken = buffer, taken + 1
            if taken == len(self._memory):
                return taken, newest

    def _picture(self, buffer: v4l2.Buffer) -> Image | None:
        """The buffer as a picture of its own, or None where it is not whole."""
        data = np.frombuffer(self._memory[buffer.index], np.uint8, count=buffer.bytesused)
        if self.mode.pixels in JPEGS and data.tobytes().rfind(_END) < 0:
            if self._marks_end:
                return None  # it was cut off, and would be filled up with grey
            data = np.concatenate([data, np.frombuffer(_END, np.uint8)])
        else:
            self._marks_end = True
        return decode(data, self.mode.pixels, *self._size, self._stride)


def decode(data: Bytes, pixels: str, height: int, width: int, stride: int) -> Image | None:
    """Bytes from a camera as BGR u8 [height, width, 3] of its own; None where they are not a whole picture.

    `stride` is the length of a row of (luma) pixels in bytes. Plain YUV is taken for BT.601 with limited range, as
    webcams give it.
    """
    if pixels in JPEGS:
        return cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if data.size else None  # type: ignore[return-value]
    rows, columns = _shape(pixels, height, width)
    stride = max(stride, columns)
    if data.size < stride * rows - (stride - columns):
        return None
    plane = np.lib.stride_tricks.as_strided(data, (rows, columns), (stride, 1), writeable=False)
    if pixels in ("YUYV", "UYVY"):
        plane = plane.reshape(rows, width, 2) if stride == columns else plane.copy().reshape(rows, width, 2)
    elif pixels in ("BGR3", "RGB3"):
        plane = plane.reshape(rows, width, 3) if stride == columns else plane.copy().reshape(rows, width, 3)
    if pixels == "BGR3":
        return plane.copy()
    return cv2.cvtColor(plane, _CONVERT[pixels])  # type: ignore[return-value]


def _shape(pixels: str, height: int, width: int) -> tuple[int, int]:
    """Rows and bytes in a row."""
    if pixels in ("NV12", "YU12"):
        return height * 3 // 2, width
    return height, width * {"YUYV": 2, "UYVY": 2, "BGR3": 3, "RGB3": 3, "GREY": 1}[pixels]


def cannot_open(device: v4l2.Device, error: OSError) -> DoppelcamError:
    """What to tell the user when this device refuses, and what to do about it."""
    where = f"{device.path} ({device.name})" if device.name else device.path
    if error.errno in (errno.EACCES, errno.EPERM):
        return BadInput(
            f"camera {where} may not be opened by this user",
            hint='add yourself to the group "video" and log in again: sudo usermod -aG video $USER',
        )
    if error.errno == errno.EBUSY:
        return NotAvailable(f"camera {where} is in use by {busy_with(device.path)}", hint="close it, or its video")
    if error.errno in (errno.ENODEV, errno.ENXIO, errno.ENOENT):
        return SourceLost(f"camera {where} is not there any more", hint="plug it in again")
    if device.virtual:
        return NotAvailable(f"the virtual camera {where} gives nothing", hint="start the program that feeds it first")
    return NotAvailable(f"camera {where} cannot be opened ({_trouble(error)})", hint="unplug it and plug it in again")


def busy_with(path: str) -> str:
    """Who has this device open, in words."""
    found, secret = v4l2.holders(path)
    names = [f"{name} (process {number})" for number, name in found if number != os.getpid()]
    if names or found:
        return ", ".join(names) or "this doppelcam itself"
    return "a program of another user" if secret else "another program"


def _ready(handle: int, wait_s: float) -> bool:
    """Wait until the device has something to say. Raises OSError at once when it has gone."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    events = poll.poll(wait_s * 1000)
    if events and events[0][1] & select.POLLNVAL:
        raise OSError(errno.ENODEV, "no such device")
    return bool(events)  # also with POLLERR: asking for a buffer then says what it is


def _buffer(index: int) -> v4l2.Buffer:
    return v4l2.Buffer(index=index, type=v4l2.BUF_TYPE_CAPTURE, memory=v4l2.MEMORY_MMAP)


def _time_of(buffer: v4l2.Buffer) -> int | None:
    if buffer.flags & v4l2.FLAG_CLOCK_MASK != v4l2.FLAG_MONOTONIC:
        return None
    return int(buffer.timestamp.tv_sec * 1_000_000_000 + buffer.timestamp.tv_usec * 1000)


def _trouble(error: OSError) -> str:
    if error.errno in (errno.ENODEV, errno.ENXIO):
        return "was unplugged"
    return f"failed: {error.strerror or error}"
