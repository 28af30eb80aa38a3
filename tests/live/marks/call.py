"""What a call or an upload does to a picture: made smaller, compressed hard in real time, decoded again."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2

_OPTIONS = {
    "libx264": {"preset": "veryfast", "tune": "zerolatency"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
}


def send(pictures, codec, kbits, size=(640, 360), fps=30):
    """The pictures (BGR) as the other side sees them, after `codec` at `kbits` a second, at `size`."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, fps)
    encoder.framerate = Fraction(fps)
    encoder.gop_size = 300
    encoder.bit_rate = kbits * 1000
    rate = {"maxrate": f"{kbits}k", "bufsize": f"{kbits // 2}k"}
    if codec == "libvpx":
        rate["minrate"] = rate["maxrate"]  # which makes it keep to a constant rate
    encoder.options = {**_OPTIONS[codec], **rate}
    decoder = av.CodecContext.create("h264" if codec == "libx264" else "vp8", "r")
    received, bits = [], 0
    for number, picture in enumerate(pictures):
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        frame = av.VideoFrame.from_ndarray(small, format="bgr24").reformat(format="yuv420p")
        frame.pts = number
        for packet in encoder.encode(frame):
            bits += 8 * packet.size
            received += [f.to_ndarray(format="bgr24") for f in decoder.decode(packet)]
    for packet in encoder.encode(None):
        received += [f.to_ndarray(format="bgr24") for f in decoder.decode(packet)]
    received += [f.to_ndarray(format="bgr24") for f in decoder.decode(None)]
    return received, bits / (len(pictures) / fps) / 1000
