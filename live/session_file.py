"""Sessions: what a camera gave, exactly, with times and settings, so that a run can be had again: for bugs and tests.

A session file (sealed.py) holds pieces: first the settings; then the pictures, each losslessly coded by itself; at the
end which of them the loop took, a digest of each picture that was shown, and the report.
"""

from __future__ import annotations

import hashlib
import json
import queue
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np

from engines.errors import BadInput, SourceLost
from live.frame import Captured, Format, Image, SafeFrame
from live.parts import EndOfSource, Source
from live.sealed import SealedReader, SealedWriter
from live.trace import Ledger, Trace, clock

_CODEC, _PIXELS = "huffyuv", "rgb24"  # 5 ms for a 720p picture on one core, and a third of its size
_SETTINGS, _PICTURE, _END = b"S", b"P", b"E"
_FACTS = struct.Struct(">QqdHH")  # number, captured_ns, position_s, width, height
_BEHIND = 12  # pictures that may wait to be written


@dataclass
class Recorder:
    """Source: another one's pictures, each of which is written to a session before anybody sees it.

    Where the disk cannot keep up a picture is left out, for the loop too, and counted in `lost`. Writing is done on a
    thread of its own; what went wrong there is raised by `finish`.
    """

    source: Source
    writer: SealedWriter
    settings: dict[str, Any]  # written first, with the source's frames a second as "fps"
    lost: int = field(default=0, init=False)
    written: int = field(default=0, init=False)
    _queue: queue.Queue[tuple[bytes, av.VideoFrame] | None] = field(init=False, repr=False)
    _thread: threading.Thread | None = field(default=None, init=False, repr=False)
    _error: OSError | None = field(default=None, init=False)

    def open(self) -> Format:
        format = self.source.open()
        if self._thread is None:  # opened for the first time
            self.writer.write(_SETTINGS + json.dumps({**self.settings, "fps": format.fps}).encode())
            self._queue = queue.Queue(_BEHIND)
            self._thread = threading.Thread(target=self._write, name="doppelcam-session", daemon=True)
            self._thread.start()
        return format

    def read(self) -> Captured:
        while True:
            captured = self.source.read()
            if self._error is not None:
                raise SourceLost(f"the session cannot be written: {self._error.strerror}")
            height, width = captured.image.shape[:2]
            facts = _FACTS.pack(self.written + 1, captured.captured_ns, captured.position_s, width, height)
            try:
                self._queue.put_nowait((facts, av.VideoFrame.from_ndarray(captured.image, format="bgr24")))
            except queue.Full:
                self.lost += 1
                continue
            self.written += 1
            return captured

    def close(self) -> None:
        self.source.close()

    def finish(self) -> None:
        """Wait until all pictures are written. Raises BadInput where that failed."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
        if self._error is not None:
            raise BadInput(f"the session broke off: {self._error.strerror}", hint="is the disk full?")

    def _write(self) -> None:
        coder: _Coder | None = None
        while (item := self._queue.get()) is not None:
            if self._error is not None:
                continue
            facts, picture = item
            if coder is None or not coder.fits(picture):
                coder = _Coder(picture.width, picture.height)
            try:
                self.writer.write(_PICTURE + facts + coder(picture))
            except OSError as error:
                self._error = error


class _Coder:
    """Codes pictures of one size, each by itself: the coder's tables and the coded picture in one piece."""

    def __init__(self, width: int, height: int) -> None:
        context: Any = av.CodecContext.create(_CODEC, "w")
        context.width, context.height, context.pix_fmt = width, height, _PIXELS
        context.time_base = Fraction(1, 1000)
        context.thread_count = 1
        self._context, self._size, self._count = context, (width, height), 0

    def fits(self, picture: av.VideoFrame) -> bool:
        return (picture.width, picture.height) == self._size

    def __call__(self, picture: av.VideoFrame) -> bytes:
        frame = picture.reformat(format=_PIXELS)
        frame.pts, self._count = self._count, self._count + 1
        (packet,) = self._context.encode(frame)
        tables = bytes(self._context.extradata)
        return struct.pack(">H", len(tables)) + tables + bytes(packet)


class _Decoder:
    def __init__(self) -> None:
        self._context: Any = None
        self._key: Any = None

    def __call__(self, data: bytes, width: int, height: int) -> Image:
        (length,) = struct.unpack_from(">H", data)
        tables = data[2 : 2 + length]
        if self._key != (tables, width, height):
            self._key = tables, width, height
            context: Any = av.CodecContext.create(_CODEC, "r")
            context.extradata = tables
            context.width, context.height, context.pix_fmt = width, height, _PIXELS
            context.thread_count = 1
            self._context = context
        (frame,) = self._context.decode(av.Packet(data[2 + length :]))
        return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


