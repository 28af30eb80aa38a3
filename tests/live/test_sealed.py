"""The encrypted file: what was written comes back, and nobody changes it, cuts it or opens it unnoticed."""

from __future__ import annotations

import os
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import BadInput
from live.sealed import SealedReader, SealedWriter, key_file

PIECES = [b"settings", b"", b"a picture" * 1000, b"end"]


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def write(path, pieces=PIECES, passphrase=None):
    writer = SealedWriter(path, passphrase)
    for piece in pieces:
        writer.write(piece)
    writer.close()
    return path


def read(path, passphrase=None):
    reader = SealedReader(path, passphrase)
    return list(reader), reader.whole


def test_what_was_written_comes_back(tmp_path):
    assert read(write(tmp_path / "s")) == (PIECES, True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(pieces=st.lists(st.binary(max_size=300), min_size=1, max_size=6))
def test_any_pieces(pieces, tmp_path):
    assert read(write(tmp_path / "s", pieces)) == (pieces, True)


def test_only_this_user_may_read_the_file_and_the_key(tmp_path):
    path = write(tmp_path / "s")
    for file in (path, key_file()):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"a picture" not in path.read_bytes()


def test_the_same_pieces_are_never_written_twice_alike(tmp_path):
    assert write(tmp_path / "a").read_bytes() != write(tmp_path / "b").read_bytes()


def test_a_passphrase_opens_it_without_the_key(tmp_path):
    path = write(tmp_path / "s", passphrase="open sesame")
    assert not key_file().exists()
    assert read(path, "open sesame") == (PIECES, True)
    with pytest.raises(BadInput, match="is this its passphrase"):
        read(path, "open barley")
    with pytest.raises(BadInput, match="locked with a passphrase"):
        read(path)


def test_another_users_key_does_not_open_it(tmp_path, monkeypatch):
    path = write(tmp_path / "s")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other"))
    with pytest.raises(BadInput, match="is not there"):
        read(path)
    write(tmp_path / "t")
    with pytest.raises(BadInput, match="another key"):
        read(path)


def test_a_key_that_others_may_read_is_refused(tmp_path):
    path = write(tmp_path / "s")
    key_file().chmod(0o644)
    for use in (lambda: read(path), lambda: write(tmp_path / "t")):
        with pytest.raises(BadInput, match="mode 0644") as refused:
            use()
        assert "chmod 600" in refused.value.hint


def test_a_damaged_key_is_not_made_anew_in_silence(tmp_path):
    write(tmp_path / "s")
    key_file().write_bytes(b"short")
    with pytest.raises(BadInput, match="damaged"):
        write(tmp_path / "t")


def test_a_file_that_broke_off_is_read_as_far_as_it_goes(tmp_path):
    path = write(tmp_path / "s")
    data = path.read_bytes()
    path.write_bytes(data[:-10])
    assert read(path) == (PIECES[:3], False)


@pytest.mark.parametrize("at", [-1, -40, 500, 200])
def test_a_changed_byte_is_noticed(tmp_path, at):
    path = write(tmp_path / "s")
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadInput, match="damaged"):
        read(path)


def pieces_of(data):
    """Where each sealed piece begins, and where the last one ends."""
    at = data.index(b"\n") + 1
    at += 4 + int.from_bytes(data[at : at + 4], "big")
    cuts = [at]
    while at < len(data):
        at += 4 + (int.from_bytes(data[at : at + 4], "big") & 0x7FFFFFFF)
        cuts.append(at)
    return cuts


def test_pieces_cannot_be_swapped_left_out_or_declared_the_last(tmp_path):
    path = write(tmp_path / "s", [b"one", b"two", b"six"])
    data = path.read_bytes()
    a, b, c, d = pieces_of(data)
    swapped = data[:a] + data[b:c] + data[a:b] + data[c:d]
    left_out = data[:a] + data[b:d]
    cut = data[:a] + bytes([data[a] | 0x80]) + data[a + 1 : b]
    for changed in (swapped, left_out, cut):
        path.write_bytes(changed)
        with pytest.raises(BadInput, match="damaged"):
            read(path)


@pytest.mark.parametrize(
    "content", [b"", b"doppelcam session 1\n", b"doppelcam session 1\n\xff\xff\xff\xff", b"\x89PNG"]
)
def test_what_is_no_session_is_told(tmp_path, content):
    path = tmp_path / "s"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="is no session"):
        read(path)


def test_a_file_that_is_not_there_or_cannot_be_written_is_told(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path / "gone")
    with pytest.raises(BadInput, match="cannot be written"):
        write(tmp_path / "gone" / "s")


def test_a_header_that_asks_for_a_costly_passphrase_is_refused(tmp_path):
    path = write(tmp_path / "s", passphrase="x")
    path.write_bytes(path.read_bytes().replace(b'"n": 65536', b'"n": 99999'))
    with pytest.raises(BadInput, match="is no session"):
        read(path, "x")
    assert os.path.exists(path)
