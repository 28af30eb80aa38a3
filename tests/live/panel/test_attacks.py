"""Attacks on the panel, each refused: other names, other pages, no secret, too much, and paths that it shall open."""

from __future__ import annotations

import http.client
import io
import socket
import struct
import zlib
from contextlib import ExitStack, suppress

import httpx
import pytest
from PIL import Image as Pillow
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from live.panel.faces import MOST_PHOTO
from live.panel.server import Panel
from live.panel.watchers import MOST
from live.personas.packs import user_packs
from tests.live.panel.conftest import sample_run, say, served, until

ROUTES = [(call.method, call.path) for call in Panel(sample_run()).calls()]
HERE = {"away": False, "remote": None}
CHANGES = [(method, path) for method, path in ROUTES if method != "GET"]


@pytest.fixture(autouse=True)
def _unharmed(idle):
    """Whatever a test does, the panel goes on, and nothing was started, covered or changed."""
    before = idle.show.state()
    yield
    assert say(idle, "GET", "state") == (200, {**before, "swappers": list(before["swappers"]), **HERE})


def host(panel):
    return panel.url.split("/")[2]


def socket_at(panel, path="live", **more):
    return connect(panel.url.replace("http", "ws") + path, open_timeout=10, **more)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nothing_is_answered_without_the_secret(idle, method, path):
    for wrong in (f"http://{host(idle)}/{path}", f"http://{host(idle)}/x/{path}", idle.url[:-2] + f"/{path}"):
        assert httpx.request(method, wrong).status_code == 404


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example", "192.168.1.7"])
def test_a_rebound_name_is_refused_even_with_the_secret(idle, method, path, name):
    assert httpx.request(method, idle.url + path, headers={"host": name}).status_code == 421


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_another_page_is_refused_even_with_the_secret(idle, method, path, origin):
    answer = httpx.request(method, idle.url + path, headers={"origin": origin})
    assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_nothing_is_changed_by_a_link_or_a_picture(idle, method, path):
    assert httpx.get(idle.url + path).status_code == 405


@pytest.mark.parametrize("path", ["presets", "presets/use", "presets/remove"])
@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "x\0", "con", "x" * 65, " x", "x.toml/../../y", "-x"]
)
def test_no_path_from_a_page_is_a_preset(idle, path, name):
    status, told = say(idle, "POST", path, {"name": name})
    assert status == 400 and "cannot be the name of a preset" in told["message"]
    assert say(idle, "GET", "choices")[1]["presets"] == []


def test_a_websocket_of_another_page_is_refused(idle):
    for origin in ("https://evil.example", "null", "http://localhost:1"):
        with pytest.raises(InvalidStatus, match="403"), socket_at(idle, origin=origin):
            pass


def test_a_websocket_by_a_rebound_name_is_refused(idle):
    port = int(host(idle).split(":")[1])
    url = idle.url.replace("http://127.0.0.1", "ws://evil.example") + "live"
    with (
        socket.create_connection(("127.0.0.1", port)) as sock,
        pytest.raises(InvalidStatus, match="403"),
        connect(url, sock=sock),
    ):
        pass


def test_a_websocket_without_the_secret_is_refused(idle):
    for url in (f"ws://{host(idle)}/live", f"ws://{host(idle)}/x/live"):
        with pytest.raises(InvalidStatus, match="403"), connect(url):
            pass


def test_there_is_no_other_websocket(idle):
    for path in ("", "state", "live/x"):
        with pytest.raises(InvalidStatus), socket_at(idle, path):
            pass


def test_the_own_page_and_programs_may_watch(idle):
    for more in ({}, {"origin": f"http://{host(idle)}"}):
        with socket_at(idle, **more) as talk:
            assert '"phase"' in talk.recv(10)


