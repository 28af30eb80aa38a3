"""WebRTC connections to browsers: their offers in, our answers out. Host candidates only: no STUN server, no mDNS.

aiortc does the work. Two things are done for it here, so that nothing goes out to the network or comes in from it.
Browsers hide their address behind a .local name that would have to be asked for by multicast; we know the address
already: their request came from it. And aiortc would listen on every address of this machine, where the one that the
browser came in by is enough. (Where that is loopback, Firefox refuses it, so the machine's other addresses are offered
as well; what another machine sends to them is dropped unread.)
"""

from __future__ import annotations

import ipaddress
import logging
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.exceptions import OperationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from live.local_server.door import read_body
from live.local_server.keys import addresses

CODECS = ("vp8", "h264")

# They tell of every packet that is lost; what matters is raised.
for _name in ("aiortc", "aioice"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

_CANDIDATE = re.compile(r"a=candidate:(\S+) (\d+) (\S+) (\d+) (\S+) (\d+) typ (\S+)(.*)")


class BadOffer(Exception):
    """What came is no offer that can be answered; says why."""


@dataclass
class Peers:
    """The connections of one part, over `POST /PATH` and `DELETE /PATH/NAME` (WHIP: RFC 9725; WHEP).

    `send` makes the track that a new one gets; None: its video comes to us. `came` and `left` are told, on the server's
    thread, who comes and goes. When `most` are here, a new one is refused, or with `replace` the oldest has to go.
    """

    path: str
    codec: str
    most: int
    replace: bool
    came: Callable[[str, RTCPeerConnection], None]
    left: Callable[[str], None]
    send: Callable[[], MediaStreamTrack] | None = None

    _here: dict[str, RTCPeerConnection] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._here)

    async def join(self, request: Request) -> Response:
        """Answer the offer in the body: 201 with the answer and where to take leave, 400 or 503 with the reason."""
        offer = (await read_body(request)).decode("utf-8", "replace")
        if len(self) >= self.most and not self.replace:
            raise HTTPException(503, "too many are connected already")
        track = self.send() if self.send is not None else None
        client, server = request.scope["client"][0], request.scope["server"][0]
        ours = [server, *addresses()] if _is_loopback(server) else [server]
        try:
            peer, sdp = await answer(offer, self.codec, client=client, ours=ours, send=track)
        except BadOffer as error:
            raise HTTPException(400, str(error)) from None
        while len(self) >= self.most:
            await self._drop(next(iter(self._here)))
        name = secrets.token_urlsafe(8)

        @peer.on("connectionstatechange")
        async def changed() -> None:
            if peer.connectionState in ("failed", "closed"):
                await self._drop(name)

        self._here[name] = peer
        self.came(name, peer)
        return Response(sdp, 201, {"location": f"{self.path}/{name}"}, "application/sdp")

    async def leave(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._here:
            raise HTTPException(404)
        await self._drop(name)
        return Response(status_code=200)

    async def close(self) -> None:
        """Everybody leaves."""
        for name in list(self._here):
            await self._drop(name)

    async def _drop(self, name: str) -> None:
        peer = self._here.pop(name, None)
        if peer is not None:
            self.left(name)
            await peer.close()


async def answer(
    offer: str, codec: str, *, client: str, ours: Sequence[str], send: MediaStreamTrack | None = None
) -> tuple[RTCPeerConnection, str]:
    """Answer an SDP offer of one video in this codec; we take it, or `send` ours. Nothing but video goes either way.

    `client`: the address that the offer came from; `ours`: those on which the connection may come in; if the first one
    is loopback, from this machine alone. Whoever gets the connection must close it. Raises BadOffer.
    """
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # None would mean a server of Google
    try:
        video = peer.addTransceiver(send or "video", direction="recvonly" if send is None else "sendonly")
        able: Any = RTCRtpReceiver.getCapabilities("video")
        names = (f"video/{codec}", "video/rtx")
        video.setCodecPreferences([c for c in able.codecs if c.mimeType.lower() in names])
        await peer.setRemoteDescription(RTCSessionDescription(reachable(offer, client), "offer"))
        if video.mid is None or sum(other.kind == "video" for other in peer.getTransceivers()) != 1:
            raise BadOffer("expected one video in the offer")
        for transceiver in peer.getTransceivers():
            if transceiver is not video:
                transceiver.direction = "inactive"
            _listen_on(ours, transceiver.receiver.transport.transport.iceGatherer._connection)
        await peer.setLocalDescription(await peer.createAnswer())
    except Exception as error:  # a stranger's text goes through a parser that raises whatever it likes
        await peer.close()
        if isinstance(error, BadOffer):
            raise
        if isinstance(error, OperationError):
            raise BadOffer(f"expected {codec.upper()} among the codecs of the video") from None
        raise BadOffer(f"expected an SDP offer of one video ({type(error).__name__})") from None
    return peer, str(peer.localDescription.sdp)


def reachable(offer: str, client: str) -> str:
    """The offer with its UDP host candidates alone, .local names replaced by the address that we know."""
    lines = []
    for line in offer.replace("\r\n", "\n").split("\n"):
        match = _CANDIDATE.match(line)
        if match is not None:
            foundation, component, protocol, priority, host, port, kind, rest = match.groups()
            if protocol.lower() != "udp" or kind != "host":
                continue
            host = client if host.lower().endswith(".local") else host
            line = f"a=candidate:{foundation} {component} udp {priority} {host} {port} typ host{rest}"
        lines.append(line)
    return "\r\n".join(lines)


def _listen_on(ours: Sequence[str], connection: Any) -> None:
    """aioice has no setting for the addresses to listen on, and leaves out loopback."""
    gather = connection.get_component_candidates

    async def get(component: int, addresses: object, timeout: int = 5) -> Any:  # noqa: ARG001
        found = await gather(component, ours, timeout)
        if _is_loopback(ours[0]):
            for protocol in connection._protocols:
                _hear_only(ours, protocol)
        return found

    connection.get_component_candidates = get


def _hear_only(ours: Sequence[str], protocol: Any) -> None:
    """Drop whatever does not come from this machine itself."""
    hear = protocol.datagram_received

    def datagram_received(data: bytes, address: tuple[Any, ...]) -> None:
        if address[0] in ours:
            hear(data, address)

    protocol.datagram_received = datagram_received


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback
