"""`doppelcam bench glass`: its marker as cameras see it, what it refuses; with devices: tests/devices/test_glass.py."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from live.cli.bench.glass import Shown, Watcher
from live.cli.bench.marker import COUNT, Reader, draw
from tests.live.cli.test_bench import bench


def picture(number, side=180, at=(40, 40)):
    """The marker in a picture of noise."""
    image = np.random.default_rng(number).integers(60, 180, (720, 1280, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 3)
    image[at[1] : at[1] + side, at[0] : at[0] + side] = draw(number, side)[..., None]
    return image


@pytest.mark.parametrize("side", [81, 180, 400])
def test_every_number_is_read(side):
    reader = Reader()
    wrong = [n for n in range(0, COUNT, 7) if reader.read(picture(n, side)) != n]
    assert wrong == []


def test_numbers_begin_again():
    assert (draw(3, 90) == draw(COUNT + 3, 90)).all()


def test_it_survives_yuv_and_jpeg():
    image = picture(77)
    yuv = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), cv2.COLOR_YUV2BGR_I420)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)
    assert Reader().read(yuv) == Reader().read(jpeg) == 77


def test_a_webcam_that_sees_a_screen_askew_reads_it():
    image = picture(123, side=300, at=(300, 200))
    start = np.array([[0, 0], [1279, 0], [1279, 719], [0, 719]], np.float32)
    end = np.array([[150, 60], [1200, 140], [1100, 690], [60, 600]], np.float32)
    askew = cv2.warpPerspective(image, cv2.getPerspectiveTransform(start, end), (1280, 720))
    dim = (cv2.GaussianBlur(askew, (0, 0), 1.5) * 0.5 + 60).astype(np.uint8)
    reader = Reader()
    assert [reader.read(dim), reader.read(dim)] == [123, 123]  # the second time, near where it was


def test_a_marker_that_moved_is_found_again_and_none_is_none():
    reader = Reader()
    assert reader.read(picture(5)) == 5
    assert reader.read(picture(6, at=(900, 400))) == 6
    assert reader.read(np.full((720, 1280, 3), 30, np.uint8)) is None


def test_ages_are_of_the_first_sight_of_each_number(monkeypatch):
    shown = Shown(at_s=[10.0 + n / 30 for n in range(COUNT)])
    watcher = Watcher.__new__(Watcher)
    watcher._shown, watcher._process, watcher.trouble = shown, None, None
    watcher.ages_ms, watcher.read, watcher.unread = [], 0, 0
    now = [10.0]
    monkeypatch.setattr("live.cli.bench.glass.time.perf_counter", lambda: now[0])

    def frames():
        yield now[0], 0
        for tick in range(1, 240):  # read 60 times a second, seen 50 ms after it was shown
            now[0] = 10 + tick / 60
            number = int((now[0] - 10 - 0.05) * 30)
            yield now[0], number if tick % 50 else None

    watcher._frames = frames
    watcher.watch(1.5, 10, lambda words: None)
    figures = watcher.figures(1.5)
    assert 50 <= figures["glass_to_glass_ms"]["p50"] <= 67
    assert figures["frames_per_second"] == pytest.approx(30, abs=1.5)
    assert figures["frames_read"] == pytest.approx(90, abs=2) and figures["without_marker"] == 2


BAD = {
    "no virtual camera": ([], "Missing option '--virtual'"),
    "no such loopback": (["--virtual", "/dev/video98", "--camera", "/dev/video99"], "/dev/video99"),
    "no screen": (["--virtual", "/dev/video98"], "no window can be opened"),
    "no folder": (["--virtual", "/dev/video98", "--json", "gone/g.json"], "does not exist"),
}


@pytest.mark.parametrize(("args", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_told_in_one_line(args, words, tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    done = bench("glass", *args, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr and "Traceback" not in done.stderr
