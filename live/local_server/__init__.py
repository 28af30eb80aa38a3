"""A small web server in a thread of its own, for parts with pages: loopback only, unless other devices are asked in.

Its address holds a secret (`http://127.0.0.1:8771/SECRET/`); `door.py` refuses whoever does not know it. With `lan` it
listens on every address, over https with a certificate made on this machine (`keys.py`). With `admit` it serves another
address too, for who signs in with a password (`remote/`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import segno
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from engines.errors import BadInput, NotAvailable
from live.local_server.door import Door, Doorstep
from live.local_server.keys import addresses, certificate, token_for
from live.local_server.remote import SignIn
from live.local_server.remote.password import Password

_log = logging.getLogger("doppelcam.web")
_MOST_CONNECTIONS = 64
_SHARED = Path(__file__).parent
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

_MOST_MESSAGE = 4096  # bytes that a client may send in one message of a WebSocket

Handler = Callable[[Request], Awaitable[Response]]
Talk = Callable[[WebSocket], Awaitable[None]]


class LocalServer:
    """Serves the files of one folder, some routes and WebSockets for the part `name`.

    `routes`: (path, method, handler), `sockets`: (path, handler); handlers run on the server's thread, in its event
    loop. `page` is a folder with index.html, which is served as the address itself.
    """

    def __init__(
        self,
        name: str,
        page: Path,
        routes: Sequence[tuple[str, str, Handler]],
        sockets: Sequence[tuple[str, Talk]] = (),
    ) -> None:
        self.url = self.remote_url = ""
        self._name = name
        files = [file for folder in (page, _SHARED) for file in sorted(folder.iterdir()) if file.suffix in _TYPES]
        table: list[BaseRoute] = [Route("/" if f.name == "index.html" else f"/{f.name}", _file(f)) for f in files]
        table += [Route(path, handler, methods=[method]) for path, method, handler in routes]
        table += [WebSocketRoute(path, talk) for path, talk in sockets]
        self._app = Starlette(routes=table)
        self._sockets = bool(sockets)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: uvicorn.Server | None = None
        self._remote: tuple[uvicorn.Server, Future[None]] | None = None

    def start(self, port: int, *, lan: bool, what: str) -> None:
        """Serve on this port (0: a free one). The address is kept in `url`, and told on the screen as `what`.

        Raises BadInput for a port that cannot be had, NotAvailable where this machine has no network for `lan`.
        """
        token = token_for(self._name)
        sock = self._bind("0.0.0.0" if lan else "127.0.0.1", port)
        port = sock.getsockname()[1]
        try:
            config = self._config(Door(self._app, token, lan=lan))
            url = f"http://127.0.0.1:{port}/{token}/"
            if lan:
                url = f"https://{_reachable()}:{port}/{token}/"
                fingerprint = _secure(config)
            self._run(uvicorn.Server(config), sock)
        except BaseException:
            sock.close()
            raise
        _log.info("%s: %s", what, url, extra={"style": "bold"})
        if lan:
            _tell_certificate(url, fingerprint)
        self.url = url

    def admit(self, host: str, port: int, password: Password, what: str) -> SignIn:
        """After `start`: serve the same to other devices, over TLS, to who signs in with the password.

        `host`: the address or name to listen on (IPv4), "" for the one that others reach, 0.0.0.0 for all. The page's
        address is told on the screen as `what`. Raises BadInput, NotAvailable.
        """
        assert self._loop is not None, "start() comes first"
        address, names = _called(host)
        sock = self._bind(address, port)
        try:
            door = SignIn(self._app, names, password)
            config = self._config(door)
            fingerprint = _secure(config)
            server = uvicorn.Server(config)
            served = asyncio.run_coroutine_threadsafe(server.serve(sockets=[sock]), self._loop)
        except BaseException:
            sock.close()
            raise
        self._remote = server, served
        shown = host if host not in ("", "0.0.0.0") else _reachable()
        self.remote_url = f"https://{shown}:{sock.getsockname()[1]}/"
        _log.info("%s: %s", what, self.remote_url, extra={"style": "bold"})
        _tell_certificate(self.remote_url, fingerprint)
        return door

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def post(self, call: Callable[..., object], *args: object) -> None:
        """Run `call` soon on the server's thread. Nothing happens when the server has ended."""
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(call, *args)
            except RuntimeError:  # the loop has been closed meanwhile
                return

    def stop(self, finish: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Run `finish` on the server's thread, then end: the port is free again afterwards. May be called twice."""
        if self.alive and self._loop is not None and self._server is not None:
            if finish is not None:
                done = asyncio.run_coroutine_threadsafe(finish(), self._loop)
                with suppress(TimeoutError):
                    done.result(5)
            if self._remote is not None:
                server, served = self._remote
                server.should_exit = True
                with suppress(TimeoutError):
                    served.result(5)
            self._server.should_exit = True
            assert self._thread is not None
            self._thread.join(5)
        self._thread = self._loop = self._server = self._remote = None

    def _config(self, door: ASGIApp) -> uvicorn.Config:
        return uvicorn.Config(
            door, http=Doorstep, ws="websockets-sansio" if self._sockets else "none", loop="asyncio", lifespan="off",
            ws_max_size=_MOST_MESSAGE, ws_ping_interval=5, ws_ping_timeout=10, ws_per_message_deflate=False,
            log_config=None, log_level="critical", access_log=False,
            server_header=False, date_header=False, proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS, timeout_graceful_shutdown=1,
        )  # fmt: skip

    def _run(self, server: uvicorn.Server, sock: socket.socket) -> None:
        begun = threading.Event()

        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            # Clients that break off are no news; asyncio would write tracebacks for some of them.
            self._loop.set_exception_handler(lambda *_: None)
            self._loop.call_soon(begun.set)
            await server.serve(sockets=[sock])

        self._server = server
        self._thread = threading.Thread(target=lambda: asyncio.run(main()), name=f"web {self._name}", daemon=True)
        self._thread.start()
        begun.wait(10)

    def _bind(self, address: str, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":  # elsewhere it would let two programs share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address, port))
            sock.listen(128)
        except OSError as error:
            sock.close()
            reason = error.strerror or str(error)
            raise BadInput(
                f"{self._name} cannot listen on port {port}: {reason.lower()}",
                hint=f"is doppelcam already running? another port: {self._name}:{port + 1}; a free one: {self._name}:0",
            ) from None
        return sock


def qr_code(text: str) -> str:
    """A QR code for a terminal: two rows of modules in a line, dark modules drawn, a rim of two around."""
    rows = [list(row) for row in segno.make(text, error="l", micro=False).matrix_iter(border=2)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    blocks = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}
    return "\n".join(
        "".join(blocks[int(a), int(b)] for a, b in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    )


def _reachable() -> str:
    found = addresses()
    if not found:
        raise NotAvailable("no other device can reach this machine: it has no network", hint="or leave lan=true out")
    return found[0]


def _called(host: str) -> tuple[str, frozenset[str]]:
    """The address to listen on for this host, and the names by which others may call it, in small letters."""
    own = socket.gethostname().lower()
    names = {own, f"{own}.local"}
    if host in ("", "0.0.0.0"):
        found = _reachable()
        return host or found, frozenset(names | {found, *(addresses() if host else [])})
    try:
        address = socket.gethostbyname(host)
    except OSError:
        raise BadInput(
            f"{host!r} is no address or name of this machine", hint=f"here: {', '.join(addresses()) or 'none'}"
        ) from None
    return address, frozenset(names | {host.lower(), address})


def _secure(config: uvicorn.Config) -> str:
    """Let it speak TLS alone, with this machine's certificate; its fingerprint."""
    pem, fingerprint = _certificate()
    config.load()
    config.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    config.ssl.load_cert_chain(pem)
    return fingerprint


def _tell_certificate(url: str, fingerprint: str) -> None:
    _log.info("the browser will warn: this certificate is self-made. Its SHA-256 fingerprint is\n%s", fingerprint)
    _log.info("%s", qr_code(url), extra={"style": "black on white"})


def _certificate() -> tuple[Path, str]:
    try:
        return certificate()
    except OSError as error:
        raise NotAvailable(
            f"the certificate for other devices cannot be kept: {error}", hint="see XDG_STATE_HOME"
        ) from None


def _file(path: Path) -> Handler:
    content = path.read_bytes()

    async def answer(_: Request) -> Response:
        return Response(content, media_type=_TYPES[path.suffix])

    return answer
