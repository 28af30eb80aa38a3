"""Another person's consent: a signed file that says which pictures, to whom, for what, until when; and its end.

Both files are made on the other person's machine, with their key. The signature shows that the file is theirs who hold
that key; who that is has to be compared by the fingerprint, over the phone or face to face.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engines.errors import BadInput
from live.personas.signed import (
    Signed,
    demand_span,
    hex_of,
    list_of,
    read_signed,
    sign,
    text_of,
    time_of,
    time_text,
)

KIND = "doppelcam consent 1"
WITHDRAWN = "doppelcam withdrawal 1"

SCOPE = {
    "live": "be shown live: virtual cameras, calls",
    "stream": "be streamed to an audience",
    "record": "be recorded",
}
"""What one can consent to."""


@dataclass(frozen=True, slots=True)
class Consent:
    """One consent, its signature verified. `key` is the public key of `person`, `wearer_key` of who may wear the face.

    `photos` are sha256 of picture files, `models` fingerprints of trained models (`live/personas/packs.py`).
    `challenge` says how the person showed to be the one in the picture; empty: they did not.
    """

    id: str
    person: str
    wearer: str
    wearer_key: str
    photos: tuple[str, ...]
    models: tuple[str, ...]
    scope: tuple[str, ...]
    given: datetime
    until: datetime
    challenge: str
    key: str
    document: bytes


def give(
    key: Ed25519PrivateKey,
    *,
    person: str,
    wearer: str,
    wearer_key: str,
    until: datetime,
    photos: list[str],
    models: list[str],
    scope: list[str],
    challenge: str = "",
    now: datetime | None = None,
) -> Consent:
    """A new consent, signed; `document` is its file. Raises BadInput for values that no consent may have."""
    document = sign(
        KIND,
        {
            "id": secrets.token_hex(16),
            "person": person,
            "wearer": wearer,
            "wearer_key": wearer_key,
            "photos": photos,
            "models": models,
            "scope": scope,
            "given": time_text(now or datetime.now(UTC)),
            "until": time_text(until),
            "challenge": challenge,
        },
        key,
    )
    return read_consent(document, "the consent")


def read_consent(document: bytes, name: str) -> Consent:
    """The consent in a file that is called `name`. Raises BadInput; whether it has ended is not asked here."""
    signed = read_signed(KIND, document, name)
    fields = signed.fields
    given, until = time_of(fields, "given", name), time_of(fields, "until", name)
    demand_span(given, until, name)
    consent = Consent(
        id=hex_of(fields, "id", 16, name),
        person=text_of(fields, "person", name),
        wearer=text_of(fields, "wearer", name),
        wearer_key=hex_of(fields, "wearer_key", 32, name),
        photos=list_of(fields, "photos", name, _sha256),
        models=list_of(fields, "models", name, _sha256),
        scope=list_of(fields, "scope", name, _use, most=len(SCOPE)),
        given=given,
        until=until,
        challenge=text_of(fields, "challenge", name, longest=300),
        key=signed.key,
        document=document,
    )
    if not consent.person or not consent.scope or not (consent.photos or consent.models):
        raise BadInput(f"{name} says too little: a person, what for, and a picture or model are needed")
    return consent


def withdraw(consent: Consent, key: Ed25519PrivateKey) -> bytes:
    """The file that ends this consent. BadInput: it was not given with this key."""
    if key.public_key().public_bytes_raw().hex() != consent.key:
        raise BadInput(
            "this consent was not given by you on this machine, so it cannot be withdrawn here",
            hint="withdraw it where it was given",
        )
    return sign(WITHDRAWN, {"id": consent.id, "withdrawn": time_text(datetime.now(UTC))}, key)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """The end of the consent `id`, signed with `key`."""

    id: str
    key: str


def read_withdrawal(document: bytes, name: str) -> Withdrawal:
    """The withdrawal in a file that is called `name`. Raises BadInput."""
    signed: Signed = read_signed(WITHDRAWN, document, name)
    time_of(signed.fields, "withdrawn", name)
    return Withdrawal(hex_of(signed.fields, "id", 16, name), signed.key)


def _sha256(fields: Any, key: str, name: str) -> str:
    return hex_of(fields, key, 32, name)


def _use(fields: Any, key: str, name: str) -> str:
    value = text_of(fields, key, name)
    if value not in SCOPE:
        raise BadInput(f"{name}: one can consent to {', '.join(SCOPE)}, not to {value!r}")
    return value
