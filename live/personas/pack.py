"""One face as it is kept: what it holds, why it may be worn and until when, and the same as signed bytes."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

from engines.errors import BadInput
from live.frame import Disclosure
from live.personas.consent import SCOPE, Consent, read_consent
from live.personas.portraits import MOST_VIEWS
from live.personas.signed import (
    MOST_BYTES,
    demand_span,
    hex_of,
    list_of,
    read_signed,
    sign,
    text_of,
    time_of,
    time_text,
)
from live.personas.vault import Vault

KIND = "doppelcam pack 1"
_LENGTH = struct.Struct("<I")
_SKEW = timedelta(days=1)  # by which a clock may lag before it is not believed


@dataclass(frozen=True, slots=True)
class Pack:
    """One face. `photos` are PNG files, decoded and written anew: of the original nothing but its pixels is kept.

    Or it stands for a trained `model`, by name, whose fingerprint is `model_print`.

    `how` says in words how its disclosure was reached. `consent` is set where that is "consented".
    """

    name: str
    disclosure: Disclosure
    how: str
    made: datetime
    expires: datetime
    photos: tuple[bytes, ...] = ()
    model: str = ""
    model_print: str = ""
    consent: Consent | None = None

    @property
    def scope(self) -> tuple[str, ...]:
        """What it may be used for, as in consent.SCOPE."""
        return self.consent.scope if self.consent is not None else tuple(SCOPE)

    def why_not(self, now: datetime) -> str:
        """Why it cannot be worn at this time, in words; empty where it can."""
        if now >= self.expires:
            return f"the consent for this face ended on {self.expires:%Y-%m-%d}"
        if now < self.made - _SKEW:
            return "this machine's clock is wrong: this face was added later than now"
        return ""


def write_pack(pack: Pack, vault: Vault) -> bytes:
    """Length of the manifest, the signed manifest, the photos one after the other."""
    fields: Mapping[str, Any] = {
        "name": pack.name,
        "disclosure": pack.disclosure,
        "how": pack.how,
        "made": time_text(pack.made),
        "expires": time_text(pack.expires),
        "photos": [hashlib.sha256(photo).hexdigest() for photo in pack.photos],
        "sizes": [len(photo) for photo in pack.photos],
        "model": pack.model,
        "model_print": pack.model_print,
        "consent": pack.consent.document.decode() if pack.consent is not None else "",
    }
    manifest = sign(KIND, fields, vault.signing_key())
    data = b"".join([_LENGTH.pack(len(manifest)), manifest, *pack.photos])
    read_pack(data, pack.name, vault.public_key())  # nothing is stored that could not be read again
    return data


def read_pack(data: bytes, name: str, key: str) -> Pack:
    """The inverse of `write_pack`; `key` is the user's own public key. Raises BadInput for whatever is not as it
    must be: the name, the signature, the photos, the consent behind it, the times.
    """
    where = f"the face {name!r}"
    size = _LENGTH.unpack(data[: _LENGTH.size])[0] if len(data) >= _LENGTH.size else 0
    if not 0 < size <= min(MOST_BYTES, len(data) - _LENGTH.size):
        raise BadInput(f"{where} is damaged")
    signed = read_signed(KIND, data[_LENGTH.size : _LENGTH.size + size], where)
    fields = signed.fields
    if signed.key != key:
        raise BadInput(f"{where} was not signed by this user", hint="add it again")
    if text_of(fields, "name", where) != name:
        raise BadInput(f"{where} was made under another name", hint="a face cannot be renamed: add it again")
    disclosure = text_of(fields, "disclosure", where)
    if disclosure not in get_args(Disclosure):
        raise BadInput(f"{where}: there is no disclosure {disclosure!r}")
    made, expires = time_of(fields, "made", where), time_of(fields, "expires", where)
    demand_span(made, expires, where)
    pack = Pack(
        name=name,
        disclosure=disclosure,  # type: ignore[arg-type]
        how=text_of(fields, "how", where, longest=400),
        made=made,
        expires=expires,
        photos=_photos(fields, data[_LENGTH.size + size :], where),
        model=text_of(fields, "model", where),
        model_print=hex_of(fields, "model_print", 32, where) if fields.get("model") else "",
        consent=_consent(fields, where),
    )
    if bool(pack.photos) == bool(pack.model):
        raise BadInput(f"{where} must hold either portraits or a model")
    if (pack.disclosure == "consented") != (pack.consent is not None):
        raise BadInput(f"{where}: the consent does not go with the disclosure {disclosure!r}")
    if pack.consent is not None:
        _demand_consent(pack, pack.consent, key, where)
    return pack


def _photos(fields: Mapping[str, Any], data: bytes, where: str) -> tuple[bytes, ...]:
    digests = list_of(fields, "photos", where, lambda f, k, n: hex_of(f, k, 32, n), most=MOST_VIEWS)
    sizes = fields.get("sizes")
    if not isinstance(sizes, list) or not all(type(size) is int and size > 0 for size in sizes):
        raise BadInput(f"{where} is damaged: the sizes of its portraits are not numbers")
    if len(sizes) != len(digests) or sum(sizes) != len(data):
        raise BadInput(f"{where} is damaged: its portraits are not all there")
    photos, start = [], 0
    for size, digest in zip(sizes, digests, strict=True):
        photos.append(data[start : start + size])
        start += size
        if hashlib.sha256(photos[-1]).hexdigest() != digest:
            raise BadInput(f"{where} is damaged: a portrait is not the one that was added")
    return tuple(photos)


def _consent(fields: Mapping[str, Any], where: str) -> Consent | None:
    document = fields.get("consent")
    if not isinstance(document, str):
        raise BadInput(f"{where} is damaged: the consent in it is no text")
    return read_consent(document.encode(), f"the consent in {where}") if document else None


def _demand_consent(pack: Pack, consent: Consent, key: str, where: str) -> None:
    if consent.wearer_key != key:
        raise BadInput(f"the consent in {where} was given to somebody else")
    if pack.expires > consent.until:
        raise BadInput(f"{where} would outlive the consent in it")
    if pack.model and pack.model_print not in consent.models:
        raise BadInput(f"the consent in {where} is for another model")
