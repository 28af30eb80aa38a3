"""The local server: where it listens, that it ends, what it tells, and https for other devices."""

from __future__ import annotations

import logging
import socket
import ssl

import cv2
import httpx
import numpy as np
import pytest

from engines.errors import BadInput, NotAvailable
from live import local_server
from live.local_server import qr_code
from live.local_server.keys import addresses, certificate
from tests.live.local_server.conftest import port_of

needs_network = pytest.mark.skipif(not addresses(), reason="this machine has no network but loopback")


def test_it_listens_on_loopback_alone(make):
    server = make()
    assert server.url.startswith("http://127.0.0.1:")
    for address in addresses():
        with pytest.raises(ConnectionRefusedError), socket.create_connection((address, port_of(server)), timeout=2):
            pass


def test_a_port_in_use_is_one_clear_line(make):
    port = port_of(make())
    with pytest.raises(BadInput, match=f"other cannot listen on port {port}") as caught:
        make(port, name="other")
    assert f"other:{port + 1}" in caught.value.hint


def test_stopped_it_is_gone_and_comes_back_at_the_same_address(make):
    server = make()
    url, port = server.url, port_of(server)
    server.stop()
    server.stop()
    assert not server.alive
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    again = make(port)
    assert again.url == url and httpx.get(url).text == "<p>here</p>"


def test_it_finishes_on_its_own_thread_before_it_ends(make):
    server = make()
    done = []

    async def finish():
        done.append(server.alive)

    server.stop(finish)
    assert done == [True] and not server.alive
    server.post(done.append, "late")
    assert done == [True]


def test_the_address_is_told(make, caplog):
    with caplog.at_level(logging.INFO, "doppelcam.web"):
        server = make()
    assert f"a test: {server.url}" in caplog.text


@needs_network
def test_other_devices_come_by_https_with_the_certificate_that_was_shown(make, caplog):
    with caplog.at_level(logging.INFO, "doppelcam.web"):
        server = make(lan=True)
    path, fingerprint = certificate()
    assert server.url.startswith(f"https://{addresses()[0]}:")
    assert fingerprint in caplog.text
    trusted = ssl.create_default_context(cafile=str(path))
    assert httpx.get(server.url, verify=trusted).text == "<p>here</p>"
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)
    with pytest.raises(httpx.HTTPError):
        httpx.get(server.url.replace("https", "http"))
    assert httpx.get(server.url, verify=trusted, headers={"host": "evil.example"}).status_code == 421


def test_without_a_network_no_other_device_can_come(make, monkeypatch):
    monkeypatch.setattr(local_server, "addresses", list)
    with pytest.raises(NotAvailable, match="no network"):
        make(lan=True)


def test_the_qr_code_holds_the_address():
    url = "https://192.168.178.123:8773/AbCdEfGhIjKlMnOpQrStUv/"
    lines = qr_code(url).split("\n")
    upper, lower = "▀█", "▄█"
    rows = [[c in half for c in line] for line in lines for half in (upper, lower)]
    picture = np.where(np.array(rows), 0, 255).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    assert cv2.QRCodeDetector().detectAndDecode(picture)[0] == url
    assert len({len(line) for line in lines}) == 1 and len(lines[0]) < 60
