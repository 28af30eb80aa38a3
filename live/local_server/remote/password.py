"""A password, known by its hash alone, and how long who tried wrong ones has to wait."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable

from engines.errors import BadInput

LEAST, MOST = 12, 200  # letters
_MOST_ADDRESSES = 1024
_FREE, _LONGEST_S, _APART_S = 3, 300.0, 1.0


class Password:
    """Kept in memory alone, as its scrypt hash (RFC 7914): 32 MB and 0.1 s of one core for a try. Not more: a guesser
    shall not slow down the loop, and who can read this process's memory needs no password."""

    def __init__(self, password: str) -> None:
        """Raises BadInput for one that is too short."""
        if not LEAST <= len(password) <= MOST:
            raise BadInput(
                f"a password for remote access has {LEAST} letters or more, this one has {len(password)}",
                hint="some words in a row are easy to keep in mind",
            )
        self._salt = secrets.token_bytes(16)
        self._hash = self._hashed(password)

    def is_right(self, given: str) -> bool:
        """Takes its time, and as much for any password: not on the server's own thread."""
        return hmac.compare_digest(self._hashed(given[: MOST + 1]), self._hash)

    def _hashed(self, password: str) -> bytes:
        data = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
        return hashlib.scrypt(data, salt=self._salt, n=1 << 15, r=8, p=1, maxmem=64 << 20, dklen=32)


class Tries:
    """Slows down guessing. From one address: three tries are free, after that 2, 4, 8 ... 300 seconds lie between them,
    until one is right; from all together: one try a second, so that hashing costs the loop little.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.wrong = 0  # in all
        self._clock = clock
        self._next_s = 0.0
        self._by: OrderedDict[str, tuple[int, float]] = OrderedDict()  # tries that were not right; when the next may be

    def begin(self, who: str) -> float:
        """How many seconds this address has to wait. 0: it may try now, and counts as wrong until it is `right`."""
        now = self._clock()
        count, next_s = self._by.get(who, (0, 0.0))
        wait_s = max(next_s, self._next_s) - now
        if wait_s > 0:
            return wait_s
        self._next_s = now + _APART_S
        count += 1
        pause_s = 0.0 if count < _FREE else min(2.0 ** min(count - _FREE + 1, 30), _LONGEST_S)
        self._by[who] = count, now + pause_s
        self._by.move_to_end(who)
        if len(self._by) > _MOST_ADDRESSES:
            self._by.popitem(last=False)
        return 0.0

    def right(self, who: str) -> None:
        self._by.pop(who, None)

    def failed(self, who: str) -> int:
        """It was wrong; how many wrong ones this address has had in a row."""
        self.wrong += 1
        return self._by.get(who, (1, 0.0))[0]
