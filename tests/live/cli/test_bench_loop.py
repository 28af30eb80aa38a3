"""`doppelcam bench loop` as a user runs it: the figures, the page, the trace, what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser

import pytest

from tests.command import COMMAND
from tests.live.cli.test_bench import bench

ONNX = ("--engine", "onnx_runtime:cpu:fp32")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    args = ["--seconds", "2", "--warm-up", "1", "--json", "l.json", "--html", "l.html", "--trace", "t.json", *ONNX]
    # In a process of its own: its threads and its memory are measured.
    done = subprocess.run([*COMMAND, "bench", "loop", *args], cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["l.html", "l.json", "t.json"]
    return folder, done


@pytest.mark.long
def test_the_figures_agree_with_each_other(measured):
    tree = json.loads((measured[0] / "l.json").read_text())
    assert tree["age_ms"]["p50"] <= tree["age_ms"]["p95"] <= tree["age_ms"]["p99"]
    assert {"camera: read", "engine: find", "engine: track", "pixels: swap", "pixels: blend"} <= set(tree["steps_ms"])
    cpu = tree["cpu_ms_per_frame"]
    assert 0 < cpu["without_source"] < cpu["all"]
    assert sum(cpu["threads"].values()) == pytest.approx(cpu["all"], rel=0.25)  # threads are counted in 10 ms
    assert set(tree["alone"]) == {"read", "find", "track", "swap", "blend", "mark", "guard", "write"}
    assert tree["yardstick_ms"]["before"] > 0 and tree["memory_mb"]["end"] > 50


@pytest.mark.long
def test_no_step_after_reading_allocates_a_whole_picture(measured):
    alone = json.loads((measured[0] / "l.json").read_text())["alone"]
    assert alone["read"]["pictures"] >= 1
    assert max(cost["pictures"] for step, cost in alone.items() if step != "read") < 1


@pytest.mark.long
def test_what_is_printed_is_what_is_written(measured):
    folder, done = measured
    tree = json.loads((folder / "l.json").read_text())
    assert f"age p50 {tree['age_ms']['p50']:.1f}" in done.stdout
    assert f"processor {tree['cpu_ms_per_frame']['all']:.1f} ms a frame" in done.stdout
    assert "yardstick" in done.stdout


@pytest.mark.long
def test_the_page_is_whole_and_needs_nothing_else(measured):
    page = (measured[0] / "l.html").read_text()
    opened, reached = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            opened.append(tag)
            reached.extend(value for name, value in attributes if name in ("src", "href", "xlink:href"))

    Reader().feed(page)
    assert opened.count("svg") == 3 and opened.count("circle") >= 1 and opened.count("table") >= 4
    assert not reached and "script" not in opened and not re.search(r"url\(|@import|http", page)
    assert "nan" not in page.lower().replace("finance", "")


@pytest.mark.long
def test_the_trace_holds_the_measured_frames(measured):
    events = json.loads((measured[0] / "t.json").read_text())["traceEvents"]
    assert sum(e["name"] == "write" for e in events) >= 1


BAD = {
    "a camera": (["loop", "camera"], "only a file can be measured"),
    "no clip": (["loop", "gone.mp4"], "there is no video file gone.mp4"),
    "no folder": (["loop", "--html", "gone/l.html"], "does not exist"),
    "no face": (["loop", "--face", "gone.jpg"], "gone.jpg"),
    "no time": (["loop", "--seconds", "0"], "--seconds"),
}


@pytest.mark.parametrize(("args", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_told_in_one_line(args, words, tmp_path):
    done = bench(*args, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