@pytest.mark.parametrize(
    "said", ["", "x", "[]", "[" * 4000, '{"watch": 3}', '{"watch": [{}, "x"]}', '{"took": 1}', "null"]
)
def test_what_makes_no_sense_is_passed_over(idle, said):
    with socket_at(idle) as talk:
        talk.send(said)
        assert '"phase"' in talk.recv(10)
        assert talk.ping().wait(10)


def test_a_message_that_is_too_long_ends_the_connection(idle):
    with socket_at(idle) as talk, pytest.raises(ConnectionClosed):
        talk.send("x" * 5000)
        while True:
            talk.recv(10)


def test_a_crowd_of_watchers_is_turned_away_and_leaves_room_again(idle):
    with ExitStack() as crowd:
        for _ in range(MOST):
            crowd.enter_context(socket_at(idle)).recv(10)
        with pytest.raises(InvalidStatus), socket_at(idle):
            pass
    until(lambda: not idle.watchers._all)
    with socket_at(idle) as talk:
        talk.recv(10)


def test_the_page_is_locked_in_and_may_stand_in_no_other_page(idle):
    answer = httpx.get(idle.url)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy and answer.headers["x-frame-options"] == "DENY"
    assert "set-cookie" not in answer.headers  # there is nothing that a browser would add by itself


def test_the_page_asks_for_nothing_from_elsewhere(idle):
    for name in ("", "panel.js", "panel.css", "colours.css", "faces.js", "link.js"):
        text = httpx.get(idle.url + name).text
        assert text and "http://" not in text and "https://" not in text and "//" + "cdn" not in text


@pytest.fixture
def secret(tmp_path):
    """A picture and a clip that only the user can read, which nobody may have opened by the panel."""
    path = tmp_path / "secret.png"
    Pillow.new("RGB", (64, 64)).save(path)
    return str(path)


@pytest.mark.parametrize("path", ["start", "choose"])
def test_no_path_or_address_from_a_page_is_a_source(idle, secret, path):
    for source in (secret, "/etc/passwd", "rtsp://evil.example/x", "camera:/dev/video9", "sample:x", ""):
        status, told = say(idle, "POST", path, {"source": source})
        assert status == 400 and "no such camera" in told["message"]
    for source in (None, [], {}, 3):
        status, told = say(idle, "POST", path, {"source": source})
        assert status == 400 and told["message"] == "source is a text"


@pytest.mark.parametrize("path", ["start", "choose"])
def test_no_path_or_address_from_a_page_is_a_sink(idle, tmp_path, path):
    target = tmp_path / "out.mp4"
    for sinks in (
        [str(target)],
        ["rtmp://evil.example/live/key"],
        ["mjpeg:80"],
        ["window"],
        [None],
        [[]],
        "virtual",
        3,
    ):
        assert say(idle, "POST", path, {"sinks": sinks})[0] == 400
    assert not target.exists()


@pytest.mark.parametrize(
    "face", ["/etc/passwd", "../x", "sample:../../x", "model:x", "", None, ["sample:joel"], {"a": 1}]
)
def test_no_path_from_a_page_is_a_face(idle, secret, face):
    for path, body in (("wear", {"face": face}), ("start", {"face": face}), ("choose", {"face": secret})):
        status, told = say(idle, "POST", path, body)
        assert status == 400 and ("no such face" in told["message"] or told["message"] == "face is a text")


@pytest.mark.parametrize(
    "face", ["/etc/passwd", "../key", "sample:../camera", "sample:../../models/x", "key", "%00", ""]
)
def test_no_path_from_a_page_is_a_thumbnail(idle, face):
    assert httpx.get(idle.url + "face.jpg", params={"face": face}).status_code == 404


@pytest.mark.parametrize("name", ["../key", "/etc/passwd", "..", "", None, 3, "withdrawn", "key"])
def test_only_a_face_that_is_kept_can_be_removed(idle, name):
    assert say(idle, "POST", "faces/remove", {"face": name})[0] == 400


