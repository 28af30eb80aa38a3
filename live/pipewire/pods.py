"""What PipeWire's formats and wishes look like in memory ("pods", spa/pod/pod.h)."""

from __future__ import annotations

import ctypes as c
import struct
from fractions import Fraction
from typing import Any

ENUM_FORMAT, FORMAT, BUFFERS, META = 3, 4, 5, 6


def pod(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", len(body), kind) + body + b"\0" * (-len(body) % 8)


def ident(value: int) -> bytes:
    return pod(3, struct.pack("<I", value))


def number(value: int) -> bytes:
    return pod(4, struct.pack("<i", value))


def rectangle(width: int, height: int) -> bytes:
    return pod(10, struct.pack("<II", width, height))


def fraction(value: Fraction) -> bytes:
    return pod(11, struct.pack("<II", value.numerator, value.denominator))


def one_of(values: list[int]) -> bytes:
    """A choice among ids; the first is the favourite."""
    values = [values[0], *values]
    return pod(19, struct.pack("<IIII", 3, 0, 4, 3) + struct.pack(f"<{len(values)}I", *values))


def between(usual: int, low: int, high: int) -> bytes:
    return pod(19, struct.pack("<IIII", 1, 0, 4, 4) + struct.pack("<3i", usual, low, high))


def thing(kind: int, purpose: int, values: dict[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<II", key, 0) + value for key, value in values.items())
    return pod(15, struct.pack("<II", kind, purpose) + body)


def media(values: dict[int, bytes]) -> bytes:
    """What is offered to the other side, by keys of spa/param/format.h."""
    return thing(0x40003, ENUM_FORMAT, values)


def agreed_ids(data: bytes) -> dict[int, int]:
    """The ids in an agreed format: key -> value (spa/pod/pod.h)."""
    found, at = {}, 16
    while at + 16 <= len(data):
        key, _, size, kind = struct.unpack_from("<IIII", data, at)
        value = at + 16
        if kind == 19 and size >= 20:  # a choice of which one is left
            _, _, child_size, kind = struct.unpack_from("<IIII", data, value)
            found_at = value + 16
        else:
            child_size, found_at = size, value
        if kind == 3 and child_size == 4:
            found[key] = struct.unpack_from("<I", data, found_at)[0]
        at = value + (size + 7) // 8 * 8
    return found


def buffers(size: int, stride: int) -> bytes:
    """Which buffers are wanted: some, in shared memory, of so many bytes."""
    shared = pod(19, struct.pack("<IIIIi", 4, 0, 4, 4, 1 << 2))  # flags of spa_data_type
    return thing(0x40004, BUFFERS, {1: between(4, 2, 16), 2: number(1), 3: number(size), 4: number(stride), 6: shared})


def header(size: int) -> bytes:
    """That a spa_meta_header goes with each buffer."""
    return thing(0x40005, META, {1: ident(1), 2: number(size)})


def pointers(pods: list[bytes]) -> tuple[Any, int]:
    """An array of them and its length, as the library takes it."""
    return (c.c_void_p * len(pods))(*[c.cast(c.c_char_p(pod), c.c_void_p) for pod in pods]), len(pods)
