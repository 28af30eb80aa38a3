"""Attacks on a local server: each is refused, and the server goes on serving."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

import httpx
import pytest

from live.local_server import door
from live.local_server.door import may_be_called
from tests.live.local_server.conftest import port_of


@pytest.fixture(scope="module")
def server(make):
    """One for all attacks."""
    return make()


@pytest.fixture
def say(server):
    """Sends these bytes as they are; the answer until the server closes."""

    def send(*chunks):
        answer = b""
        with socket.create_connection(("127.0.0.1", port_of(server)), timeout=10) as sock:
            with suppress(ConnectionError):  # it may have been shown the door already
                for chunk in chunks:
                    sock.sendall(chunk)
            with suppress(ConnectionError):
                while data := sock.recv(65_536):
                    answer += data
        return answer

    return send


@pytest.fixture(autouse=True)
def _unharmed(server):
    """Whatever a test does, the page is still served afterwards."""
    yield
    assert httpx.get(server.url).text == "<p>here</p>"


def token_of(server):
    return server.url.split("/")[3]


def host_of(server):
    return server.url.split("/")[2]


def status(answer):
    return int(answer.split()[1]) if answer else None


def request(server, path=None, host=None, extra="", method="GET"):
    path = f"/{token_of(server)}/" if path is None else path
    return f"{method} {path} HTTP/1.1\r\nHost: {host_of(server) if host is None else host}\r\n{extra}\r\n".encode()


def test_the_page_comes_with_headers_that_lock_it_in(server):
    answer = httpx.get(server.url)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"  # the secret stays here
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers


def test_refusals_have_the_same_headers(server):
    answer = httpx.get(server.url.replace(token_of(server), "x"))
    assert answer.status_code == 404 and "content-security-policy" in answer.headers


@pytest.mark.parametrize(
    "change",
    [
        lambda token: "",
        lambda token: "x",
        lambda token: token[:-1],
        lambda token: token + "x",
        lambda token: token.swapcase(),
        lambda token: token[:-1] + "%00",
        lambda token: "%C3%A9%FF" + token,
        lambda token: f"x/{token}",
        lambda token: f"?{token}",
        lambda token: "/" + token,
    ],
)
def test_without_the_secret_nothing_is_served(server, say, change):
    answer = say(request(server, f"/{change(token_of(server))}/"))
    assert status(answer) == 404 and b"here" not in answer


@pytest.mark.parametrize(
    "path",
    [
        "../../../../etc/passwd",
        "..%2f..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/etc/passwd",
        "secret.txt",
        "./secret.txt",
        "..\\secret.txt",
        "//etc/passwd",
        "look.css/../secret.txt",
        "look.css%00.txt",
        "__init__.py",
        "door.py",
    ],
)
def test_only_the_pages_own_files_are_served(server, say, path):
    answer = say(request(server, f"/{token_of(server)}/{path}"))
    assert status(answer) in (400, 404) and b"root:" not in answer and b"not for the web" not in answer


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "192.168.1.7", "0", "2130706433",
     "0x7f.0.0.1", "127.0.0.1@evil.example", "[::1].evil.example", "127.0.0.1:80:80", "localhost:x", "[evil]"],
)  # fmt: skip
def test_a_name_that_may_be_rebound_is_refused(server, say, host):
    assert status(say(request(server, host=host))) in (400, 421)


def test_without_a_host_or_with_two_it_is_refused(server, say):
    path = f"/{token_of(server)}/"
    assert status(say(f"GET {path} HTTP/1.0\r\n\r\n".encode())) == 421
    assert status(say(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n".encode())) in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "localhost:1234", "127.0.0.1", "127.0.0.1:9", "[::1]:80", "LOCALHOST"])
def test_names_of_this_machine_are_served_also_by_a_forwarded_port(server, say, host):
    assert status(say(request(server, host=host))) == 200


@pytest.mark.parametrize(
    ("host", "lan", "may"),
    [
        ("192.168.1.7:8773", True, True),
        ("[fe80::1]:8773", True, True),
        (socket.gethostname(), True, True),
        (f"{socket.gethostname()}.local:1", True, True),
        (socket.gethostname(), False, False),
        ("evil.example", True, False),
        ("local", True, False),
    ],
)
def test_other_devices_may_use_numbers_and_this_machines_name(host, lan, may):
    assert may_be_called(host, lan=lan) is may


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "https://{host}", "{host}", ""]
)
def test_other_pages_may_not_ask(server, say, origin):
    extra = f"Origin: {origin.format(host=host_of(server))}\r\nContent-Length: 0\r\n"
    answer = say(request(server, f"/{token_of(server)}/count", extra=extra, method="POST"))
    assert status(answer) == 403 and b"access-control" not in answer.lower()


def test_the_own_page_and_programs_may_ask(server):
    own = server.url.rsplit("/", 2)[0]
    assert httpx.post(f"{server.url}count", content=b"abc", headers={"origin": own}).text == "3"
    assert httpx.post(f"{server.url}count", content=b"abcd").text == "4"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "POST", "BREW"])
def test_other_methods_are_refused(server, say, method):
    answer = say(request(server, method=method, extra="Content-Length: 0\r\n"))
    assert status(answer) == 405 and b"access-control" not in answer.lower()


def test_a_websocket_is_not_opened(server, say):
    extra = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
    assert b" 101 " not in say(request(server, extra=extra))


def test_a_body_that_says_it_is_huge_is_refused_at_once(server, say):
    extra = "Content-Length: 99999999999\r\n"
    assert status(say(request(server, f"/{token_of(server)}/count", extra=extra, method="POST"))) == 413


def test_a_body_without_end_is_cut_off(server, say):
    head = request(server, f"/{token_of(server)}/count", extra="Transfer-Encoding: chunked\r\n", method="POST")
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    assert status(say(head, *[chunk] * 64)) in (None, 413)


def test_a_body_that_does_not_come_is_given_up(server, say, monkeypatch):
    monkeypatch.setattr(door, "_SECONDS", 0.3)
    head = request(server, f"/{token_of(server)}/count", extra="Content-Length: 100\r\n", method="POST")
    assert status(say(head + b"only this")) == 408


@pytest.mark.parametrize("begin", [b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_who_does_not_ask_is_shown_the_door(say, monkeypatch, begin):
    monkeypatch.setattr(door, "_SECONDS", 0.3)
    assert say(begin) == b""


@pytest.mark.parametrize(
    "junk",
    [b"\x16\x03\x01\x02\x00\x01", b"\x00" * 70_000, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 30_000, b"\r\n" * 50_000,
     b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
     b"GET " + b"/x" * 50_000 + b" HTTP/1.1\r\n\r\n"],
)  # fmt: skip
def test_junk_is_no_request(say, monkeypatch, junk):
    monkeypatch.setattr(door, "_SECONDS", 0.5)
    assert status(say(junk)) in (None, 400)


def test_a_crowd_is_turned_away_and_leaves_room_again(server):
    crowd = [socket.create_connection(("127.0.0.1", port_of(server))) for _ in range(100)]
    deadline = time.monotonic() + 10
    while (answer := httpx.get(server.url)).status_code != 503 and time.monotonic() < deadline:
        time.sleep(0.05)  # until the server has seen them all
    assert answer.status_code == 503
    for sock in crowd:
        sock.close()
    while httpx.get(server.url).status_code != 200 and time.monotonic() < deadline:
        time.sleep(0.05)


def test_the_address_without_its_last_stroke_leads_to_the_page(server):
    answer = httpx.get(server.url.rstrip("/"))
    assert answer.is_redirect and answer.headers["location"] == f"/{token_of(server)}/"
