"""The sentinel's process: holds a virtual camera, and covers it when its owner hangs or is gone. See __init__.py.

python -m live.sentinel PATH DEVICE COVER OWNER: the path of the device, and three inherited files: the device, a
picture in its format, the connection to doppelcam. Nothing heavy is imported: it has to be there soon, and for long.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from live import sentinel, v4l2

_SILENCE_S = 0.45  # with what it takes to notice and to write, the cover is there after half a second
_REPEAT_S = 0.5  # whoever looks sees that the camera lives
_VISIT_S = 0.1  # a visitor that says nothing must not hold up the cover
_NAME = "doppelcam-cover"  # as lists of processes show it


class Sentinel:
    """Watches over one device until it is released, or the device or the user's session is gone."""

    def __init__(self, path: str, device: int, cover: bytes, owner: socket.socket) -> None:
        self._device, self._cover = device, cover
        self._owner: socket.socket | None = owner
        self._last_guests: list[socket.socket] = []  # they are told by the end that the device is free
        self._live = self._worn = False
        self._heard_s, self._covered_s = time.monotonic(), float("-inf")
        self._address = sentinel.address(path)
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with suppress(FileNotFoundError):  # of one that was killed: it does not have the device any more
            os.unlink(self._address)
        self._door.bind(self._address)
        os.chmod(self._address, 0o600)
        self._door.listen(4)

    def run(self) -> None:
        while True:
            due_s = self._due_s()
            pause_s = None if due_s is None else max(due_s - time.monotonic(), 0)
            sources = [self._door] if self._owner is None else [self._door, self._owner]
            ready, _, _ = select.select(sources, [], [], pause_s)
            if self._owner in ready and not self._listen():
                return
            if self._door in ready and not self._receive():
                return
            due_s = self._due_s()
            if due_s is not None and time.monotonic() >= due_s:
                if self._owner is None and not os.path.exists(self._address):
                    return  # the session's folder is gone
                try:
                    os.write(self._device, self._cover)
                except OSError:
                    return  # the device is gone
                self._covered_s = time.monotonic()

    def _due_s(self) -> float | None:
        """When the cover is to be written next; None: the owner does that."""
        again_s = self._covered_s + _REPEAT_S
        if self._owner is None:
            return again_s
        return max(self._heard_s + _SILENCE_S, again_s) if self._live else None

    def _listen(self) -> bool:
        """What the owner says; False: let go of the device."""
        assert self._owner is not None, "it was ready"
        try:
            said = self._owner.recv(sentinel.MOST)
        except OSError:
            said = b""
        if said == sentinel.RELEASE:
            return False
        if not said:
            self._owner.close()
            self._owner, self._covered_s = None, float("-inf")
        else:
            self._heard_s, self._live = time.monotonic(), said == sentinel.LIVE
            self._worn = self._worn or self._live
        return True

    def _receive(self) -> bool:
        """A visitor's one question; False: let go of the device."""
        visitor, _ = self._door.accept()
        visitor.settimeout(_VISIT_S)
        try:
            said = visitor.recv(sentinel.MOST) if sentinel.same_user(visitor) else b""
            free = self._owner is None
            if said == sentinel.TAKE and free:
                answer = sentinel.YOURS_WORN if self._worn else sentinel.YOURS
                socket.send_fds(visitor, [answer], [self._device])
                self._owner, self._live, self._heard_s = visitor, False, time.monotonic()
                return True
            if said == sentinel.RELEASE and free:
                self._last_guests.append(visitor)
                return False
            if said in (sentinel.ASK, sentinel.TAKE, sentinel.RELEASE):
                visitor.send(sentinel.WAITS if free else sentinel.BUSY, socket.MSG_NOSIGNAL)
        except OSError:
            pass  # it went away
        visitor.close()
        return True

    def close(self) -> None:
        """Give the device back as it was found, then let those know who wait for that."""
        with suppress(OSError):
            os.unlink(self._address)
        with suppress(OSError, KeyError):
            v4l2.set_control(self._device, v4l2.controls(self._device)["timeout"], 0)
        os.close(self._device)
        for link in (self._door, self._owner, *self._last_guests):
            if link is not None:
                link.close()


def main(path: str, device: int, cover: int, owner: int) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):
        Path("/proc/self/comm").write_text(_NAME, encoding="ascii")
    os.chdir("/")
    with open(cover, "rb") as file:
        file.seek(0)
        picture = file.read()
    watching = Sentinel(path, device, picture, socket.socket(fileno=owner))
    try:
        watching.run()
    finally:
        watching.close()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
