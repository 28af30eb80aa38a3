"""A video file as a source, in real time or as fast as it goes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from engines.errors import BadInput
from live.address import is_address, shown
from live.frame import Captured, Format, Image
from live.parts import EndOfSource
from live.settings import setting
from live.sound.of_file import FileTrack
from live.sources._pace import Pace
from live.trace import clock
from live.videos import FORMATS, LIMITS, MOST_PIXELS, look_into

_BT709 = 1
_log = logging.getLogger("doppelcam.sources")


@dataclass
class VideoFile:
    """Source: frames of the first video stream, turned as the file says. `paced` shows them when they are due."""

    path: str = setting("", "the file", argument=True)
    repeat: bool = setting(False, "start again at the end")
    paced: bool = setting(True, "in real time; otherwise as fast as it goes")

    _container: Any = field(default=None, init=False, repr=False)
    _frames: Iterator[av.VideoFrame] = field(init=False, repr=False)
    _fps: float = field(default=30.0, init=False)
    _pace: Pace = field(default_factory=Pace, init=False, repr=False)
    _first_s: float | None = field(default=None, init=False)
    _offset_s: float = field(default=0.0, init=False)
    _last_s: float = field(default=0.0, init=False)
    _told: bool = field(default=False, init=False)  # that it is damaged

    def open(self) -> Format:
        where = self.path
        if is_address(where):
            raise BadInput(f"{shown(where)} is an address, not a file", hint="--source takes it as it is: network")
        if not Path(where).expanduser().is_file():
            raise BadInput(f"there is no video file {where}", hint="check its path")
        name = str(Path(where).expanduser())
        look_into(Path(name))
        try:
            self._container = av.open(name, options=FORMATS)
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
                f"{where} is not a video that can be read ({reason(error)})",
                hint="expected a video file such as mp4, mov, mkv, webm",
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
        self._first_s, self._pace = None, Pace()
        sound = FileTrack(name) if self._container.streams.audio and not self.repeat else None
        return Format(width, height, self._fps, sound)

    def read(self) -> Captured:
        try:
            frame = self._decoded()
            if frame is None and self.repeat:
                self._rewind()
                frame = self._decoded()
        except (av.FFmpegError, OSError) as error:
            hint = "what came until there was shown; ffmpeg -i IN -c copy OUT mends many a file"
            raise BadInput(f"{self.path} broke off: its rest cannot be read ({reason(error)})", hint=hint) from None
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
        return Captured(image, self._pace.wait(position_s), position_s)

    def _decoded(self) -> av.VideoFrame | None:
        """The next picture, None at the end. What is damaged is left out; raises where nothing comes after it."""
        damage: av.FFmpegError | None = None
        while True:
            try:
                frame = next(self._frames, None)
            except av.InvalidDataError as error:
                if not self._told:
                    _log.warning("%s is damaged: pictures are missing, first after %.1f s", self.path, self._last_s)
                damage, self._told = error, True
                self._frames = self._container.decode(self._container.streams.video[0])
                continue
            if frame is None and damage is not None:
                raise damage
            return frame

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._container = None
        self._frames = iter(())
        self._offset_s = self._last_s = 0.0

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


def reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).strip() or type(error).__name__
