"""The mark that viewers see: a label on every live picture, and a banner when they begin and every now and then."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numba import types
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from live.compiled import compiled
from live.frame import Format, Image, Persona
from live.marks.badge.words import WORDS
from live.settings import setting

_FONT = Path(__file__).parent / "label.otf"
_BOX = 0.72  # the box's opacity: white letters on it have a contrast of 8:1 over a white picture
_MARGIN = 0.05  # around the label, as part of the shortest side: what no screen cuts off
_ROOM = 0.9  # of the width in which words must fit
_LARGER = 1.5  # where nobody's consent is known
_PAD = 0.5  # of dark around the letters, in capital letters
_BANNER_S = 3.0
_BANNER_AGAIN_S = 600.0


@dataclass
class Badge:
    """Mark: "AI MODIFIED" in the top right corner, larger where nobody's consent is known; and a banner for 3 seconds
    at the beginning, after each cover and every 10 minutes.
    """

    language: str = setting("en", "of label and banner", choices=tuple(WORDS))
    height: float = setting(
        0.05, "of the capital letters, as part of the picture's shortest side", low=0.03, high=0.1, step=0.01
    )
    place: str = setting(
        "call",
        "call: in the square in the middle, which a meeting program's tile still shows; corner: of the whole picture",
        choices=("call", "corner"),
    )

    _size: tuple[int, int] = field(default=(0, 0), init=False)
    _label: Plate | None = field(default=None, init=False, repr=False)
    _banner: Plate | None = field(default=None, init=False, repr=False)
    _until_s: float = field(default=0.0, init=False)
    _again_s: float = field(default=0.0, init=False)

    def open(self, format: Format) -> None:
        self._size = (format.width, format.height)
        self._until_s = self._again_s = float("-inf")
        left, top, side, bottom = self._region()
        margin = round(_MARGIN * min(self._size))
        letters = self._letters(WORDS[self.language][1], 1.0, side)
        box = np.zeros((letters.shape[0], format.width), np.uint8)
        x = left + (side - letters.shape[1]) // 2
        box[:, x : x + letters.shape[1]] = letters
        self._banner = Plate.of(box, 0, max(bottom - margin - box.shape[0], top))

    def wear(self, persona: Persona) -> None:
        left, top, side, _ = self._region()
        margin = round(_MARGIN * min(self._size))
        larger = _LARGER if persona.disclosure == "unverified" else 1.0
        letters = self._letters(WORDS[self.language][0], larger, side)
        self._label = Plate.of(letters, max(left + side - margin - letters.shape[1], 0), top + margin)

    def apply(self, image: Image, position_s: float, fresh: bool) -> None:
        assert self._label is not None and self._banner is not None, "open() and wear() come first"
        if fresh or not self._again_s - _BANNER_AGAIN_S <= position_s < self._again_s:
            self._until_s, self._again_s = position_s + _BANNER_S, position_s + _BANNER_AGAIN_S
        if position_s < self._until_s:
            self._banner.lay(image)
        self._label.lay(image)

    def close(self) -> None:
        self._label = self._banner = None

    def _region(self) -> tuple[int, int, int, int]:
        """Left, top, width and bottom of where the words may be."""
        width, height = self._size
        if self.place == "corner":
            return 0, 0, width, height
        side = min(width, height)
        return (width - side) // 2, (height - side) // 2, side, (height + side) // 2

    def _letters(self, text: str, larger: float, room_px: int) -> npt.NDArray[np.uint8]:
        """Opacity of the words in their box, u8 [h, w]; smaller than asked for where they would not fit."""
        capital_px = self.height * larger * min(self._size)
        font = ImageFont.truetype(_FONT, 100)
        widest_px = (_ROOM * room_px - 2 * _PAD * capital_px) * 100 / font.getlength(text)
        font = font.font_variant(size=max(min(capital_px * 100 / _capital_px(font), widest_px), 4))
        capital_px = _capital_px(font)
        pad = round(_PAD * capital_px)
        box = Pillow.new("L", (round(font.getlength(text)) + 2 * pad, capital_px + 2 * pad))
        ImageDraw.Draw(box).text((pad, pad + capital_px), text, 255, font, anchor="ls")
        return np.asarray(box)


def _capital_px(font: ImageFont.FreeTypeFont) -> int:
    return -round(font.getbbox("I", anchor="ls")[1])


@dataclass(frozen=True, slots=True)
class Plate:
    """White letters on a dark see-through box whose top left pixel is (x, y).

    A pixel below becomes (pixel * keep + light) / 256: `keep`, `light` u16 [h, w].
    """

    keep: npt.NDArray[np.uint16]
    light: npt.NDArray[np.uint16]
    x: int
    y: int

    @classmethod
    def of(cls, letters: npt.NDArray[np.uint8], x: int, y: int) -> Plate:
        white = letters.astype(np.float32) / 255
        keep = 256 * (1 - _BOX) * (1 - white)
        return cls(keep.astype(np.uint16), (255 * 256 * white).astype(np.uint16), x, y)

    def lay(self, image: Image) -> None:
        """Onto a picture u8 [h, w, 3], in place; what would lie outside is left out."""
        height, width = self.keep.shape
        lay(image[self.y : self.y + height, self.x : self.x + width], self.keep, self.light)


_PICTURE, _PLANE = types.Array(types.uint8, 3, "A"), types.Array(types.uint16, 2, "C", readonly=True)


@compiled(types.void(_PICTURE, _PLANE, _PLANE))
def lay(below, keep, light):  # type: ignore[no-untyped-def]
    """`below` = (`below` * `keep` + `light`) / 256, in place: u8 [h, w, 3], u16 [h, w] twice or larger."""
    for y in range(below.shape[0]):
        for x in range(below.shape[1]):
            for c in range(3):
                below[y, x, c] = np.uint8((np.uint32(below[y, x, c]) * keep[y, x] + light[y, x]) >> 8)
