"""A camera or stream on the network: RTSP, Motion JPEG over HTTP, phone cameras, MPEG-TS, RTMP, HLS, files on a server.

What is live is shown as it comes, the newest picture first, and is opened again when it breaks off. What was recorded
(a file, or the segments of HLS) is shown in its own time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import av.error

from engines.errors import BadInput, DoppelcamError, SourceLost
from live.address import shown
from live.frame import Captured, Format
from live.parts import EndOfSource
from live.settings import setting
from live.sources._pace import Pace
from live.sources.video_file import reason, to_bgr
from live.trace import clock
from live.videos import MOST_PIXELS

# Scheme of the address -> the protocols that FFmpeg may use for it: what a server answers never opens a local file.
_PROTOCOLS = {
    "rtsp": "rtp,rtsp,tcp,udp",
    "rtsps": "rtp,rtsp,rtsps,srtp,tcp,tls,udp",
    "http": "crypto,http,https,tcp,tls",
    "https": "crypto,http,https,tcp,tls",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tcp,tls",
    "tcp": "tcp",
    "udp": "udp",
}
_SEGMENTED = ("hls", "dash")  # come in bursts of several seconds
_LONGEST_LOOK_S = 1.0  # at a stream, before its first picture is decoded


@dataclass(repr=False)  # an address may hold a password
class Network:
    """Source: pictures from an address."""

    address: str = setting("", "rtsp://, http://, https://, rtmp://, udp:// or tcp:// address", argument=True)
    transport: str = setting("tcp", "how RTSP brings its pictures", choices=("tcp", "udp"))
    timeout_s: float = setting(5.0, "silent for so long, it counts as lost", low=0.5, high=60.0)

    _container: Any = field(default=None, init=False, repr=False)
    _frames: Iterator[tuple[av.VideoFrame, int]] = field(default=iter(()), init=False, repr=False)
    _recorded: bool = field(default=False, init=False)
    _pace: Pace = field(default_factory=Pace, init=False, repr=False)
    _fps: float = field(default=30.0, init=False)
    _zero: float | None = field(default=None, init=False)
    _last_s: float = field(default=0.0, init=False)
    _seen: bool = field(default=False, init=False)

    def open(self) -> Format:
        scheme = self.address.partition("://")[0].lower()
        if scheme not in _PROTOCOLS or not self.address.partition("://")[2]:
            raise BadInput(
                f"{shown(self.address)!r} is no address that pictures come from",
                hint=f"it begins with {'://, '.join(_PROTOCOLS)}://",
            )
        options = {"protocol_whitelist": _PROTOCOLS[scheme], "analyzeduration": str(int(_LONGEST_LOOK_S * 1e6))}
        if scheme.startswith("rtsp"):
            options["rtsp_transport"] = self.transport
        try:
            self._container = av.open(self.address, options=options, timeout=self.timeout_s)
            first = self._begin()
        except (av.FFmpegError, OSError, ValueError) as error:
            self.close()
            raise self._unreachable(error) from None
        except DoppelcamError:
            self.close()
            raise
        self._seen = True
        height, width = to_bgr(first).shape[:2]
        return Format(width, height, self._fps)

    def read(self) -> Captured:
        try:
            frame, arrived_ns = next(self._frames, (None, 0))
        except (av.FFmpegError, OSError) as error:
            raise SourceLost(f"{self._name} broke off ({self._reason(error)})") from None
        if frame is None:
            if self._recorded:
                raise EndOfSource
            raise SourceLost(f"{self._name} ended")
        image = to_bgr(frame)
        if not self._recorded:
            if self._zero is None:
                self._zero = arrived_ns / 1e9
            self._last_s = max(self._last_s, arrived_ns / 1e9 - self._zero)
            return Captured(image, arrived_ns, self._last_s)
        time_s = frame.time if frame.time is not None else self._last_s + 1 / self._fps
        if self._zero is None:
            self._zero = time_s - self._last_s
        position_s = time_s - self._zero
        if not self._last_s <= position_s < self._last_s + 10:  # another clock, as after an advertisement
            position_s = self._last_s + 1 / self._fps
            self._zero = time_s - position_s
        self._last_s = position_s
        return Captured(image, self._pace.wait(position_s), position_s)

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._container = None
        self._frames = iter(())
        if self._recorded:
            self._zero, self._pace = None, Pace()

    @property
    def _name(self) -> str:
        return shown(self.address)

    def _begin(self) -> av.VideoFrame:
        """Decode up to the first whole picture, which is given again by the first `read`. Raises DoppelcamError."""
        streams = self._container.streams.video
        if not streams:
            raise BadInput(f"{self._name} has no video in it", hint="is it the address of the picture?")
        stream = streams[0]
        self._recorded = bool(self._container.duration) or self._container.format.name in _SEGMENTED
        if not self._recorded:
            # Threads that work on several frames at once would hold each back for as many frames.
            stream.thread_type = "SLICE"
            stream.codec_context.flags |= av.codec.context.Flags.low_delay
        rate = stream.average_rate or stream.guessed_rate or Fraction(30)
        self._fps = float(rate) if 1 <= rate <= 240 else 30.0
        frames = self._decoded(stream)
        first = next(frames, None)
        if first is None or first[0].width * first[0].height > MOST_PIXELS:
            size = "no picture" if first is None else f"pictures of {first[0].width} x {first[0].height}"
            raise BadInput(f"{self._name} has {size} in it", hint="expected a video of at most 7680 x 4320")
        self._frames = _chain(first, frames)
        return first[0]

    def _decoded(self, stream: Any) -> Iterator[tuple[av.VideoFrame, int]]:
        """Whole pictures and when their data had arrived. Raises SourceLost when too long none was whole."""
        last_ns = clock()
        for packet in self._container.demux(stream):
            arrived_ns = clock()
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                frames = []  # what came before the first key picture, or was damaged on the way
            for frame in frames:
                if not frame.is_corrupt:
                    last_ns = arrived_ns
                    yield frame, arrived_ns
            if arrived_ns - last_ns > self.timeout_s * 1e9:
                raise SourceLost(f"{self._name} sends nothing that can be decoded")

    def _unreachable(self, error: Exception) -> DoppelcamError:
        why = self._reason(error)
        if isinstance(error, (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)):
            return BadInput(f"{self._name} wants to know who asks ({why})", hint="put it in: rtsp://USER:PASSWORD@...")
        if isinstance(error, (av.error.HTTPClientError, av.error.InvalidDataError)) and not self._seen:
            return BadInput(
                f"{self._name} gives no video ({why})", hint="check the path; what do the camera's or app's notes say?"
            )
        return SourceLost(
            f"{self._name} cannot be reached ({why})", hint="check the address and the network; is the camera on?"
        )

    def _reason(self, error: Exception) -> str:
        if isinstance(error, av.error.ExitError):  # PyAV's time limit
            return f"silent for {self.timeout_s:g} s"
        return reason(error)


def _chain(
    first: tuple[av.VideoFrame, int], rest: Iterator[tuple[av.VideoFrame, int]]
) -> Iterator[tuple[av.VideoFrame, int]]:
    yield first
    yield from rest
