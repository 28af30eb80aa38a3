"""Takes the weights out of an ONNX file: what is left is small, so that nothing in it can fill the memory.

An ONNX file is a protobuf message (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto); its wire format
(https://protobuf.dev/programming-guides/encoding) is a row of tag, length, content. This walk steps over the
numbers of each tensor and copies everything else. A parser that reads the whole file instead needs several times
its size, and a few bytes of empty messages make it allocate hundreds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from engines.errors import ModelError
from engines.plain_file import megabytes

MAX_SKELETON = 32 << 20  # bytes; graphs with thousands of nodes and their source lines stay under 10 MB
MAX_FIELDS = 500_000  # a second or two of walking; a net of 5000 nodes has half of that
MAX_NESTING = 8  # graphs inside of graphs (If, Loop, Scan)

# Which field of which message is walked into; any other is copied as it is.
_INSIDE = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
    "tensor": {},
}
# The fields of a tensor that hold its numbers, and the bytes of one number (0: varints).
FLOATS, INTS, LONGS, RAW, DOUBLES, UNSIGNED = 4, 5, 7, 9, 10, 11
_NUMBERS = {FLOATS: 4, INTS: 0, LONGS: 0, RAW: 1, DOUBLES: 8, UNSIGNED: 0}

_NOTE = struct.Struct("<BQ")


class Numbers(NamedTuple):
    """Which field held a tensor's numbers, and how many they were (bytes for RAW)."""

    field: int
    many: int


def skeleton(data: memoryview) -> bytes:
    """The same ONNX model, in which the `raw_data` of each tensor is a note that `numbers` reads.

    `data`: bytes. Only the skeleton is copied, at most MAX_SKELETON bytes. Raises ModelError.
    """
    return b"".join(_Walk().message(data, "model", 0))


def numbers(note: bytes) -> Numbers | None:
    """What a skeleton's `raw_data` says of the numbers that were there; None when there were none."""
    return Numbers(*_NOTE.unpack(note)) if len(note) == _NOTE.size else None


class _Walk:
    def __init__(self) -> None:
        self.fields = 0
        self.kept = 0

    def message(self, data: memoryview, kind: str, nesting: int) -> list[bytes]:
        """The skeleton of one message, in pieces."""
        if kind == "graph":
            nesting += 1
            if nesting > MAX_NESTING:
                raise ModelError(f"its graphs are nested more than {MAX_NESTING} deep")
        pieces: list[bytes] = []
        note: Numbers | None = None
        for field, wire, start, body, end in self._fields(data):
            inside = _INSIDE[kind].get(field)
            if wire == 2 and inside is not None:
                content = self.message(data[body:end], inside, nesting)
                pieces += [_varint(field << 3 | 2), _varint(sum(map(len, content))), *content]
            elif wire == 2 and kind == "tensor" and field in _NUMBERS:
                if note is not None:
                    raise ModelError("the numbers of one of its tensors come in several pieces")
                note = Numbers(field, _count(data[body:end], _NUMBERS[field]))
            else:
                pieces.append(self._keep(data[start:end]))
        if note is not None:
            pieces.append(bytes([RAW << 3 | 2, _NOTE.size]) + _NOTE.pack(*note))
        return pieces

    def _keep(self, piece: memoryview) -> bytes:
        self.kept += len(piece)
        if self.kept > MAX_SKELETON:
            raise ModelError(
                f"it holds more than {megabytes(MAX_SKELETON)} besides its weights",
                hint="weights must be stored as packed numbers; text and empty parts are not counted as such",
            )
        return bytes(piece)

    def _fields(self, data: memoryview) -> Iterator[tuple[int, int, int, int, int]]:
        """Field number, wire type, and where the field, its content and the next field start."""
        at = 0
        while at < len(data):
            self.fields += 1
            if self.fields > MAX_FIELDS:
                raise ModelError(f"it has more than {MAX_FIELDS:,} parts")
            start = at
            tag, body = _number(data, at)
            match tag & 7:
                case 0:
                    _, at = _number(data, body)
                case 1:
                    at = body + 8
                case 2:
                    length, body = _number(data, body)
                    at = body + length
                case 5:
                    at = body + 4
                case wire:
                    raise ModelError(f"it is damaged or not ONNX: byte {start} starts no field (wire type {wire})")
            if at > len(data):
                raise ModelError("it is cut short or damaged: a part ends after the end of the file")
            yield tag >> 3, tag & 7, start, body, at


def _number(data: memoryview, at: int) -> tuple[int, int]:
    """One varint, and where it ends."""
    if at < len(data) and data[at] < 128:  # nearly all of them
        return data[at], at + 1
    value = 0
    for shift, byte in zip(range(0, 70, 7), data[at : at + 10], strict=False):
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at + shift // 7 + 1
    raise ModelError("it is cut short or damaged: it ends within a number")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def _count(packed: memoryview, size: int) -> int:
    """How many numbers of `size` bytes (0: varints) there are."""
    if size:
        count, rest = divmod(len(packed), size)
    else:
        block = 1 << 20  # in blocks, so that the comparison takes no memory
        ends = (np.frombuffer(packed[at : at + block], np.uint8) < 128 for at in range(0, len(packed), block))
        count, rest = sum(int(np.count_nonzero(end)) for end in ends), packed[-1] & 128 if packed else 0
    if rest:
        raise ModelError("the numbers of one of its tensors are cut short")
    return count
