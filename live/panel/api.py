"""The panel's HTTP API as a table of calls, from which routes, checks, openapi.json and README's table are drawn."""

from __future__ import annotations

import asyncio
import difflib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engines.errors import BadInput, DoppelcamError
from live.local_server import Handler
from live.local_server.door import read_body

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
SWITCH: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "array", "items": TEXT}
VALUE: Schema = {"type": ["number", "string", "boolean"]}

_WORDS = {"string": "a text", "boolean": "true or false", "array": "a list of texts"}
_TYPES: dict[str, type] = {"string": str, "boolean": bool, "array": list}
_TROUBLE: Schema = {"type": "object", "required": ["message", "hint"], "properties": {"message": TEXT, "hint": TEXT}}
_ABOUT = """What doppelcam's page does, for programs. The secret is in the address, or in a header
`Authorization: Bearer SECRET` at the address without it. The WebSocket `live` tells the state; README says how."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `work` gets the JSON object of the body, checked, on a thread of its own; it returns the answer.

    `takes`: the members of the body, each with its JSON schema, `needs`: those that must be there; `others`: the schema
    of any further ones. `handler` instead of `work` for what is no JSON; `asks`: its query. `example`: a body.
    """

    method: str
    path: str
    what: str
    work: Callable[[dict[str, Any]], Any] | None = None
    takes: dict[str, Schema] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    others: Schema | None = None
    example: str = ""
    handler: Handler | None = None
    asks: str = ""
    body: str = "application/json"
    answer: str = "application/json"

    def route(self) -> tuple[str, str, Handler]:
        """As LocalServer takes it."""
        return f"/{self.path}", self.method, self.handler or self._handle

    def check(self, wish: object) -> dict[str, Any]:
        """The body, if it is what this call takes. Raises BadInput."""
        if not isinstance(wish, dict):
            raise BadInput("expected a JSON object", hint=f"for example {self.example or '{}'}")
        for key, value in wish.items():
            schema = self.takes.get(key, self.others)
            if schema is None:
                near = difflib.get_close_matches(key, self.takes, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(self.takes) or 'nothing'}"
                raise BadInput(f"{self.path} does not take {key!r}", hint=hint)
            if key in self.takes and not _is(value, schema):
                raise BadInput(f"{key} is {_WORDS[schema['type']]}", hint=f"for example {self.example}")
        missing = [key for key in self.needs if key not in wish]
        if missing:
            raise BadInput(f"{self.path} needs {' and '.join(missing)}", hint=f"for example {self.example}")
        return wish

    async def _handle(self, request: Request) -> Response:
        body = await read_body(request)
        try:
            wish = json.loads(body) if body else {}
        except (ValueError, RecursionError):
            wish = None
        work = self.work
        assert work is not None, "a call without a handler has work"
        return await told(lambda: work(self.check(wish)))


async def told(work: Callable[[], Any]) -> Response:
    """What `work` returns, on a thread of its own, as JSON; what it refuses as 400 with message and hint."""
    try:
        return JSONResponse(await asyncio.to_thread(work))
    except DoppelcamError as error:
        return JSONResponse({"message": error.message, "hint": error.hint or ""}, 400)


def openapi(calls: Sequence[Call]) -> dict[str, Any]:
    """The table as OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for call in calls:
        paths.setdefault(f"/{call.path}", {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {"title": "doppelcam panel", "version": metadata.version("doppelcam"), "description": _ABOUT},
        "servers": [{"url": "."}],
        "security": [{"secret": []}],
        "paths": paths,
        "components": {
            "schemas": {"Trouble": _TROUBLE},
            "securitySchemes": {"secret": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(call: Call) -> dict[str, Any]:
    refused = {"application/json": {"schema": {"$ref": "#/components/schemas/Trouble"}}}
    schema: Schema = {} if call.answer == "application/json" else TEXT | {"contentMediaType": call.answer}
    made: dict[str, Any] = {
        "summary": call.what,
        "operationId": f"{call.method.lower()}_{call.path.replace('/', '_').replace('.', '_')}",
        "responses": {"200": {"description": "done", "content": {call.answer: {"schema": schema}}}},
    }
    if call.asks:
        made["parameters"] = [{"name": call.asks, "in": "query", "schema": TEXT}]
    if call.work is not None:
        made["responses"]["400"] = {"description": "refused, and why", "content": refused}
    if call.method == "GET":
        if call.asks:
            made["responses"]["404"] = {"description": "there is none"}
        return made
    made["responses"]["413"] = {"description": "too large"}
    schema = TEXT | {"contentMediaType": call.body}
    if call.body == "application/json":
        schema = {"type": "object", "properties": call.takes, "additionalProperties": call.others or False}
        schema |= {"required": list(call.needs)} if call.needs else {}
        schema |= {"examples": [json.loads(call.example)]} if call.example else {}
    else:
        made["responses"]["400"] = {"description": "refused, and why", "content": refused}
    made["requestBody"] = {"required": bool(call.needs), "content": {call.body: {"schema": schema}}}
    return made


def _is(value: object, schema: Schema) -> bool:
    if not isinstance(value, _TYPES[schema["type"]]):
        return False
    return not isinstance(value, list) or all(_is(one, schema["items"]) for one in value)
