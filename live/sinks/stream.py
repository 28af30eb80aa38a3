"""A live stream to a server or another machine: RTMP (FLV), or MPEG-TS over UDP, TCP or SRT; H.264 and AAC by PyAV."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from engines.errors import BadInput, NotAvailable, SinkLost
from live.address import shown
from live.frame import Format, SafeFrame
from live.settings import setting
from live.sinks._encoded import Feed, Timeline, even
from live.sinks._sender import Sender
from live.trace import clock

SCHEMES = {"rtmp": "flv", "rtmps": "flv", "udp": "mpegts", "tcp": "mpegts", "srt": "mpegts"}
_OPTIONS: dict[str, dict[str, str]] = {"flv": {"flvflags": "no_duration_filesize"}, "mpegts": {}}


@dataclass
class Stream:
    """Sink: a stream. It begins with the cover; sound, where there is any, is in step by its times."""

    timed: ClassVar[bool] = True
    outgoing: ClassVar[bool] = True
    stays: ClassVar[bool] = True

    url: str = setting("", "rtmp://HOST/APP/KEY, rtmps://, udp://HOST:PORT, tcp://, srt://", argument=True)
    bitrate: int = setting(4000, "of the picture, in kbit/s", low=100, high=50_000, step=100)
    keyframe_s: float = setting(2.0, "seconds from one keyframe to the next", low=0.2, high=10)
    preset: str = setting("ultrafast", "x264's effort", choices=("ultrafast", "superfast", "veryfast", "faster"))

    patience_s: float = setting(5.0, "seconds until a server that does not take what is sent is left", low=1, high=60)

    _sender: Sender | None = field(default=None, init=False, repr=False)
    _feed: Feed | None = field(default=None, init=False, repr=False)
    _timeline: Timeline = field(default_factory=Timeline, init=False, repr=False)
    _began_ns: int = field(default=0, init=False)
    _last_s: float = field(default=0.0, init=False)

    def open(self, format: Format) -> None:
        scheme = self.url.partition("://")[0].lower()
        if scheme not in SCHEMES:
            raise BadInput(
                f"{shown(self.url)!r} is no address of a stream", hint=f"it begins with {'://, '.join(SCHEMES)}://"
            )
        self._timeline, self._began_ns, self._last_s = Timeline(), clock(), -1.0
        # One keyframe interval as the buffer keeps the rate even enough for servers that watch it.
        options = {
            "preset": self.preset, "tune": "zerolatency", "g": str(max(1, round(self.keyframe_s * format.fps))),
            "maxrate": f"{self.bitrate}k", "bufsize": f"{self.bitrate}k", "forced-idr": "1",
        }  # fmt: skip
        size, sound = even(format), format.sound.open() if format.sound else None
        wishes = {
            "url": self.url, "kind": SCHEMES[scheme], "muxer": _OPTIONS[SCHEMES[scheme]], "size": size,
            "fps": format.fps, "options": options, "bit_rate": self.bitrate * 1000,
            "sound": None if sound is None else (sound.rate, sound.channels),
        }  # fmt: skip
        try:
            self._sender = Sender(wishes, self.patience_s)
        except OSError as error:
            if sound is not None:
                sound.close()
            if "Protocol not found" in str(error):
                raise NotAvailable(
                    f"this build of PyAV cannot speak {scheme}", hint="use rtmp:// or udp:// instead"
                ) from None
            raise NotAvailable(
                f"no stream can be sent to {shown(self.url)}: {error}",
                hint="is the address right, and is the server running?",
            ) from None
        self._feed = Feed(self._sender, size, sound)

    def write(self, frame: SafeFrame) -> None:
        assert self._feed is not None, "open() comes first"
        now = clock()
        captured_ns = None if frame.trace is None else frame.trace.stamps["captured"]
        self._timeline.note(frame.position_s, captured_ns, now)
        zero_ns = self._timeline.zero_ns
        if frame.position_s is None or zero_ns is None:  # a cover before the first picture
            zero_ns = self._began_ns
            position_s = (now - zero_ns) / 1e9
        else:
            position_s = frame.position_s
        at_s = (zero_ns - self._began_ns) / 1e9 + position_s
        if at_s <= self._last_s:  # the same cover again
            at_s = (now - self._began_ns) / 1e9
        self._last_s = at_s
        try:
            self._feed.write(frame.image, at_s, position_s, zero_ns)
        except OSError as error:
            raise SinkLost(f"the stream to {shown(self.url)} broke off: {error}") from None

    def close(self) -> None:
        if self._sender is not None:
            self._sender.close()
        if self._feed is not None:
            self._feed.close()
        self._sender = self._feed = None
