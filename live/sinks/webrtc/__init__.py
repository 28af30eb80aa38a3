"""WebRTC to browsers on this machine or in this network: a page that shows the picture, and a WHEP endpoint.

A picture is encoded once for all watchers, on the sink's own thread, and only while somebody watches. The bit rate is
constant: made for loopback and a local network, not for the internet.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import av
from aiortc import RTCPeerConnection
from starlette.requests import Request
from starlette.responses import Response

from engines.errors import SinkLost
from live.frame import Format, SafeFrame
from live.local_server import LocalServer
from live.peers import CODECS, Peers
from live.settings import setting
from live.sinks.webrtc.encoder import TICKS, Encoder
from live.sinks.webrtc.watcher import Watcher
from live.trace import clock

_MOST_WATCHERS = 8
_KEYS_AFTER_S = (0.0, 1.0, 4.0)


@dataclass
class Webrtc:
    """Sink: a web page that shows the picture by WebRTC, and a WHEP endpoint (`whep`)."""

    outgoing: ClassVar[bool] = True

    port: int = setting(8772, "port of the address, 0: a free one", low=0, high=65535, argument=True)
    codec: str = setting("vp8", "how pictures are packed", choices=CODECS)
    bitrate: int = setting(4000, "kbit a second", low=200, high=50_000, step=100)
    lan: bool = setting(False, "also for other devices in this network, over https; else for this machine alone")

    _server: LocalServer | None = field(default=None, init=False, repr=False)
    _format: Format | None = field(default=None, init=False)
    _encoder: Encoder | None = field(default=None, init=False, repr=False)
    _peers: Peers = field(init=False, repr=False)
    _watchers: dict[str, Watcher] = field(default_factory=dict, init=False, repr=False)
    _begin: bool = field(default=False, init=False)
    _last_tick: int = field(default=-1, init=False)

    def open(self, format: Format) -> None:
        self._format, self._encoder = format, None
        self._watchers = {}
        self._peers = Peers(
            "whep", self.codec, _MOST_WATCHERS, replace=False, came=self._came, left=self._left,
            send=lambda: Watcher(self._ask_for_key),
        )  # fmt: skip
        routes = [
            ("/whep", "POST", self._peers.join),
            ("/whep/{name}", "DELETE", self._peers.leave),
            ("/alive", "GET", _alive),
        ]
        self._server = LocalServer("webrtc", Path(__file__).parent, routes)
        self._server.start(self.port, lan=self.lan, what="watch (WebRTC)")

    def write(self, frame: SafeFrame) -> None:
        assert self._server is not None and self._format is not None, "open() comes first"
        if not self._server.alive:
            raise SinkLost("the web server of webrtc has ended")
        if not self._watchers:
            self._encoder = None
            return
        if self._encoder is None:
            self._encoder, self._begin = Encoder(self.codec, self._format, self.bitrate * 1000), True
        tick = max(clock() * TICKS // 1_000_000_000, self._last_tick + 1)
        self._last_tick = tick
        key, self._begin = self._begin, False
        try:
            packets = self._encoder.encode(frame.image, tick, key=key)
        except (av.FFmpegError, ValueError) as error:
            self._encoder = None
            raise SinkLost(f"the picture could not be packed: {error}") from None
        for packet in packets:
            self._server.post(self._send, packet)

    def close(self) -> None:
        if self._server is not None:
            self._server.stop(self._peers.close)
        self._server = self._encoder = None

    @property
    def url(self) -> str:
        """The address while it is open, else empty."""
        return self._server.url if self._server is not None else ""

    # ---- on the server's thread

    def _send(self, packet: Any) -> None:
        for watcher in self._watchers.values():
            watcher.put(packet)

    def _ask_for_key(self) -> None:
        self._begin = True

    def _came(self, name: str, peer: RTCPeerConnection) -> None:
        sender: Any = peer.getSenders()[0]
        self._watchers[name] = sender.track
        # The browser's call for a key picture (at the start, after a loss); aiortc would tell only its own encoder.
        sender._send_keyframe = self._ask_for_key

        @peer.on("connectionstatechange")
        def changed() -> None:
            # The other side may be ready a little later than ours, and not every program calls for a key picture.
            if peer.connectionState == "connected":
                for delay_s in _KEYS_AFTER_S:
                    asyncio.get_running_loop().call_later(delay_s, self._ask_for_key)

    def _left(self, name: str) -> None:
        self._watchers.pop(name).stop()


async def _alive(_: Request) -> Response:
    return Response(status_code=204)
