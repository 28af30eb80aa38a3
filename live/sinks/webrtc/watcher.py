"""One watcher: the packets on their way to one browser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

_MOST_WAITING = 15


class Watcher(MediaStreamTrack):
    """Hands packed pictures on, from a key picture on; one that falls behind begins again at the next key picture."""

    kind = "video"

    def __init__(self, ask_for_key: Callable[[], None]) -> None:
        super().__init__()
        self._ask_for_key = ask_for_key
        self._packets: asyncio.Queue[Any | None] = asyncio.Queue()
        self._begun = False

    def put(self, packet: Any) -> None:
        if self._packets.qsize() >= _MOST_WAITING:
            self._begun = False
            while not self._packets.empty():
                self._packets.get_nowait()
            self._ask_for_key()
        self._begun = self._begun or packet.is_keyframe
        if self._begun:
            self._packets.put_nowait(packet)

    async def recv(self) -> Any:
        """The next packet, in order: what aiortc asks a track for. Raises MediaStreamError at the end."""
        packet = await self._packets.get()
        if packet is None:
            raise MediaStreamError
        return packet

    def stop(self) -> None:
        super().stop()
        self._packets.put_nowait(None)
