"""The panel's address: its page, a small HTTP API and a WebSocket, for this machine alone.

It stands behind local_server's door: loopback, a secret in the address, Host and Origin checked, nothing from
elsewhere. The secret is in the path and in no cookie: a cookie of 127.0.0.1 would be sent to every other server on this
machine, whatever its port, and along with requests that another page makes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from engines.errors import BadInput, DoppelcamError
from live.doctor import CHECKS, examine
from live.local_server import Handler, LocalServer
from live.local_server.door import read_body
from live.panel import choices
from live.panel.controls import controls
from live.panel.faces import MOST_PHOTO, Gallery
from live.panel.show import Show
from live.panel.watchers import KINDS, Watcher, Watchers
from live.run import Run

_STATE_EVERY_S = 0.5


class Panel:
    """The show and its page. `open` serves, `work` runs the show on the calling thread until `end`."""

    def __init__(self, run: Run) -> None:
        self.watchers = Watchers(lambda call, *args: self._server.post(call, *args))
        self.show = Show(run, self.watchers)
        self._given = run
        self._gallery = Gallery(run)
        routes: list[tuple[str, str, Handler]] = [
            ("/state", "GET", _answers(lambda _: self.show.state())),
            ("/choices", "GET", _answers(lambda _: self._choices())),
            ("/doctor", "GET", _answers(lambda _: _doctor())),
            ("/choose", "POST", _answers(lambda wish: self.show.choose(self._chosen(wish)))),
            ("/start", "POST", _answers(lambda wish: self.show.start(self._chosen(wish)))),
            ("/stop", "POST", _answers(lambda _: self.show.stop())),
            ("/wear", "POST", _answers(lambda wish: self.show.wear(self._gallery.demand(wish.get("face"))))),
            ("/cover", "POST", _answers(self._cover)),
            ("/settings", "PATCH", _answers(self.show.adjust)),
            ("/faces", "POST", _answers(lambda wish: self._gallery.keep(wish, self.show))),
            ("/faces/remove", "POST", _answers(lambda wish: self._gallery.remove(wish.get("face")))),
            ("/photo", "POST", self._photo),
            ("/face.jpg", "GET", self._thumb),
        ]
        self._server = LocalServer("panel", Path(__file__).parent / "page", routes, [("/live", self._talk)])

    def open(self, port: int) -> str:
        """Serve; the address. Raises BadInput for a port that cannot be had."""
        self._server.start(port, lan=False, what="the panel")
        return self._server.url

    def close(self) -> None:
        self._server.stop()

    # ---- what is asked for

    def _choices(self) -> dict[str, Any]:
        return {
            "sources": [offer.public() for offer in choices.sources(self._given)],
            "sinks": [offer.public() for offer in choices.sinks(self._given)],
            "faces": self._gallery.faces(),
            "settings": controls(self.show.run, self.show.swappers),
        }

    def _chosen(self, wish: dict[str, Any]) -> Run:
        """What is wanted now, with {source, sinks, face}, each only where it shall change. Raises BadInput."""
        run = self.show.run
        if "source" in wish:
            run = replace(run, source=choices.pick(choices.sources(self._given), wish["source"], "camera"))
        if "sinks" in wish:
            if not isinstance(wish["sinks"], list):
                raise BadInput("sinks is a list", hint='for example ["virtual"]')
            offers = choices.sinks(self._given)
            run = replace(run, sinks=[choices.pick(offers, sink, "way out") for sink in wish["sinks"]])
        if "face" in wish:
            run = replace(run, face=self._gallery.demand(wish["face"]), more_faces=[])
        return run

    def _cover(self, wish: dict[str, Any]) -> None:
        if not isinstance(wish.get("on"), bool):
            raise BadInput('cover takes {"on": true} or {"on": false}')
        self.show.cover(wish["on"])

    async def _photo(self, request: Request) -> Response:
        data = await read_body(request, MOST_PHOTO)
        name = request.query_params.get("name", "photo")[:100]
        return await _told(lambda: self._gallery.drop(data, name))

    async def _thumb(self, request: Request) -> Response:
        face = request.query_params.get("face", "")
        try:
            jpeg = await asyncio.to_thread(self._gallery.thumb, face)
        except (DoppelcamError, OSError):
            jpeg = None
        return Response(status_code=404) if jpeg is None else Response(jpeg, media_type="image/jpeg")

    # ---- the WebSocket

    async def _talk(self, socket: WebSocket) -> None:
        """Tells the state as JSON texts, and pictures as bytes: the number of its kind in KINDS, then a JPEG.

        A page says {"watch": [kinds]}, and {"took": true} after each picture: it gets no other before.
        """
        watcher = self.watchers.add()
        if watcher is None:
            await socket.close(1013)
            return
        telling = None
        try:
            await socket.accept()
            telling = asyncio.create_task(self._tell(socket, watcher))
            while True:
                _hear(watcher, await socket.receive_text())
        except (WebSocketDisconnect, KeyError, RuntimeError):
            pass  # it left, or sent what is no text
        finally:
            self.watchers.remove(watcher)
            if telling is not None:
                telling.cancel()

    async def _tell(self, socket: WebSocket, watcher: Watcher) -> None:
        next_s, told, now = 0.0, "", asyncio.get_running_loop().time
        with suppress(WebSocketDisconnect, RuntimeError):  # it left: the other side of this notices
            while True:
                watcher.changed.clear()
                picture = watcher.take()
                if picture is not None:
                    await socket.send_bytes(bytes([KINDS.index(picture[0])]) + picture[1])
                if now() >= next_s or watcher.stale:
                    watcher.stale = False
                    next_s, text = now() + _STATE_EVERY_S, json.dumps(self.show.state())
                    if text != told:
                        await socket.send_text(text)
                        told = text
                with suppress(TimeoutError):
                    await asyncio.wait_for(watcher.changed.wait(), max(0.0, next_s - now()))


def _hear(watcher: Watcher, text: str) -> None:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(said, dict):
        kinds = said.get("watch")
        if isinstance(kinds, list):
            watcher.watch(frozenset(kind for kind in kinds if isinstance(kind, str)))
        if said.get("took") is True:
            watcher.took()


def _answers(work: Callable[[dict[str, Any]], Any]) -> Handler:
    """A handler that gives `work` the JSON object in the body, off the server's thread, and answers what it answers."""

    async def handle(request: Request) -> Response:
        body = await read_body(request)
        try:
            wish = json.loads(body) if body else {}
        except (ValueError, RecursionError):
            wish = None
        if not isinstance(wish, dict):
            return JSONResponse({"message": "expected a JSON object", "hint": ""}, 400)
        return await _told(lambda: work(wish))

    return handle


async def _told(work: Callable[[], Any]) -> Response:
    try:
        return JSONResponse(await asyncio.to_thread(work))
    except DoppelcamError as error:
        return JSONResponse({"message": error.message, "hint": error.hint or ""}, 400)


def _doctor() -> list[dict[str, Any]]:
    found = examine(list(CHECKS))
    return [{"group": group, **asdict(one)} for group, findings in found.items() for one in findings]
