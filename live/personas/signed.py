"""Signed documents: strict JSON fields with an Ed25519 signature, for consents, their withdrawal, and packs.

    {"kind": "doppelcam consent 1", "fields": {...}, "key": 64 hex digits, "signature": 128 hex digits}

The signature is over the kind and the fields as canonical JSON, so that no document passes for one of another kind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from engines import strict_json
from engines.errors import BadInput
from engines.strict_json import short

MOST_BYTES = 64 << 10
LONGEST = timedelta(days=365)  # that anybody can consent for
_HEX = re.compile("[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Signed:
    """A document whose signature is right; `key` is the signer's public key in hex."""

    fields: Mapping[str, Any]
    key: str


def sign(kind: str, fields: Mapping[str, Any], key: Ed25519PrivateKey) -> bytes:
    """The document, to be written to a file."""
    tree = {
        "kind": kind,
        "fields": fields,
        "key": key.public_key().public_bytes_raw().hex(),
        "signature": key.sign(_payload(kind, fields)).hex(),
    }
    return (json.dumps(tree, indent=1) + "\n").encode()


def read_signed(kind: str, data: bytes, name: str) -> Signed:
    """The document in `data`, its signature verified; `name` is what errors call it. Raises BadInput."""
    what = kind.split()[1]
    if len(data) > MOST_BYTES:
        raise BadInput(f"{name} is no {what}: it is longer than {MOST_BYTES >> 10} kB")
    try:
        tree = strict_json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise BadInput(f"{name} is no {what}: {error}", hint=f"a {what} is a file that doppelcam wrote") from None
    if tree.get("kind") != kind:
        raise BadInput(f"{name} is no {what}: its kind is {short(tree.get('kind'))}, expected {kind!r}")
    fields = tree.get("fields")
    if not isinstance(fields, dict):
        raise BadInput(f"{name} is damaged: it has no fields")
    key, signature = hex_of(tree, "key", 32, name), hex_of(tree, "signature", 64, name)
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), _payload(kind, fields))
    except (InvalidSignature, ValueError):
        raise BadInput(
            f"{name} was changed after it was signed, or is not signed by who it says", hint="ask for it again"
        ) from None
    return Signed(fields, key)


def _payload(kind: str, fields: Mapping[str, Any]) -> bytes:
    return f"{kind}\n{json.dumps(fields, sort_keys=True, separators=(',', ':'))}".encode()


# ---- what fields may hold; each raises BadInput with the file's name


def text_of(fields: Mapping[str, Any], key: str, name: str, longest: int = 100) -> str:
    """One line of printable text, perhaps none."""
    value = fields.get(key)
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise BadInput(f"{name}: {key!r} must be a line of text, got {short(value)}")
    return value


def hex_of(fields: Mapping[str, Any], key: str, size: int, name: str) -> str:
    """`size` bytes as hexadecimal digits."""
    value = fields.get(key)
    if not isinstance(value, str) or len(value) != 2 * size or not _HEX.fullmatch(value):
        raise BadInput(f"{name}: {key!r} must be {2 * size} hexadecimal digits, got {short(value)}")
    return value


def list_of(
    fields: Mapping[str, Any], key: str, name: str, one: Callable[[Mapping[str, Any], str, str], Any], most: int = 16
) -> tuple[Any, ...]:
    """A list; `one` reads one entry of it, given as the only field of a tree."""
    values = fields.get(key)
    if not isinstance(values, list) or len(values) > most:
        raise BadInput(f"{name}: {key!r} must be a list of at most {most}, got {short(values)}")
    return tuple(one({key: value}, key, name) for value in values)


def time_of(fields: Mapping[str, Any], key: str, name: str) -> datetime:
    """A time in UTC, in whole seconds."""
    value = fields.get(key)
    try:
        time = datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ") if isinstance(value, str) else None
    except ValueError:
        time = None
    if time is None:
        raise BadInput(f"{name}: {key!r} must be a time such as 2026-11-25T12:00:00Z, got {short(value)}")
    return time.replace(tzinfo=UTC)


def time_text(time: datetime) -> str:
    """The inverse of `time_of`."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def demand_span(start: datetime, end: datetime, name: str) -> None:
    """Raises BadInput unless `end` lies after `start`, and twelve months after it at most."""
    if not start < end <= start + LONGEST:
        raise BadInput(f"{name}: it must end after it begins, and at most twelve months later")


def fingerprint(key: str) -> str:
    """A public key in hex as people compare it: its first 64 bits in four groups."""
    return " ".join(key[i : i + 4] for i in range(0, 16, 4))
