"""The one secret of this user's faces: where it is kept, and the keys for sealing and signing that are made of it.

The secret is 32 random bytes. It lies in the system's keyring where there is one, else in a file that only the user
can read. Who destroys it makes every sealed pack unreadable, on disks too that keep what was deleted.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engines.errors import BadInput, NotAvailable
from engines.own_file import Unfit, read_own, write_own

_SERVICE = "doppelcam faces"
_SIZE = 32
_MAGIC = b"DCFACE1\n"
_SALT, _NONCE = 16, 12


@dataclass(frozen=True, slots=True)
class Vault:
    """The secret that belongs to the faces in `folder`. Nothing is read or made before it is asked for."""

    folder: Path

    def seal(self, name: str, data: bytes) -> bytes:
        """`data` encrypted and bound to `name` (AES-256-GCM, a key of its own for each file by HKDF-SHA256).

        Makes the secret where there is none. Raises NotAvailable where it cannot be kept or read.
        """
        salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
        key = _derived(self._secret() or self._new_secret(), salt, b"pack")
        return _MAGIC + salt + nonce + AESGCM(key).encrypt(nonce, data, _MAGIC + name.encode())

    def unseal(self, name: str, sealed: bytes) -> bytes:
        """The inverse of `seal`. BadInput: damaged, changed, or of another name, secret or user."""
        secret = self._secret()
        if secret is None:
            raise BadInput(
                "the key to your faces is gone, so they cannot be opened any more",
                hint="doppelcam faces wipe clears them away; then add them again",
            )
        salt, nonce = sealed[len(_MAGIC) :][:_SALT], sealed[len(_MAGIC) + _SALT :][:_NONCE]
        try:
            if not sealed.startswith(_MAGIC) or len(nonce) < _NONCE:
                raise InvalidTag
            key = _derived(secret, salt, b"pack")
            return AESGCM(key).decrypt(nonce, sealed[len(_MAGIC) + _SALT + _NONCE :], _MAGIC + name.encode())
        except InvalidTag:
            raise BadInput(
                f"the face {name!r} is damaged, or was not made by this user on this machine",
                hint=f"doppelcam faces remove {name}, then add it again",
            ) from None

    def signing_key(self) -> Ed25519PrivateKey:
        """The key that signs the packs, and the consents that this user gives; made where there is none."""
        return Ed25519PrivateKey.from_private_bytes(_derived(self._secret() or self._new_secret(), b"", b"signature"))

    def public_key(self) -> str:
        """What others know this user by, in hex."""
        return self.signing_key().public_key().public_bytes_raw().hex()

    def place(self) -> str:
        """Where the secret is kept, in words; empty where there is none."""
        if os.path.lexists(self._file):
            return f"the file {self._file}"
        with contextlib.suppress(NotAvailable):
            if self._secret() is not None:
                return "the system's keyring"
        return ""

    def destroy(self) -> str:
        """Destroy the secret; where it was. Raises NotAvailable where that cannot be done."""
        where = self.place()
        ring = _keyring()
        try:
            self._file.unlink(missing_ok=True)
            if ring is not None and ring.get_password(_SERVICE, str(self.folder)) is not None:
                ring.delete_password(_SERVICE, str(self.folder))
        except Exception as error:  # keyrings raise what their systems give them
            raise NotAvailable(f"the key to your faces cannot be destroyed: {_why(error)}") from error
        return where

    # ---- keeping it

    @property
    def _file(self) -> Path:
        return self.folder / "key"

    def _secret(self) -> bytes | None:
        """Raises NotAvailable where it is there and cannot be read, or others may have read it."""
        if os.path.lexists(self._file):
            return self._from_file()
        ring = _keyring()
        if ring is None:
            return None
        try:
            held = ring.get_password(_SERVICE, str(self.folder))
        except Exception as error:
            raise NotAvailable(
                f"the system's keyring, which keeps the key to your faces, does not open: {_why(error)}",
                hint="unlock it, then try again",
            ) from error
        return bytes.fromhex(held) if held else None

    def _from_file(self) -> bytes:
        try:
            secret = read_own(self._file, 4096)
        except Unfit as unfit:
            raise NotAvailable(
                f"the key {self._file} is not safe: {unfit}",
                hint=f"if nobody copied it: chmod 600 {self._file}; else doppelcam faces wipe",
            ) from None
        except OSError as error:
            raise NotAvailable(f"the key {self._file} cannot be read: {error.strerror or error}") from error
        if len(secret) != _SIZE:
            raise NotAvailable(f"the key {self._file} is damaged", hint="doppelcam faces wipe starts anew")
        return secret

    def _new_secret(self) -> bytes:
        secret = secrets.token_bytes(_SIZE)
        ring = _keyring()
        if ring is not None:
            with contextlib.suppress(Exception):  # locked, no desktop session ...: the file does
                ring.set_password(_SERVICE, str(self.folder), secret.hex())
                if ring.get_password(_SERVICE, str(self.folder)) == secret.hex():
                    return secret
        write_private(self._file, secret)
        return secret


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only this user may read, whole or not at all, in a folder of the same kind.

    Raises NotAvailable.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        write_own(path, data)
    except OSError as error:
        raise NotAvailable(f"{path} cannot be written: {error.strerror or error}") from error


def _keyring() -> Any | None:
    """The system's keyring, if there is a real one: neither the back ends that fail nor those that keep plain text."""
    import keyring

    ring = keyring.get_keyring()
    try:
        return ring if ring.priority >= 1 else None
    except Exception:
        return None


def _derived(secret: bytes, salt: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), _SIZE, salt, b"doppelcam " + purpose).derive(secret)


def _why(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
