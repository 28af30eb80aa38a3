"""What a local server is known by: the secret in its address, and its certificate for other devices.

Both are kept in the user's state folder, readable by the user alone, so that an address put into OBS or a certificate
accepted on a phone still holds at the next start. Delete the file to get a new one.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
import secrets
import socket
from contextlib import suppress
from pathlib import Path

import platformdirs
import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engines.own_file import Unfit, read_own, write_own

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_DAYS = 397  # no browser takes more
_RENEW_DAYS = 30


def token_for(name: str) -> str:
    """The secret of the part `name`: 128 random bits as 22 letters; a new one each time where none can be kept."""
    path = folder() / f"{name}.token"
    kept = _read_own(path)
    if kept is not None and _TOKEN.fullmatch(kept.decode("ascii", "replace")):
        return kept.decode("ascii")
    token = secrets.token_urlsafe(16)
    with suppress(OSError):
        _keep(path, token.encode())
    return token


def certificate() -> tuple[Path, str]:
    """A PEM file with key and self-made certificate, and its SHA-256 fingerprint as browsers show it.

    Raises OSError where it cannot be kept.
    """
    path = folder() / "lan.pem"
    kept = _read_own(path)
    cert = _still_good(kept) if kept is not None else None
    if cert is None:
        pem, cert = _make()
        _keep(path, pem)
    digest = cert.fingerprint(hashes.SHA256()).hex().upper()
    return path, ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def addresses() -> list[str]:
    """This machine's IPv4 addresses that other devices can reach, the one of the usual way out first."""
    ups = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found = [
        entry.address
        for name, entries in psutil.net_if_addrs().items()
        for entry in entries
        if name in ups and entry.family == socket.AF_INET and not ipaddress.ip_address(entry.address).is_loopback
    ]
    usual = ""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("203.0.113.1", 9))  # sends nothing: only asks the system which way it would go
        usual = probe.getsockname()[0]
    return sorted(found, key=lambda address: address != usual)


def folder() -> Path:
    """Where the secrets of local servers lie."""
    return platformdirs.user_state_path("doppelcam") / "web"


def _read_own(path: Path) -> bytes | None:
    """The file, if it is there and nobody else may read or write it."""
    try:
        return read_own(path, 65_536)
    except (OSError, Unfit):
        return None


def _keep(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_own(path, data)


def _still_good(pem: bytes) -> x509.Certificate | None:
    try:
        cert = x509.load_pem_x509_certificate(pem)
        serialization.load_pem_private_key(pem, None)
    except ValueError:
        return None
    left = cert.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return cert if left > datetime.timedelta(days=_RENEW_DAYS) else None


def _make() -> tuple[bytes, x509.Certificate]:
    """A P-256 key and a certificate signed with it, for this machine's names and addresses (RFC 5280)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "doppelcam on this computer")])
    now = datetime.datetime.now(datetime.UTC)
    host = socket.gethostname()
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    if re.fullmatch(r"[A-Za-z0-9.-]{1,60}", host):
        names += [x509.DNSName(host), x509.DNSName(f"{host}.local")]
    names += [x509.IPAddress(ipaddress.ip_address(a)) for a in ["127.0.0.1", *addresses()]]
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # a phone's clock may be behind
        .not_valid_after(now + datetime.timedelta(days=_DAYS - 1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret + cert.public_bytes(serialization.Encoding.PEM), cert
