"""A virtual camera that meeting programs, browsers and OBS see: v4l2loopback on Linux, else through pyvirtualcam."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from engines.errors import BadInput, NotAvailable
from live.frame import Format, Image, SafeFrame
from live.settings import setting


class Camera(Protocol):
    """An opened device. `write` raises SinkLost."""

    def write(self, image: Image, live: bool) -> None: ...

    def beat(self, live: bool) -> None:
        """Nothing new is written, and what was written last is `live` or a cover."""

    def rest_on(self, image: Image) -> None:
        """Let the driver show this picture whenever nothing is written for a second, where it can."""

    def close(self) -> None: ...


@dataclass
class VirtualCamera:
    """Sink: a virtual camera. Programs hold on to it, so it is opened first; on Linux it outlives doppelcam."""

    outgoing: ClassVar[bool] = True
    stays: ClassVar[bool] = True

    device: str | None = setting(
        None, "/dev/video19, or the camera's name; the first free one if not given", argument=True
    )
    # I420: what Chromium likes best, Zoom is known to take, and cheapest to make: 0.4 ms at 720p, YUYV takes 2.6 ms.
    pixel_format: str = setting(
        "I420", "how v4l2loopback gets the picture; YUYV for programs that know nothing else", choices=("I420", "YUYV")
    )
    stay: bool = setting(True, "Linux: keep it there with a cover after the run, until `doppelcam release`")
    backend: str = setting("auto", "auto: v4l2loopback itself on Linux; or pyvirtualcam's obs, unitycapture ...")

    _camera: Camera | None = field(default=None, init=False, repr=False)
    _rests: bool = field(default=False, init=False)
    _live: bool = field(default=False, init=False)

    def open(self, format: Format) -> None:
        self._rests = self._live = False
        if self._native:
            from live.sinks.virtual_camera.watched import Watched

            self._camera = Watched(self.device, format, self.pixel_format, self.stay)
        else:
            try:
                from live.sinks.virtual_camera.desktop import Desktop
            except ImportError:
                raise NotAvailable(
                    "the virtual camera needs the package pyvirtualcam", hint="pip install pyvirtualcam"
                ) from None
            self._camera = Desktop(self.device, format, None if self.backend == "auto" else self.backend)

    @property
    def _native(self) -> bool:
        return self.backend == "auto" and sys.platform == "linux"

    def write(self, frame: SafeFrame) -> None:
        assert self._camera is not None, "open() comes first"
        self._live = frame.state != "cover"
        self._camera.write(frame.image, self._live)
        if frame.state == "cover" and not self._rests:
            self._rests = True
            self._camera.rest_on(frame.image)

    def beat(self) -> None:
        if self._camera is not None:
            self._camera.beat(self._live)

    def close(self) -> None:
        if self._camera is not None:
            self._camera.close()
        self._camera = None


def available() -> None:
    """Raises NotAvailable when no virtual camera can be opened here."""
    sink = VirtualCamera()
    try:
        if sink._native:  # without opening it: programs that look on would see it come and go
            from live.sinks.virtual_camera.loopback import choose

            choose(None)
        else:
            sink.open(Format(640, 480, 30.0))
    except BadInput as error:
        raise NotAvailable(error.message, hint=error.hint) from None
    finally:
        sink.close()
