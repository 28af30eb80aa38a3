"""A camera: the mode that comes nearest to what is asked for, always its newest picture, found again when replugged.

which.py     which camera is meant          modes.py     what it offers, and what is taken of that
device.py    reads it on Linux              opencv.py    reads it elsewhere
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass, field

from engines.errors import BadInput, NotAvailable
from live import v4l2
from live.frame import Captured, Format
from live.settings import setting
from live.sources.camera.device import DeviceCapture
from live.sources.camera.modes import Mode
from live.sources.camera.opencv import OpencvCapture
from live.sources.camera.which import Identity, cameras, find, identity
from live.trace import clock

# A driver's time stamp is believed when it lies so far before (or, by rounding, after) now.
_BELIEVED_MS = (-5.0, 500.0)

_log = logging.getLogger("doppelcam.sources")


@dataclass
class Camera:
    """Source: a webcam."""

    device: str = setting("", "number, path, (part of the) name, or id; the first camera if not given", argument=True)
    width: int = setting(1280, "width asked for, in pixels", low=160, high=7680, step=16)
    height: int = setting(720, "height asked for, in pixels", low=120, high=4320, step=8)
    fps: int = setting(30, "frames a second asked for", low=1, high=240)
    pixel_format: str = setting("auto", "auto: what gives that size and rate; or four letters: MJPG, YUYV ...")

    _capture: DeviceCapture | OpencvCapture | None = field(default=None, init=False, repr=False)
    _known: Identity | None = field(default=None, init=False, repr=False)
    _noted: Mode | None = field(default=None, init=False, repr=False)
    _first_ns: int | None = field(default=None, init=False)
    _last_s: float = field(default=0.0, init=False)

    def open(self) -> Format:
        """Opened again, it is the same camera or none, whatever the system calls it then."""
        pixels = "" if self.pixel_format == "auto" else self.pixel_format
        if len(pixels) not in (0, 4) or not pixels.isascii():
            raise BadInput(f"the pixel format {pixels!r} is not four letters", hint="for example MJPG; or auto")
        wish = Mode(pixels, self.width, self.height, float(self.fps))
        if sys.platform == "linux":
            device = self._known.find() if self._known else find(self.device)
            if device.virtual and any(process == os.getpid() for process, _ in v4l2.holders(device.path)[0]):
                raise BadInput(
                    f"{device.path} ({device.name}) is where the picture goes: it cannot come from there as well",
                    hint="choose another camera: doppelcam list --cameras",
                )
            self._capture = DeviceCapture(device, wish)
            self._known = identity(device)
        else:
            self._capture = OpencvCapture(self.device, wish)
        mode = self._capture.mode
        self._note(wish, mode)
        return Format(mode.width, mode.height, mode.fps)

    def read(self) -> Captured:
        assert self._capture is not None, "open() comes first"
        image, stamp_ns = self._capture.read()
        now = clock()
        captured_ns = stamp_ns if stamp_ns is not None and _believed(now - stamp_ns) else now
        if self._first_ns is None:
            self._first_ns = captured_ns
        # A driver's time after one that was not believed may lie before it.
        self._last_s = max(self._last_s, (captured_ns - self._first_ns) / 1e9)
        return Captured(image, captured_ns, self._last_s)

    def close(self) -> None:
        if self._capture is not None:
            self._capture.close()
        self._capture = None

    def _note(self, wish: Mode, mode: Mode) -> None:
        """Say once when the camera cannot do what is asked for."""
        same = (mode.width, mode.height) == (wish.width, wish.height) and 0.9 * wish.fps <= mode.fps
        if not same and mode != self._noted:
            _log.warning("the camera gives %s; asked for: %dx%d at %g", mode, wish.width, wish.height, wish.fps)
        self._noted = mode


def _believed(age_ns: int) -> bool:
    low, high = _BELIEVED_MS
    return low < age_ns / 1e6 < high


def available() -> None:
    """Raises NotAvailable where the system lists no camera at all (only Linux tells)."""
    if sys.platform == "linux" and not cameras():
        raise NotAvailable("no camera is connected", hint="plug one in, or use --source sample")
