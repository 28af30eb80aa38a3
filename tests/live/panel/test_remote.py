"""Other devices: over TLS and with the password alone. Attacks on that door; what is kept from who came in by it."""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from engines.errors import BadInput, NotAvailable
from live.local_server.keys import addresses, certificate, token_for
from live.local_server.remote import COOKIE, HOURS
from live.local_server.remote.password import Password
from live.panel.server import Panel
from tests.live.panel.conftest import SOON_S, live, sample_run, served, until

WORDS = "correct horse battery"
CALLS = [(call.method, call.path) for call in Panel(sample_run()).calls()]


@pytest.fixture(scope="module")
def password():
    return Password(WORDS)


@pytest.fixture(scope="module")
def panel(password):
    """A panel that other devices may reach, by way of 127.0.0.1; nobody has started it."""
    with served(sample_run(sink=["mjpeg:0"]), remote=True) as made:
        made.address = made.admit("127.0.0.1", 0, password)
        yield made


@pytest.fixture
def now(panel, monkeypatch):
    """The clock of the door, in seconds; nobody has tried yet."""
    door = panel._remote
    time = [door._clock()]
    for part in (door, door.tries):
        monkeypatch.setattr(part, "_clock", lambda: time[0])
    monkeypatch.setattr(door.tries, "_next_s", 0.0)
    door.tries._by.clear()
    return time


@pytest.fixture(scope="module")
def trusted():
    return ssl.create_default_context(cafile=str(certificate()[0]))


@pytest.fixture
def device(panel, trusted):
    """A browser-like client: it keeps cookies and trusts the certificate that was shown."""
    with httpx.Client(base_url=panel.address, verify=trusted, timeout=SOON_S) as client:
        yield client


@pytest.fixture
def inside(device, now):
    """The same, signed in."""
    assert device.post("sign-in", json={"password": WORDS}).status_code == 200
    now[0] += 1
    return device


def watch(panel, trusted, cookie="", **headers):
    more = {"cookie": f"{COOKIE}={cookie}"} if cookie else {}
    return connect(
        panel.address.replace("https", "wss") + "live", ssl=trusted, additional_headers={**more, **headers},
        open_timeout=10, max_size=None,
    )  # fmt: skip


# ---- who comes in


def test_who_signs_in_can_do_what_the_page_does(panel, inside):
    assert "<title>doppelcam</title>" in inside.get("").text
    assert inside.get("state").json()["away"] is True and inside.get("choices").status_code == 200
    assert inside.post("cover", json={"on": True}).status_code == 200 and panel.show.state()["covered"]
    inside.post("cover", json={"on": False})
    assert httpx.get(panel.url + "state").json()["remote"]["signed_in"] >= 1


def test_the_cookie_is_for_this_host_and_https_alone_and_no_script_reads_it(device, now):
    answer = device.post("sign-in", json={"password": WORDS})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-") and "Domain" not in cookie and "Path=/" in cookie
    for word in ("Secure", "HttpOnly", "SameSite=strict", f"Max-Age={HOURS * 3600}"):
        assert word in cookie


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_without_a_session_nothing_is_answered(device, method, path):
    for cookie in ("", "x", "x" * 43):
        answer = device.request(method, path, headers={"cookie": f"{COOKIE}={cookie}"})
        assert answer.status_code == 401 and answer.json()["message"] == "sign in first"


def test_outside_there_is_the_page_for_signing_in_alone(device):
    answer = device.get("")
    assert "Sign in" in answer.text and "gallery" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    for name in ("sign_in.js", "colours.css", "look.css", "icon.svg"):
        assert device.get(name).status_code == 200
    for name in ("panel.js", "index.html", "../state", "sign_in.html", "%2e%2e/state", "//state"):
        assert device.get(panel_path(device, name)).status_code in (401, 404)


def panel_path(device, name):
    return str(device.base_url) + name


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"{}", b'{"password": 3}', b'{"password": ["x"]}', b"[" * 4000])
def test_what_is_no_password_is_none(device, now, body):
    assert device.post("sign-in", content=body).status_code == 400
    assert COOKIE not in device.cookies


def test_a_long_body_is_cut_off(device, now):
    assert device.post("sign-in", content=b" " * 5000).status_code == 413


# ---- guessing


def test_wrong_passwords_are_refused_counted_and_slowed_down(panel, device, now, caplog):
    before, asked = panel._remote.tries.wrong, 0
    for _ in range(6):
        while (answer := device.post("sign-in", json={"password": "wrong " * 3})).status_code == 429:
            now[0] += int(answer.headers["retry-after"])
            asked += 1
        assert answer.status_code == 403 and COOKIE not in device.cookies
    assert panel._remote.tries.wrong == before + 6 and asked == 5
    waiting = device.post("sign-in", json={"password": WORDS})  # the right one tells nothing before its time
    assert waiting.status_code == 429 and int(waiting.headers["retry-after"]) > 8
    assert "wrong password from 127.0.0.1 (4 in a row)" in caplog.text and WORDS not in caplog.text
    now[0] += 300
    assert device.post("sign-in", json={"password": WORDS}).status_code == 200


def test_a_session_ends_by_signing_out_and_by_itself(inside, now):
    cookie = inside.cookies[COOKIE]
    now[0] += HOURS * 3600 - 5
    assert inside.get("state").status_code == 200
    now[0] += 10
    assert inside.get("state").status_code == 401
    inside.post("sign-in", json={"password": WORDS})
    fresh = inside.cookies[COOKIE]
    assert inside.post("sign-out").status_code == 200 and COOKIE not in inside.cookies
    for gone in (cookie, fresh):
        assert inside.get("state", headers={"cookie": f"{COOKIE}={gone}"}).status_code == 401


