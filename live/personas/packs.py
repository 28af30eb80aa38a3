"""The user's faces: sealed, signed packs in the data folder, each with what allows it to be worn and until when.

    <data folder>/faces/NAME.face       one pack, sealed by the vault
    <data folder>/faces/key             the vault's secret, where there is no keyring
    <data folder>/faces/withdrawn       consents that were withdrawn: id and key, a line each

Another person's consent is in its pack whole, and is verified each time that the pack is opened.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import filelock

from engines.card import ModelCard
from engines.errors import BadInput, ModelError
from engines.plain_file import read_plain
from engines.store import check_name, data_folder, user_store
from live.personas.consent import Consent, Withdrawal
from live.personas.pack import Pack, read_pack, write_pack
from live.personas.signed import LONGEST, demand_span
from live.personas.vault import Vault, write_private

_SUFFIX = ".face"
_MOST_PACK = 256 << 20
_LOCK_WAIT_S = 10.0


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

    def is_withdrawn(self, pack: Pack) -> bool:
        """Whether the consent for this face, if it stands on one, was taken back."""
        return pack.consent is not None and self.withdrawn(pack.consent)

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


def latest(now: datetime) -> datetime:
    """The latest time at which a face that is added now may expire."""
    return now + LONGEST


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
