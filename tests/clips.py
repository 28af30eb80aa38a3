"""Small video files for tests: made, changed and read back with PyAV."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

RATE = 16_000


def grey(number):
    """The grey level that tells a frame's number."""
    return 30 + 5 * (number % 40)


def numbered(number, width=64, height=48):
    return np.full((height, width, 3), grey(number), np.uint8)


def beep(seconds, at_s, length_s=0.1):
    """Mono sound s16 [1, n] that is silent but for one tone."""
    time = np.arange(round(seconds * RATE)) / RATE
    on = (time >= at_s) & (time < at_s + length_s)
    return (np.sin(2 * np.pi * 880 * time) * on * 20_000).astype(np.int16)[None]


def write_clip(path, pictures, fps=25, sound=None, pixels="yuv420p", codec="libx264", times=None):
    """Write BGR pictures (at `times` in s if given) and a mono sound as a file whose kind its name tells."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001)) if pictures else None
        audio = container.add_stream("aac", rate=RATE, layout="mono") if sound is not None else None
        if video is not None:
            video.height, video.width = pictures[0].shape[:2]
            video.pix_fmt = pixels
            video.codec_context.time_base = Fraction(1, 90_000)
            if codec == "libx264":
                video.options = {"crf": "10", "preset": "ultrafast"}
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = round((number / fps if times is None else times[number]) * 90_000)
            frame.time_base = Fraction(1, 90_000)
            container.mux(video.encode(frame))
        if video is not None:
            container.mux(video.encode(None))
        if audio is not None:
            for at in range(0, sound.shape[1], 1024):
                frame = av.AudioFrame.from_ndarray(sound[:, at : at + 1024], format="s16", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def turn_clockwise(path):
    """Change the matrix in an mp4's track header so that players turn the picture clockwise by a quarter."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    entries = [0, one, 0, -one, 0, 0, 0, 0, 1 << 30]
    data[matrix : matrix + 36] = b"".join(entry.to_bytes(4, "big", signed=True) for entry in entries)
    path.write_bytes(data)


def read_clip(path):
    """The pictures (BGR) and their times in seconds."""
    with av.open(str(path)) as container:
        frames = [(frame.to_ndarray(format="bgr24"), frame.time) for frame in container.decode(video=0)]
    return [picture for picture, _ in frames], [time for _, time in frames]


def loud_at(path):
    """When the sound of a file begins to be loud, in seconds; None if it never does or there is none."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        for frame in container.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray()).max(0) > 0.2)
            if loud.size:
                return frame.time + loud[0] / frame.sample_rate
    return None
