"""v4l2loopback, written to as its driver wants it: choosing a device, agreeing on a format, frames, errors.

What the driver does is said in its README and its source (read for facts, version 0.12.7 as in Debian 12 and the
0.13 to 0.15 line); where versions differ, both are served. The controls keep_format and sustain_framerate are left
alone: a device that keeps its format after its writer has gone announces OUTPUT too, and browsers do not list those.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import mmap
import os
import platform
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engines.errors import BadInput, NotAvailable, SinkLost
from live import sentinel, v4l2
from live.frame import Format, Image
from live.v4l2 import Device

log = logging.getLogger(__name__)

NAME = "doppelcam"
MODPROBE = f"sudo modprobe v4l2loopback exclusive_caps=1 max_buffers=4 card_label={NAME}"
INSTALL = f"load the module: {MODPROBE}   (Debian / Ubuntu: sudo apt install v4l2loopback-dkms comes first)"
_REST_AFTER_MS = 1000

# Letters of the setting -> the driver's fourcc, OpenCV's conversion, bytes a pixel in halves (3 = 1.5).
_LAYOUTS = {
    "YUYV": ("YUYV", cv2.COLOR_BGR2YUV_YUY2, 4),
    "I420": ("YU12", cv2.COLOR_BGR2YUV_I420, 3),
}


class Loopback:
    """An opened device of v4l2loopback. Raises BadInput, NotAvailable; `write` raises SinkLost.

    `taken`: the device as an earlier run left it, opened; it keeps its size and pixel format.
    """

    def __init__(self, device: str | None, format: Format, letters: str, taken: int | None = None) -> None:
        self.path = choose(device).path if taken is None else str(device)
        self._handle = _open(self.path) if taken is None else taken
        try:
            self._claim()
            if taken is None:
                self._ask(format, letters)
            self._agree(format)
        except OSError as error:
            self.close()
            raise _refusal(self.path, error) from None
        except BaseException:
            self.close()
            raise
        # The fitted picture, where it is not the frame itself, and the bytes that are written.
        self._canvas: Image | None = None
        height, width = self.height, self.width
        shape = (height, width, 2) if self._letters == "YUYV" else (height * 3 // 2, width)
        self._bytes = np.empty(shape, np.uint8)

    def _claim(self) -> None:
        """One writer at a time. Where the driver does not see to that (0.12 without exclusive_caps), this lock does."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(self.path) from None

    def _ask(self, format: Format, letters: str) -> None:
        """Say what will be written."""
        fourcc, _, _ = _LAYOUTS[letters]
        asked = v4l2.Format(type=v4l2.BUF_TYPE_OUTPUT)
        pix = asked.fmt.pix
        pix.width, pix.height = format.width // 2 * 2, format.height // 2 * 2
        pix.pixelformat, pix.field = v4l2.fourcc(fourcc), v4l2.FIELD_NONE
        v4l2.ioctl(self._handle, v4l2.S_FMT, asked)

    def _agree(self, format: Format) -> None:
        """Read back what the driver made of it: as long as some program reads the device, it keeps the size and pixel
        format of before, and these must be served."""
        told = v4l2.Format(type=v4l2.BUF_TYPE_OUTPUT)
        v4l2.ioctl(self._handle, v4l2.G_FMT, told)
        pix = told.fmt.pix
        self.width, self.height = pix.width, pix.height
        got = v4l2.letters(pix.pixelformat)
        self._letters = next((name for name, (fourcc, _, _) in _LAYOUTS.items() if fourcc == got), "")
        if not self._letters or self.width % 2 or self.height % 2:
            raise NotAvailable(
                f"{self.path} is fixed at {self.width}x{self.height} {got} by who reads it ({_who(self.path)})",
                hint="close those programs, and open them again when doppelcam runs",
            )
        rate = Fraction(format.fps).limit_denominator(1001)
        pace = v4l2.StreamParm(type=v4l2.BUF_TYPE_OUTPUT)
        pace.parm.capture.timeperframe = v4l2.Fract(rate.denominator, rate.numerator)
        with suppress(OSError):  # only what readers are told of the rate
            v4l2.ioctl(self._handle, v4l2.S_PARM, pace)
        _become_writer(self._handle)

    @property
    def handle(self) -> int:
        """The opened device's file descriptor."""
        return self._handle

    def has(self, format: Format, letters: str) -> bool:
        """Whether the device has the size and the pixel format that these would get on a free one."""
        return (self.width, self.height, self._letters) == (format.width // 2 * 2, format.height // 2 * 2, letters)

    def bytes_of(self, image: Image) -> bytes:
        """This picture as the device takes it."""
        return cv2.cvtColor(self._fitted(image), _LAYOUTS[self._letters][1]).tobytes()

    def write(self, image: Image) -> None:
        """`image` u8 BGR of any size. Writes all bytes of one frame, as the driver was told them."""
        cv2.cvtColor(self._fitted(image), _LAYOUTS[self._letters][1], dst=self._bytes)
        self.write_bytes(self._bytes)

    def write_bytes(self, picture: npt.NDArray[np.uint8]) -> None:
        """One frame in the device's own size and layout."""
        wanted = self.width * self.height * _LAYOUTS[self._letters][2] // 2
        assert picture.nbytes == wanted, "a frame has the agreed size"
        try:
            written = os.write(self._handle, picture.data)
        except OSError as error:
            reason = f"used by {_who(self.path)}" if error.errno == errno.EBUSY else error.strerror
            raise SinkLost(f"the virtual camera {self.path} does not take frames: {reason}") from None
        if written != wanted:
            raise SinkLost(f"the virtual camera {self.path} took {written} of {wanted} bytes")

    def _fitted(self, image: Image) -> Image:
        """The picture in the device's size: odd rows and columns cut off, other sizes scaled with black bars."""
        rows, columns = image.shape[:2]
        if (columns // 2 * 2, rows // 2 * 2) == (self.width, self.height):
            return image[: self.height, : self.width]
        scale = min(self.width / columns, self.height / rows)
        width, height = max(round(columns * scale), 1), max(round(rows * scale), 1)
        x, y = (self.width - width) // 2, (self.height - height) // 2
        if self._canvas is None:
            self._canvas = np.zeros((self.height, self.width, 3), np.uint8)
        inside = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        self._canvas[:] = 0
        self._canvas[y : y + height, x : x + width] = inside
        return self._canvas

    def rest_on(self, image: Image) -> None:
        """Leave this picture with the driver: it shows it when nothing was written for a second, so also to a meeting
        that goes on while doppelcam was killed and starts again. Drivers that cannot are left as they are."""
        picture = self.bytes_of(image)
        try:
            controls = v4l2.controls(self._handle)
            # Whoever opens next, writes that picture. The driver forgets the 1 by itself, but the control does not.
            v4l2.set_control(self._handle, controls["timeout_image_io"], 1)
            second = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            v4l2.set_control(self._handle, controls["timeout_image_io"], 0)
            try:
                v4l2.ioctl(second, v4l2.REQBUFS, v4l2.RequestBuffers(1, v4l2.BUF_TYPE_OUTPUT, v4l2.MEMORY_MMAP))
                place = v4l2.Buffer(type=v4l2.BUF_TYPE_OUTPUT, memory=v4l2.MEMORY_MMAP)
                v4l2.ioctl(second, v4l2.QUERYBUF, place)
                with mmap.mmap(second, place.length, mmap.MAP_SHARED, offset=place.m.offset) as memory:
                    memory[: len(picture)] = picture
            finally:
                os.close(second)
            v4l2.set_control(self._handle, controls["timeout"], _REST_AFTER_MS)
        except (OSError, KeyError, ValueError) as error:
            log.debug("%s cannot keep a picture for when nothing is written: %s", self.path, error)

    def leave(self) -> None:
        """The device stays as it is: somebody else holds it open, too."""
        os.close(self._handle)
        self._handle = -1

    def close(self) -> None:
        """Give the device back as it was found. The last picture stays with those who read."""
        if self._handle >= 0:
            with suppress(OSError, KeyError):
                v4l2.set_control(self._handle, v4l2.controls(self._handle)["timeout"], 0)
            os.close(self._handle)
        self._handle = -1


def choose(wanted: str | None) -> Device:
    """The device for this path or name; without one, that named doppelcam, else the first free one.

    Raises BadInput, NotAvailable; a device that a lost writer left stuck is freed first.
    """
    every = v4l2.devices()
    virtual = [device for device in every if device.virtual]
    if wanted is None:
        named = [device for device in virtual if device.name == NAME]
        for device in named or virtual:
            if _free(device):
                return device
        if named or virtual:
            raise _busy((named or virtual)[0].path)
        raise _none(every)
    for device in every:
        if wanted in (device.path, device.path.removeprefix("/dev/video")) or (
            wanted == device.name and device.virtual
        ):
            if device.trouble is not None:
                raise _refusal(device.path, device.trouble)
            if not device.virtual:
                raise BadInput(f"{device.path} ({device.name}) is no virtual camera", hint=_offered(virtual))
            if not _free(device):
                raise _busy(device.path)
            return device
    raise BadInput(f"there is no virtual camera {wanted}", hint=_offered(virtual))


def _free(device: Device) -> bool:
    """True when the device can be written to. 0.12 forgets to free devices whose writer did not stream: touch those.

    With exclusive_caps it announces OUTPUT while it waits for a writer, CAPTURE while it has one. CAPTURE alone
    although nobody has it open, or neither of them, is a device left stuck. What a sentinel holds, it gives.
    """
    if device.caps & v4l2.CAP_OUTPUT or sentinel.waits(device.path):
        return True
    others, secret = v4l2.holders(device.path)
    if device.captures and (others or secret):
        return False
    with suppress(OSError):
        handle = _open(device.path)
        try:
            _become_writer(handle)
        finally:
            os.close(handle)
    return bool(v4l2.ask(device.path).caps & v4l2.CAP_OUTPUT)


def _become_writer(handle: int) -> None:
    """STREAMON makes 0.12 take this opener for a writer, so that closing frees the device for the next one, even
    after kill -9. Newer ones need no such thing, and say EINVAL; so does one that knows no size yet."""
    with suppress(OSError):
        v4l2.ioctl(handle, v4l2.STREAMON, v4l2.integer(v4l2.BUF_TYPE_OUTPUT))


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise _refusal(path, error) from None


def _refusal(path: str, error: OSError) -> BadInput | NotAvailable:
    """Why this device cannot be used, in the user's words."""
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return BadInput(f"there is no virtual camera {path}", hint=_offered([d for d in v4l2.devices() if d.virtual]))
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotAvailable(
            f"the virtual camera {path} may not be opened by this user",
            hint='add yourself to the group "video" and log in again: sudo usermod -aG video $USER',
        )
    if error.errno == errno.EBUSY:
        return _busy(path)
    return NotAvailable(f"the virtual camera {path} cannot be used: {error.strerror}", hint=f"try again: {MODPROBE}")


def _busy(path: str) -> NotAvailable:
    return NotAvailable(
        f"the virtual camera {path} is written to by another program ({_who(path)})",
        hint="end that program, or make a second camera: load v4l2loopback with devices=2",
    )


def _who(path: str) -> str:
    others, secret = v4l2.holders(path)
    names = [f"{name}, process {number}" for number, name in others if number != os.getpid()]
    if secret:
        names.append("another user's program")
    return "; ".join(names) or "none that can be seen"


def _none(every: list[Device]) -> NotAvailable:
    hidden = [device for device in every if device.trouble is not None]
    if hidden and hidden[0].trouble is not None and hidden[0].trouble.errno == errno.EACCES:
        return NotAvailable(
            "video devices may not be opened by this user",
            hint='add yourself to the group "video" and log in again: sudo usermod -aG video $USER',
        )
    folder = Path("/lib/modules") / platform.release()
    if Path("/sys/module/v4l2loopback").exists():
        return NotAvailable(
            "v4l2loopback is loaded but has no device", hint=f"sudo modprobe -r v4l2loopback; {MODPROBE}"
        )
    installed = any(folder.rglob("v4l2loopback.ko*")) if folder.is_dir() else False
    return NotAvailable(
        "there is no virtual camera: the kernel module v4l2loopback is not " + ("loaded" if installed else "installed"),
        hint=f"load it: {MODPROBE}" if installed else INSTALL,
    )


def _offered(virtual: list[Device]) -> str:
    if not virtual:
        return INSTALL
    return "virtual cameras here: " + ", ".join(f"{device.path} ({device.name})" for device in virtual)
