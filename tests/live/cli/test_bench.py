"""`doppelcam bench look` as a user runs it: the sheet it draws, what it refuses, and that it leaves nothing behind."""

from __future__ import annotations

import math
from itertools import pairwise

import cv2
import numpy as np
import pytest

from live.cli.bench.excerpt import Excerpt
from live.cli.bench.moments import Moment, Window, choose, head_window
from live.cli.bench.sheet import CAPTION_PX, CELL_PX, GAP_PX, cut_window
from live.finders.mediapipe_mesh import MediapipeMesh
from live.parts import EndOfSource
from live.personas import SAMPLE_PORTRAITS, open_persona
from tests.clips import write_clip
from tests.command import doppelcam
from tests.doubles import NumberedCamera
from tests.trained_nets import make_trained, tint

STEP = CELL_PX + GAP_PX


def bench(*args, cwd):
    return doppelcam("bench", *args, cwd=cwd)


def cell(sheet, row, column):
    """One cell of a sheet: row 0 is the wearer's, column 0 the portrait's."""
    x, y = GAP_PX + column * STEP, GAP_PX + CAPTION_PX + row * STEP
    return sheet[y : y + CELL_PX, x : x + CELL_PX].astype(int)


def moment(number, yaw=0.0, mouth=0.1, lids=0.3, whole=True):
    return Moment(number / 30, Window(0, 0, 1), yaw, mouth, lids, whole)


# ---- the sheet


