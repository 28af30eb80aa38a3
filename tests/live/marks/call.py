"""What a call or an upload does to a picture: made smaller, compressed hard in real time, decoded again; and scenes."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import av
import cv2
import numpy as np

from live.personas import SAMPLE_PORTRAITS
from live.sources.video_file import VideoFile

CODECS = ("libx264", "libvpx")
_OPTIONS = {
    "libx264": {"preset": "veryfast", "tune": "zerolatency"},
    "libvpx": {"deadline": "realtime", "cpu-used": "-8", "lag-in-frames": "0"},  # above 0 it is the worse the busier
}


def send(pictures, codec, kbits, size=(640, 360), fps=30):
    """The pictures (BGR) as others see them at `size`, after `codec` at `kbits`; and the true rate in kbit/s."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt = "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, fps), Fraction(fps)
    encoder.gop_size = 300
    encoder.bit_rate = kbits * 1000
    rate = {"maxrate": f"{kbits}k", "bufsize": f"{kbits // 2}k"}
    if codec == "libvpx":
        rate["minrate"] = rate["maxrate"]  # which makes it keep to a constant rate
    encoder.options = {**_OPTIONS[codec], **rate}
    decoder = av.CodecContext.create({"libx264": "h264", "libvpx": "vp8"}[codec], "r")
    received, bits = [], 0

    def receive(packets):
        nonlocal bits
        for packet in packets:
            bits += 8 * packet.size
            received.extend(frame.to_ndarray(format="bgr24") for frame in decoder.decode(packet))

    for number, picture in enumerate(pictures):
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        frame = av.VideoFrame.from_ndarray(small, format="bgr24").reformat(format="yuv420p")
        frame.pts = number
        receive(encoder.encode(frame))
    receive(encoder.encode(None))
    received.extend(frame.to_ndarray(format="bgr24") for frame in decoder.decode(None))
    return received, bits / (len(pictures) / fps) / 1000


@cache
def sample(first, count):
    """Pictures of the sample clip (1280x720), shared: copy before changing."""
    source = VideoFile(str(SAMPLE_PORTRAITS.parent / "camera.mp4"), paced=False)
    source.open()
    pictures = [source.read().image for _ in range(first + count)][first:]
    source.close()
    return pictures


def grainy(picture, dice):
    """With the noise of a webcam in a dim room."""
    return np.clip(picture + dice.normal(0, 2.5, picture.shape).astype(np.float32), 0, 255).astype(np.uint8)


def scenes(seconds=2):
    """Named clips of so long: the sample at five places, with and without grain, and slow pans over four portraits."""
    dice, count = np.random.default_rng(7), 30 * seconds
    yield "sample", sample(0, count)
    for first in (60, 120, 180, 235):
        yield f"grainy sample {first}", [grainy(picture, dice) for picture in sample(first, count)]
    for path in sorted(SAMPLE_PORTRAITS.glob("*.jpg")):
        portrait, pan = cv2.imread(str(path)), []
        for number in range(count):
            turn = cv2.getRotationMatrix2D((384, 384), number / 10, 1.7 + number / 300)
            turn[:, 2] += (256, -24)
            pan.append(grainy(cv2.warpAffine(portrait, turn, (1280, 720), borderMode=cv2.BORDER_REFLECT), dice))
        yield f"pan {path.stem}", pan