class Notes(Ledger):
    """A ledger that also notes which frames the loop took, in order: their numbers, and what was spared in each."""

    taken: list[tuple[int, int]]

    def __init__(self) -> None:
        super().__init__()
        self.taken = []

    def processed(self, trace: Trace) -> None:
        self.taken.append((trace.number, trace.spare))
        super().processed(trace)


@dataclass
class Digests:
    """Sink: a digest of each picture that was shown, by its time in the source. What stands in for nothing has none."""

    outgoing: ClassVar[bool] = False

    seen: dict[str, str] = field(default_factory=dict)

    def open(self, format: Format) -> None: ...

    def write(self, frame: SafeFrame) -> None:
        if frame.position_s is not None:
            picture = hashlib.sha256(np.ascontiguousarray(frame.image).data).hexdigest()[:32]
            self.seen[f"{frame.position_s:.9f}"] = f"{frame.state} {picture}"

    def close(self) -> None: ...


def end(writer: SealedWriter, taken: list[tuple[int, int]], digests: dict[str, str], report: dict[str, Any]) -> None:
    writer.write(_END + json.dumps({"taken": taken, "digests": digests, "report": report}).encode())


@dataclass(frozen=True)
class Session:
    """What a session file holds besides its pictures. `taken` None: it broke off, and what was taken is not known."""

    reader: SealedReader
    settings: dict[str, Any]
    pictures: int
    taken: list[tuple[int, int]] | None
    digests: dict[str, str]
    report: dict[str, Any] | None


def read_session(path: Path, passphrase: str | None = None) -> Session:
    """Look through a session, every piece of which is checked. Raises BadInput."""
    reader = SealedReader(path, passphrase)
    settings: dict[str, Any] | None = None
    last: dict[str, Any] = {}
    pictures = 0
    for piece in reader:
        kind = piece[:1]
        if kind == _SETTINGS:
            settings = json.loads(piece[1:])
        elif kind == _PICTURE:
            pictures += 1
        elif kind == _END:
            last = json.loads(piece[1:])
    if settings is None or not pictures:
        raise BadInput(f"the session {path} has no pictures in it")
    return Session(reader, settings, pictures, last.get("taken"), last.get("digests", {}), last.get("report"))


@dataclass
class Replayed:
    """Source: a session's pictures: those that the loop took then, as fast as it goes; or `paced` all of them, when
    they came.
    """

    session: Session
    paced: bool = False
    _pieces: Iterator[bytes] = field(init=False, repr=False)
    _decode: _Decoder = field(init=False, repr=False)
    _left: list[int] | None = field(default=None, init=False)
    _start: tuple[int, int] | None = field(default=None, init=False)
    _first: Captured | None = field(default=None, init=False)

    def open(self) -> Format:
        self._decode, self._start = _Decoder(), None
        self._pieces = iter(self.session.reader)
        taken = self.session.taken
        self._left = None if self.paced or taken is None else [number for number, _ in reversed(taken)]
        self._first = self._next()
        height, width = self._first.image.shape[:2]
        return Format(width, height, float(self.session.settings["fps"]))

    def read(self) -> Captured:
        captured, self._first = self._first or self._next(), None
        if not self.paced:
            return captured
        now = clock()
        if self._start is None:
            self._start = captured.captured_ns, now
        due = self._start[1] + captured.captured_ns - self._start[0]
        if due > now:
            time.sleep((due - now) / 1e9)
        return Captured(captured.image, due, captured.position_s)

    def close(self) -> None:
        self._pieces = iter(())

    def spares(self) -> Callable[[], int] | None:
        """What the loop spares in each frame, as it did then; None where that is decided anew."""
        if self.paced or self.session.taken is None:
            return None
        spares = (spare for _, spare in self.session.taken)
        return lambda: next(spares, 0)

    def _next(self) -> Captured:
        for piece in self._pieces:
            if piece[:1] != _PICTURE:
                continue
            number, captured_ns, position_s, width, height = _FACTS.unpack_from(piece, 1)
            if self._left is not None:
                if not self._left or self._left[-1] != number:
                    continue
                self._left.pop()
            image = self._decode(piece[1 + _FACTS.size :], width, height)
            return Captured(image, captured_ns, position_s)
        raise EndOfSource
