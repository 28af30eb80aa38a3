"""Downloads one file over HTTPS: resumed where it was cut off, verified before it counts as there, never half-written.

While it runs the bytes lie in `TARGET.part`, and `TARGET.part.json` says which version of the file they belong to; both
outlive Ctrl-C and a lost connection. Ranges as in RFC 9110, sections 13.1.5 (If-Range) and 14.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock
import httpx

from engines.errors import BadInput, ModelError, NotAvailable
from engines.store import check_room

Progress = Callable[[int, int | None], None]  # bytes that are there, bytes in all (None: not announced)

_MOST_BYTES = 4 << 30
_MOST_REDIRECTS = 8
_LONGEST_PAUSE_S = 30.0
# Answers that may be different a moment later.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class _Passing(Exception):
    """Worth another try."""


@dataclass(frozen=True, slots=True)
class Download:
    """What to fetch and how sure to be of it. `http`: plain http is allowed (it always is on this machine itself)."""

    url: str
    sha256: str | None = None
    size: int | None = None
    most_bytes: int = _MOST_BYTES
    timeout_s: float = 20.0
    tries: int = 5  # in a row, without one more byte
    http: bool = False
    pause: Callable[[float], None] = time.sleep

    def to(self, target: Path, progress: Progress = lambda _done, _total: None) -> str:
        """Fetch it to `target`, making its folder; answers its sha256.

        NotAvailable: the server cannot be reached, refuses, or gave up too often. ModelError: it sends something else
        than what was asked for. BadInput: no room, an unsafe address, or another process downloads the same.
        """
        self._allow(httpx.URL(self.url), first=True)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with (
                # Its empty file stays: deleting it would let two processes hold two locks.
                filelock.FileLock(f"{target}.part.lock", timeout=0),
                httpx.Client(timeout=self.timeout_s, follow_redirects=False) as client,
            ):
                part = _Part(target, self)
                self._insist(client, part, progress)
                return part.finish()
        except filelock.Timeout:
            raise BadInput(f"{target.name} is being downloaded by another doppelcam", hint="wait for it") from None
        except OSError as error:
            raise BadInput(f"{target} cannot be written: {error.strerror or error}") from error

    def _insist(self, client: httpx.Client, part: _Part, progress: Progress) -> None:
        """Try until all is there; the pauses grow while nothing arrives."""
        failures = 0
        while True:
            before = part.done
            try:
                return self._fetch(client, part, progress)
            except (httpx.TransportError, _Passing) as error:
                failures = 1 if part.done > before else failures + 1
                if failures >= self.tries:
                    raise NotAvailable(
                        f"{self.url} cannot be downloaded: {_in_words(error)}",
                        hint="what has arrived is kept: the same command goes on from there" if part.done else "",
                    ) from error
                self.pause(min(2.0 ** (failures - 1), _LONGEST_PAUSE_S))

    def _fetch(self, client: httpx.Client, part: _Part, progress: Progress) -> None:
        with self._answer(client, part.headers()) as answer:
            if answer.status_code == 416:  # nothing lies after what is there: it is complete, or of another version
                if part.done and answer.headers.get("content-range") == f"bytes */{part.done}":
                    return
                part.drop()
                raise _Passing("the file on the server has changed")
            if answer.status_code in _PASSING:
                raise _Passing(f"the server answers {answer.status_code} {answer.reason_phrase}")
            if answer.status_code not in (200, 206):
                raise NotAvailable(
                    f"{self.url} cannot be downloaded: the server answers {answer.status_code} {answer.reason_phrase}",
                    hint="the file may have moved: look at the project's page",
                )
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise ModelError(f"{self.url} is sent packed ({answer.headers['content-encoding']}): not asked for")
            if answer.headers.get("content-type", "").startswith("text/html"):
                raise ModelError(f"{self.url} is a web page, not a model", hint="open it in a browser: it may ask you")
            total = part.begin(answer)
            most = self.size or self.most_bytes
            if total is not None and (total > most or (self.size is not None and total != self.size)):
                part.drop()
                raise ModelError(
                    f"{self.url} holds {total} bytes; {'' if self.size else 'at most '}{most} are expected"
                )
            check_room(part.path.parent, (total or 0) - part.done)
            with part.open() as write:
                progress(part.done, total)
                for block in answer.iter_raw():
                    if part.done + len(block) > (total if total is not None else most):
                        part.drop()
                        raise ModelError(f"{self.url} sends more than the {total or most} bytes that are expected")
                    write(block)
                    progress(part.done, total)
            wanted = total if total is not None else self.size
            if wanted is not None and part.done < wanted:
                raise _Passing(f"the connection ended after {part.done} of {wanted} bytes")

    @contextlib.contextmanager
    def _answer(self, client: httpx.Client, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """The answer behind at most a few redirects, each of which must be as safe as the first address."""
        url = httpx.URL(self.url)
        for _ in range(_MOST_REDIRECTS):
            with client.stream("GET", url, headers=headers) as answer:
                if not answer.has_redirect_location:
                    yield answer
                    return
                try:
                    url = url.join(answer.headers["location"])
                except httpx.InvalidURL as error:
                    raise NotAvailable(f"{self.url} is redirected to no address: {error}") from error
                self._allow(url)
        raise NotAvailable(f"{self.url} is redirected more than {_MOST_REDIRECTS} times")

    def _allow(self, url: httpx.URL, first: bool = False) -> None:
        # From elsewhere nobody is led to the services of this machine.
        here = _is_this_machine(url.host) and _is_this_machine(httpx.URL(self.url).host)
        if url.scheme == "https" or (url.scheme == "http" and (self.http or here)):
            return
        raise BadInput(
            f"{self.url} is not an https address" if first else f"{self.url} leads to {url}, without https",
            hint="only https is followed, so that nobody on the way can change the file",
        )


class _Part:
    """The bytes that are there already, their running checksum, and which version of the file they belong to."""

    def __init__(self, target: Path, wanted: Download) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._target, self._wanted = target, wanted
        self._note = target.with_name(f"{target.name}.part.json")
        self._digest = hashlib.sha256()
        self.done = 0
        self._version = ""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            url, self._version = str(note["url"]), str(note["version"])
        except (OSError, ValueError, KeyError, TypeError):
            url = ""
        # Without a version that the server can compare, only a known checksum tells a mixture of two files.
        if url == wanted.url and (self._version or wanted.sha256) and self.path.is_file():
            with self.path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    self._digest.update(block)
                    self.done += len(block)

    def headers(self) -> dict[str, str]:
        """Asks for what is missing, but for the whole file where the server's is no longer the same."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "doppelcam"}
        if self.done:
            headers["Range"] = f"bytes={self.done}-"
            if self._version:
                headers["If-Range"] = self._version
        return headers

    def begin(self, answer: httpx.Response) -> int | None:
        """Get ready for the body of this answer; gives the size of the whole file, where it is announced."""
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("content-range", ""))
        if answer.status_code == 206 and (match is None or int(match[1]) != self.done):
            self.drop()
            raise _Passing("the server sends another part than the one that was asked for")
        if answer.status_code == 200:
            self.drop()
        etag = answer.headers.get("etag", "")
        # A weak tag does not promise the same bytes (RFC 9110, 8.8.1).
        self._version = "" if etag.startswith("W/") else etag or answer.headers.get("last-modified", "")
        self._note.write_text(json.dumps({"url": self._wanted.url, "version": self._version}), encoding="utf-8")
        if answer.status_code == 206 and match is not None:
            return None if match[2] == "*" else int(match[2])
        length = answer.headers.get("content-length", "")
        return int(length) if length.isdecimal() else None

    @contextlib.contextmanager
    def open(self) -> Iterator[Callable[[bytes], None]]:
        with self.path.open("ab" if self.done else "wb") as stream:

            def write(block: bytes) -> None:
                stream.write(block)
                self._digest.update(block)
                self.done += len(block)

            yield write

    def drop(self) -> None:
        """Forget what is there."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self._digest = hashlib.sha256()
        self.done = 0

    def finish(self) -> str:
        """Verify and rename. Raises ModelError, and nothing is left then."""
        sha256, done, wanted = self._digest.hexdigest(), self.done, self._wanted
        if wanted.sha256 not in (None, sha256) or wanted.size not in (None, done) or not done:
            self.drop()
            raise ModelError(
                f"what {wanted.url} sends is not the file that is expected: {done} bytes, sha256 {sha256}"
                + (f"; expected sha256 {wanted.sha256}" if wanted.sha256 else ""),
                hint="it was changed on the server or damaged on the way; nothing of it is kept",
            )
        with self.path.open("rb+") as stream:
            os.fsync(stream.fileno())
        self.path.replace(self._target)
        self._note.unlink(missing_ok=True)
        return sha256


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _in_words(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "the server does not answer in time"
    return str(error).strip() or type(error).__name__
