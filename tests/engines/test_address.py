"""Addresses of remote models: what can be written, what is refused, and that a plain link to elsewhere is asked for."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.address import Address, read_address
from engines.errors import BadInput


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8001", Address("127.0.0.1", 8001)),
        ("localhost:8001/face_mesh", Address("localhost", 8001, "face_mesh")),
        ("localhost:8001/", Address("localhost", 8001)),
        ("LOCALHOST:8001/Face_Mesh", Address("localhost", 8001, "Face_Mesh")),
        ("[::1]:9000/m@2", Address("[::1]", 9000, "m", "2")),
        ("grpc://gpu-box:8001/m", Address("gpu-box", 8001, "m")),
        ("grpcs://gpu.example.org:443", Address("gpu.example.org", 443, tls=True)),
        ("127.0.0.1:8001?timeout_ms=40", Address("127.0.0.1", 8001, timeout_ms=40)),
        ("grpcs://h:1/m?ca=/a/ca.pem&timeout_ms=9.5", Address("h", 1, "m", "", True, 9.5, Path("/a/ca.pem"))),
    ],
)
def test_what_can_be_written(text, address):
    assert read_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "cpu", "gramophone", "localhost", ":8001", "localhost:", "localhost:0", "localhost:65536", "localhost:port",
        "http://localhost:8001", "grpc:/localhost:8001", "a b:8001", "localhost:8001/a/b", "localhost:8001/m@",
        "me@localhost:8001", "unix:/run/x", "unix:8001/../x", "[::1:8001", "[1:2]:8001", "localhost:8001\n", "lo\0st:1",
        "-:1", "localhost:8001?timeout_ms", "localhost:8001?timeout_ms=soon", "localhost:8001?timeout_ms=0",
        "localhost:8001?timeout_ms=nan", "localhost:8001?timeout_ms=1e9", "localhost:8001?colour=red",
        "localhost:8001?ca=x.pem", "grpcs://localhost:8001?ca=",
    ],
)  # fmt: skip
def test_what_is_refused_with_a_hint(text):
    with pytest.raises(BadInput) as caught:
        read_address(text)
    assert caught.value.hint


@pytest.mark.parametrize("host", ["gpu-box", "10.0.0.7", "192.168.1.2", "0.0.0.0", "8.8.8.8", "[fe80::1]", "127.1"])
def test_a_plain_link_to_another_machine_must_be_asked_for(host):
    with pytest.raises(BadInput, match="another machine") as caught:
        read_address(f"{host}:8001/m")
    assert "grpcs://" in caught.value.hint
    assert not read_address(f"grpc://{host}:8001/m").tls
    assert read_address(f"grpcs://{host}:8001/m").tls


@pytest.mark.parametrize(
    ("host", "here"),
    [("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("[::1]", True), ("localhost.example.org", False),
     ("127.0.0.1.example.org", False), ("0.0.0.0", False), ("gpu-box", False)],
)  # fmt: skip
def test_only_loopback_is_this_machine(host, here):
    assert read_address(f"grpc://{host}:8001").here == here


@given(st.one_of(st.text(), st.from_regex(r"(grpcs?://)?[^/]*:\d*(/\w*)?(@\w*)?(\?.*)?", fullmatch=True)))
def test_whatever_is_written_is_read_or_refused(text):
    with suppress(BadInput):
        address = read_address(text)
        assert 0 < address.port < 65536
        assert address.tls or address.here or text.lower().startswith("grpc://")


words = st.from_regex(r"[A-Za-z0-9_.-]{1,12}", fullmatch=True)


@given(st.booleans(), st.integers(1, 65535), words, words, st.integers(1, 60_000))
def test_what_is_written_comes_back(tls, port, model, version, timeout_ms):
    scheme = "grpcs" if tls else "grpc"
    address = read_address(f"{scheme}://box:{port}/{model}@{version}?timeout_ms={timeout_ms}")
    assert address == Address("box", port, model, version, tls, timeout_ms)