@pytest.mark.parametrize(
    "settings",
    [
        {"sinks.recording.path": "/tmp/x.mp4"},
        {"sinks.mjpeg.lan": True},
        {"sinks.mjpeg.port": 80},
        {"sources.sample.path": "/etc/passwd"},
        {"swappers.one_photo.model": "/tmp/x"},
        {"engine": "open_inference:evil.example:80"},
        {"finders.mediapipe_mesh.engine": "open_inference:evil.example:80"},
        {"disclosure": "elsewhere"},
        {"__class__": 1},
        {"guard.__init__": 1},
        {"guard.permit": 1},
        {"guard.hold_ms": 1e9},
        {"guard.hold_ms": "nan"},
        {"guard.hold_ms": [1]},
        {"guard.on_no_face": "bare"},
        {"swappers.mesh.shape": 0.5, "guard": 1},
    ],
)
def test_only_what_is_offered_can_be_set_and_only_within_its_limits(idle, settings):
    before = idle.show.run
    assert say(idle, "PATCH", "settings", settings)[0] == 400
    assert idle.show.run == before


@pytest.mark.parametrize(
    "body", [b"x", b"[]", b"3", b'"x"', b"\xff", b"[" * 60_000, b'{"on": 1}', b'{"on": "yes"}', b"{}"]
)
def test_what_is_no_wish_is_one_clear_line(idle, body):
    answer = httpx.post(idle.url + "cover", content=body)
    assert answer.status_code == 400 and answer.json()["message"]


def test_a_wish_that_is_too_long_is_refused(idle):
    assert httpx.post(idle.url + "cover", content=b" " * 70_000).status_code == 413


# ---- photos


def test_a_photo_that_is_too_large_is_refused_before_and_while_it_comes(idle):
    def endless():
        for _ in range(MOST_PHOTO // 65_536 + 16):
            yield b"x" * 65_536

    # Only the head of it: whoever is still sending when the server hangs up may miss the answer.
    url = httpx.URL(idle.url + "photo")
    link = http.client.HTTPConnection(url.host, url.port, timeout=30)
    link.putrequest("POST", url.path)
    link.putheader("Content-Length", str(MOST_PHOTO + 1))
    link.endheaders()
    assert link.getresponse().status == 413
    link.close()
    with suppress(httpx.TransportError):  # it has hung up meanwhile
        assert httpx.post(idle.url + "photo", content=endless()).status_code == 413


def bomb():
    """A PNG of 100,000 x 100,000 pixels in a few bytes."""
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    made = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def plain(size):
    file = io.BytesIO()
    Pillow.new("RGB", size).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "data", [b"", b"x", b"GIF89a", b"<svg/>", bomb(), plain((80, 60))[:60], plain((8, 8))], ids=len
)
def test_what_is_no_photo_of_a_face_is_one_clear_line(idle, data):
    status, told = 0, {}
    answer = httpx.post(idle.url + "photo?name=../../evil.png", content=data, timeout=60)
    status, told = answer.status_code, answer.json()
    assert status == 400 and told["message"]


@pytest.mark.parametrize(
    "wish", [{}, {"photo": "x"}, {"photo": 3}, {"photo": None, "name": "x", "how": "synthetic"}, {"consent": {}}]
)
def test_nothing_is_kept_that_was_not_dropped(idle, wish):
    assert say(idle, "POST", "faces", wish)[0] == 400
    assert user_packs().names() == []


def test_the_password_of_a_camera_on_the_network_is_not_told():
    with served(sample_run(source="rtsp://me:hunter2@camera.example/x")) as panel:
        for path in ("state", "choices"):
            answer = httpx.get(panel.url + path)
            assert "camera.example" in answer.text and "hunter2" not in answer.text
        assert say(panel, "POST", "choose", {"source": panel.show.state()["source"]})[0] == 200
        assert panel.show.run.source == "rtsp://me:hunter2@camera.example/x"
