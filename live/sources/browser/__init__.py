"""A camera in a browser: doppelcam shows an address, the page there sends its camera by WebRTC (as WHIP senders do).

The browser may be a phone's (`lan=true`). Until somebody sends, and whenever nobody does any more, the cover says so,
and the address stays as it is. One sender at a time: the newest one.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection
from aiortc.mediastreams import MediaStreamError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engines.errors import SourceLost
from live.frame import Captured, Format, Image
from live.local_server import LocalServer
from live.parts import NothingYet
from live.peers import CODECS, Peers
from live.settings import setting
from live.sources.browser.prompt import be_prompt
from live.sources.video_file import to_bgr
from live.trace import clock

_WAIT_S = 0.25
_WAITING = "waiting for the browser's camera"
_LEFT = "the browser's camera has stopped"


@dataclass
class Browser:
    """Source: the camera of a browser, by WebRTC. Pictures of another size are fitted in, with black rims."""

    port: int = setting(8773, "port of the address, 0: a free one", low=0, high=65535, argument=True)
    width: int = setting(1280, "width asked for, in pixels", low=160, high=3840, step=16)
    height: int = setting(720, "height asked for, in pixels", low=120, high=2160, step=8)
    fps: int = setting(30, "frames a second asked for", low=1, high=60)
    codec: str = setting("vp8", "how the browser packs pictures", choices=CODECS)
    bitrate: int = setting(4000, "kbit a second that the browser may use", low=200, high=50_000, step=100)
    lan: bool = setting(False, "for a phone or another computer in this network, over https; else for this machine")

    _server: LocalServer | None = field(default=None, init=False, repr=False)
    _peers: Peers = field(init=False, repr=False)
    _draining: asyncio.Future[None] = field(init=False, repr=False)
    _came: threading.Condition = field(default_factory=threading.Condition, init=False, repr=False)
    _newest: tuple[av.VideoFrame, int] | None = field(default=None, init=False, repr=False)
    _seen: bool = field(default=False, init=False)
    _first_ns: int | None = field(default=None, init=False)

    def open(self) -> Format:
        self._newest, self._seen = None, False
        self._peers = Peers("whip", self.codec, 1, replace=True, came=self._began, left=self._left)
        routes = [
            ("/whip", "POST", self._peers.join),
            ("/whip/{name}", "DELETE", self._peers.leave),
            ("/state", "GET", self._state),
        ]
        self._server = LocalServer("browser", Path(__file__).parent, routes)
        self._server.start(self.port, lan=self.lan, what="open this and send a camera")
        return Format(self.width, self.height, float(self.fps))

    def read(self) -> Captured:
        """The newest frame. Its time is when it arrived here unpacked: camera, browser and network are not in it."""
        assert self._server is not None, "open() comes first"
        with self._came:
            if self._newest is None:
                self._came.wait(_WAIT_S)
            newest, self._newest = self._newest, None
        if newest is None:
            if not self._server.alive:
                raise SourceLost("the web server of the browser source has ended")
            raise NothingYet(_LEFT if self._seen else _WAITING)
        frame, arrived_ns = newest
        self._seen = True
        if self._first_ns is None:
            self._first_ns = arrived_ns
        image = fit(to_bgr(frame), self.width, self.height)
        return Captured(image, arrived_ns, (arrived_ns - self._first_ns) / 1e9)

    def close(self) -> None:
        if self._server is not None:
            self._server.stop(self._peers.close)
        self._server = self._newest = None

    @property
    def url(self) -> str:
        """The address while it is open, else empty."""
        return self._server.url if self._server is not None else ""

    # ---- on the server's thread

    async def _state(self, _: Request) -> Response:
        """What the page asks the camera for, and whether somebody sends."""
        asked = {"width": self.width, "height": self.height, "fps": self.fps, "bitrate": self.bitrate}
        return JSONResponse({**asked, "sending": len(self._peers) > 0})

    def _began(self, _: str, peer: RTCPeerConnection) -> None:
        receiver = peer.getReceivers()[0]
        be_prompt(receiver)
        self._draining = asyncio.ensure_future(self._drain(receiver.track))

    def _left(self, _: str) -> None:
        self._draining.cancel()

    async def _drain(self, track: MediaStreamTrack) -> None:
        """Take every frame at once, so that none waits in aiortc's queue; `read` gets the newest."""
        with suppress(MediaStreamError):
            while True:
                frame: Any = await track.recv()
                with self._came:
                    self._newest = (frame, clock())
                    self._came.notify()


def fit(image: Image, width: int, height: int) -> Image:
    """The whole picture in this size, its shape kept: a phone held upright gets black rims at its sides."""
    rows, columns = image.shape[:2]
    if (columns, rows) == (width, height):
        return image
    scale = min(width / columns, height / rows)
    w, h = max(1, min(width, round(columns * scale))), max(1, min(height, round(rows * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, (w, h), interpolation=how)
    if (w, h) == (width, height):
        return small  # type: ignore[return-value]
    whole = np.zeros((height, width, 3), np.uint8)
    x, y = (width - w) // 2, (height - h) // 2
    whole[y : y + h, x : x + w] = small
    return whole
