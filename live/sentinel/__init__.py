"""Keeps a virtual camera there, with a cover on it, when doppelcam has died, hangs or has ended (Linux).

A meeting program whose camera disappears takes the next one, which shows the bare face. So a small process of its own,
the sentinel (__main__.py), holds the device that doppelcam has opened: the same open file, handed over. doppelcam
writes its pictures straight to the device, and says every now and then that it lives. When it says nothing any more
although its last picture was no cover, or is gone, the sentinel writes the cover, until a new doppelcam takes the
device over or the user releases it.

One sentinel a device. It is spoken to over a Unix socket in a folder that only its user may enter, and both ends make
sure that the other one is that user. Here is doppelcam's end, and what both must know.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

# What the owner says: my pictures are live, are covers; and that the device shall be let go of.
LIVE, COVERED, RELEASE = b"live", b"covered", b"release"
# What others ask: may I have the device? would you give it? And the answers; "worn": it has shown a face already.
TAKE, ASK = b"take", b"ask"
YOURS, YOURS_WORN, WAITS, BUSY = b"yours", b"yours worn", b"waits", b"busy"
MOST = 32  # bytes of a message

_BEAT_S = 0.05
_ANSWER_S = 2.0


class Held:
    """doppelcam's connection to the sentinel of a device."""

    def __init__(
        self, path: str, link: socket.socket, worn: bool, child: subprocess.Popen[bytes] | None = None
    ) -> None:
        link.setblocking(False)
        self.path, self.worn = path, worn  # worn: a face was shown there, so that somebody may be looking
        self._link, self._child = link, child
        self._live = False
        self._told_s = self.since_s = time.monotonic()

    @property
    def process(self) -> int:
        """The sentinel's number."""
        return _peer(self._link)[0] if self._child is None else self._child.pid

    def beat(self, live: bool) -> bool:
        """doppelcam lives; what comes next is `live`, or a cover. False when the sentinel has ended."""
        now = time.monotonic()
        if live == self._live and now - self._told_s < _BEAT_S:
            return True
        self._live, self._told_s = live, now
        self.worn = self.worn or live
        try:
            self._link.send(LIVE if live else COVERED, socket.MSG_NOSIGNAL)
        except BlockingIOError:  # it will read that much later
            pass
        except OSError:
            return False
        return True

    def leave(self) -> None:
        """The sentinel keeps the device, and covers it."""
        self._link.close()

    def release(self) -> None:
        """The sentinel lets go of the device and ends."""
        with suppress(OSError):
            self._link.settimeout(_ANSWER_S)
            self._link.send(RELEASE, socket.MSG_NOSIGNAL)
            self._link.recv(MOST)  # it closes the device before this connection
        self._link.close()
        if self._child is not None:
            self._child.poll()  # so that it is no zombie


def start(path: str, device: int, cover: bytes) -> Held:
    """Start a sentinel for this opened device. `cover`: a picture in the device's own format. Raises OSError."""
    import subprocess  # heavier than all the rest, and not for __main__.py

    folder()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    picture = os.memfd_create("doppelcam-cover")
    try:
        with open(picture, "wb", closefd=False) as file:
            file.write(cover)
        handles = (device, picture, theirs.fileno())
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "live.sentinel", path, *map(str, handles)],
            pass_fds=handles, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,  # neither Ctrl-C nor the terminal's end reach it
        )  # fmt: skip
    except BaseException:
        ours.close()
        raise
    finally:
        os.close(picture)
        theirs.close()
    return Held(path, ours, False, child)


def take(path: str) -> tuple[Held, int] | None:
    """The device as it is, opened, and its sentinel, where one waits for a new owner."""
    link = _connect(path)
    if link is None:
        return None
    try:
        link.send(TAKE, socket.MSG_NOSIGNAL)
        answer, handles, _, _ = socket.recv_fds(link, MOST, 1)
    except OSError:
        answer, handles = b"", []
    if answer not in (YOURS, YOURS_WORN) or not handles:
        link.close()
        return None
    os.set_inheritable(handles[0], False)
    return Held(path, link, answer == YOURS_WORN), handles[0]


def waits(path: str) -> bool:
    """Whether a sentinel holds this device, and would give it to a new owner."""
    return _asked(path, ASK) == WAITS


def release(path: str) -> bool:
    """Make the sentinel of a device let go; False where a doppelcam that runs has it."""
    return _asked(path, RELEASE) != BUSY


def held() -> list[str]:
    """The devices that sentinels hold, whether doppelcam runs or not."""
    try:
        sockets = sorted(folder().glob("*.sock"))
    except OSError:
        return []
    found = []
    for path in sockets:
        if _asked(f"/dev/{path.stem}", ASK):
            found.append(f"/dev/{path.stem}")
    return found


def folder() -> Path:
    """Where the sockets lie: a folder of the user's own. Raises OSError where it belongs to, or is open to, others."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    path = (
        Path(runtime, "doppelcam")
        if runtime and os.path.isdir(runtime)
        else Path(os.environ.get("TMPDIR", "/tmp"), f"doppelcam-{os.getuid()}")
    )
    path.mkdir(mode=0o700, exist_ok=True)
    facts = path.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise PermissionError(1, "is not this user's alone", str(path))
    return path


def address(path: str) -> str:
    """The socket of this device's sentinel. Raises OSError."""
    return str(folder() / f"{Path(path).name}.sock")


def same_user(link: socket.socket) -> bool:
    """Whether the process at the other end is this user's."""
    return _peer(link)[1] == os.getuid()


def _peer(link: socket.socket) -> tuple[int, int]:
    """Number and user of the process at the other end."""
    process, user, _ = struct.unpack(
        "3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    )
    return process, user


def _connect(path: str) -> socket.socket | None:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.settimeout(_ANSWER_S)
    with suppress(OSError):
        link.connect(address(path))
        if same_user(link):
            return link
    link.close()
    return None


def _asked(path: str, question: bytes) -> bytes:
    """The answer, b"" where there is none."""
    link = _connect(path)
    if link is None:
        return b""
    with link, suppress(OSError):
        link.send(question, socket.MSG_NOSIGNAL)
        return link.recv(MOST)
    return b""