@pytest.mark.long
def test_only_so_many_sessions_are_held_and_the_oldest_goes(inside, now, panel):
    first = inside.cookies[COOKIE]
    for _ in range(16):
        inside.post("sign-in", json={"password": WORDS})
        now[0] += 1
    assert inside.get("state").status_code == 200 and panel._remote.signed_in == 16
    assert httpx.get(panel.address + "state", verify=False, headers={"cookie": f"{COOKIE}={first}"}).status_code == 401


# ---- other ways in


def test_http_instead_of_https_gets_nothing(panel):
    with pytest.raises(httpx.HTTPError):
        httpx.get(panel.address.replace("https", "http"))
    port = int(panel.address.split(":")[2].strip("/"))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with suppress(ConnectionError):
            assert b"HTTP" not in sock.recv(65_536)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_another_page_is_refused_even_with_a_session(inside, trusted, panel, origin):
    for method, path in [*CALLS, ("POST", "sign-out"), ("POST", "sign-in")]:
        assert inside.request(method, path, headers={"origin": origin}).status_code == 403
    with pytest.raises(InvalidStatus, match="403"), watch(panel, trusted, inside.cookies[COOKIE], origin=origin):
        pass


@pytest.mark.parametrize(
    "name", ["evil.example", "127.0.0.1.evil.example", "192.0.2.7", "localhost", "", "127.0.0.1:x"]
)
def test_another_name_is_refused_even_with_a_session(inside, name):
    for method, path in [("GET", "state"), ("GET", ""), ("POST", "sign-in")]:
        assert inside.request(method, path, headers={"host": name}).status_code == 421


def test_a_websocket_takes_a_session(panel, trusted, inside):
    for cookie in ("", "x"):
        with pytest.raises(InvalidStatus, match="403"), watch(panel, trusted, cookie):
            pass
    with watch(panel, trusted, inside.cookies[COOKIE]) as talk:
        assert json.loads(talk.recv(10))["away"] is True


def test_who_signs_out_or_stays_too_long_sees_nothing_more(panel, trusted, inside):
    with watch(panel, trusted, inside.cookies[COOKIE]) as talk:
        talk.recv(10)
        inside.post("sign-out")
        with pytest.raises(ConnectionClosed):
            while True:
                talk.recv(10)
    until(lambda: not panel.watchers._all)


def test_the_secret_of_the_local_address_is_of_no_use(panel, device):
    secret = token_for("panel")
    assert secret in panel.url
    for path, headers in (
        (f"{secret}/state", {}),
        ("state", {"authorization": f"Bearer {secret}"}),
        (f"{secret}/", {}),
    ):
        assert device.get(path, headers=headers).status_code == 401
    assert device.get("", headers={"cookie": f"{COOKIE}={secret}"}).text.count("Sign in")


def test_a_session_is_of_no_use_at_the_local_address(panel, inside):
    local = panel.url.replace(token_for("panel") + "/", "")
    assert httpx.get(local + "state", headers={"cookie": f"{COOKIE}={inside.cookies[COOKIE]}"}).status_code == 404


# ---- what is kept from other devices


def test_the_cameras_own_picture_and_the_addresses_with_secrets_stay_here(panel, trusted, inside):
    panel.show.start()
    live(panel)
    until(lambda: panel.show.state()["addresses"])
    assert httpx.get(panel.url + "state").json()["addresses"]
    assert inside.get("state").json()["addresses"] == {}
    secret = token_for("mjpeg")
    with watch(panel, trusted, inside.cookies[COOKIE]) as talk:
        talk.send('{"watch": ["before", "after"]}')
        pictures = 0
        while pictures < 5:
            said = talk.recv(20)
            if isinstance(said, bytes):
                assert said[0] == 0  # KINDS: after
                pictures += 1
                talk.send('{"took": true}')
            else:
                assert secret not in said
        assert not panel.watchers.wants("before")
    panel.show.stop()


def test_what_other_devices_see_has_its_label():
    with served(sample_run(), remote=True) as panel:
        panel.show.start()
        live(panel)
        assert [type(mark).__name__ for mark in panel.show._loop.parts.marks] == ["Watermark", "Badge"]


# ---- where it listens


def test_without_being_asked_it_listens_on_loopback_alone():
    with served(sample_run(), remote=True) as panel:
        assert panel.url.startswith("http://127.0.0.1:") and panel._server.remote_url == ""
        port = int(panel.url.split(":")[2].split("/")[0])
        for address in addresses():
            with pytest.raises(ConnectionRefusedError), socket.create_connection((address, port), timeout=2):
                pass


@pytest.mark.skipif(not addresses(), reason="this machine has no network but loopback")
def test_it_listens_on_the_usual_address_if_none_is_named(password, trusted):
    with served(sample_run(), remote=True) as panel:
        address = panel.admit("", 0, password)
        assert address.startswith(f"https://{addresses()[0]}:")
        assert "Sign in" in httpx.get(address, verify=trusted).text
        name = f"{socket.gethostname()}.local"
        assert httpx.get(address, verify=trusted, headers={"host": name}).status_code == 200


@pytest.mark.parametrize("host", ["no such host", "192.0.2.7"])
def test_an_address_that_is_not_of_this_machine_is_one_clear_line(password, host):
    with served(sample_run(), remote=True) as panel, pytest.raises(BadInput, match=r"no address or name|cannot listen"):
        panel.admit(host, 0, password)


def test_without_a_certificate_it_does_not_listen(password, tmp_path, monkeypatch):
    with served(sample_run(), remote=True) as panel:
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
        with pytest.raises(NotAvailable, match="certificate"):
            panel.admit("127.0.0.1", 0, password)
        assert panel._server.remote_url == "" and panel._remote is None
