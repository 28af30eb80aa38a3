"""Linux's V4L2 interface as far as it is used here: structures, request codes, and what a video device says it is.

Names, layouts and numbers are those of <linux/videodev2.h>, the kernel's public interface.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import c_char, c_long, c_uint8, c_uint32, c_uint64
from dataclasses import dataclass
from pathlib import Path

CLASS = Path("/sys/class/video4linux")

BUF_TYPE_CAPTURE, BUF_TYPE_OUTPUT = 1, 2
MEMORY_MMAP = 1
FIELD_NONE = 1
CAP_CAPTURE, CAP_OUTPUT, CAP_CAPTURE_MPLANE, CAP_STREAMING, CAP_DEVICE_CAPS = 0x1, 0x2, 0x1000, 0x04000000, 0x80000000
FLAG_ERROR, FLAG_CLOCK_MASK, FLAG_MONOTONIC = 0x40, 0xE000, 0x2000
DISCRETE = 1
_NEXT_CONTROL = 0x80000000
LOOPBACK = "v4l2 loopback"  # the driver of virtual cameras


class _Struct(ctypes.Structure):
    """A kernel structure that can be made with its fields by name."""


class Capability(_Struct):
    _fields_ = [
        ("driver", c_char * 16),
        ("card", c_char * 32),
        ("bus_info", c_char * 32),
        ("version", c_uint32),
        ("capabilities", c_uint32),
        ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    ]


class FmtDesc(_Struct):
    _fields_ = [
        ("index", c_uint32),
        ("type", c_uint32),
        ("flags", c_uint32),
        ("description", c_char * 32),
        ("pixelformat", c_uint32),
        ("mbus_code", c_uint32),
        ("reserved", c_uint32 * 3),
    ]


class Fract(_Struct):
    _fields_ = [("numerator", c_uint32), ("denominator", c_uint32)]


class FrmSizeEnum(_Struct):
    """`sizes`: width, height (discrete), else least, most and step of the width, then of the height."""

    _fields_ = [
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("type", c_uint32),
        ("sizes", c_uint32 * 6),
        ("reserved", c_uint32 * 2),
    ]


class FrmIvalEnum(_Struct):
    """`intervals`: one (discrete), else the shortest, the longest and the step."""

    _fields_ = [
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("type", c_uint32),
        ("intervals", Fract * 3),
        ("reserved", c_uint32 * 2),
    ]


class PixFormat(_Struct):
    _fields_ = [
        ("width", c_uint32),
        ("height", c_uint32),
        ("pixelformat", c_uint32),
        ("field", c_uint32),
        ("bytesperline", c_uint32),
        ("sizeimage", c_uint32),
        ("colorspace", c_uint32),
        ("priv", c_uint32),
        ("flags", c_uint32),
        ("ycbcr_enc", c_uint32),
        ("quantization", c_uint32),
        ("xfer_func", c_uint32),
    ]


class _FormatUnion(ctypes.Union):
    _fields_ = [("pix", PixFormat), ("raw", c_uint8 * 200), ("align", c_uint64)]


class Format(_Struct):
    _fields_ = [("type", c_uint32), ("fmt", _FormatUnion)]


class CaptureParm(_Struct):
    _fields_ = [
        ("capability", c_uint32),
        ("capturemode", c_uint32),
        ("timeperframe", Fract),
        ("extendedmode", c_uint32),
        ("readbuffers", c_uint32),
        ("reserved", c_uint32 * 4),
    ]


class _ParmUnion(ctypes.Union):
    _fields_ = [("capture", CaptureParm), ("raw", c_uint8 * 200)]


class StreamParm(_Struct):
    _fields_ = [("type", c_uint32), ("parm", _ParmUnion)]


class RequestBuffers(_Struct):
    _fields_ = [
        ("count", c_uint32),
        ("type", c_uint32),
        ("memory", c_uint32),
        ("capabilities", c_uint32),
        ("flags", c_uint8),
        ("reserved", c_uint8 * 3),
    ]


class _Timeval(_Struct):
    _fields_ = [("tv_sec", c_long), ("tv_usec", c_long)]


class _Timecode(_Struct):
    _fields_ = [("words", c_uint32 * 2), ("bytes", c_uint8 * 8)]


class _MemoryUnion(ctypes.Union):
    _fields_ = [("offset", c_uint32), ("userptr", ctypes.c_ulong)]


class Buffer(_Struct):
    _fields_ = [
        ("index", c_uint32),
        ("type", c_uint32),
        ("bytesused", c_uint32),
        ("flags", c_uint32),
        ("field", c_uint32),
        ("timestamp", _Timeval),
        ("timecode", _Timecode),
        ("sequence", c_uint32),
        ("memory", c_uint32),
        ("m", _MemoryUnion),
        ("length", c_uint32),
        ("reserved2", c_uint32),
        ("request_fd", c_uint32),
    ]


class QueryCtrl(_Struct):
    _fields_ = [
        ("id", c_uint32),
        ("type", c_uint32),
        ("name", c_char * 32),
        ("limits", ctypes.c_int32 * 4),
        ("flags", c_uint32),
        ("reserved", c_uint32 * 2),
    ]


class Control(_Struct):
    _fields_ = [("id", c_uint32), ("value", ctypes.c_int32)]


def _code(direction: int, number: int, struct: type) -> int:
    """An ioctl request code as <asm-generic/ioctl.h> makes it: direction, size, 'V', number."""
    return direction << 30 | ctypes.sizeof(struct) << 16 | ord("V") << 8 | number


_WRITE, _READ = 1, 2
QUERYCAP = _code(_READ, 0, Capability)
ENUM_FMT = _code(_READ | _WRITE, 2, FmtDesc)
G_FMT = _code(_READ | _WRITE, 4, Format)
S_FMT = _code(_READ | _WRITE, 5, Format)
REQBUFS = _code(_READ | _WRITE, 8, RequestBuffers)
QUERYBUF = _code(_READ | _WRITE, 9, Buffer)
QBUF = _code(_READ | _WRITE, 15, Buffer)
DQBUF = _code(_READ | _WRITE, 17, Buffer)
STREAMON = _code(_WRITE, 18, ctypes.c_int)
STREAMOFF = _code(_WRITE, 19, ctypes.c_int)
S_PARM = _code(_READ | _WRITE, 22, StreamParm)
S_CTRL = _code(_READ | _WRITE, 28, Control)
QUERYCTRL = _code(_READ | _WRITE, 36, QueryCtrl)
ENUM_FRAMESIZES = _code(_READ | _WRITE, 74, FrmSizeEnum)
ENUM_FRAMEINTERVALS = _code(_READ | _WRITE, 75, FrmIvalEnum)


def ioctl(handle: int, request: int, argument: ctypes.Structure | ctypes.c_int) -> None:
    """One request to the driver, which fills in `argument`. Raises OSError."""
    import fcntl  # Linux and macOS only

    fcntl.ioctl(handle, request, argument, True)


def integer(value: int) -> ctypes.c_int:
    return ctypes.c_int(value)


def controls(handle: int) -> dict[str, int]:
    """The names and numbers of a device's controls. Raises OSError where it has none."""
    found: dict[str, int] = {}
    query = QueryCtrl(id=_NEXT_CONTROL)
    while True:
        try:
            ioctl(handle, QUERYCTRL, query)
        except OSError:
            if found:
                return found
            raise
        found[_text(query.name)] = query.id
        query.id |= _NEXT_CONTROL


def set_control(handle: int, number: int, value: int) -> None:
    """Raises OSError."""
    ioctl(handle, S_CTRL, Control(number, value))


def fourcc(letters: str) -> int:
    return int.from_bytes(letters.ljust(4).encode("ascii"), "little")


def letters(code: int) -> str:
    return code.to_bytes(4, "little").decode("ascii", "replace").strip()


@dataclass(frozen=True, slots=True)
class Device:
    """A video node and what it said of itself; `driver` is empty where it could not be asked, `trouble` says why."""

    path: str
    name: str
    driver: str = ""
    bus: str = ""
    caps: int = 0
    trouble: OSError | None = None

    @property
    def virtual(self) -> bool:
        """Made by v4l2loopback: what comes out is what a program puts in."""
        return self.driver == LOOPBACK

    @property
    def captures(self) -> bool:
        return bool(self.caps & CAP_CAPTURE)


def ask(path: str, name: str = "") -> Device:
    """What this node says it is. Never raises: a node that cannot be asked says why in `trouble`."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return Device(path, name, trouble=error)
    try:
        said = Capability()
        ioctl(handle, QUERYCAP, said)
    except OSError as error:
        return Device(path, name, trouble=error)
    finally:
        os.close(handle)
    caps = said.device_caps if said.capabilities & CAP_DEVICE_CAPS else said.capabilities
    return Device(path, name or _text(said.card), _text(said.driver), _text(said.bus_info), caps)


def devices() -> list[Device]:
    """Every video node of this machine, by number. Empty where the system is not Linux."""
    found = []
    if sys.platform == "linux":
        for node in sorted(CLASS.glob("video*"), key=_number):
            try:
                name = (node / "name").read_text(encoding="utf-8", errors="replace").strip()
            except OSError:
                continue  # it has just gone
            found.append(ask(f"/dev/{node.name}", name))
    return found


def holders(path: str) -> tuple[list[tuple[int, str]], bool]:
    """Who has this device open: (process, its name), ours among them; and whether some processes kept it secret.

    Only root sees the files of other users' processes.
    """
    found, secret = [], False
    try:
        wanted = os.stat(path).st_rdev
    except OSError:
        return [], False
    for process in Path("/proc").glob("[0-9]*"):
        try:
            files = list((process / "fd").iterdir())
        except PermissionError:
            secret = True
            continue
        except OSError:
            continue  # it has just ended
        if any(_is_device(file, wanted) for file in files):
            found.append((int(process.name), _program(process)))
    return sorted(found), secret


def _is_device(file: Path, wanted: int) -> bool:
    try:
        return os.readlink(file).startswith("/dev/") and os.stat(file).st_rdev == wanted
    except OSError:
        return False


def _program(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "a program"


def _number(node: Path) -> int:
    digits = node.name.removeprefix("video")
    return int(digits) if digits.isdigit() else -1


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").strip()
