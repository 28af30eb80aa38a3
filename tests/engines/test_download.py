"""Downloads against a real HTTP server on this machine that cuts, lies, hangs and redirects as told."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from dataclasses import replace

import filelock
import httpx
import pytest

from engines import store
from engines.download import Download
from engines.errors import BadInput, ModelError, NotAvailable

DATA = bytes(range(256)) * 4096  # 1 MiB
SHA = hashlib.sha256(DATA).hexdigest()


class Behaviour:
    """What the server does; tests change it before they ask."""

    def __init__(self):
        self.data, self.etag = DATA, '"one"'
        self.ranges = True
        self.cut_after: list[int] = []  # bytes of the body after which one connection each is cut
        self.status: list[int] = []  # answered first, one each
        self.announce: int | None = None  # a Content-Length that is not the truth
        self.headers: dict[str, str] = {}
        self.silent = threading.Event()
        self.redirect = ""
        self.seen: list[dict[str, str]] = []


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    does = Behaviour()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def do_GET(self):
            does.seen.append(dict(self.headers))
            if does.silent.is_set():
                threading.Event().wait(3)
                return self.close()
            if does.status:
                return self.answer(does.status.pop(0), b"no", {})
            if does.redirect and self.path != "/end":
                return self.answer(302, b"", {"Location": does.redirect})
            return self.give()

        def give(self):
            headers = {"Content-Type": "application/octet-stream", **does.headers}
            if does.etag:
                headers["ETag"] = does.etag
            match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            same = self.headers.get("If-Range", does.etag) == does.etag
            if not (match and does.ranges and same):
                return self.answer(200, does.data, headers)
            start, size = int(match[1]), len(does.data)
            if start >= size:
                return self.answer(416, b"", {"Content-Range": f"bytes */{size}"})
            return self.answer(206, does.data[start:], {**headers, "Content-Range": f"bytes {start}-{size - 1}/{size}"})

        def answer(self, status, body, headers):
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            if does.announce != 0:
                self.send_header("Content-Length", str(does.announce or len(body)))
            else:
                self.send_header("Connection", "close")
            self.end_headers()
            cut = does.cut_after.pop(0) if does.cut_after and status in (200, 206) else None
            self.wfile.write(body[:cut])
            if cut is not None or does.announce is not None:
                self.close()

        def close(self):
            self.wfile.flush()
            self.close_connection = True

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            pass  # clients that hang up are part of the tests

    made = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    does.url = f"http://127.0.0.1:{made.server_address[1]}/model.onnx"
    yield does
    made.shutdown()
    made.server_close()


@pytest.fixture
def wish(server):
    pauses: list[float] = []
    made = Download(server.url, sha256=SHA, timeout_s=2.0, tries=3, pause=pauses.append)
    server.pauses = pauses
    return made


@pytest.fixture
def target(tmp_path):
    return tmp_path / "model.onnx"


def left(target):
    return sorted(path.name for path in target.parent.iterdir() if path.suffix != ".lock")


def test_a_file_comes_whole_and_tells_how_far_it_is(wish, target):
    told = []
    assert wish.to(target, lambda done, total: told.append((done, total))) == SHA
    assert target.read_bytes() == DATA
    assert left(target) == ["model.onnx"]
    assert told[0] == (0, len(DATA)) and told[-1] == (len(DATA), len(DATA))
    assert told == sorted(told)


def test_without_a_known_checksum_the_one_that_came_is_told(wish, target):
    assert replace(wish, sha256=None).to(target) == SHA


def test_a_cut_connection_goes_on_where_it_was(server, wish, target):
    server.cut_after = [300_000, 300_000]
    assert wish.to(target) == SHA
    assert target.read_bytes() == DATA
    assert [asked.get("Range") for asked in server.seen] == [None, "bytes=300000-", "bytes=600000-"]
    assert server.seen[1]["If-Range"] == '"one"'
    assert server.pauses == [1.0, 1.0]  # something arrived in between: the pauses do not grow


def test_ctrl_c_keeps_what_is_there_for_the_next_time(server, wish, target):
    def stop(done, total):
        if done > 400_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wish.to(target, stop)
    assert left(target) == ["model.onnx.part", "model.onnx.part.json"]
    kept = (target.parent / "model.onnx.part").stat().st_size
    assert kept > 400_000
    assert wish.to(target) == SHA
    assert server.seen[-1]["Range"] == f"bytes={kept}-"


def test_what_is_complete_but_was_not_renamed_is_not_fetched_again(server, wish, target):
    def stop(done, total):
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wish.to(target, stop)
    told = []
    assert wish.to(target, lambda *now: told.append(now)) == SHA
    assert told == []


def test_a_server_without_ranges_sends_it_all_again(server, wish, target):
    server.ranges, server.cut_after = False, [300_000]
    assert wish.to(target) == SHA
    assert target.read_bytes() == DATA


def test_a_file_that_changed_meanwhile_is_fetched_anew(server, wish, target):
    def change(done, total):
        if done and server.etag == '"one"':
            server.data, server.etag = DATA[::-1], '"two"'

    server.cut_after = [300_000]
    turned = hashlib.sha256(DATA[::-1]).hexdigest()
    assert replace(wish, sha256=None).to(target, change) == turned
    assert target.read_bytes() == DATA[::-1]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_tag_nothing_is_mixed(server, wish, target, etag):
    server.etag, server.cut_after = etag, [300_000]
    assert replace(wish, sha256=None).to(target) == SHA
    assert target.read_bytes() == DATA


def test_a_shorter_file_than_the_part_that_is_there(server, wish, target):
    (target.parent / "model.onnx.part").write_bytes(DATA + DATA)
    (target.parent / "model.onnx.part.json").write_text(f'{{"url": "{server.url}", "version": ""}}')
    assert wish.to(target) == SHA


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"url": 1, "version": "x"}'])
def test_a_broken_note_beside_the_part_means_a_new_start(server, wish, target, note):
    (target.parent / "model.onnx.part").write_bytes(b"something else")
    (target.parent / "model.onnx.part.json").write_text(note)
    assert wish.to(target) == SHA
    assert "Range" not in server.seen[0]


def test_another_checksum_is_refused_and_nothing_is_kept(wish, target):
    with pytest.raises(ModelError, match=f"sha256 {SHA}; expected sha256 {'0' * 64}"):
        replace(wish, sha256="0" * 64).to(target)
    assert left(target) == []


@pytest.mark.parametrize("change", [{"size": 7}, {"size": len(DATA) + 1}, {"most_bytes": len(DATA) - 1}])
def test_another_size_is_refused_before_anything_is_fetched(wish, target, change):
    told = []
    with pytest.raises(ModelError, match="bytes"):
        replace(wish, **change).to(target, lambda *now: told.append(now))
    assert (told, left(target)) == ([], [])


@pytest.mark.parametrize("change", [{"size": 70_000}, {"most_bytes": 70_000}])
def test_a_body_without_an_announced_length_is_stopped_where_it_is_too_long(server, wish, target, change):
    server.announce = 0
    with pytest.raises(ModelError, match="sends more than the 70000 bytes"):
        replace(wish, **change).to(target)
    assert left(target) == []


def test_a_body_without_an_announced_length(server, wish, target):
    server.announce = 0
    assert wish.to(target) == SHA


def test_a_body_longer_than_announced_is_not_taken(server, wish, target):
    server.announce = 1000
    with pytest.raises(ModelError, match="not the file"):
        wish.to(target)
    assert left(target) == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_final(server, wish, target, status):
    server.status = [status]
    with pytest.raises(NotAvailable, match=f"the server answers {status}"):
        wish.to(target)
    assert (len(server.seen), left(target)) == (1, [])


def test_a_busy_server_is_asked_again_with_growing_pauses(server, wish, target):
    server.status = [503, 429, 500]
    assert replace(wish, tries=4).to(target) == SHA
    assert server.pauses == [1.0, 2.0, 4.0]


def test_after_enough_failures_it_gives_up(server, wish, target):
    server.status = [503] * 9
    with pytest.raises(NotAvailable, match="answers 503"):
        wish.to(target)
    assert (len(server.seen), server.pauses) == (3, [1.0, 2.0])


def test_a_silent_server(server, wish, target):
    server.silent.set()
    with pytest.raises(NotAvailable, match="does not answer in time"):
        replace(wish, timeout_s=0.2, tries=2).to(target)


def test_no_server(wish, target):
    with pytest.raises(NotAvailable, match="cannot be downloaded"):
        replace(wish, url="http://127.0.0.1:1/model.onnx").to(target)


def test_a_redirect_is_followed(server, wish, target):
    server.redirect = "/end"
    assert wish.to(target) == SHA


def test_a_redirect_in_a_circle(server, wish, target):
    server.redirect = "/again"
    with pytest.raises(NotAvailable, match="redirected more than"):
        wish.to(target)


@pytest.mark.parametrize("address", ["http://example.org/model.onnx", "ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_no_redirect_to_where_others_can_change_the_file(server, wish, target, address):
    server.redirect = address
    with pytest.raises(BadInput, match="without https"):
        wish.to(target)
    assert left(target) == []


def test_nobody_elsewhere_leads_to_this_machine():
    elsewhere = Download("https://example.org/model.onnx")
    with pytest.raises(BadInput, match=r"leads to http://127\.0\.0\.1/x"):
        elsewhere._allow(httpx.URL("http://127.0.0.1/x"))
    replace(elsewhere, http=True)._allow(httpx.URL("http://example.org/x"))


def test_a_folder_that_cannot_be_written(wish, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadInput, match="cannot be written"):
        wish.to(tmp_path / "file" / "model.onnx")


@pytest.mark.parametrize("address", ["http://example.org/model.onnx", "file:///etc/passwd", "model.onnx"])
def test_only_https_is_asked(wish, target, address):
    with pytest.raises(BadInput, match="is not an https address"):
        replace(wish, url=address).to(target)


def test_a_web_page_is_named_as_one(server, wish, target):
    server.headers = {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(ModelError, match="is a web page"):
        wish.to(target)


def test_a_packed_body_is_refused(server, wish, target):
    server.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(ModelError, match=r"packed \(gzip\)"):
        wish.to(target)


def test_a_full_disk_is_told_before_anything_is_fetched(wish, target, monkeypatch):
    usage = store.shutil.disk_usage(target.parent)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    told = []
    with pytest.raises(BadInput, match="only 1 MB are free"):
        wish.to(target, lambda *now: told.append(now))
    assert told == []


def test_two_at_once_do_not_write_into_one_file(wish, target):
    with filelock.FileLock(f"{target}.part.lock"), pytest.raises(BadInput, match="by another doppelcam"):
        wish.to(target)


def test_an_empty_body_is_no_file(server, wish, target):
    server.data = b""
    with pytest.raises(ModelError):
        replace(wish, sha256=None).to(target)
