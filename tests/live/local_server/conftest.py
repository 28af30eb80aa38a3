"""A local server with one page and one route that says how long its body was."""

from __future__ import annotations

import pytest
from starlette.responses import PlainTextResponse

from live.local_server import LocalServer
from live.local_server.door import read_body


async def count(request):
    return PlainTextResponse(str(len(await read_body(request))))


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("<p>here</p>")
    (folder / "secret.txt").write_text("not for the web")
    return folder


@pytest.fixture(scope="module")
def make(page):
    """Starts servers; all are stopped at the end."""
    servers = []

    def start(port=0, lan=False, name="test"):
        server = LocalServer(name, page, [("/count", "POST", count)])
        servers.append(server)
        server.start(port, lan=lan, what="a test")
        return server

    yield start
    for server in servers:
        server.stop()


def port_of(server):
    return int(server.url.split(":")[2].split("/")[0])
