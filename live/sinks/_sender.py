"""Encodes and sends a stream in a process of its own, and talks to that process.

While FFmpeg connects or hangs, PyAV lets no other Python thread run: in the program itself that would stop the picture
everywhere. A process can also be left when its server takes nothing any more. It is told the address over its input,
not on its command line, where everybody on the machine could read the key.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, TypeVar

import av
import numpy as np

from live.sinks._encoded import Encoder, Planes
from live.sound import Samples

_HEAD = struct.Struct("<cqI")  # what, tick, bytes
_PICTURE, _SOUND = b"P", b"S"
_READY = "ready"
T = TypeVar("T")


class Sender:
    """The process. Raises OSError(reason) when it cannot connect, or when the connection is lost."""

    def __init__(self, wishes: dict[str, Any], patience_s: float) -> None:
        """`wishes`: what `_connect` takes."""
        self._patience_s = patience_s
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "live.sinks._sender",
            ],  # -P: nothing of the folder where the user happens to be
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # FFmpeg would write the address there
        )
        self._send(json.dumps(wishes).encode() + b"\n")
        answer = self._within(self._read_line)
        if answer != _READY:
            self.close()
            raise OSError(answer or "no answer")

    def picture(self, planes: Planes, tick: int) -> None:
        self._send(_HEAD.pack(_PICTURE, tick, planes.nbytes), planes.data)

    def sound(self, samples: Samples) -> None:
        self._send(_HEAD.pack(_SOUND, 0, samples.nbytes), np.ascontiguousarray(samples).data)

    def close(self) -> None:
        """Let it send what it has, for as long as the patience lasts."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(self._patience_s)
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def _send(self, *pieces: bytes | memoryview) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            self._within(lambda: _write(pipe, pieces))
        except (OSError, ValueError):
            raise OSError(self._read_line() or "no answer") from None

    def _read_line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode().strip()

    def _within(self, call: Callable[[], T]) -> T:
        """A process that takes too long is killed, whereupon the call fails."""
        timer = threading.Timer(self._patience_s, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            return call()
        finally:
            timer.cancel()


def _write(pipe: IO[bytes], pieces: tuple[bytes | memoryview, ...]) -> None:
    for piece in pieces:
        pipe.write(piece)
    pipe.flush()


def _connect(
    url: str, kind: str, muxer: dict[str, str], size: list[int], fps: float, options: dict[str, str], bit_rate: int,
    sound: list[int] | None,
) -> Encoder:  # fmt: skip
    container = av.open(url, "w", format=kind, options={"flush_packets": "1", **muxer})
    encoder = Encoder(
        container, (size[0], size[1]), fps, options, bit_rate, None if sound is None else (sound[0], sound[1])
    )
    container.start_encoding()
    return encoder


def _run() -> None:
    """What the process does: wishes, then pictures and sound, until its input ends."""
    source = sys.stdin.buffer
    wishes = json.loads(source.readline())
    encoder = _connect(**wishes)
    _tell(_READY)
    width, height = wishes["size"]
    channels = wishes["sound"][1] if wishes["sound"] else 1
    while len(head := source.read(_HEAD.size)) == _HEAD.size:
        what, tick, size = _HEAD.unpack(head)
        data = source.read(size)
        if what == _PICTURE:
            encoder.picture(np.frombuffer(data, np.uint8).reshape(height * 3 // 2, width), tick)
        else:
            encoder.sound(np.frombuffer(data, np.float32).reshape(-1, channels))
    encoder.finish()
    encoder.close()


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which then ends this one
    try:
        _run()
    except (av.FFmpegError, OSError, ValueError) as error:
        _tell(str(getattr(error, "strerror", None) or type(error).__name__))  # the whole error names the address
    os._exit(0)  # a container that is half open must not hang here
