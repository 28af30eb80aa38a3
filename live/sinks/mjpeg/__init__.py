"""Motion JPEG over HTTP from this machine: for OBS's browser source, browsers, VLC, ffmpeg.

A picture becomes a JPEG only while somebody watches, once for all watchers. Each watcher gets the newest picture when
it has taken the one before: a slow one gets fewer, and delays nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import cv2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from engines.errors import SinkLost
from live.frame import Format, SafeFrame
from live.local_server import LocalServer
from live.settings import setting

_BOUNDARY = "picture"
_MOST_WATCHERS = 16


@dataclass
class Mjpeg:
    """Sink: a web page and a Motion JPEG stream (`stream.mjpg`)."""

    outgoing: ClassVar[bool] = True

    port: int = setting(8771, "port of the address, 0: a free one", low=0, high=65535, argument=True)
    quality: int = setting(85, "of the JPEG pictures: larger looks better and costs more", low=10, high=100)
    lan: bool = setting(False, "also for other devices in this network, over https; else for this machine alone")

    _server: LocalServer | None = field(default=None, init=False, repr=False)
    _watchers: int = field(default=0, init=False)
    _last: Any = field(default=None, init=False, repr=False)
    _jpeg: bytes = field(default=b"", init=False, repr=False)
    _shown: bytes | None = field(default=None, init=False, repr=False)
    _number: int = field(default=0, init=False)
    _newer: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)

    def open(self, format: Format) -> None:  # noqa: ARG002
        self._watchers, self._last = 0, None
        routes = [("/stream.mjpg", "GET", self._stream), ("/alive", "GET", _alive)]
        self._server = LocalServer("mjpeg", Path(__file__).parent, routes)
        self._server.start(self.port, lan=self.lan, what="watch (Motion JPEG)")

    def write(self, frame: SafeFrame) -> None:
        assert self._server is not None, "open() comes first"
        if not self._server.alive:
            raise SinkLost("the web server of mjpeg has ended")
        if not self._watchers:
            self._last = None
            return
        if frame.image is not self._last:  # a cover comes again and again
            options = [cv2.IMWRITE_JPEG_QUALITY, self.quality]
            ok, data = cv2.imencode(".jpg", frame.image, options)
            if not ok:
                raise SinkLost("the picture could not be made a JPEG")
            self._last, self._jpeg = frame.image, data.tobytes()
        self._server.post(self._show, self._jpeg)

    def close(self) -> None:
        if self._server is not None:
            self._server.stop(self._end)
        self._server = self._last = None

    @property
    def url(self) -> str:
        """The address while it is open, else empty."""
        return self._server.url if self._server is not None else ""

    # ---- on the server's thread

    def _show(self, jpeg: bytes | None) -> None:
        self._shown = jpeg
        self._number += 1
        newer, self._newer = self._newer, asyncio.Event()
        newer.set()

    async def _end(self) -> None:
        self._show(None)

    async def _stream(self, _: Request) -> Response:
        if self._watchers >= _MOST_WATCHERS:
            raise HTTPException(503)
        return StreamingResponse(self._parts(), media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}")

    async def _parts(self) -> AsyncIterator[bytes]:
        """Each part ends with the boundary of the next one: browsers show a picture only when they have seen that."""
        self._watchers += 1
        number = self._number  # what was shown before somebody watched is old
        try:
            yield f"--{_BOUNDARY}\r\n".encode()
            while True:
                while self._number == number:
                    await self._newer.wait()
                number, jpeg = self._number, self._shown
                if jpeg is None:
                    return
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                yield head.encode() + jpeg + f"\r\n--{_BOUNDARY}\r\n".encode()
        finally:
            self._watchers -= 1


async def _alive(_: Request) -> Response:
    return Response(status_code=204)
