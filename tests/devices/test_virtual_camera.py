"""A fed camera -> doppelcam -> v4l2loopback -> ffmpeg, for real: what a meeting program would get."""

from __future__ import annotations

import json
import os
import subprocess
import time

import cv2
import numpy as np

from tests.devices.bed import CAMERA, OTHER, VIRTUAL

START_S = 120  # the first start measures engines and compiles


def test_the_face_that_arrives_is_swapped_and_on_time(feed, doppelcam, look, kept, record_property):
    feed()
    running = doppelcam("--sink", f"virtual:{VIRTUAL}", "--report", kept / "report.json")
    consumer = look(VIRTUAL)
    start = consumer.until("live", START_S)
    assert {f.kind for f in start.frames} <= {"cover", "live", "torn"}
    consumer.watch(2)
    seen = consumer.watch(10)
    cv2.imwrite(str(kept / "last.png"), consumer.luma)
    assert running.end() == 0, running.said()
    for what, value in seen.figures().items():
        record_property(what, value)
    report = json.loads((kept / "report.json").read_text())
    record_property("steps", {step: s["p50"] for step, s in report["steps_ms"].items()})
    record_property("own_age", report["age_ms"])
    record_property("drops", report["dropped"])
    assert not seen.bare and not start.bare
    assert not seen.of("unreadable", "cover")
    assert len(seen.of("torn")) <= len(seen.frames) // 20  # by v4l2loopback, see the README
    assert len({f.number for f in seen.of("live")}) > 100
    assert seen.fresh_fps() > 15 and seen.age_ms(50) < 100  # what a busy machine must give, too
