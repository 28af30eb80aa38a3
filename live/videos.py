"""Looks into a stranger's video file in a limited process before the program opens it, and says how it may be opened.

The process opens the file and decodes its beginning: a file that crashes the decoder there, hangs it or fills the
memory ends that process only. The rest is decoded in the program itself, where no picture can become larger than
MOST_PIXELS and no other file or address is opened for it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import av

from engines.errors import BadInput, NotAvailable
from engines.quarantine.child import ask, limit_memory, limit_rest

MOST_PIXELS = 7680 * 4320
SECONDS = 20
EXPECTED = "expected a video file such as mp4, mov, mkv, webm"
FORMATS = {
    # Containers that hold their own data; playlists and lists of files, which open others, are not among them.
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,mxf,nut,ivf,yuv4mpegpipe,"
    "h264,hevc,mjpeg,mpegvideo,gif,dv",
    "protocol_whitelist": "file",
}
"""Options for `av.open` of a file."""
LIMITS = {"max_pixels": str(MOST_PIXELS)}
"""Options for the stream's codec: a larger picture is refused before room is made for it, anywhere in the file."""
_MEMORY = 2 << 30  # one picture of the largest size has 50 MB; a decoder may keep sixteen and more
_FRAMES = 8
_SHIPPED = Path(__file__).parent / "samples"


def look_into(path: Path) -> None:
    """Raise BadInput when the beginning of this file cannot be decoded within the limits; what ships passes at once."""
    if path.parent == _SHIPPED:
        return
    try:
        ended = ask("live.videos:answer", str(path.absolute()), seconds=SECONDS, most_bytes=1 << 16)
    except OSError as error:
        raise NotAvailable(f"the process that looks into {path} could not be started: {error}") from error
    if ended.late or ended.crash:
        why = f"takes more than {SECONDS} seconds" if ended.late else ended.crash
        raise BadInput(f"{path}: decoding its beginning {why}", hint="do not use this file")
    try:
        problem = json.loads(ended.told)["problem"]
    except (ValueError, KeyError, TypeError):
        raise NotAvailable(
            f"the process that looks into {path} could not be started: {sys.executable} ended with exit code "
            f"{ended.code}",
            hint="install doppelcam again",
        ) from None
    if problem:
        words = "".join(letter if letter.isprintable() else "?" for letter in str(problem)[:300])
        raise BadInput(f"{path} {words}", hint=EXPECTED)


def answer(path: str) -> None:
    """The process: decode the first pictures, write {"problem": words or ""} to standard output."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    limit_rest(SECONDS)
    limit_memory(_MEMORY)
    try:
        problem = _problem(path)
    except MemoryError:
        problem = f"takes more than {_MEMORY >> 20} MB of memory"
    except Exception as error:  # whatever FFmpeg makes of it
        problem = f"is not a video that can be read ({getattr(error, 'strerror', None) or error})"
    pipe.write(json.dumps({"problem": problem}))
    pipe.close()
    os._exit(0)


def _problem(path: str) -> str:
    with av.open(path, options=FORMATS) as container:
        if not container.streams.video:
            return "has no video in it"
        stream = container.streams.video[0]
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > MOST_PIXELS:
            return f"has pictures of {width} x {height} in it; at most 7680 x 4320 are read"
        stream.thread_type = "NONE"
        stream.codec_context.options = LIMITS
        seen = 0
        for _ in container.decode(stream):
            seen += 1
            if seen == _FRAMES:
                break
    return "" if seen else "has no picture in it"
