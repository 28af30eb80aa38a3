"""Draws the contact sheet: the portrait at the left, then for each moment the wearer above and the swap below."""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from live.cli.bench.moments import Moment, Window
from live.frame import Image, State

CELL_PX = 320
GAP_PX = 4
CAPTION_PX = 30
_TEXT_PX = 17
_GROUND = (24, 26, 30)  # RGB
_TEXT = (230, 236, 240)
_FAINT = (150, 158, 166)
_ALARM = (255, 176, 64)
_STATES = {"hold": "held", "cover": "cover", "bare": "bare"}


@dataclass
class Column:
    """One moment: the wearer and what was shown instead, cut alike to u8 [CELL_PX, CELL_PX, 3], BGR."""

    moment: Moment
    wearer: Image
    shown: Image
    state: State


def cut_window(image: Image, window: Window) -> Image:
    """A copy of this square of the picture as u8 [CELL_PX, CELL_PX, 3]; black outside the picture."""
    side = max(round(window.side), 1)
    left, top = round(window.x - side / 2), round(window.y - side / 2)
    height, width = image.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    square = np.zeros((side, side, 3), np.uint8)
    if x0 < x1 and y0 < y1:
        square[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    how = cv2.INTER_AREA if side > CELL_PX else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (CELL_PX, CELL_PX), interpolation=how), np.uint8)


def draw_sheet(title: str, portrait: Image, notes: list[str], columns: list[Column]) -> bytes:
    """The sheet as PNG. `portrait`: u8 [CELL_PX, CELL_PX, 3], BGR; `title` is written above it, `notes` below."""
    step = CELL_PX + GAP_PX
    upper, lower = GAP_PX + CAPTION_PX, GAP_PX + CAPTION_PX + step
    picture = Pillow.new("RGB", (GAP_PX + (1 + len(columns)) * step, lower + step), _GROUND)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(_TEXT_PX)
    line = GAP_PX + CAPTION_PX / 2
    draw.text((GAP_PX + 6, line), _fit(title, font), _TEXT, font, anchor="lm")
    picture.paste(_rgb(portrait), (GAP_PX, upper))
    for row, note in enumerate(notes):
        draw.text((GAP_PX + 6, lower + 8 + row * 1.5 * _TEXT_PX), _fit(note, font), _FAINT, font)
    for number, column in enumerate(columns, 1):
        x = GAP_PX + number * step
        caption = f"{column.moment.at_s:.2f} s"
        draw.text((x + 6, line), caption, _TEXT, font, anchor="lm")
        draw.text((x + 24 + font.getlength(caption), line), column.moment.label, _FAINT, font, anchor="lm")
        if column.state in _STATES:
            draw.text((x + CELL_PX - 6, line), _STATES[column.state], _ALARM, font, anchor="rm")
        picture.paste(_rgb(column.wearer), (x, upper))
        picture.paste(_rgb(column.shown), (x, lower))
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def _rgb(image: Image) -> Pillow.Image:
    return Pillow.fromarray(np.ascontiguousarray(image[:, :, ::-1]))


def _fit(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """`text`, shortened at its end so that it is no wider than a cell."""
    room = CELL_PX - 12
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "...") > room:
        text = text[:-1]
    return text + "..."
