"""Keeps plans, which are models compiled to machine code for one GPU, and gives back only those made on this machine.

Loading a plan runs what is in it, and the library that loads one does not ask who wrote it. So a plan is never taken
from a model folder, a download or another computer: it lives in the user's cache directory, beside a seal that only
this machine can make (HMAC-SHA256 over the plan and over what it was built from and for). Whatever lacks that seal is
refused, and built again.

The key of the seal is 32 random bytes in a file that only the user can read, in the state directory: caches are copied
and shared, that directory hardly ever is. The system's keyring is left alone: it would guard the key from a program
that can already write into the user's home, and such a program needs no plan to run code.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

import platformdirs

from engines.errors import ModelError, NotAvailable
from engines.own_file import OTHERS_WRITE, Unfit, read_own, write_own

_MAGIC = b"doppelcam plan 1"
_SEAL_SIZE = hashlib.sha256().digest_size
_KEY_SIZE = 32
_MAX_SIZE = 8 << 30  # bytes; far above any plan, far below what a file that grows for ever would fill

_log = logging.getLogger("doppelcam.engines")


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a plan was built from and for. All of it is under the seal: change one field and the plan is refused.

    Shapes are static and part of the model, so `model`, the sha256 of its bytes, stands for them too.
    """

    model: str
    precision: str
    gpu: str  # name and compute capability
    driver: str
    builder: str  # name and version of the library, and of the recipe it was given

    def file_name(self) -> str:
        """One file for a model, precision and GPU: the plan for a newer driver takes the place of the older one."""
        which = json.dumps([self.model, self.precision, self.gpu]).encode()
        return hashlib.sha256(which).hexdigest()[:32] + ".plan"

    def digest(self) -> bytes:
        """32 bytes that stand for all fields."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).digest()


@dataclass(frozen=True)
class Plans:
    """The plans of this user on this machine. Nothing is read or made before it is asked for."""

    folder: Path = field(default_factory=lambda: platformdirs.user_cache_path("doppelcam") / "plans")
    key_file: Path = field(default_factory=lambda: platformdirs.user_state_path("doppelcam") / "plans.key")

    def find(self, purpose: Purpose) -> bytes | None:
        """The plan for exactly this purpose; None when none is kept.

        Raises ModelError for a file that this machine did not make for it: moved, damaged, from another machine or
        user, or from before the driver or the library changed.
        """
        path = self.folder / purpose.file_name()
        try:
            data = read_own(path, _MAX_SIZE, forbidden=OTHERS_WRITE)
            head = len(_MAGIC) + _SEAL_SIZE
            seal, plan = data[len(_MAGIC) : head], data[head:]
            # compare_digest takes the same time wherever the first wrong byte is.
            if data[: len(_MAGIC)] != _MAGIC or not hmac.compare_digest(seal, _seal(self._key(), purpose, plan)):
                raise Unfit("its seal does not fit")
        except FileNotFoundError:
            return None
        except (OSError, Unfit) as error:
            why = getattr(error, "strerror", None) or error
            raise ModelError(
                f"the plan {path} was not built by this machine as it is now ({why})", hint="it is built again"
            ) from error
        return plan

    def keep(self, purpose: Purpose, plan: bytes) -> None:
        """Seal and store a plan that was just built here. Raises NotAvailable when it cannot be stored."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_own(self.folder / purpose.file_name(), _MAGIC, _seal(self._key(), purpose, plan), plan)
        except OSError as error:
            raise NotAvailable(
                f"the plan cannot be kept: {error.strerror or error}: {self.folder}",
                hint="without it the next start builds it again",
            ) from error

    def _key(self) -> bytes:
        """The key; a new one where there is none, or where somebody else may know or have written the old one.

        A new key only means that what the old one sealed is built again. The same holds when two processes make one
        at the same time: the later stays. Raises OSError.
        """
        try:
            key = read_own(self.key_file, _KEY_SIZE)
            if len(key) == _KEY_SIZE:
                return key
            _log.warning("%s is damaged and is made anew", self.key_file)
        except FileNotFoundError:
            pass
        except (OSError, Unfit) as error:
            _log.warning("%s is not safe (%s) and is made anew", self.key_file, error)
        self.key_file.parent.mkdir(parents=True, exist_ok=True)
        write_own(self.key_file, secrets.token_bytes(_KEY_SIZE))
        return self.key_file.read_bytes()


def _seal(key: bytes, purpose: Purpose, plan: bytes) -> bytes:
    # The digest has a fixed size, so no other purpose and plan make the same row of bytes.
    mac = hmac.new(key, purpose.digest(), hashlib.sha256)
    mac.update(plan)
    return mac.digest()
