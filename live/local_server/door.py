"""Who comes in: a request needs an allowed Host, no foreign Origin and the secret. All else is refused.

The Host header is checked because of DNS rebinding: a web page of a stranger can make its own name mean 127.0.0.1, and
then talks to local servers with that name. The Origin header tells which page sent a request: only our own may.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import socket
from collections.abc import Callable

import h11
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self' blob: mediastream:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), screen-wake-lock=(self), autoplay=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # One request a connection: then one deadline is enough to be rid of clients that dawdle.
    "connection": "close",
}
_MOST_BODY = 65_536  # bytes; an offer of a browser has about 6,000
_SECONDS = 10.0


class Door:
    """Stands before an ASGI application, which sees paths without the secret and only requests that may pass.

    The secret is the first part of the path; or it is in a header, `Authorization: Bearer SECRET`, for programs: no
    page of a stranger can send that one.
    """

    def __init__(self, app: ASGIApp, token: str, *, lan: bool) -> None:
        self._app, self._token, self._lan = app, token.encode(), lan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._enter(scope)
        if scope["type"] == "websocket":
            # A browser opens a WebSocket to any server for any page: the same checks, before it is accepted.
            if isinstance(found, Response):
                await receive()
                await send({"type": "websocket.close", "code": 1008})  # answered with 403
            else:
                await self._app(found, receive, send)
            return
        if isinstance(found, Response):
            await found(scope, receive, guarded(send))
        else:
            await self._app(found, receive, guarded(send))

    def _enter(self, scope: Scope) -> Scope | Response:
        """What the application sees, its path without the secret; or the refusal."""
        refusal = foreign(scope, lambda host: may_be_called(host, lan=self._lan))
        if refusal is not None:
            return refusal
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        parts = scope["path"].split("/", 2)
        if len(parts) > 1 and self._is_secret(parts[1]):
            if len(parts) == 2:
                return RedirectResponse(f"/{parts[1]}/")
            path = f"/{parts[2]}"
            return {**scope, "path": path, "raw_path": path.encode()}
        if scheme.lower() != "bearer":
            return PlainTextResponse("not found", 404)
        if not self._is_secret(given.strip()):
            return PlainTextResponse("that is not the secret", 401, {"www-authenticate": "Bearer"})
        return scope

    def _is_secret(self, word: str) -> bool:
        # compare_digest takes the same time wherever the first wrong letter is.
        return hmac.compare_digest(word.encode(), self._token)


def foreign(scope: Scope, may_be_called: Callable[[str], bool]) -> Response | None:
    """The refusal of a request by another name, or that another page sends; None for the others."""
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    if not may_be_called(host):
        return PlainTextResponse("this name is not served here", 421)
    origin = headers.get("origin")
    scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
    if origin is not None and origin != f"{scheme}://{host}":
        return PlainTextResponse("other pages may not ask here", 403)
    return None


def guarded(send: Send) -> Send:
    """`send` with the headers that lock a page in."""

    async def send_guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("cache-control", "no-store")
            headers.update(_HEADERS)
        await send(message)

    return send_guarded


def may_be_called(host: str, *, lan: bool) -> bool:
    """May a request carry this Host header?

    A number is never a rebound name. The port is left open: it may be forwarded (ssh -L).
    """
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not colon:
        name = host
    if colon and not (port.isascii() and port.isdigit()):
        return False
    name = name.lower()
    if name == "localhost":
        return True
    if lan and name in (own := socket.gethostname().lower(), f"{own}.local"):
        return True
    try:
        address = ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
    return lan or address.is_loopback


async def read_body(request: Request, most_bytes: int = _MOST_BODY) -> bytes:
    """The body of a request, if it is small and comes soon. Raises HTTPException 413 or 408."""
    if int(request.headers.get("content-length") or 0) > most_bytes:  # h11 lets only digits through
        raise HTTPException(413)
    body = bytearray()
    try:
        async with asyncio.timeout(_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most_bytes:
                    raise HTTPException(413)
    except TimeoutError:
        raise HTTPException(408) from None
    return bytes(body)


class Doorstep(H11Protocol):
    """A connection that must ask for something soon, and that does not pile up what a slow client leaves unread."""

    _talks = False  # it has become a WebSocket, which has pings of its own

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        # The system would keep some MB for a client that reads slowly: a second of pictures, all of them old.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        patience = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux: who takes nothing for so long is gone
        if patience is not None:
            sock.setsockopt(socket.IPPROTO_TCP, patience, int(_SECONDS * 1000))
        self.loop.call_later(_SECONDS, self._dawdled)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._talks = True
        super().handle_websocket_upgrade(event)

    def _dawdled(self) -> None:
        asked: object = self.cycle
        if asked is None and not self._talks:
            self.transport.abort()
