"""The ways in which a camera gives pictures (pixel format, size, rate), and which of them is the best for a wish."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from live import v4l2

_Enum = TypeVar("_Enum", v4l2.FmtDesc, v4l2.FrmSizeEnum, v4l2.FrmIvalEnum)

# What is decoded here, and what it costs beside its rate and size: Motion JPEG takes some 5 ms a picture at 720p to
# decode and blurs, so that plain pixels are better where the cable carries them; grey is the last resort.
PIXELS = {
    "NV12": 0.0, "YU12": 0.0, "YUYV": 0.01, "UYVY": 0.01, "BGR3": 0.02, "RGB3": 0.02,
    "MJPG": 0.05, "JPEG": 0.05, "GREY": 5.0,
}  # fmt: skip
_MOST = 4096  # entries that one enumeration may have


@dataclass(frozen=True, slots=True)
class Mode:
    """One way; `fps` 0 where the camera does not tell."""

    pixels: str
    width: int
    height: int
    fps: float

    def __str__(self) -> str:
        rate = f" at {self.fps:.4g}" if self.fps else ""
        return f"{self.width}x{self.height}{rate} ({self.pixels})"


def modes_of(device: v4l2.Device, wish: Mode) -> list[Mode]:
    """What this camera offers, as `offered` does; empty where it cannot be opened."""
    try:
        handle = os.open(device.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return offered(handle, wish)
    finally:
        os.close(handle)


def offered(handle: int, wish: Mode) -> list[Mode]:
    """Every mode that the open device lists. Where it lists ranges: what of each comes nearest to the wish."""
    modes = []
    for description in _each(handle, v4l2.ENUM_FMT, v4l2.FmtDesc(type=v4l2.BUF_TYPE_CAPTURE)):
        pixels = v4l2.letters(description.pixelformat)
        for width, height in _sizes(handle, description.pixelformat, wish):
            rates = list(_rates(handle, description.pixelformat, width, height, wish.fps))
            modes += [Mode(pixels, width, height, rate) for rate in rates or [0.0]]
    return list(dict.fromkeys(modes))


def best(modes: list[Mode], wish: Mode) -> Mode | None:
    """The mode nearest to the wish; only those in the wish's pixel format, where it names one. None: there is none.

    The price of a mode is how far it is off, in octaves of its area, shape and rate; a picture that comes too seldom
    is worse than one that is too small, and one that comes too often costs little, since the newest wins.
    """
    usable = [mode for mode in modes if mode.pixels in PIXELS and wish.pixels in ("", mode.pixels)]
    return min(usable, key=lambda mode: _price(mode, wish), default=None)


def _price(mode: Mode, wish: Mode) -> float:
    area = math.log2(mode.width * mode.height / (wish.width * wish.height))
    shape = math.log2(mode.width / mode.height * wish.height / wish.width)
    rate = math.log2(mode.fps / wish.fps) if mode.fps else 0.0
    return abs(area) + 1.5 * abs(shape) + (0.2 * rate if rate > 0 else -1.5 * rate) + PIXELS[mode.pixels]


def _sizes(handle: int, pixels: int, wish: Mode) -> Iterator[tuple[int, int]]:
    for found in _each(handle, v4l2.ENUM_FRAMESIZES, v4l2.FrmSizeEnum(pixel_format=pixels)):
        if found.type == v4l2.DISCRETE:
            yield found.sizes[0], found.sizes[1]
        else:
            low_w, high_w, step_w, low_h, high_h, step_h = found.sizes
            yield _within(wish.width, low_w, high_w, step_w), _within(wish.height, low_h, high_h, step_h)
            return


def _within(wanted: int, low: int, high: int, step: int) -> int:
    clamped = min(max(wanted, low), high)
    return clamped - (clamped - low) % max(step, 1)


def _rates(handle: int, pixels: int, width: int, height: int, wanted: float) -> Iterator[float]:
    asked = v4l2.FrmIvalEnum(pixel_format=pixels, width=width, height=height)
    for found in _each(handle, v4l2.ENUM_FRAMEINTERVALS, asked):
        rates = [i.denominator / i.numerator for i in found.intervals if i.numerator and i.denominator]
        if found.type == v4l2.DISCRETE:
            yield from rates[:1]
        else:
            yield min(max(wanted, min(rates[:2], default=wanted)), max(rates[:2], default=wanted))
            return


def _each(handle: int, request: int, asked: _Enum) -> Iterator[_Enum]:
    """What the driver answers for index 0, 1, 2 ... until it says that there is no more."""
    for index in range(_MOST):
        asked.index = index
        with contextlib.suppress(OSError):
            v4l2.ioctl(handle, request, asked)
            yield asked
            continue
        return
