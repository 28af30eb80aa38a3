"""An mp4 recording (H.264), with the sound of a file source carried along in step.

Written under a temporary name beside the target and renamed when finished: what has the target's name is playable.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import av
import cv2

from engines.errors import BadInput, DoppelcamError, NotAvailable, SinkLost
from live import credentials
from live.frame import Format, SafeFrame
from live.settings import setting

_log = logging.getLogger("doppelcam.live")

_TICKS = 90_000
_SMPTE170M = 6
_LIMITED = 1


@dataclass
class Recording:
    """Sink: a video file. Frames keep the times of the source, so a dropped frame makes no drift."""

    outgoing: ClassVar[bool] = True

    path: str = setting("doppelcam.mp4", "the file to write", argument=True)
    quality: int = setting(20, "x264's CRF: smaller is better and larger", low=0, high=51)
    preset: str = setting(
        "veryfast", "x264's effort", choices=("ultrafast", "superfast", "veryfast", "faster", "fast", "medium")
    )

    sign: bool = setting(True, "sign the finished mp4 (Content Credentials), where c2pa-python is installed")
    certificate: str = setting(
        "", "your certificate chain (PEM) to sign with; empty: a self-made one, which is untrusted"
    )
    key: str = setting("", "its key (PEM, without a passphrase)")

    _signer: credentials.Signer | None = field(default=None, init=False, repr=False)
    _session: int = field(default=0, init=False)
    _container: Any = field(default=None, init=False, repr=False)
    _stream: Any = field(default=None, init=False, repr=False)
    _sound: _Sound | None = field(default=None, init=False, repr=False)
    _size: tuple[int, int] = field(default=(0, 0), init=False)
    _first_s: float | None = field(default=None, init=False)
    _last_tick: int = field(default=-1, init=False)

    def open(self, format: Format) -> None:
        target = self._target()
        if target.is_dir() or not target.parent.is_dir():
            what = "is a folder" if target.is_dir() else f"lies in no folder: {target.parent} does not exist"
            raise BadInput(f"the recording {self.path} {what}", hint="give the path of a file in an existing folder")
        self._first_s, self._last_tick = None, -1
        self._session = format.session
        self._signer = self._open_signer()
        self._size = (format.width // 2 * 2, format.height // 2 * 2)  # 4:2:0 has no odd sizes
        try:
            self._partial().touch()  # PyAV creates the file only with the first packet: too late for a clear error
            options = {"movflags": "+faststart+use_metadata_tags"}
            self._container = av.open(str(self._partial()), "w", format="mp4", options=options)
            self._container.metadata[credentials.AIGC] = credentials.aigc_label(format.session)
            stream = self._container.add_stream("libx264", rate=Fraction(format.fps).limit_denominator(1001))
            stream.width, stream.height = self._size
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": str(self.quality), "preset": self.preset}
            stream.codec_context.time_base = Fraction(1, _TICKS)
            stream.codec_context.colorspace = _SMPTE170M
            stream.codec_context.color_range = _LIMITED
            self._stream = stream
            self._sound = _Sound(format.sound, self._container) if format.sound else None
        except (av.FFmpegError, OSError, ValueError) as error:
            self._discard()
            kind = BadInput if isinstance(error, OSError) else NotAvailable
            reason = getattr(error, "strerror", None) or error
            raise kind(
                f"the recording {self.path} cannot be written: {reason}", hint="choose a place where you may write"
            ) from None

    def write(self, frame: SafeFrame) -> None:
        if frame.position_s is None:
            return  # covers before the first picture have no place in the recording
        if self._first_s is None:
            self._first_s = frame.position_s
        at_s = frame.position_s - self._first_s
        tick = round(at_s * _TICKS)
        if tick <= self._last_tick:
            return
        self._last_tick = tick
        width, height = self._size
        picture = cv2.cvtColor(frame.image[:height, :width], cv2.COLOR_BGR2YUV_I420)
        video = av.VideoFrame.from_ndarray(picture, format="yuv420p")  # type: ignore[arg-type]
        video.pts, video.time_base = tick, Fraction(1, _TICKS)
        try:
            self._container.mux(self._stream.encode(video))
            if self._sound is not None:
                self._sound.carry(self._first_s, at_s)
        except (av.FFmpegError, OSError) as error:
            raise SinkLost(
                f"the recording {self.path} broke off: {getattr(error, 'strerror', None) or error}",
                hint="is the disk full?",
                closed=True,
            ) from None

    def close(self) -> None:
        if self._container is None:
            return
        if self._last_tick < 0:
            self._discard()
            return
        try:
            self._container.mux(self._stream.encode(None))
            if self._sound is not None:
                self._sound.finish()
            self._container.close()
            self._sign()
            self._partial().replace(self._target())
        except (av.FFmpegError, OSError) as error:
            raise SinkLost(
                f"the recording {self.path} could not be finished: {getattr(error, 'strerror', None) or error}",
                hint=f"what was written so far: {self._partial()}",
            ) from None
        finally:
            self._container = self._stream = None
            if self._sound is not None:
                self._sound.close()

    def _open_signer(self) -> credentials.Signer | None:
        if not self.sign:
            return None
        try:
            return credentials.Signer(self.certificate, self.key)
        except NotAvailable as error:
            if self.certificate:
                raise
            _log.info("%s: %s", error.message, error.hint)
            return None

    def _sign(self) -> None:
        if self._signer is None:
            return
        try:
            self._signer.sign(self._partial(), self._target().name, self._session)
        except DoppelcamError as error:  # what was recorded is not thrown away for that
            _log.warning("%s", error.message)

    def _target(self) -> Path:
        return Path(self.path).expanduser()

    def _partial(self) -> Path:
        target = self._target()
        return target.with_name(f".{target.name}.part")

    def _discard(self) -> None:
        if self._sound is not None:
            self._sound.close()
        if self._container is not None:
            # A container that got no frame cannot write its index; it is thrown away anyhow.
            with suppress(av.FFmpegError, OSError, ValueError):
                self._container.close()
        self._container = self._stream = self._sound = None
        self._partial().unlink(missing_ok=True)


class _Sound:
    """Reads the first sound track of a file and writes it as AAC, never further than the pictures are."""

    def __init__(self, path: str, container: Any) -> None:
        self._source = av.open(path)
        track = self._source.streams.audio[0]
        picture = self._source.streams.video[0]
        self._start_s = float((picture.start_time or 0) * (picture.time_base or 0))
        self._frames: Iterator[av.AudioFrame] = self._source.decode(track)
        rate = track.codec_context.sample_rate or 48_000
        self._stream = container.add_stream("aac", rate=rate)
        self._stream.layout = "stereo" if track.codec_context.channels > 1 else "mono"
        self._container = container
        self._resampler = av.AudioResampler(format="fltp", layout=self._stream.layout.name, rate=rate)
        self._rate = rate
        self._next: av.AudioFrame | None = next(self._frames, None)

    def carry(self, first_s: float, until_s: float) -> None:
        """Write the sound up to `until_s` of the recording, which began at `first_s` of the source."""
        while self._next is not None:
            at_s = (self._next.time or 0.0) - self._start_s - first_s
            if at_s > until_s:
                return
            if at_s >= 0:
                for piece in self._resampler.resample(self._next):
                    piece.pts = round(at_s * self._rate) if piece.pts is None else piece.pts
                    self._write(piece, at_s)
            self._next = next(self._frames, None)

    def _write(self, piece: av.AudioFrame, at_s: float) -> None:
        piece.time_base = Fraction(1, self._rate)
        piece.pts = round(at_s * self._rate)
        self._container.mux(self._stream.encode(piece))

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))

    def close(self) -> None:
        self._source.close()
