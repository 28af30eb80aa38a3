"""A camera in PipeWire's graph: for OBS, browsers and others that take their cameras from there. No kernel module."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar

import cv2

from engines.errors import SinkLost
from live.frame import Format, Image, SafeFrame
from live.pipewire import DRIVER, OUT_OF, Bytes, Gone, Stream, pods
from live.pipewire.library import check_session
from live.settings import setting
from live.trace import clock

# spa/param/format.h, spa/param/video/raw.h
_MEDIA, _SUBTYPE, _PIXELS, _SIZE, _RATE, _RANGE, _MATRIX = 1, 2, 0x20001, 0x20003, 0x20004, 0x2000C, 0x2000D
_LIMITED, _BT601 = 2, 4
_VIDEO, _RAW = 2, 1
_I420, _YUY2, _BGRX = 2, 4, 8


@dataclass
class Pipewire:
    """Sink: a PipeWire camera. Whoever connects gets I420, YUY2 or BGRx, whichever it likes best of these."""

    outgoing: ClassVar[bool] = True
    stays: ClassVar[bool] = True

    name: str = setting("doppelcam", "the camera's name", argument=True)

    _stream: Stream | None = field(default=None, init=False, repr=False)
    _size: tuple[int, int] = field(default=(0, 0), init=False)
    _pixels: int = field(default=_I420, init=False)

    def open(self, format: Format) -> None:
        self._size = format.width // 2 * 2, format.height // 2 * 2  # 4:2:0 has no odd sizes
        offer = {
            _MEDIA: pods.ident(_VIDEO),
            _SUBTYPE: pods.ident(_RAW),
            _PIXELS: pods.one_of([_I420, _YUY2, _BGRX]),
            _SIZE: pods.rectangle(*self._size),
            _RATE: pods.fraction(Fraction(format.fps).limit_denominator(1001)),
            _RANGE: pods.ident(_LIMITED),
            _MATRIX: pods.ident(_BT601),
        }
        properties = {
            "node.name": self.name,
            "node.description": self.name,
            "media.class": "Video/Source",
            "media.role": "Camera",
            "device.api": "doppelcam",
        }
        self._stream = Stream(
            f"the camera {self.name!r}",
            OUT_OF,
            properties,
            pods.media(offer),
            DRIVER,
            self._layout,
        )

    def write(self, frame: SafeFrame) -> None:
        assert self._stream is not None, "open() comes first"
        width, height = self._size
        picture = frame.image[:height, :width]
        try:
            if self._stream.put(lambda inside, _: self._convert(picture, inside), clock()):
                self._stream.trigger()
        except Gone as error:
            raise SinkLost(f"the PipeWire camera {self.name!r} is gone: {error}") from None

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None

    def _layout(self, agreed: dict[int, int]) -> tuple[int, int]:
        """Bytes of a picture and of its (first plane's) line in the format that was agreed on."""
        width, height = self._size
        self._pixels = agreed.get(_PIXELS, _I420)
        if self._pixels == _I420:
            return width * height * 3 // 2, width
        stride = width * (2 if self._pixels == _YUY2 else 4)
        return stride * height, stride

    def _convert(self, picture: Image, inside: Bytes) -> int:
        """Convert right into the shared buffer; the number of bytes, 0 where it is too small."""
        width, height = self._size
        size, _ = self._layout({_PIXELS: self._pixels})
        if len(inside) < size:
            return 0
        target = inside[:size]
        if self._pixels == _I420:
            cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420, target.reshape(height * 3 // 2, width))
        elif self._pixels == _YUY2:
            cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_YUY2, target.reshape(height, width, 2))
        else:
            cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA, target.reshape(height, width, 4))
        return size


def available() -> None:
    """Raises NotAvailable where no PipeWire runs for this user."""
    check_session()
