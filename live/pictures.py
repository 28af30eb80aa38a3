"""Opens picture files that may come from anybody: the header is judged first, the decoding done in a limited process.

A small file may ask for gigabytes, and decoders are C code that trusts what it reads: what goes wrong in the process
ends that process only, and is told as BadInput.
"""

from __future__ import annotations

import io
import os
import struct
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

from engines.errors import BadInput, NotAvailable
from engines.quarantine.child import ask, limit_memory, limit_rest
from live.frame import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MOST_BYTES = 64 << 20
MOST_PIXELS = 64_000_000
LONG_SIDE_PX = 2048
SECONDS = 15
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
_EXPECTED = "expected a JPEG, PNG, WebP or BMP picture"
# Python, NumPy, OpenCV; and for each pixel what the hungriest decoder takes (progressive JPEG, 16-bit PNG).
_FLOOR_BYTES, _BYTES_A_PIXEL = 384 << 20, 20
_SIZE = struct.Struct("<II")


def read_picture(path: Path) -> Image:
    """A stranger's picture file as BGR u8, turned as its EXIF says, at most 2048 px on its long side.

    Raises BadInput: not there, no picture, too large, damaged, or too much for the process that decodes it.
    """
    return picture_of(read_bytes(path), str(path))


def read_bytes(path: Path) -> bytes:
    """The bytes of a picture file. Raises BadInput: not there, not readable, too long."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadInput(f"{path} is larger than {MOST_BYTES >> 20} MB", hint=_EXPECTED)
        return path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"there is no picture {path}", hint="check its path") from None
    except OSError as error:
        raise BadInput(f"the picture {path} cannot be read: {error.strerror or error}", hint=_EXPECTED) from None


def picture_of(data: bytes, name: str) -> Image:
    """As `read_picture`, of the bytes of a file that is called `name` in errors."""
    width, height = size_of(data, name)
    try:
        ended = ask("live.pictures:answer", str(width * height), seconds=SECONDS, most_bytes=_most(), feed=data)
    except OSError as error:
        raise NotAvailable(f"the process that decodes {name} could not be started: {error}") from error
    if ended.late or ended.crash:
        why = f"takes more than {SECONDS} seconds" if ended.late else ended.crash
        raise BadInput(f"{name}: decoding it {why}", hint="do not use this file")
    if not ended.told and ended.code:
        raise NotAvailable(
            f"the process that decodes {name} could not be started: {sys.executable} ended with exit code {ended.code}",
            hint="install doppelcam again",
        )
    pixels = ended.told[_SIZE.size :]
    shape = _SIZE.unpack(ended.told[: _SIZE.size]) if len(ended.told) > _SIZE.size else (0, 0)
    if not pixels or len(pixels) != shape[0] * shape[1] * 3:
        raise BadInput(f"{name} is damaged: its picture cannot be decoded", hint=_EXPECTED)
    return np.frombuffer(bytearray(pixels), np.uint8).reshape(*shape, 3)


def size_of(data: bytes, name: str) -> tuple[int, int]:
    """Width and height by the header; nothing is decoded. Raises BadInput: no picture, or one that is too large."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on sizes, which are judged below, and on what it finds odd in a header
            with Pillow.open(io.BytesIO(data), formats=_FORMATS) as header:
                width, height = header.size
    except Exception:  # a broken header makes Pillow raise almost anything
        raise BadInput(f"{name} is not a picture that can be read", hint=_EXPECTED) from None
    if width * height > MOST_PIXELS:
        raise BadInput(f"{name} has {width} x {height} pixels", hint=f"at most {MOST_PIXELS // 10**6} million are read")
    return width, height


def decoded(data: bytes) -> Image | None:
    """Decode here and now, without a limit: only what doppelcam wrote itself, and inside the process."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return None
    scale = LONG_SIDE_PX / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image, dtype=np.uint8)


def answer(pixels: str) -> None:
    """The process: decode standard input; write height, width and BGR pixels to standard output, or nothing."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no pixels
    data = sys.stdin.buffer.read()
    limit_rest(SECONDS)
    limit_memory(_FLOOR_BYTES + _BYTES_A_PIXEL * int(pixels))
    cv2.setNumThreads(1)
    try:
        image = decoded(data)
    except Exception:  # whatever OpenCV raises over a file that it cannot take
        image = None
    if image is not None:
        pipe.write(_SIZE.pack(*image.shape[:2]))
        pipe.write(image.tobytes())
    pipe.close()
    os._exit(0)


def _most() -> int:
    return _SIZE.size + LONG_SIDE_PX * LONG_SIDE_PX * 3 + 1
