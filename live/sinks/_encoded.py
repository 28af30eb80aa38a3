"""Pictures as H.264 and their sound as AAC into a container: what a recording and a stream have in common."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Protocol

import av
import cv2
import numpy as np
import numpy.typing as npt

from live.frame import Format, Image
from live.sound import Samples, SoundReader

TICKS = 90_000
AAC_SAMPLES = 1024
_SMPTE170M = 6
_LIMITED = 1

Planes = npt.NDArray[np.uint8]
"""A picture as I420, u8 [height * 3 / 2, width]."""


class Encoder:
    """Encodes into an opened PyAV container. Every method may raise av.FFmpegError or OSError."""

    def __init__(
        self,
        container: Any,
        size: tuple[int, int],
        fps: float,
        options: dict[str, str],
        bit_rate: int | None = None,
        sound: tuple[int, int] | None = None,
    ) -> None:
        """`sound`: its rate and its channels, 1 or 2."""
        self.container = container
        video = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=options)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = Fraction(1, TICKS)
        video.codec_context.colorspace, video.codec_context.color_range = _SMPTE170M, _LIMITED
        if bit_rate is not None:
            video.bit_rate = bit_rate
        self._video, self._audio, self._samples = video, None, 0
        if sound is not None:
            self._rate, channels = sound
            self._audio = container.add_stream("aac", rate=self._rate)
            self._audio.layout = self._layout = "stereo" if channels > 1 else "mono"

    def picture(self, planes: Planes, tick: int) -> None:
        """Add a picture at this time, in 1/90000 s."""
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = tick, Fraction(1, TICKS)
        self.container.mux(self._video.encode(frame))

    def sound(self, samples: Samples) -> None:
        """Add AAC_SAMPLES samples after those before."""
        assert self._audio is not None, "opened with sound"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._samples, Fraction(1, self._rate)
        self.container.mux(self._audio.encode(frame))
        self._samples += AAC_SAMPLES

    def finish(self) -> None:
        """Write what the encoders still hold."""
        self.container.mux(self._video.encode(None))
        if self._audio is not None:
            self.container.mux(self._audio.encode(None))

    def close(self) -> None:
        self.container.close()


class Takes(Protocol):
    """What Encoder does, here or in another process."""

    def picture(self, planes: Planes, tick: int) -> None: ...
    def sound(self, samples: Samples) -> None: ...


def even(format: Format) -> tuple[int, int]:
    """Width and height: 4:2:0 has no odd sizes."""
    return format.width // 2 * 2, format.height // 2 * 2


class Feed:
    """Gives pictures in the order of time, and the sound as far as the pictures are, without gaps."""

    def __init__(self, encoder: Takes, size: tuple[int, int], sound: SoundReader | None) -> None:
        self._encoder, self._size, self._sound = encoder, size, sound
        self._last = -1
        self._samples = 0

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
        width, height = self._size
        planes = cv2.cvtColor(image[:height, :width], cv2.COLOR_BGR2YUV_I420)
        self._encoder.picture(planes, tick)  # type: ignore[arg-type]
        if self._sound is not None:
            self._carry(self._sound, at_s, position_s - at_s, zero_ns)

    def _carry(self, reader: SoundReader, until_s: float, shift_s: float, zero_ns: int) -> None:
        while (self._samples + AAC_SAMPLES) / reader.rate <= until_s:
            sound = reader.read(self._samples / reader.rate + shift_s, AAC_SAMPLES, zero_ns)
            if sound is None:
                return
            self._encoder.sound(sound)
            self._samples += AAC_SAMPLES

    def close(self) -> None:
        if self._sound is not None:
            self._sound.close()


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
