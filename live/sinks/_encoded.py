"""Pictures as H.264 and their sound as AAC into a container: what a recording and a stream have in common."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np

from live.frame import Format, Image
from live.sound import SoundReader, Soundtrack

TICKS = 90_000
_SMPTE170M = 6
_LIMITED = 1
_AAC_SAMPLES = 1024


@dataclass
class Encoded:
    """An opened container with its tracks. Every method may raise av.FFmpegError or OSError."""

    container: Any
    format: Format
    options: dict[str, str]
    bit_rate: int | None = None

    def __post_init__(self) -> None:
        self.width, self.height = self.format.width // 2 * 2, self.format.height // 2 * 2  # 4:2:0 has no odd sizes
        rate = Fraction(self.format.fps).limit_denominator(1001)
        video = self.container.add_stream("libx264", rate=rate, options=self.options)
        video.width, video.height, video.pix_fmt = self.width, self.height, "yuv420p"
        video.codec_context.time_base = Fraction(1, TICKS)
        video.codec_context.colorspace, video.codec_context.color_range = _SMPTE170M, _LIMITED
        if self.bit_rate is not None:
            video.bit_rate = self.bit_rate
        self._video = video
        self._last = -1
        self._sound = _Sound(self.format.sound, self.container) if self.format.sound else None

    @property
    def begun(self) -> bool:
        return self._last >= 0

    def write(self, image: Image, at_s: float, position_s: float, zero_ns: int) -> None:
        """Add a picture at this time of the container; what does not go on in time is left out.

        `position_s` is its place on the source's timeline, `zero_ns` the clock time of that timeline's zero.
        """
        tick = round(at_s * TICKS)
        if tick <= self._last:
            return
        self._last = tick
        picture = cv2.cvtColor(image[: self.height, : self.width], cv2.COLOR_BGR2YUV_I420)
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")  # type: ignore[arg-type]
        frame.pts, frame.time_base = tick, Fraction(1, TICKS)
        self.container.mux(self._video.encode(frame))
        if self._sound is not None:
            self._sound.write(at_s, position_s - at_s, zero_ns)

    def finish(self) -> None:
        """Write what the encoders still hold."""
        self.container.mux(self._video.encode(None))
        if self._sound is not None:
            self._sound.finish()

    def close(self) -> None:
        if self._sound is not None:
            self._sound.close()
        self.container.close()


class _Sound:
    """Writes the sound as far as the pictures are. Its samples follow each other without gaps."""

    def __init__(self, track: Soundtrack, container: Any) -> None:
        self._reader: SoundReader = track.open()
        self._container, self._count = container, 0
        self._stream = container.add_stream("aac", rate=self._reader.rate)
        self._stream.layout = self._layout = "stereo" if self._reader.channels > 1 else "mono"

    def write(self, until_s: float, shift_s: float, zero_ns: int) -> None:
        rate = self._reader.rate
        while (self._count + _AAC_SAMPLES) / rate <= until_s:
            sound = self._reader.read(self._count / rate + shift_s, _AAC_SAMPLES, zero_ns)
            if sound is None:
                return
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T), format="fltp", layout=self._layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, self._count, Fraction(1, rate)
            self._container.mux(self._stream.encode(frame))
            self._count += _AAC_SAMPLES

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))

    def close(self) -> None:
        self._reader.close()


class Timeline:
    """Where on the clock the source's positions lie. Live frames tell it exactly; until one came, it is guessed."""

    def __init__(self) -> None:
        self.zero_ns: int | None = None
        self._exact = False

    def note(self, position_s: float | None, captured_ns: int | None, now_ns: int) -> None:
        if position_s is None or (self._exact and captured_ns is None):
            return
        if captured_ns is not None or self.zero_ns is None:
            self.zero_ns = (now_ns if captured_ns is None else captured_ns) - round(position_s * 1e9)
        self._exact = self._exact or captured_ns is not None
