"""The panel's address: its page, a small HTTP API and a WebSocket, for this machine alone.

It stands behind local_server's door: loopback, a secret in the address, Host and Origin checked, nothing from
elsewhere. The secret is in the path and in no cookie: a cookie of 127.0.0.1 would be sent to every other server on this
machine, whatever its port, and along with requests that another page makes.

With `admit` other devices come in by another door (local_server/remote). They see what others see, and never the
camera's own picture, nor the addresses of other pages here, in which secrets are.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope
from starlette.websockets import WebSocket, WebSocketDisconnect

from engines.errors import DoppelcamError
from live.doctor import CHECKS, examine
from live.local_server import LocalServer
from live.local_server.door import read_body
from live.local_server.remote import SignIn
from live.local_server.remote.password import Password
from live.panel import choices, presets
from live.panel.api import SWITCH, TEXT, TEXTS, VALUE, Call, openapi, told
from live.panel.controls import adjusted, controls
from live.panel.faces import MOST_PHOTO, Gallery
from live.panel.preview import Preview, RemotePreview
from live.panel.show import Show
from live.panel.watchers import AFTER, KINDS, Watcher, Watchers
from live.run import Run

_STATE_EVERY_S = 0.5


class Panel:
    """The show and its page. `open` serves; the show's `work` runs it on the calling thread until its `end`."""

    def __init__(self, run: Run, *, remote: bool = False) -> None:
        """`remote`: it will be served to other devices too."""
        self.watchers = Watchers(lambda call, *args: self._server.post(call, *args))
        self.show = Show(run, self.watchers, (RemotePreview if remote else Preview)(self.watchers))
        self._remote: SignIn | None = None
        self._given = run
        self._gallery = Gallery(lambda: [one.face for one in self._runs])
        routes = [call.route() for call in self.calls()]
        self._server = LocalServer("panel", Path(__file__).parent / "page", routes, [("/live", self._talk)])

    def calls(self) -> list[Call]:
        """Everything that can be asked for."""
        show, places = self.show, '{"source": "sample", "sinks": ["virtual"], "face": "me"}'
        wish, named = {"source": TEXT, "sinks": TEXTS, "face": TEXT}, {"name": TEXT}
        face: Any = {"takes": {"face": TEXT}, "needs": ("face",), "example": '{"face": "me"}'}
        photo = {key: TEXT for key in ("photo", "name", "how", "until", "consent")}
        return [
            Call("GET", "state", "what is on, covered, worn; fps, age, drops, covers, engines",
                 handler=self._tell_state),
            Call("GET", "choices", "sources, sinks, faces, presets and settings, by the ids that the others take",
                 lambda _: self._choices()),
            Call("POST", "start", "begins, or begins anew, with any of these changed",
                 lambda wish: show.start(self._chosen(show.run, wish)), wish, example=places),
            Call("POST", "choose", "the same, but only if it is on; else for the next start",
                 lambda wish: show.change(lambda run: self._chosen(run, wish)), wish, example=places),
            Call("POST", "stop", "ends; cameras keep the cover", lambda _: show.stop()),
            Call("POST", "wear", "another face, without a break where its swapper allows",
                 lambda wish: show.change(lambda run: self._chosen(run, wish)), **face),
            Call("POST", "cover", "the cover everywhere, until `false`", lambda wish: show.cover(wish["on"]),
                 {"on": SWITCH}, ("on",), example='{"on": true}'),
            Call("PATCH", "settings", "as `--set`; at once, or by beginning anew",
                 lambda wish: show.change(lambda run: adjusted(run, show.swappers, wish)),
                 others=VALUE, example='{"swappers.mesh.shape": 0.8}'),
            Call("POST", "presets", "keeps what is set now under this name",
                 self._save, {**named, "replace": SWITCH}, ("name",), example='{"name": "late", "replace": true}'),
            Call("POST", "presets/use", "puts a preset on; without a break where that works",
                 lambda wish: show.change(lambda _: presets.opened(wish["name"]), wish["name"]), named, ("name",),
                 example='{"name": "late"}'),
            Call("POST", "presets/remove", "deletes a preset", lambda wish: presets.remove(wish["name"]), named,
                 ("name",), example='{"name": "late"}'),
            Call("POST", "presets/next", "`doppelcam panel` starts with what is set now; `false`: no longer",
                 lambda wish: presets.keep(show.run if wish["on"] else None), {"on": SWITCH}, ("on",),
                 example='{"on": true}'),
            Call("POST", "photo", "looks at a photo of one face; it waits until it is kept", handler=self._photo,
                 asks="name", body="application/octet-stream"),
            Call("POST", "faces", "keeps the photo as a face; `how`: self, consented, synthetic or unverified",
                 lambda wish: self._gallery.keep(wish, show), photo, ("photo", "name", "how"),
                 example='{"photo": "ID", "name": "me", "how": "self"}'),
            Call("POST", "faces/remove", "deletes a face", lambda wish: self._gallery.remove(wish["face"]), **face),
            Call("GET", "face.jpg", "a small picture of a face", handler=self._thumb, asks="face", answer="image/jpeg"),
            Call("GET", "doctor", "examines this computer", lambda _: _doctor()),
            Call("GET", "openapi.json", "this table for programs", lambda _: openapi(self.calls())),
        ]  # fmt: skip

    def open(self, port: int) -> str:
        """Serve; the address. Raises BadInput for a port that cannot be had."""
        self._server.start(port, lan=False, what="the panel")
        return self._server.url

    def admit(self, host: str, port: int, password: Password) -> str:
        """After `open`: serve other devices too, over TLS, who sign in with this password; the address.

        `host` as LocalServer.admit takes it. Raises BadInput, NotAvailable.
        """
        self._remote = self._server.admit(host, port, password, "the panel for other devices")
        return self._server.remote_url

    def close(self) -> None:
        self._server.stop()

    # ---- what is asked for

    @property
    def _runs(self) -> list[Run]:
        """Whose sources, sinks and face can be chosen besides the usual: the command line's and the present one's."""
        return [self._given, self.show.run]

    def _choices(self) -> dict[str, Any]:
        return {
            "sources": [offer.public() for offer in choices.sources(self._runs)],
            "sinks": [offer.public() for offer in choices.sinks(self._runs)],
            "faces": self._gallery.faces(),
            "presets": presets.listed(),
            "next": presets.next_time().exists(),
            "settings": controls(self.show.run, self.show.swappers),
        }

    def _chosen(self, run: Run, wish: dict[str, Any]) -> Run:
        """This run with {source, sinks, face}, each only where it shall change. Raises BadInput."""
        if "source" in wish:
            run = replace(run, source=choices.pick(choices.sources(self._runs), wish["source"], "camera"))
        if "sinks" in wish:
            offers = choices.sinks(self._runs)
            run = replace(run, sinks=[choices.pick(offers, sink, "way out") for sink in wish["sinks"]])
        if "face" in wish:
            run = replace(run, face=self._gallery.demand(wish["face"]), more_faces=[])
        return run

    def _save(self, wish: dict[str, Any]) -> None:
        presets.save(wish["name"], self.show.run, replace=wish.get("replace", False))
        self.show.preset = wish["name"]

    def _state(self, scope: Scope) -> dict[str, Any]:
        """The state for who asks: less of it for other devices."""
        found, remote = self.show.state(), self._remote
        found["away"] = away = _is_away(scope)
        if away:
            found["addresses"] = {}
        found["remote"] = remote and {
            "address": self._server.remote_url, "signed_in": remote.signed_in, "wrong": remote.tries.wrong
        }  # fmt: skip
        return found

    async def _tell_state(self, request: Request) -> Response:
        return await told(lambda: self._state(request.scope))

    async def _photo(self, request: Request) -> Response:
        data = await read_body(request, MOST_PHOTO)
        name = request.query_params.get("name", "photo")[:100]
        return await told(lambda: self._gallery.drop(data, name))

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
        watcher = self.watchers.add(frozenset({AFTER} if _is_away(socket.scope) else KINDS))
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
                    next_s, text = now() + _STATE_EVERY_S, json.dumps(self._state(socket.scope))
                    if text != told:
                        await socket.send_text(text)
                        told = text
                with suppress(TimeoutError):
                    await asyncio.wait_for(watcher.changed.wait(), max(0.0, next_s - now()))


def _is_away(scope: Scope) -> bool:
    """Is this asked for by another device?"""
    return scope.get("remote") is True


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


def _doctor() -> list[dict[str, Any]]:
    found = examine(list(CHECKS))
    return [{"group": group, **asdict(one)} for group, findings in found.items() for one in findings]
