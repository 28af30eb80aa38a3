"""Contact sheets: what a step made, in rows of small pictures, so that one look tells what is good and bad."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from engines.own_file import write_own
from export.teach.pairs import Pairs
from live.frame import Image
from live.teach.faces import Seen
from live.teach.looks import REASONS
from live.teach.pieces import cannot_write

COLUMNS = 12
CELL_PX = 120
_GAP_PX, _LINE_PX, _TEXT_PX = 4, 24, 14
_GROUND, _TEXT = (24, 26, 30), (230, 236, 240)  # RGB

Row = tuple[str, Sequence[Image] | Image]
"""Words above, if any, and pictures of any size: u8 [h, w, 3] BGR, or [n, h, w, 3]."""


def evenly(count: int, most: int) -> list[int]:
    """At most so many of `count` things, spread evenly."""
    return sorted({int((k + 0.5) * count / most) for k in range(most)}) if count > most else list(range(count))


def write_sheet(path: Path, rows: list[Row]) -> None:
    """Write a PNG that only this user may read. Raises BadInput."""
    tall = sum(_LINE_PX * bool(words) + CELL_PX + _GAP_PX for words, _ in rows)
    picture = Pillow.new("RGB", (_GAP_PX + COLUMNS * (CELL_PX + _GAP_PX), _GAP_PX + tall), _GROUND)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(_TEXT_PX)
    top = _GAP_PX
    for words, cells in rows:
        if words:
            draw.text((_GAP_PX + 2, top + _LINE_PX / 2), words, _TEXT, font, anchor="lm")
            top += _LINE_PX
        for column, cell in enumerate(cells[:COLUMNS]):
            small = cv2.resize(cell, (CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA)
            shown = Pillow.fromarray(np.ascontiguousarray(small[:, :, ::-1]))
            picture.paste(shown, (_GAP_PX + column * (CELL_PX + _GAP_PX), top))
        top += CELL_PX + _GAP_PX
    content = io.BytesIO()
    picture.save(content, "PNG")
    try:
        write_own(path, content.getvalue())
    except OSError as error:
        raise cannot_write(path, error) from None


def rows_of(seen: Seen) -> list[Row]:
    """Three rows of faces that are learnt from, and one for each reason why others are not."""
    fit = seen.fit
    some = [fit[k] for k in evenly(len(fit), 3 * COLUMNS)]
    rows: list[Row] = []
    for start in range(0, len(some), COLUMNS):
        words = f"{len(fit)} of {seen.frames} frames can be learnt from" if not start else ""
        rows.append((words, seen.thumbs[some[start : start + COLUMNS]]))
    for reason in range(1, len(REASONS)):
        those = np.flatnonzero(seen.reasons == reason)
        if len(those):
            words = f"left out: {REASONS[reason]} ({len(those)})"
            rows.append((words, seen.thumbs[those[evenly(len(those), COLUMNS)]]))
    return rows or [("no face was found", [])]


def lessons_of(pairs: Pairs) -> list[Row]:
    """A face, what the teacher made of it, and the mask, twice."""
    some = evenly(len(pairs), 2 * COLUMNS)
    rows: list[Row] = []
    for half in (some[::2], some[1::2]):
        masks: list[Image] = [np.dstack([pairs.masks[k]] * 3) for k in half]
        rows += [("the face", pairs.faces[half]), ("the lesson", pairs.targets[half]), ("its mask", masks)]
    return rows
