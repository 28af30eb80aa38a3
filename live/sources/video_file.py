"""A video file or URL as a source, in real time or as fast as it goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from engines.errors import BadInput, SourceLost
from live.frame import Captured, Format, Image
from live.parts import EndOfSource
from live.settings import setting
from live.trace import clock
from live.videos import FORMATS, LIMITS, MOST_PIXELS, look_into

_BT709 = 1


@dataclass
class VideoFile:
    """Source: frames of the first video stream, turned as the file says. `paced` shows them when they are due."""

    path: str = setting("", "the file or URL", argument=True)
    repeat: bool = setting(False, "start again at the end")
    paced: bool = setting(True, "in real time; otherwise as fast as it goes")

    _container: Any = field(default=None, init=False, repr=False)
    _frames: Iterator[av.VideoFrame] = field(init=False, repr=False)
    _fps: float = field(default=30.0, init=False)
    _start_ns: int | None = field(default=None, init=False)
    _first_s: float | None = field(default=None, init=False)
    _offset_s: float = field(default=0.0, init=False)
    _last_s: float = field(default=0.0, init=False)

    def open(self) -> Format:
        where = self.path
        is_url = "://" in where
        if not is_url and not Path(where).expanduser().is_file():
            raise BadInput(f"there is no video file {where}", hint="check its path")
        name = where if is_url else str(Path(where).expanduser())
        if not is_url:
            look_into(Path(name))
        try:
            self._container = av.open(name, timeout=10.0 if is_url else None, options={} if is_url else FORMATS)
            streams = self._container.streams.video
            if not streams:
                raise BadInput(f"{where} has no video in it", hint="expected a video file such as mp4, mov, mkv, webm")
            streams[0].thread_type = "AUTO"
            streams[0].codec_context.options = LIMITS
            self._frames = self._container.decode(streams[0])
            first = next(self._frames, None)
        except (av.FFmpegError, OSError, ValueError) as error:
            self.close()
            raise BadInput(
                f"{where} is not a video that can be read ({_reason(error)})",
                hint="check the address and the network"
                if is_url
                else "expected a video file such as mp4, mov, mkv, webm",
            ) from None
        except BadInput:
            self.close()
            raise
        if first is None or first.width * first.height > MOST_PIXELS:
            self.close()
            size = "no picture" if first is None else f"pictures of {first.width} x {first.height}"
            raise BadInput(f"{where} has {size} in it", hint="expected a video file of at most 7680 x 4320")
        rate = streams[0].average_rate or streams[0].guessed_rate or Fraction(30)
        self._fps = float(rate) if 1 <= rate <= 240 else 30.0
        height, width = to_bgr(first).shape[:2]
        self._frames = _chain(first, self._frames)
        self._start_ns = self._first_s = None
        sound = name if self._container.streams.audio and not self.repeat else None
        return Format(width, height, self._fps, sound)

    def read(self) -> Captured:
        try:
            frame = next(self._frames, None)
            if frame is None and self.repeat:
                self._rewind()
                frame = next(self._frames, None)
        except (av.FFmpegError, OSError) as error:
            raise SourceLost(f"{self.path} broke off ({_reason(error)})") from None
        if frame is None:
            raise EndOfSource
        image = to_bgr(frame)
        period_s = 1 / self._fps
        file_s = frame.time if frame.time is not None else self._last_s + period_s
        if self._first_s is None:
            self._first_s = file_s
        position_s = max(file_s - self._first_s + self._offset_s, 0.0)
        if position_s < self._last_s:
            position_s = self._last_s + period_s  # a broken time stamp
        self._last_s = position_s
        if not self.paced:
            return Captured(image, clock(), position_s)
        return Captured(image, self._wait_until_due(position_s), position_s)

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._container = None
        self._frames = iter(())
        self._offset_s = self._last_s = 0.0

    def _wait_until_due(self, position_s: float) -> int:
        """Sleep until this position's time; the clock time at which the frame was due."""
        now = clock()
        if self._start_ns is None or now - self._start_ns - position_s * 1e9 > 1e9:
            self._start_ns = now - int(position_s * 1e9)  # begin, or after a long pause: go on from here
        due = self._start_ns + int(position_s * 1e9)
        if due > now:
            time.sleep((due - now) / 1e9)
        return due

    def _rewind(self) -> None:
        self._container.seek(0)
        self._frames = self._container.decode(self._container.streams.video[0])
        self._offset_s = self._last_s + 1 / self._fps
        self._first_s = None


def to_bgr(frame: av.VideoFrame) -> Image:
    """A decoded frame as fresh BGR u8, turned upright.

    The common case goes through OpenCV, whose conversion costs less than half of swscale's.
    """
    if frame.format.name == "yuv420p" and frame.colorspace != _BT709 and frame.width % 2 == frame.height % 2 == 0:
        image = cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2BGR_I420)
    elif frame.colorspace == _BT709:
        image = frame.to_ndarray(format="bgr24", src_colorspace="ITU709", dst_colorspace="ITU709")
    else:
        image = frame.to_ndarray(format="bgr24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    if turns:
        image = np.ascontiguousarray(np.rot90(image, turns))
    return image  # type: ignore[return-value]


def _chain(first: av.VideoFrame, rest: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    yield first
    yield from rest


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).strip() or type(error).__name__
