"""Reads the address of a model on another machine, and insists that a link which others can read is asked for."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from engines.errors import BadInput

FORM = "[grpcs://]HOST:PORT[/MODEL[@VERSION]][?timeout_ms=N&ca=FILE]"

_TIMEOUT_MS = 250.0  # a picture that comes later than this is of no use in live video
_LONGEST_MS = 60_000.0
_ADDRESS = re.compile(
    r"(?:(?P<scheme>grpcs?)://)?"
    r"(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]):(?P<port>[0-9]{1,5})"
    r"(?:/(?P<model>[\w.-]+)(?:@(?P<version>[\w.-]+))?)?/?"
    r"(?:\?(?P<query>.*))?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a model is served. `model` and `version` are empty where the address leaves them out.

    `tls`: the link is encrypted and the server's name proven, by the authorities that gRPC comes with or those in `ca`.
    `timeout_ms`: an answer that takes longer is not waited for.
    """

    host: str
    port: int
    model: str = ""
    version: str = ""
    tls: bool = False
    timeout_ms: float = _TIMEOUT_MS
    ca: Path | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def here(self) -> bool:
        """What is sent there stays on this machine."""
        return _is_loopback(self.host)


def read_address(text: str) -> Address:
    """Read an address of the form FORM. Raises BadInput.

    TLS is `grpcs://`. Without a scheme the link is plain, which is right for this machine only: a plain link to
    another one must be asked for by writing `grpc://`.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise BadInput(f"{text!r} is no address of a remote model", hint=f"write open_inference:{FORM}")
    host, scheme = found["host"].lower(), (found["scheme"] or "").lower()
    if host.startswith("["):
        _check_ip6(text, host)
    if not scheme and not _is_loopback(host):
        raise BadInput(
            f"{text!r} is another machine: what is sent there could be read on the way",
            hint=f"write grpcs://{text} for an encrypted link, or grpc://{text} if you trust everybody on the way",
        )
    timeout_ms, ca = _read_query(text, found["query"])
    if ca is not None and scheme != "grpcs":
        raise BadInput(f"{text!r}: ca is for encrypted links", hint="write grpcs:// in front of it")
    return Address(
        host, int(found["port"]), found["model"] or "", found["version"] or "", scheme == "grpcs", timeout_ms, ca
    )


def _read_query(text: str, query: str | None) -> tuple[float, Path | None]:
    try:
        pairs = dict(parse_qsl(query or "", keep_blank_values=True, strict_parsing=bool(query)))
        timeout_ms = float(pairs.pop("timeout_ms", _TIMEOUT_MS))
    except ValueError:
        raise BadInput(f"{text!r}: what stands after the ? cannot be read", hint="?timeout_ms=250&ca=FILE") from None
    ca = pairs.pop("ca", None)
    if pairs or not 1 <= timeout_ms <= _LONGEST_MS or ca == "":
        wrong = f"{next(iter(pairs))!r} is not known" if pairs else "a value is out of range"
        raise BadInput(
            f"{text!r}: {wrong} after the ?",
            hint=f"timeout_ms is 1 to {_LONGEST_MS:.0f}, ca a file with certificates",
        )
    return timeout_ms, None if ca is None else Path(ca).expanduser()


def _check_ip6(text: str, host: str) -> None:
    try:
        ipaddress.IPv6Address(host[1:-1])
    except ValueError:
        raise BadInput(f"{text!r}: {host} is no IPv6 address", hint="for example [::1]:8001") from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
