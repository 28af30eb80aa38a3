"""A device of v4l2loopback that a sentinel holds as well: with a cover on it, it outlives this process."""

from __future__ import annotations

import logging
import os
import time

from live import sentinel, v4l2
from live.cover import draw_cover
from live.frame import Format, Image
from live.sinks.virtual_camera.loopback import Loopback, choose

_WORDS = "no picture right now"  # on the sentinel's cover: why there is none, it cannot know
_TOO_SOON_S = 5.0  # a sentinel that has ended is started again, but not one that ends at once

_log = logging.getLogger("doppelcam.live")


class Watched:
    """An opened device and its sentinel. Raises BadInput, NotAvailable; `write` raises SinkLost.

    `stay`: it is left to the sentinel when it is closed, if a face was ever shown there.
    """

    def __init__(self, device: str | None, format: Format, letters: str, stay: bool) -> None:
        self._stay = stay
        self._broken = False
        self._held: sentinel.Held | None = None
        path = choose(device).path
        taken = sentinel.take(path)
        if taken is not None:
            self._held, handle = taken
            try:
                self._loopback = Loopback(path, format, letters, handle)
            except BaseException:
                self._held.leave()
                raise
            if self._loopback.has(format, letters) or _is_read(path, self._held):
                return
            # Nobody looks: it may get another size.
            self._let_go()
        self._loopback = Loopback(path, format, letters)
        self._watch()

    @property
    def path(self) -> str:
        return self._loopback.path

    def write(self, image: Image, live: bool) -> None:
        if live:
            self.beat(True)
        try:
            self._loopback.write(image)
        except BaseException:
            self._broken = True
            raise
        if not live:  # not before it is there: this process may be stopped at any point
            self.beat(False)

    def beat(self, live: bool) -> None:
        """This process lives, and what it shows is live or a cover."""
        if self._held is not None and not self._held.beat(live):
            lasted_s = time.monotonic() - self._held.since_s
            self._held.leave()
            self._held = None
            if lasted_s > _TOO_SOON_S:
                self._watch()
            if self._held is None:
                _log.warning("nobody covers %s any more should doppelcam be killed: its sentinel has ended", self.path)

    def rest_on(self, image: Image) -> None:
        self._loopback.rest_on(image)

    def close(self) -> None:
        held, self._held = self._held, None
        if held is None:
            self._loopback.close()
        elif self._stay and held.worn and not self._broken:
            _log.info(
                "%s stays there and shows a cover, for those who look at it: doppelcam release ends that", self.path
            )
            self._loopback.leave()
            held.leave()
        else:
            self._held = held
            self._let_go()

    def _watch(self) -> None:
        """Start a sentinel. Where there can be none, the device lives as long as this process does."""
        cover = draw_cover(self._loopback.width, self._loopback.height, _WORDS)
        try:
            self._held = sentinel.start(self.path, self._loopback.handle, self._loopback.bytes_of(cover))
        except OSError as error:
            _log.warning("%s will be gone when doppelcam is: no sentinel can be started (%s)", self.path, error)

    def _let_go(self) -> None:
        assert self._held is not None, "only where there is a sentinel"
        self._loopback.leave()
        self._held.release()
        self._held = None


def _is_read(path: str, held: sentinel.Held) -> bool:
    """Whether some program of this user looks at the device. The driver itself keeps the size for those of others."""
    others, _ = v4l2.holders(path)
    return any(process not in (os.getpid(), held.process) for process, _ in others)
