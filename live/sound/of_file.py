"""The sound of a video file, as positions of its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np

from engines.errors import BadInput
from live.sound import Samples

_GAP_S = 0.02


@dataclass(frozen=True)
class FileTrack:
    """The first sound track of a file or URL that has pictures too."""

    path: str

    def open(self) -> FileReader:
        try:
            return FileReader(self.path)
        except (av.FFmpegError, OSError, ValueError, IndexError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BadInput(f"the sound of the source cannot be read: {reason}") from None


class FileReader:
    """Decodes as far as it is asked for; holds no more than that."""

    def __init__(self, path: str) -> None:
        self._source = av.open(path)
        try:
            track, picture = self._source.streams.audio[0], self._source.streams.video[0]
            self._start_s = float((picture.start_time or 0) * (picture.time_base or 0))
            self.rate = track.codec_context.sample_rate or 48_000
            self.channels = 2 if track.codec_context.channels > 1 else 1
            layout = "stereo" if self.channels > 1 else "mono"
            self._resampler = av.AudioResampler(format="flt", layout=layout, rate=self.rate)
            self._frames: Iterator[av.AudioFrame] = self._source.decode(track)
        except BaseException:
            self._source.close()
            raise
        self._held = np.zeros((0, self.channels), np.float32)
        self._from = 0  # the number of the first sample that is held, counted from the first picture
        self._ended = False

    def read(self, at_s: float, count: int, zero_ns: int) -> Samples | None:  # noqa: ARG002
        first = round(at_s * self.rate)
        while not self._ended and self._from + len(self._held) < first + count:
            self._decode()
            self._forget(first)
        self._forget(first)
        sound = np.zeros((count, self.channels), np.float32)
        begin = max(self._from - first, 0)
        piece = self._held[: max(count - begin, 0)]
        sound[begin : begin + len(piece)] = piece
        return sound

    def _decode(self) -> None:
        try:
            frame = next(self._frames, None)
        except (av.FFmpegError, OSError):
            frame = None
        if frame is None:
            self._ended = True
            return
        at = round(((frame.time or 0.0) - self._start_s) * self.rate)
        end = self._from + len(self._held)
        gap = at - end
        if not len(self._held) and gap > 0:
            self._from = at
        elif gap > _GAP_S * self.rate:
            self._held = np.concatenate([self._held, np.zeros((gap, self.channels), np.float32)])
        for piece in self._resampler.resample(frame):
            data = piece.to_ndarray().reshape(-1, self.channels)
            if not len(self._held) and self._from == 0 and at < 0:
                data = data[-at:]  # before the first picture
            self._held = np.concatenate([self._held, data])

    def _forget(self, first: int) -> None:
        if first > self._from:
            gone = min(first - self._from, len(self._held))
            self._held, self._from = self._held[gone:], self._from + gone

    def close(self) -> None:
        self._source.close()