@pytest.fixture(scope="module")
def sample_sheet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("look")
    done = bench("look", "sample", "sample:nia", "--columns", 3, "--from", 3.9, "--to", 4.6, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["look.png"]
    assert "look.png: 3 of 21 frames with a face" in done.stderr
    return cv2.imread(str(folder / "look.png"))


def test_the_sheet_has_a_column_for_the_portrait_and_each_moment(sample_sheet):
    finder = MediapipeMesh()  # as fresh as the command's own
    finder.open()
    assert sample_sheet.shape == (GAP_PX + CAPTION_PX + 2 * STEP, GAP_PX + 4 * STEP, 3)
    nia = open_persona("sample:nia", finder)
    assert np.abs(cell(sample_sheet, 0, 0) - cut_window(nia.image, head_window(nia.face))).max() <= 1


def test_both_rows_differ_in_the_face_and_are_alike_around_it(sample_sheet):
    middle, rim = slice(CELL_PX // 2 - 50, CELL_PX // 2 + 50), slice(0, 40)
    for column in (1, 2, 3):
        difference = np.abs(cell(sample_sheet, 0, column) - cell(sample_sheet, 1, column))
        assert difference[middle, middle].mean() > 4
        around = difference[rim].max(), difference[:, rim].max(), difference[:, -40:].max()
        assert max(around) <= 8, around  # the watermark, and nothing else


def test_each_column_is_another_moment(sample_sheet):
    wearers = [cell(sample_sheet, 0, column) for column in (1, 2, 3)]
    assert all(np.abs(one - other).mean() > 1 for one, other in pairwise(wearers))


def test_the_sheet_of_a_trained_model_has_no_portrait(tmp_path):
    head = cv2.resize(cv2.imread(str(SAMPLE_PORTRAITS / "joel.jpg")), (320, 320), interpolation=cv2.INTER_AREA)
    write_clip(tmp_path / "clip.mp4", [head] * 3)
    make_trained(tmp_path / "anna", tint)
    done = bench("look", "clip.mp4", "anna", "--set", "swappers.trained.engine=onnx_runtime:cpu:fp32", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    sheet = cv2.imread(str(tmp_path / "look.png"))
    assert cell(sheet, 0, 0).max() == 0
    assert np.abs(cell(sheet, 1, 1) - cell(sheet, 0, 1)).max() > 20


def test_a_still_clip_shorter_than_the_sheet_gives_a_column_a_frame(tmp_path):
    head = cv2.resize(cv2.imread(str(SAMPLE_PORTRAITS / "joel.jpg")), (320, 320), interpolation=cv2.INTER_AREA)
    write_clip(tmp_path / "clip.mp4", [head] * 4)
    out = tmp_path / "mine.PNG"
    done = bench("look", "clip.mp4", SAMPLE_PORTRAITS / "lena.jpg", "--out", out, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "mine.PNG"]
    assert cv2.imread(str(out)).shape[1] == GAP_PX + 5 * STEP


# ---- what is refused

BAD = {
    "no command": ([], "Missing command"),
    "no portrait": (["look", "sample"], "Missing argument 'portrait'"),
    "no clip": (["look", "gone.mp4", "sample"], "there is no video file gone.mp4"),
    "a camera": (["look", "camera", "sample"], "only a file"),
    "no picture": (["look", "sample", "gone.jpg"], "there is no picture gone.jpg"),
    "no face in the picture": (["look", "sample", "flat.png"], "no face was found in flat.png"),
    "no face in the clip": (["look", "empty.mp4", "sample"], "no face was found in empty.mp4"),
    "no face in the stretch": (["look", "sample", "sample", "--from", "6.6", "--to", "6.8"], "between 6.6 s and 6.8 s"),
    "stretch of nothing": (["look", "sample", "sample", "--from", "3", "--to", "3"], "nothing lies between"),
    "clip without end": (["look", "sample", "sample", "--set", "sources.sample.repeat=yes"], "has no end"),
    "no columns": (["look", "sample", "sample", "--columns", "0"], "--columns"),
    "no folder": (["look", "sample", "sample", "--out", "gone/look.png"], "does not exist"),
    "a folder": (["look", "sample", "sample", "--out", "."], "is a folder"),
    "no PNG": (["look", "sample", "sample", "--out", "look.jpg"], "is written as PNG"),
    "over the portrait": (["look", "sample", "flat.png#1", "--out", "flat.png"], "would replace"),
    "unknown key": (["look", "sample", "sample", "--set", "swappers.mesh.ligth=1"], "did you mean 'light'"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    flat = np.full((120, 160, 3), 128, np.uint8)
    cv2.imwrite(str(folder / "flat.png"), flat)
    write_clip(folder / "empty.mp4", [flat] * 3)
    return folder


@pytest.mark.parametrize(("args", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_told_in_one_line_with_exit_code_2_and_nothing_is_left(args, words, folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    done = bench(*args, cwd=folder)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2  # the error and its hint
    assert done.stdout == ""
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_failing_run_leaves_the_old_sheet(tmp_path):
    (tmp_path / "look.png").write_bytes(b"old")
    assert bench("look", "sample", "gone.jpg", cwd=tmp_path).returncode == 2
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


# ---- which moments


def test_moments_are_spread_evenly():
    times = [m.at_s for m in choose([moment(k, mouth=0, lids=0) for k in range(300)], 1)]
    assert times == [5.0]
    chosen = choose([moment(k) for k in range(300)], 8)
    assert len(chosen) == 8 and chosen == sorted(chosen, key=lambda m: m.at_s)


def test_the_extremes_take_the_places_next_to_them():
    moments = [moment(k) for k in range(300)]
    moments[20] = moment(20, yaw=-30)
    moments[100] = moment(100, yaw=20)
    moments[200] = moment(200, mouth=0.4)
    moments[270] = moment(270, lids=0.05)
    chosen = choose(moments, 8)
    assert [(round(m.at_s * 30), m.label) for m in chosen] == [
        (20, "yaw -30°"), (56, ""), (100, "yaw +20°"), (131, ""), (168, ""), (200, "widest mouth"), (243, ""),
        (270, "lids most shut"),
    ]  # fmt: skip


def test_one_frame_may_be_extreme_in_two_ways():
    moments = [moment(k) for k in range(100)]
    moments[50] = moment(50, yaw=30, mouth=0.4)
    labels = [m.label for m in choose(moments, 4) if m.at_s == 50 / 30]
    assert labels == ["yaw +30°, widest mouth"]


def test_a_face_at_the_edge_of_the_picture_is_no_extreme():
    moments = [moment(k) for k in range(100)]
    moments[50] = moment(50, yaw=80, whole=False)
    assert all("80" not in m.label for m in choose(moments, 8))
    assert all(m.label == "" for m in choose([moment(k, whole=False) for k in range(100)], 8))


@pytest.mark.parametrize("count", range(1, 25))
@pytest.mark.parametrize("length", [1, 2, 3, 7, 40])
def test_never_a_frame_twice(count, length):
    moments = [moment(k, yaw=k % 7, mouth=k % 5 / 10, lids=k % 3 / 10) for k in range(length)]
    times = [m.at_s for m in choose(moments, count)]
    assert len(set(times)) == len(times) == min(count, length)


# ---- the pieces


def test_an_excerpt_shows_each_picture_between_its_times_once():
    seen = []
    source = Excerpt(NumberedCamera(count=90), 1.0, 2.0, see=lambda captured: seen.append(captured.position_s))
    source.open()
    read = []
    with pytest.raises(EndOfSource):
        while True:
            read.append(source.read().position_s)
    assert read == seen == [k / 30 for k in range(30, 60)]


def test_an_excerpt_without_times_is_the_whole():
    source = Excerpt(NumberedCamera(count=3))
    source.open()
    assert [source.read().position_s for _ in range(3)] == [1 / 30, 2 / 30, 3 / 30]
    assert source.end_s == math.inf


@pytest.mark.parametrize("side", [40, CELL_PX, 900])
def test_a_window_beyond_the_picture_is_black_there(side):
    picture = np.full((100, 100, 3), 200, np.uint8)
    cut = cut_window(picture, Window(0, 50, side))
    assert cut.shape == (CELL_PX, CELL_PX, 3)
    assert not cut[:, : CELL_PX // 2 - 20].any()
    assert (cut[CELL_PX // 2 - 2 : CELL_PX // 2 + 2, CELL_PX // 2 + 20] == 200).all()
    assert not cut_window(picture, Window(-500, 50, 80)).any()


def test_a_cut_is_a_copy():
    picture = np.full((CELL_PX, CELL_PX, 3), 7, np.uint8)
    cut = cut_window(picture, Window(CELL_PX / 2, CELL_PX / 2, CELL_PX))
    picture[:] = 9
    assert (cut == 7).all()
