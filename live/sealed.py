"""A file of encrypted pieces, written as they come: for what holds faces, such as sessions. AES-256-GCM, each alone.

The key of a file is made (HKDF) from a random salt and either this user's key file or a passphrase (scrypt). A piece's
nonce is its number and whether it is the last one, so that none can be changed, left out, moved or cut off unnoticed
(the STREAM construction: Hoang, Reyhanitabar, Rogaway, Vizár, 2015). A file that broke off is read as far as it goes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import platformdirs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from engines.errors import BadInput
from engines.own_file import Unfit, read_own, write_own

_KEY_BYTES = 32
_SCRYPT = {"n": 1 << 16, "r": 8, "p": 1}  # 64 MB, about 0.2 s
_MOST_HEADER, _MOST_PIECE = 4096, 256 << 20
_LAST = 1 << 31  # in a piece's length: it is the last one


def key_file() -> Path:
    return platformdirs.user_data_path("doppelcam", appauthor=False) / "session.key"


def is_sealed(path: Path, what: str = "session") -> bool:
    """Whether this is a file of that kind, by its first bytes. Raises nothing."""
    try:
        with path.open("rb") as file:
            return file.read(len(_magic(what))) == _magic(what)
    except OSError:
        return False


@dataclass
class SealedWriter:
    """Writes pieces; `close` ends the file properly. With a passphrase it opens anywhere, without only for this user.
    `what` is the kind of file, in a word: it is in the file and in errors.

    Raises BadInput where the file cannot be written (already when made) or the key file is not safe.
    """

    path: Path
    passphrase: str | None = None
    what: str = "session"
    _file: BinaryIO = field(init=False, repr=False)
    _cipher: AESGCM = field(init=False, repr=False)
    _header: bytes = field(init=False, repr=False)
    _number: int = field(default=0, init=False)
    _waiting: bytes | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        salt = secrets.token_bytes(16)
        secret = _own_key(make=True) if self.passphrase is None else _stretched(self.passphrase, salt, _SCRYPT)
        lock = {"key": _fingerprint(secret)} if self.passphrase is None else {"scrypt": _SCRYPT}
        self._header = json.dumps({"salt": salt.hex(), **lock}).encode()
        self._cipher = AESGCM(_file_key(secret, salt, self.what))
        try:
            self._file = open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")  # noqa: SIM115
            self._file.write(_magic(self.what) + struct.pack(">I", len(self._header)) + self._header)
        except OSError as error:
            raise BadInput(f"the {self.what} {self.path} cannot be written: {error.strerror}") from None

    def write(self, piece: bytes) -> None:
        """Raises OSError."""
        if self._waiting is not None:
            self._seal(self._waiting, last=False)
        self._waiting = piece

    def close(self) -> None:
        """Raises OSError."""
        with self._file:
            self._seal(self._waiting or b"", last=True)

    def _seal(self, piece: bytes, last: bool) -> None:
        sealed = self._cipher.encrypt(_nonce(self._number, last), piece, self._header)
        self._file.write(struct.pack(">I", len(sealed) | (_LAST if last else 0)))
        self._file.write(sealed)
        self._number += 1


@dataclass
class SealedReader:
    """Reads the pieces of a file; `whole` tells, once they are read, whether it was ended properly.

    Raises BadInput: no such file, none of this kind, the wrong key or passphrase, or somebody changed it.
    """

    path: Path
    passphrase: str | None = None
    what: str = "session"
    whole: bool = field(default=False, init=False)

    def __iter__(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                yield from self._pieces(file)
        except OSError as error:
            raise BadInput(f"the {self.what} {self.path} cannot be read: {error.strerror}") from None

    def _pieces(self, file: BinaryIO) -> Iterator[bytes]:
        header, cipher = self._open(file)
        number = 0
        while len(size := file.read(4)) == 4:
            (length,) = struct.unpack(">I", size)
            last, length = bool(length & _LAST), length & ~_LAST
            if length > _MOST_PIECE:
                raise BadInput(f"the {self.what} {self.path} is damaged", hint="it was changed after it was written")
            sealed = file.read(length)
            if len(sealed) < length:
                return
            try:
                yield cipher.decrypt(_nonce(number, last), sealed, header)
            except InvalidTag:
                raise self._refused(number) from None
            number += 1
            if last:
                self.whole = not file.read(1)
                return

    def _open(self, file: BinaryIO) -> tuple[bytes, AESGCM]:
        header = b""
        if file.read(len(_magic(self.what))) == _magic(self.what):
            size = int.from_bytes(file.read(4), "big")
            header = file.read(size) if size <= _MOST_HEADER else b""
        try:
            told: dict[str, Any] = json.loads(header)
            salt = bytes.fromhex(told["salt"])
            scrypt = told.get("scrypt")
            if scrypt is not None and scrypt != _SCRYPT:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            made = "doppelcam record" if self.what == "session" else "doppelcam"
            raise BadInput(f"{self.path} is no {self.what}", hint=f"expected a file that {made} made") from None
        if scrypt is None:
            secret = _own_key(make=False)
            if told.get("key") != _fingerprint(secret):
                raise BadInput(
                    f"the {self.what} {self.path} was made with another key than {key_file()}",
                    hint="only who made it can open it; a session to be passed on is recorded with --passphrase",
                )
        elif self.passphrase is None:
            raise BadInput(f"the {self.what} {self.path} is locked with a passphrase", hint="give --passphrase")
        else:
            secret = _stretched(self.passphrase, salt, _SCRYPT)
        return header, AESGCM(_file_key(secret, salt, self.what))

    def _refused(self, number: int) -> BadInput:
        if number == 0 and self.passphrase is not None:
            return BadInput(f"the {self.what} {self.path} does not open: is this its passphrase?")
        return BadInput(f"the {self.what} {self.path} is damaged", hint="it was changed after it was written")


def _nonce(number: int, last: bool) -> bytes:
    return struct.pack(">QI", number, last)


def _magic(what: str) -> bytes:
    return f"doppelcam {what} 1\n".encode()


def _file_key(secret: bytes, salt: bytes, what: str) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt, f"doppelcam {what}".encode()).derive(secret)


def _stretched(passphrase: str, salt: bytes, cost: dict[str, int]) -> bytes:
    return Scrypt(salt, _KEY_BYTES, **cost).derive(passphrase.encode())


def _fingerprint(secret: bytes) -> str:
    return hashlib.sha256(b"doppelcam session key" + secret).hexdigest()[:16]


def own_mark(data: bytes, make: bool = False) -> str:
    """What only this user's key makes of `data`, in hexadecimals; "" where there is no key (with `make` it is made).

    HMAC with SHA-256. Raises BadInput where the key is not safe.
    """
    if not make and not key_file().exists():
        return ""
    return hmac.digest(HKDF(SHA256(), _KEY_BYTES, None, b"doppelcam mark").derive(_own_key(make)), data, "sha256").hex()


def _own_key(make: bool) -> bytes:
    """This user's key, which nobody else may read. Raises BadInput: it is not there (unless `make`), or not safe."""
    path = key_file()
    try:
        key = read_own(path, 4096)
    except FileNotFoundError:
        if not make:
            raise BadInput(f"the key {path} is not there", hint="what is sealed opens only where it was made") from None
        return _new_key(path)
    except Unfit as unfit:
        raise BadInput(f"the key {path} is not safe: {unfit}", hint=f"chmod 600 {path}") from None
    except OSError as error:
        raise BadInput(f"the key {path} cannot be read: {error.strerror}") from None
    if len(key) != _KEY_BYTES:
        raise BadInput(f"the key {path} is damaged", hint="move it away for a new one; what it locked is lost")
    return key


def _new_key(path: Path) -> bytes:
    """Made once; of two processes that make one at the same time, the first wins."""
    key = secrets.token_bytes(_KEY_BYTES)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_own(path, key, replace=False)
    except FileExistsError:
        return _own_key(make=False)
    except OSError as error:
        raise BadInput(f"the key {path} cannot be made: {error.strerror}") from None
    return key
