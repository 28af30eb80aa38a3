"""Virtual cameras of Windows and macOS (OBS, Unity Capture), through pyvirtualcam (GPL-2.0)."""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np
import pyvirtualcam

from engines.errors import NotAvailable, SinkLost
from live.frame import Format, Image

_HINTS = {
    "linux": "backend=auto writes to v4l2loopback without pyvirtualcam",
    "win32": "install OBS Studio (26 or newer) or Unity Capture, which bring a virtual camera",
    "darwin": "install OBS Studio (30 or newer) and start its virtual camera once",
}


class Desktop:
    """A camera of one of pyvirtualcam's back ends, opened. Raises NotAvailable."""

    def __init__(self, device: str | None, format: Format, backend: str | None) -> None:
        # On Linux pyvirtualcam would convert to I420 while holding the GIL.
        wanted = pyvirtualcam.PixelFormat.I420 if sys.platform == "linux" else pyvirtualcam.PixelFormat.BGR
        try:
            self._camera: Any = pyvirtualcam.Camera(
                width=format.width // 2 * 2,
                height=format.height // 2 * 2,
                fps=format.fps,
                fmt=wanted,
                device=device,
                backend=backend,
            )
        except (RuntimeError, ValueError, OSError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise NotAvailable(
                f"no virtual camera can be opened: {reason}", hint=_HINTS.get(sys.platform, "")
            ) from None

    def write(self, image: Image, live: bool) -> None:  # noqa: ARG002
        camera = self._camera
        image = image[: camera.height, : camera.width]
        if camera.fmt == pyvirtualcam.PixelFormat.I420:
            picture = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420).ravel()
        else:
            picture = np.ascontiguousarray(image)
        try:
            camera.send(picture)
        except (RuntimeError, OSError, ValueError) as error:
            raise SinkLost(f"the virtual camera {camera.device} does not take frames: {error}") from None

    def beat(self, live: bool) -> None:
        """Nobody watches over these."""

    def rest_on(self, image: Image) -> None:
        """These back ends keep their last picture."""

    def close(self) -> None:
        self._camera.close()
