"""A number in the pixels: 32 bits and 8 to check them as 40 black or white cells along the upper edge.

Made to survive 4:2:0, VP8, H.264 and JPEG. `READ_IN_PAGE` is the same reader for a browser.
"""

from __future__ import annotations

import numpy as np

CELLS = 40


def burn(image, number):
    """Write the number into a BGR picture that is at least 640 wide, in place."""
    cell = image.shape[1] // CELLS
    bits = np.array(_bits(number), np.uint8) * 255
    image[:cell, : cell * CELLS] = np.repeat(bits, cell)[None, :, None]


def read(image):
    """The number, or None where the picture carries none."""
    cell = image.shape[1] // CELLS
    middle = image[cell // 2 - 2 : cell // 2 + 3, : cell * CELLS].mean((0, 2)).reshape(CELLS, cell)
    bits = middle[:, cell // 4 : -(cell // 4)].mean(1) > 127
    number = int("".join(str(int(bit)) for bit in bits[:32]), 2)
    return number if list(bits) == [bool(bit) for bit in _bits(number)] else None


def _bits(number):
    check = (0x55 ^ number ^ number >> 8 ^ number >> 16 ^ number >> 24) & 255  # 0x55: a black strip is no number
    return [number >> i & 1 for i in range(31, -1, -1)] + [check >> i & 1 for i in range(7, -1, -1)]


READ_IN_PAGE = """
globalThis.readCode = (picture, width) => {
  const cell = Math.floor(width / 40);
  const canvas = (globalThis.codeCanvas ??= new OffscreenCanvas(cell * 40, 1));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, cell >> 1, cell * 40, 1, 0, 0, cell * 40, 1);
  const { data } = context.getImageData(0, 0, cell * 40, 1);
  let number = 0, check = 0;
  for (let i = 0; i < 40; i++) {
    const bit = data[4 * (i * cell + (cell >> 1)) + 1] > 127 ? 1 : 0;
    if (i < 32) number = number * 2 + bit; else check = check * 2 + bit;
  }
  const n = number >>> 0;
  return check === ((0x55 ^ n ^ (n >>> 8) ^ (n >>> 16) ^ (n >>> 24)) & 255) ? number : null;
};
0
"""
