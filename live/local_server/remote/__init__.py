"""The door for other devices: a local server's application over TLS, to who has signed in with the password.

A session is a cookie that scripts cannot read and that no other site can send (Secure, HttpOnly, SameSite=Strict), for
this host alone, kept in memory: all end with the program. The secret of the local address is of no use here.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from live.local_server.door import foreign, guarded, read_body
from live.local_server.remote.password import Password, Tries

COOKIE = "__Host-doppelcam"
HOURS = 12
_MOST_SESSIONS = 16
_MOST_BODY = 4096
_HERE = Path(__file__).parent
_OPEN = ("/colours.css", "/look.css", "/icon.svg")  # of the application: what the page for signing in is made of

_log = logging.getLogger("doppelcam.web")


@dataclass(slots=True)
class _Session:
    until_s: float
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class SignIn:
    """Stands before an ASGI application. What passes has {"remote": True} in its scope."""

    def __init__(
        self, app: ASGIApp, names: frozenset[str], password: Password, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`names`: by which it may be called, in small letters."""
        self._app, self._names, self._password, self._clock = app, names, password, clock
        self.tries = Tries(clock)
        self._sessions: dict[bytes, _Session] = {}  # by the hash of the cookie
        self._page = (_HERE / "sign_in.html").read_bytes()
        self._script = (_HERE / "sign_in.js").read_bytes()

    @property
    def signed_in(self) -> int:
        """How many sessions there are."""
        return sum(session.until_s > self._clock() for session in self._sessions.copy().values())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = foreign(scope, self._may_be_called)
        session = None if refusal is not None else self._session(HTTPConnection(scope).cookies.get(COOKIE, ""))
        inside = {**scope, "remote": True}
        if scope["type"] == "websocket":
            if session is None:
                await receive()
                await send({"type": "websocket.close", "code": 1008})  # answered with 403
                return
            await self._while(session, self._app(inside, receive, send), send)
            return
        response = refusal
        if response is None and (session is None or scope["path"] in ("/sign-in", "/sign-out")):
            try:
                response = await self._outside(Request(scope, receive))
            except HTTPException as error:
                response = Response(status_code=error.status_code)
        await (self._app if response is None else response)(inside, receive, guarded(send))

    async def _outside(self, request: Request) -> Response | None:
        """For who is not signed in. None: the application may answer."""
        asked = request.method, request.url.path
        if asked == ("GET", "/"):
            return Response(self._page, media_type="text/html")
        if asked == ("GET", "/sign_in.js"):
            return Response(self._script, media_type="text/javascript")
        if asked[0] == "GET" and asked[1] in _OPEN:
            return None
        if asked == ("POST", "/sign-in"):
            return await self._sign_in(request)
        if asked == ("POST", "/sign-out"):
            return self._sign_out(request)
        return JSONResponse({"message": "sign in first", "hint": "POST sign-in"}, 401)

    async def _sign_in(self, request: Request) -> Response:
        body = await read_body(request, _MOST_BODY)
        given: object = None
        with suppress(ValueError, RecursionError):
            given = json.loads(body)
        password = given.get("password") if isinstance(given, dict) else None
        if not isinstance(password, str):
            return JSONResponse({"message": 'expected {"password": "..."}', "hint": ""}, 400)
        who = request.client.host if request.client is not None else ""
        wait_s = self.tries.begin(who)
        if wait_s > 0:
            seconds = int(wait_s) + 1
            told = {"message": f"not so fast: the next try in {seconds} s", "hint": ""}
            return JSONResponse(told, 429, {"retry-after": str(seconds)})
        if not await asyncio.to_thread(self._password.is_right, password):
            count = self.tries.failed(who)
            if count & (count - 1) == 0:  # 1, 2, 4 ...: a guesser shall not fill the screen
                _log.warning("remote access: wrong password from %s (%d in a row)", who, count)
            return JSONResponse({"message": "that is not the password", "hint": ""}, 403)
        self.tries.right(who)
        _log.info("remote access: %s signed in", who)
        answer = JSONResponse({})
        answer.set_cookie(COOKIE, self._begin(), HOURS * 3600, secure=True, httponly=True, samesite="strict")
        return answer

    def _sign_out(self, request: Request) -> Response:
        session = self._sessions.pop(_hashed(request.cookies.get(COOKIE, "")), None)
        if session is not None:
            session.ended.set()
        answer = JSONResponse({})
        answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict")
        return answer

    def _begin(self) -> str:
        while len(self._sessions) >= _MOST_SESSIONS:  # the oldest makes room
            self._sessions.pop(next(iter(self._sessions))).ended.set()
        cookie = secrets.token_urlsafe(32)
        self._sessions[_hashed(cookie)] = _Session(self._clock() + HOURS * 3600)
        return cookie

    def _session(self, cookie: str) -> _Session | None:
        session = self._sessions.get(_hashed(cookie))
        if session is not None and session.until_s <= self._clock():
            del self._sessions[_hashed(cookie)]
            return None
        return session

    async def _while(self, session: _Session, talk: Awaitable[None], send: Send) -> None:
        """Let a WebSocket talk until its session ends: who has signed out gets no more pictures."""
        talking = asyncio.ensure_future(talk)
        ending = asyncio.ensure_future(session.ended.wait())
        left_s = max(0.0, session.until_s - self._clock())
        try:
            await asyncio.wait({talking, ending}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if not talking.done():
                talking.cancel()
                with suppress(asyncio.CancelledError, RuntimeError):
                    await talking
                with suppress(RuntimeError):
                    await send({"type": "websocket.close", "code": 1008})
        finally:
            ending.cancel()
            talking.cancel()

    def _may_be_called(self, host: str) -> bool:
        name, colon, port = host.lower().partition(":")
        return name in self._names and (not colon or (port.isascii() and port.isdigit()))


def _hashed(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).digest()
