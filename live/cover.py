"""Draws the cover: the slate with the product's name and the reason that stands in for the camera picture."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from live.frame import Image

_BACKGROUND = (30, 26, 24)  # RGB
_TITLE = (240, 236, 230)
_REASON = (176, 168, 160)
_LINE = (222, 120, 70)


def draw_cover(width: int, height: int, reason: str) -> Image:
    """A slate of this size; the text keeps to the middle square, which a meeting program's tile still shows."""
    picture = Pillow.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(picture)
    room = 0.86 * min(width, height)
    title = _fitting("doppelcam", room, height * 0.11)
    text = _fitting(reason, room, height * 0.05)
    middle = height / 2
    draw.text((width / 2, middle - height * 0.03), "doppelcam", _TITLE, title, anchor="ms")
    bar = min(width, height) * 0.06
    draw.line(
        [(width / 2 - bar, middle + height * 0.015), (width / 2 + bar, middle + height * 0.015)],
        _LINE,
        max(2, height // 180),
    )
    draw.text((width / 2, middle + height * 0.05), reason, _REASON, text, anchor="ma")
    return np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])


def _fitting(text: str, room_px: float, size_px: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The default font, no larger than `size_px` and no wider than `room_px`."""
    font = ImageFont.load_default(max(size_px, 6))
    wide = font.getlength(text)
    return font if wide <= room_px else ImageFont.load_default(max(size_px * room_px / wide, 6))
