"""Pictures -> packets of VP8 or H.264, without delay: each picture is out before the next one comes."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any

import av
import cv2
from av.video.frame import PictureType

from live.frame import Format, Image

TICKS = 90_000
"""Of a second: the clock of video in RTP (RFC 6184, RFC 7741)."""

_SMPTE170M = 6
_LIMITED = 1


class Encoder:
    """Encodes pictures of one size at a constant bit rate; key pictures only when asked for."""

    def __init__(self, codec: str, format: Format, bitrate: int) -> None:
        self._size = (format.width // 2 * 2, format.height // 2 * 2)  # 4:2:0 has no odd sizes
        context: Any = av.CodecContext.create({"vp8": "libvpx", "h264": "libx264"}[codec], "w")
        context.width, context.height = self._size
        context.pix_fmt = "yuv420p"
        context.colorspace, context.color_range = _SMPTE170M, _LIMITED
        context.bit_rate = bitrate
        context.time_base = Fraction(1, TICKS)
        context.framerate = Fraction(format.fps).limit_denominator(1001)
        context.gop_size = 3000
        threads = max(1, min(4, (os.cpu_count() or 1) // 2))
        rate = str(bitrate)
        # A buffer of a quarter of a second: a busy picture may not take longer to send than that.
        common = {"maxrate": rate, "bufsize": str(bitrate // 4)}
        if codec == "vp8":
            context.thread_count = threads
            options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "error-resilient": "1"}
            options |= {"minrate": rate, "static-thresh": "1", "quality": "realtime"}
        else:
            options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "forced-idr": "1"}
            options |= {"x264-params": f"sliced-threads=1:threads={threads}"}
        context.options = common | options
        self._context = context

    def encode(self, image: Image, tick: int, *, key: bool) -> list[Any]:
        """The packets of this BGR picture at this time in ticks; `key`: whoever begins here can decode it."""
        width, height = self._size
        planes = cv2.cvtColor(image[:height, :width], cv2.COLOR_BGR2YUV_I420)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")  # type: ignore[arg-type]
        frame.pts, frame.time_base = tick, Fraction(1, TICKS)
        frame.pict_type = PictureType.I if key else PictureType.NONE
        return list(self._context.encode(frame))
