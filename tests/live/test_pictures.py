"""Pictures from anybody: what is read, what is refused, and that a crafted one can neither fill the memory nor hang."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from engines.errors import BadInput, NotAvailable
from engines.quarantine import child
from live import pictures
from live.pictures import read_picture


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"there is no picture .*me\.jpg"):
        read_picture(tmp_path / "me.jpg")


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        read_picture(tmp_path)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a" + b"\0" * 40])
def test_what_is_no_picture_is_refused(tmp_path, data):
    path = tmp_path / "me.jpg"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"me\.jpg is not a picture") as caught:
        read_picture(path)
    assert "JPEG" in caught.value.hint


def test_a_script_in_a_picture_format_is_not_run(tmp_path):
    path = tmp_path / "me.eps"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(BadInput, match="is not a picture"):
        read_picture(path)


def png_header(width, height):
    """A PNG that states this size and holds next to nothing."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 10)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8001, 9400, 13_000, 100_000, 2_000_000_000])
@pytest.mark.filterwarnings("error")
def test_a_picture_of_huge_size_is_refused_without_decoding(tmp_path, monkeypatch, side):
    def decode(*_):
        raise AssertionError("it was decoded")

    monkeypatch.setattr(pictures, "ask", decode)
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side))
    with pytest.raises(BadInput, match=r"bomb\.png"):
        read_picture(path)


def test_a_file_of_huge_length_is_refused_without_reading(tmp_path):
    path = tmp_path / "long.png"
    with path.open("wb") as file:
        file.truncate(80 << 20)
    with pytest.raises(BadInput, match="larger than 64 MB"):
        read_picture(path)


def test_a_damaged_picture_is_bad_input(tmp_path):
    path = tmp_path / "me.png"
    path.write_bytes(png_header(40, 30)[:-30])
    with pytest.raises(BadInput, match=r"me\.png"):
        read_picture(path)


def test_a_large_picture_is_made_smaller(tmp_path):
    path = tmp_path / "large.jpg"
    cv2.imwrite(str(path), np.full((1500, 3000, 3), 120, np.uint8))
    assert read_picture(path).shape == (1024, 2048, 3)


def test_a_small_picture_is_left_as_it_is(tmp_path):
    path = tmp_path / "small.png"
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    cv2.imwrite(str(path), image)
    assert np.array_equal(read_picture(path), image)


def test_a_picture_is_turned_as_its_exif_says(tmp_path):
    path = tmp_path / "phone.jpg"
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, :40] = 255  # the left half becomes the upper one when turned clockwise
    exif = Pillow.Exif()
    exif[0x0112] = 6
    Pillow.fromarray(image).save(path, exif=exif, quality=95)
    turned = read_picture(path)
    assert turned.shape == (80, 40, 3)
    assert turned[:35].min() > 200 and turned[45:].max() < 50


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "I;16"])
def test_every_kind_of_pixels_becomes_bgr(tmp_path, mode):
    path = tmp_path / "picture.png"
    if mode == "I;16":
        cv2.imwrite(str(path), np.full((20, 30), 30_000, np.uint16))
    else:
        Pillow.new("RGB", (30, 20), (200, 200, 200)).convert(mode).save(path)
    image = read_picture(path)
    assert image.shape == (20, 30, 3) and image.dtype == np.uint8 and image.flags["C_CONTIGUOUS"]
    assert image.mean() > 80


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("import os; os.abort()", BadInput, r"decoding it crashes \(SIGABRT\)"),
        ("import time; time.sleep(100)", BadInput, "decoding it takes more than 1 seconds"),
        ("raise SystemExit(3)", NotAvailable, "exit code 3"),
        ("print('x')", BadInput, "is damaged"),
        ("import sys; sys.stdout.buffer.write(bytes(8))", BadInput, "is damaged"),
        ("import sys; sys.stdout.buffer.write(bytes([255] * 7 + [0]) + bytes(100))", BadInput, "is damaged"),
        ("import sys\nwhile True: sys.stdout.buffer.write(bytes(1 << 20))", BadInput, "crashes|is damaged|takes more"),
    ],
)
def test_whatever_happens_inside_is_one_line(tmp_path, monkeypatch, code, kind, words):
    path = tmp_path / "me.png"
    cv2.imwrite(str(path), np.zeros((40, 30, 3), np.uint8))
    monkeypatch.setattr(child, "START", code)
    monkeypatch.setattr(pictures, "SECONDS", 1 if "sleep" in code else 30)
    with pytest.raises(kind, match=words) as caught:
        read_picture(path)
    assert caught.value.message.isprintable()


def test_inside_there_is_no_room_for_a_bomb(tmp_path, monkeypatch):
    path = tmp_path / "me.png"
    cv2.imwrite(str(path), np.zeros((40, 30, 3), np.uint8))
    greedy = "import live.pictures as p, numpy as np; p.decoded = lambda data: np.ones((1 << 30,), np.uint8)"
    monkeypatch.setattr(child, "START", child.START.replace("module, _, name", f"{greedy}; module, _, name"))
    with pytest.raises(BadInput, match="is damaged"):
        read_picture(path)


@pytest.mark.long
def test_a_small_file_of_the_most_pixels_stays_within_the_limit(tmp_path):
    """190 kB that unpack to 64 million pixels: read, or refused in one line; never more memory than was allowed."""
    import resource

    if resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >= 1_800_000:
        pytest.skip("a child of an earlier test took more: run this file alone")

    path = tmp_path / "bomb.png"
    rows = zlib.compress(b"\0" * (8000 * 3 + 1) * 8000, 9)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8000, 8000, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    assert path.stat().st_size < 250_000
    assert max(read_picture(path).shape) == 2048
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 1_800_000  # kB
