"""The label: read by a machine after a bad call, where it belongs, and shown when it must be."""

from __future__ import annotations

import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from engines.errors import BadInput
from live.frame import Format, Persona
from live.marks.badge import Badge
from live.marks.badge.words import WORDS
from live.settings import make
from tests.live.marks.call import sample, scenes, send

needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="apt install tesseract-ocr")


def worn(disclosure="synthetic", size=(1280, 720), **settings):
    badge = Badge(**settings)
    badge.open(Format(*size, 30.0))
    badge.wear(Persona("somebody", (), None, disclosure))
    return badge


def changed(badge, size=(1280, 720), position_s=5.0, fresh=False, grey=90):
    """Where the picture is changed: x0, y0, x1, y1 (exclusive) and the picture."""
    image = np.full((size[1], size[0], 3), grey, np.uint8)
    badge.apply(image, position_s, fresh)
    rows, columns = np.nonzero((image != grey).any(2))
    return (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), image


def later(badge, **more):
    """As `changed`, when the first banner is over."""
    badge.apply(np.zeros((badge._size[1], badge._size[0], 3), np.uint8), 0.0, True)
    return changed(badge, size=badge._size, **more)


def read(image, language="eng"):
    ok, png = cv2.imencode(".png", cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC))
    assert ok
    command = ["tesseract", "-", "-", "-l", language, "--psm", "7"]
    done = subprocess.run(command, input=png.tobytes(), capture_output=True, timeout=60, check=False)
    if b"Failed loading language" in done.stderr:
        pytest.skip(f"apt install tesseract-ocr-{language.replace('_', '-')}")
    # In letters without serifs a capital I and a small l are the same stroke.
    return " ".join(done.stdout.decode().split()).replace("l", "I")


def seen_after_a_bad_call(pictures, **settings):
    """The label as it comes out of 360p H.264 at 300 kbit/s, cut out of the last picture."""
    badge, shown = worn(**settings), []
    (x0, y0, x1, y1), _ = later(worn(**settings))
    for number, picture in enumerate(pictures):
        shown.append(picture.copy())
        badge.apply(shown[-1], 10 + number / 30, False)
    received, rate = send(shown, "libx264", 300)
    assert rate < 330
    return received[-1][y0 // 2 : y1 // 2, x0 // 2 : x1 // 2]


@needs_tesseract
def test_a_machine_reads_it_after_360p_at_300_kbits():
    assert read(seen_after_a_bad_call(sample(0, 30))) == "AI MODIFIED"


@needs_tesseract
def test_the_chinese_label_is_read_too():
    text = read(seen_after_a_bad_call(sample(0, 30), language="zh"), "chi_sim+eng")
    assert re.fullmatch("AI+合成", text.replace(" ", ""))  # the stroke beside a wide letter is read twice at times


@needs_tesseract
@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_machine_reads_it_in_every_scene():
    assert {name: read(seen_after_a_bad_call(pictures)) for name, pictures in scenes()} == {
        name: "AI MODIFIED" for name, _ in scenes(0)
    }


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (640, 480), (720, 1280), (160, 120)], ids=str)
@pytest.mark.parametrize("place", ["call", "corner"])
@pytest.mark.parametrize("disclosure", ["synthetic", "unverified"])
def test_it_lies_top_right_within_safe_margins(size, place, disclosure):
    (x0, y0, x1, y1), _ = later(worn(disclosure, size, place=place))
    side = min(size)
    left, top = ((size[0] - side) // 2, (size[1] - side) // 2) if place == "call" else (0, 0)
    right = size[0] - left
    margin = round(0.05 * side)
    assert y0 == top + margin and x1 == right - margin
    assert x0 >= left + margin - 1 and y1 < top + side / 3
    assert (x0 + x1) / 2 > (left + right) / 2 - 1


@pytest.mark.parametrize("language", WORDS)
def test_its_capitals_are_five_percent_of_the_shortest_side(language):
    (x0, y0, x1, y1), image = later(worn(language=language))
    bright = np.flatnonzero((image[y0:y1, x0:x1, 0] > 200).any(1))
    assert bright[-1] - bright[0] + 1 >= 0.05 * 720


def test_the_lowest_setting_is_three_percent():
    with pytest.raises(BadInput, match=r"from 0\.03"):
        make(Badge, {"height": 0.02}, "marks.badge")


def test_where_nobodys_consent_is_known_it_is_half_as_large_again():
    sizes = {}
    for disclosure in ("synthetic", "self", "consented", "unverified"):
        (x0, y0, x1, y1), _ = later(worn(disclosure))
        sizes[disclosure] = (x1 - x0, y1 - y0)
    assert sizes["synthetic"] == sizes["self"] == sizes["consented"]
    assert sizes["unverified"] == pytest.approx([1.5 * v for v in sizes["self"]], rel=0.04)


@pytest.mark.parametrize("grey", [0, 90, 255])
def test_its_contrast_is_seven_to_one_on_any_picture(grey):
    _, image = later(worn(), grey=grey, position_s=5.0) if grey else changed(worn(), grey=1)
    box = image[40:44, 940:960].max() / 255  # in the box, beside the letters
    linear = box / 12.92 if box <= 0.04045 else ((box + 0.055) / 1.055) ** 2.4
    assert 1.05 / (linear + 0.05) >= 7


def banner_at(badge, position_s, fresh=False):
    (_, _, _, bottom), _ = changed(badge, position_s=position_s, fresh=fresh)
    return bottom > 500


def test_the_banner_comes_at_the_start_after_each_cover_and_every_ten_minutes_for_three_seconds():
    badge = worn()
    assert [banner_at(badge, at) for at in (0.0, 2.9, 3.1, 100.0)] == [True, True, False, False]
    assert [banner_at(badge, 100.1, fresh=True), banner_at(badge, 103.0), banner_at(badge, 103.2)] == [
        True,
        True,
        False,
    ]
    assert [banner_at(badge, at) for at in (700.0, 700.2, 703.0, 703.3)] == [False, True, True, False]
    assert banner_at(badge, 1.0), "a time line that begins anew"


@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (640, 480)], ids=str)
def test_the_banner_goes_over_the_whole_width(size):
    (x0, _, x1, bottom), _ = changed(worn(size=size), size, 0.0, True)
    assert (x0, x1) == (0, size[0]) and bottom <= size[1]


def test_nothing_else_of_the_picture_is_changed():
    badge = worn()
    (x0, y0, x1, y1), image = later(badge)
    outside = image.copy()
    outside[y0:y1, x0:x1] = 90
    assert (outside == 90).all()
