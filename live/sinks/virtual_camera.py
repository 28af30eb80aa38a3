"""A virtual camera that meeting programs and OBS see, through pyvirtualcam (GPL-2.0)."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any, ClassVar

import cv2
import numpy as np
import pyvirtualcam

from engines.errors import NotAvailable, SinkLost
from live.frame import Format, SafeFrame
from live.settings import setting

_HINTS = {
    "linux": "load the module: sudo modprobe v4l2loopback exclusive_caps=1 card_label=doppelcam"
    "   (Debian / Ubuntu: sudo apt install v4l2loopback-dkms)",
    "win32": "install OBS Studio (26 or newer) or Unity Capture, which bring a virtual camera",
    "darwin": "install OBS Studio (30 or newer) and start its virtual camera once",
}


@dataclass
class VirtualCamera:
    """Sink: a virtual camera device."""

    outgoing: ClassVar[bool] = True

    device: str | None = setting(None, "device such as /dev/video19; the first free one if not given", argument=True)
    backend: str | None = setting(None, "pyvirtualcam back end: v4l2loopback, obs, unitycapture")

    _camera: Any = field(default=None, init=False, repr=False)

    def open(self, format: Format) -> None:
        # I420 is what v4l2loopback's readers take; pyvirtualcam would convert to it while holding the GIL.
        wanted = pyvirtualcam.PixelFormat.I420 if sys.platform == "linux" else pyvirtualcam.PixelFormat.BGR
        try:
            self._camera = pyvirtualcam.Camera(
                width=format.width // 2 * 2,
                height=format.height // 2 * 2,
                fps=format.fps,
                fmt=wanted,
                device=self.device,
                backend=self.backend,
            )
        except (RuntimeError, ValueError, OSError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise NotAvailable(
                f"no virtual camera can be opened: {reason}", hint=_HINTS.get(sys.platform, "")
            ) from None

    def write(self, frame: SafeFrame) -> None:
        camera = self._camera
        image = frame.image[: camera.height, : camera.width]
        if camera.fmt == pyvirtualcam.PixelFormat.I420:
            picture = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420).ravel()
        else:
            picture = np.ascontiguousarray(image)
        try:
            camera.send(picture)
        except (RuntimeError, OSError, ValueError) as error:
            raise SinkLost(f"the virtual camera {camera.device} does not take frames: {error}") from None

    def close(self) -> None:
        if self._camera is not None:
            self._camera.close()
        self._camera = None


def available() -> None:
    """Raises NotAvailable when no virtual camera can be opened here."""
    sink = VirtualCamera()
    sink.open(Format(640, 480, 30.0))
    sink.close()
