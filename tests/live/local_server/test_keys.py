"""Secrets and the certificate: kept for the user alone, made again when they are no good any more."""

from __future__ import annotations

import datetime
import ipaddress
import os
import stat

import pytest
from cryptography import x509

from live.local_server import keys

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are a matter of POSIX")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "doppelcam" / "web"


def test_a_part_keeps_its_secret_and_each_has_its_own():
    first = keys.token_for("mjpeg")
    assert len(first) == 22 and keys.token_for("mjpeg") == first
    assert keys.token_for("browser") != first


def test_a_deleted_secret_is_made_anew(folder):
    first = keys.token_for("mjpeg")
    (folder / "mjpeg.token").unlink()
    assert keys.token_for("mjpeg") != first


@posix
def test_only_the_user_can_read_what_is_kept(folder):
    keys.token_for("mjpeg")
    keys.certificate()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


@posix
def test_a_secret_that_others_can_read_is_none(folder):
    first = keys.token_for("mjpeg")
    (folder / "mjpeg.token").chmod(0o644)
    assert keys.token_for("mjpeg") != first
    assert stat.S_IMODE((folder / "mjpeg.token").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"a", b"x" * 22 + b"\n", b"/" * 22, b"\xff" * 22, b"x" * 70_000])
def test_a_damaged_secret_is_made_anew(folder, content):
    keys.token_for("mjpeg")
    (folder / "mjpeg.token").write_bytes(content)
    assert keys._TOKEN.fullmatch(keys.token_for("mjpeg"))


def test_where_nothing_can_be_kept_the_secret_is_new_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert keys.token_for("mjpeg") != keys.token_for("mjpeg")
    with pytest.raises(NotADirectoryError):
        keys.certificate()


def test_the_certificate_is_kept_and_names_this_machine():
    path, fingerprint = keys.certificate()
    assert keys.certificate() == (path, fingerprint)
    cert = x509.load_pem_x509_certificate(path.read_bytes())
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {ipaddress.ip_address(a) for a in ["127.0.0.1", *keys.addresses()]} <= set(
        names.get_values_for_type(x509.IPAddress)
    )
    assert len(fingerprint.split(":")) == 32
    lifetime = cert.not_valid_after_utc - cert.not_valid_before_utc
    assert lifetime <= datetime.timedelta(days=398)
    assert not cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_certificate_near_its_end_or_damaged_is_made_anew(monkeypatch):
    path, first = keys.certificate()
    monkeypatch.setattr(keys, "_RENEW_DAYS", 400)
    _, second = keys.certificate()
    monkeypatch.undo()
    path.write_bytes(path.read_bytes()[:300])
    _, third = keys.certificate()
    assert len({first, second, third}) == 3


def test_addresses_are_those_that_others_can_reach():
    assert not any(ipaddress.ip_address(address).is_loopback for address in keys.addresses())
