"""The mark that nobody sees and every copy keeps: it tells `doppelcam verify` that a video was modified, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

import cv2
import numpy as np
import numpy.typing as npt

from live.bytewise import change, rows_of
from live.compiled import compiled
from live.frame import Format, Image, Persona
from live.marks.watermark.pattern import full_field
from live.marks.watermark.payload import Payload, hour_of

_AMPLITUDE = 1.15  # grey levels, root mean square, before the picture's own activity scales it
_BLOCK = 16  # pixels a side over which activity is measured
_STEP = 4  # pixels over which texture is fine: a square of the pattern is 8 pixels wide in a picture of 720 rows
_BANDS = 12  # the strength of one band is measured anew in each frame


@dataclass
class Watermark:
    """Mark: a pattern of about one grey level, weaker in smooth and dark places and stronger in busy ones."""

    _pattern: npt.NDArray[np.int16] = field(init=False, repr=False)
    _dither: npt.NDArray[np.int32] = field(init=False, repr=False)
    _change: npt.NDArray[np.int8] = field(init=False, repr=False)  # what is added to the picture, [h, w * 3]
    _band: int = field(default=0, init=False)
    _fresh: bool = field(default=True, init=False)

    def open(self, format: Format) -> None:
        payload = Payload(_version(), format.session, hour_of(datetime.now(UTC)))
        upright = format.height > format.width
        pattern = full_field(payload.pack())
        if upright:
            pattern = pattern.T
        shrinks = format.width < pattern.shape[1]
        scaled = cv2.resize(
            pattern, (format.width, format.height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        )
        self._pattern = np.rint(scaled * (256 * _AMPLITUDE / scaled.std())).astype(np.int16)
        # Thresholds for rounding that differ from pixel to pixel, so that parts of a grey level are not lost.
        dither = np.random.default_rng(1).permutation(_BLOCK * _BLOCK).reshape(_BLOCK, _BLOCK).astype(np.int32) * 256
        self._dither = np.tile(dither, (1, -(-format.width // _BLOCK)))
        self._change = np.zeros((format.height, 3 * format.width), np.int8)
        self._band, self._fresh = 0, True
        self._measure(np.zeros((format.height, format.width, 3), np.uint8), 0)  # compiled before the first frame

    def wear(self, persona: Persona) -> None:
        pass

    def apply(self, image: Image, position_s: float, fresh: bool) -> None:  # noqa: ARG002
        for band in range(_BANDS) if fresh or self._fresh else (self._band,):
            self._measure(image, band)
        self._band, self._fresh = (self._band + 1) % _BANDS, False
        change(rows_of(image), self._change)

    def _measure(self, image: Image, band: int) -> None:
        """Set what is added and taken away in one band of the picture by what the picture shows there."""
        blocks = -(-image.shape[0] // _BLOCK)
        rows = slice(blocks * band // _BANDS * _BLOCK, blocks * (band + 1) // _BANDS * _BLOCK)
        pattern = self._pattern[rows]
        if not pattern.size:  # a picture of fewer blocks than bands
            return
        grey = np.empty(pattern.shape, np.int8)
        weigh(image[rows], pattern, self._dither, grey)
        cv2.merge([grey] * 3, dst=self._change[rows].reshape(*pattern.shape, 3))

    def close(self) -> None:
        self._pattern = np.zeros((0, 0), np.int16)
        self._change = np.zeros((0, 0), np.int8)


def _version() -> tuple[int, int]:
    major, minor, *_ = version("doppelcam").split(".")
    return int(major), int(minor)


@compiled()
def weigh(image, pattern, dither, grey):  # type: ignore[no-untyped-def]
    """Fill `grey`, i8 [h, w], with the pattern times the strength that the picture allows, in grey levels.

    image u8 [h, w, 3]; pattern i16 [h, w] in 1/256 grey levels; dither i32 [16, w or more]. A block's strength,
    0.19 to 1.7, grows with its fine texture, which hides the pattern, a little with its soft edges, which hide it worse
    but come through a strong compression, and with its light (Weber).
    """
    height, width = pattern.shape
    factors = np.empty(width, np.int32)
    for y0 in range(0, height, _BLOCK):
        y1 = min(y0 + _BLOCK, height)
        for x0 in range(0, width, _BLOCK):
            x1 = min(x0 + _BLOCK, width)
            count, light, squares, busy = 0, np.int32(0), np.int32(0), np.int32(0)
            for y in range(max(y0, _STEP), min(y1, height - _STEP), 2):
                for x in range(max(x0, _STEP), min(x1, width - _STEP), 2):
                    v = np.int32(image[y, x, 1])
                    around = np.int32(image[y - _STEP, x - _STEP, 1]) + np.int32(image[y - _STEP, x + _STEP, 1])
                    around += np.int32(image[y + _STEP, x - _STEP, 1]) + np.int32(image[y + _STEP, x + _STEP, 1])
                    count += 1
                    light += v
                    squares += v * v
                    busy += abs(4 * v - around)
            count = max(count, 1)
            mean = light / count
            gain = 0.35 + busy / count / 12 + np.sqrt(max(squares / count - mean * mean, 0.0)) / 200
            gain = min(gain * min(0.55 + mean / 160, 1.1), 1.7)
            factors[x0:x1] = np.int32(256 * gain)
        for y in range(y0, y1):
            for x in range(width):
                grey[y, x] = np.int8((np.int32(pattern[y, x]) * factors[x] + dither[y - y0, x]) >> 16)
