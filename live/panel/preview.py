"""What the page shows: a sink like any other, and a look at the camera's own picture, for comparing.

Both make a JPEG only while somebody watches, at most 15 a second, small.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import cv2

from live.frame import Captured, Format, Image, SafeFrame
from live.panel.watchers import AFTER, BEFORE, Watchers
from live.parts import Source
from live.trace import clock

PER_SECOND = 15
_LONG_SIDE_PX = 960
_QUALITY = 90


@dataclass
class Preview:
    """Sink: the panel's picture. It stays from one loop to the next, and shows the cover in between."""

    outgoing: ClassVar[bool] = False
    stays: ClassVar[bool] = True

    watchers: Watchers
    _pace: _Pace = field(init=False, repr=False)
    _last: Any = field(default=None, init=False, repr=False)
    _jpeg: bytes = field(default=b"", init=False, repr=False)

    def open(self, format: Format) -> None:  # noqa: ARG002
        self._pace, self._last = _Pace(), None

    def write(self, frame: SafeFrame) -> None:
        if not self.watchers.wants(AFTER):
            self._last = None
            return
        if not self._pace.due() and frame.state != "cover":
            return
        if frame.image is not self._last:  # a cover comes again and again
            self._last, self._jpeg = frame.image, small_jpeg(frame.image)
        self.watchers.show(AFTER, self._jpeg)

    def close(self) -> None:
        self._last = None


@dataclass
class RemotePreview(Preview):
    """The same, where pages on other devices show it too: then it leaves this machine, with a label like the others."""

    outgoing: ClassVar[bool] = True


@dataclass
class Mirror:
    """Source: another one's pictures; where somebody asked to compare, a small copy goes to the panel's own page.

    The copy is made here, before the loop has the picture, and goes to nobody else: no sink can get it, and the guard
    stays the only way to the sinks. It leaves this process through the panel's local address alone, which is loopback:
    a page on another device cannot ask for it.
    """

    source: Source
    watchers: Watchers
    _pace: _Pace = field(init=False, repr=False)

    def open(self) -> Format:
        self._pace = _Pace()
        return self.source.open()

    def read(self) -> Captured:
        captured = self.source.read()
        if self.watchers.wants(BEFORE) and self._pace.due():
            self.watchers.show(BEFORE, small_jpeg(captured.image))
        return captured

    def close(self) -> None:
        self.source.close()


class _Pace:
    """Says which pictures to take so that no more than PER_SECOND come, evenly."""

    def __init__(self) -> None:
        self._next_ns = 0

    def due(self) -> bool:
        now = clock()
        if now < self._next_ns - 5_000_000:  # cameras are not exact
            return False
        self._next_ns = max(self._next_ns, now - 10**9 // PER_SECOND) + 10**9 // PER_SECOND
        return True


def small_jpeg(image: Image) -> bytes:
    """A picture (BGR u8 [h, w, 3], left alone) as JPEG, made smaller by a whole number to 960 px at most.

    By a whole number: 1280 x 720 to half takes 0.3 ms and 0.5 ms for the JPEG, to three quarters 6 ms.
    """
    factor = -(-max(image.shape[:2]) // _LONG_SIDE_PX)
    if factor > 1:
        height, width = image.shape[:2]
        size = (max(1, width // factor), max(1, height // factor))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done, "a picture can be made a JPEG"
    return data.tobytes()
