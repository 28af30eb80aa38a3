"""The user's faces: sealed, signed packs in the data folder, each with what allows it to be worn and until when.

    <data folder>/faces/NAME.face       one pack, sealed by the vault
    <data folder>/faces/key             the vault's secret, where there is no keyring
    <data folder>/faces/withdrawn       consents that were withdrawn: id and key, a line each

A pack holds its portraits as PNG (decoded and written anew, so nothing of the original file but its pixels), or which
trained model it stands for. Its manifest is signed with the user's own key; another person's consent is in it whole,
and is verified each time.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import filelock

from engines.card import ModelCard
from engines.errors import BadInput, ModelError
from engines.plain_file import read_plain
from engines.store import check_name, data_folder, user_store
from live.frame import Disclosure
from live.personas.consent import SCOPE, Consent, Withdrawal, read_consent
from live.personas.portraits import MOST_VIEWS
from live.personas.signed import (
    LONGEST,
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
from live.personas.vault import Vault, write_private

KIND = "doppelcam pack 1"
_SUFFIX = ".face"
_MOST_PACK = 256 << 20
_LENGTH = struct.Struct("<I")
_LOCK_WAIT_S = 10.0
_SKEW = timedelta(days=1)  # by which a clock may lag before it is not believed


@dataclass(frozen=True, slots=True)
class Pack:
    """One face. `photos` are PNG files; `model` is the name of a trained model and `model_print` its fingerprint.

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


@dataclass(frozen=True, slots=True)
class Packs:
    """The packs in `folder`, which is made when the first one is added."""

    folder: Path

    @property
    def vault(self) -> Vault:
        return Vault(self.folder)

    def names(self) -> list[str]:
        """Names of the faces, sorted. Raises BadInput."""
        try:
            return sorted(path.name.removesuffix(_SUFFIX) for path in self.folder.glob(f"[!.]*{_SUFFIX}"))
        except OSError as error:
            raise BadInput(f"the folder of faces {self.folder} cannot be read: {error.strerror or error}") from error

    def open(self, name: str) -> Pack:
        """The pack of this name. Raises BadInput: there is none, damaged, not this user's; NotAvailable: no key."""
        self.demand(name)
        try:
            sealed = read_plain(self.path(name), _MOST_PACK)
        except ModelError as error:
            raise BadInput(f"the face {name!r} cannot be opened: {error.message}") from None
        key = self.vault.public_key()
        return read_pack(self.vault.unseal(name, sealed), name, key)

    def add(self, pack: Pack) -> None:
        """Seal and store a new pack. Raises BadInput: its name is taken, it is not as a pack must be, withdrawn."""
        check_name(pack.name, "face")
        demand_span(pack.made, pack.expires, pack.name)
        with self._alone():
            demand_free(pack.name, self, pack.model)
            if pack.consent is not None and self.withdrawn(pack.consent):
                raise BadInput("this consent was withdrawn", hint=f"ask {pack.consent.person} for a new one")
            data = write_pack(pack, self.vault)
            write_private(self.path(pack.name), self.vault.seal(pack.name, data))

    def remove(self, name: str) -> int:
        """Delete this face; its bytes. Raises BadInput."""
        self.demand(name)
        path = self.path(name)
        with self._alone():
            try:
                size = path.stat().st_size
                path.unlink()
            except OSError as error:
                raise BadInput(f"the face {name!r} cannot be removed: {error.strerror or error}") from error
        return size

    def path(self, name: str) -> Path:
        """Where a face of this name lies."""
        return self.folder / f"{name}{_SUFFIX}"

    def demand(self, name: str) -> None:
        """Raises BadInput where there is no face of this name."""
        if name not in self.names():
            raise BadInput(f"there is no face {name!r}", hint=f"yours: {', '.join(self.names()) or 'none'}")

    # ---- consents that ended early

    def withdraw(self, withdrawal: Withdrawal) -> list[str]:
        """Note that a consent was withdrawn; the names of the faces that cannot be worn any more. Raises BadInput."""
        with self._alone():
            lines = sorted({*self._withdrawn(), (withdrawal.id, withdrawal.key)})
            write_private(self.withdrawals, "".join(f"{id} {key}\n" for id, key in lines).encode())
        hit = []
        for name in self.names():
            consent = self.open(name).consent
            if consent is not None and (consent.id, consent.key) == (withdrawal.id, withdrawal.key):
                hit.append(name)
        return hit

    def withdrawn(self, consent: Consent) -> bool:
        return (consent.id, consent.key) in self._withdrawn()

    @property
    def withdrawals(self) -> Path:
        return self.folder / "withdrawn"

    def _withdrawn(self) -> set[tuple[str, str]]:
        if not os.path.lexists(self.withdrawals):
            return set()
        try:
            lines = read_plain(self.withdrawals, 1 << 20).decode("ascii").splitlines()
        except (ModelError, UnicodeDecodeError):
            raise BadInput(
                f"the list of withdrawn consents {self.withdrawals} is damaged, so nothing in it can be ruled out",
                hint="delete it, and give doppelcam the withdrawals again: doppelcam faces withdraw FILE",
            ) from None
        return {(words[0], words[1]) for line in lines if len(words := line.split()) == 2}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process adds or removes."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            lock = filelock.FileLock(self.folder / ".lock")
            lock.acquire(timeout=_LOCK_WAIT_S)
        except filelock.Timeout:
            raise BadInput("another doppelcam is changing the faces", hint="try again when it has finished") from None
        except OSError as error:
            raise BadInput(f"the folder of faces {self.folder} cannot be used: {error.strerror or error}") from error
        try:
            yield
        finally:
            lock.release()


def user_packs() -> Packs:
    """The packs in this user's data folder."""
    return Packs(data_folder() / "faces")


def demand_free(name: str, packs: Packs, model: str = "") -> None:
    """Raises BadInput where a face or a model of this name is there already. `model`: the one that it stands for,
    whose name it may have.
    """
    if name.casefold() == "sample":
        raise BadInput("'sample' means the faces that come with doppelcam", hint="call yours something else")
    taken = {other.casefold(): ("face", other) for other in packs.names()}
    for other in user_store().names():
        if other != model:
            taken.setdefault(other.casefold(), ("trained model", other))
    if name.casefold() in taken:
        kind, other = taken[name.casefold()]
        group = "faces" if kind == "face" else "models"
        raise BadInput(
            f"there is a {kind} called {other!r} already, and --face could mean either",
            hint=f"take another name, or doppelcam {group} remove {other}",
        )


def fingerprint_of(card: ModelCard) -> str:
    """What a trained model is known by: the sha256 of its files' names and checksums."""
    return hashlib.sha256(json.dumps(sorted(card.sha256.items())).encode()).hexdigest()


# ---- a pack as bytes


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


def latest(now: datetime) -> datetime:
    """The latest time at which a face that is added now may expire."""
    return now + LONGEST


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
