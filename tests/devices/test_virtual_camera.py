"""A fed camera -> doppelcam -> v4l2loopback -> ffmpeg, for real: what a meeting program would get."""

from __future__ import annotations

import json
import subprocess
import time

import cv2

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


def test_the_camera_is_there_with_a_cover_before_the_nets_are_loaded(feed, doppelcam, look):
    feed()
    running = doppelcam("--sink", f"virtual:{VIRTUAL}")
    consumer = look(VIRTUAL)
    seen = consumer.until("cover", 10)
    assert {f.kind for f in seen.frames} == {"cover"}
    consumer.until("live", START_S)
    assert running.end() == 0, running.said()


def test_a_program_that_looks_on_keeps_its_picture_through_stop_kill_and_start(feed, doppelcam, look, record_property):
    feed()
    first = doppelcam("--sink", f"virtual:{VIRTUAL}")
    consumer = look(VIRTUAL)
    consumer.until("live", START_S)
    assert first.end() == 0, first.said()
    # The last picture is a cover, and nothing but covers came after the last live one.
    second = doppelcam("--sink", f"virtual:{VIRTUAL}")
    between = consumer.until("cover", 20)
    consumer.until("live", START_S)
    assert not between.bare
    second.process.kill()
    second.process.wait()
    killed = time.monotonic()
    covered = consumer.until("cover", 10)  # by the driver: nothing of doppelcam is left
    record_property("covered_after_kill_s", round(time.monotonic() - killed, 2))
    assert not covered.bare
    third = doppelcam("--sink", f"virtual:{VIRTUAL}")
    consumer.until("live", START_S)
    assert not consumer.watch(2).bare
    assert third.end() == 0, third.said()


def test_after_kill_9_and_after_a_stop_the_device_is_there_for_the_next(feed, doppelcam, look):
    feed()
    for how in ("kill", "stop", "kill"):
        running = doppelcam("--sink", f"virtual:{VIRTUAL}")
        consumer = look(VIRTUAL)
        consumer.until("live", START_S)
        consumer.close()
        if how == "kill":
            running.process.kill()
            running.process.wait()
        else:
            assert running.end() == 0, running.said()


def test_an_unplugged_camera_is_covered_and_back_in_time(feed, doppelcam, look, record_property):
    webcam = feed()
    running = doppelcam("--sink", f"virtual:{VIRTUAL}")
    consumer = look(VIRTUAL)
    consumer.until("live", START_S)
    consumer.watch(1)
    webcam.kill()
    webcam.wait()
    gone = consumer.until("cover", 5)
    away = consumer.watch(3)
    assert {f.kind for f in away.frames} == {"cover"} and not gone.bare
    feed()  # prints "ready" when its first frame is in
    replugged = time.monotonic()
    back = consumer.until("live", 20)
    took_s = time.monotonic() - replugged
    record_property("picture_back_s", round(took_s, 2))
    assert not back.bare and not consumer.watch(2).bare
    assert took_s < 5
    assert running.end() == 0, running.said()


def test_a_device_in_use_is_refused_and_who_uses_it_is_named(feed, doppelcam, look):
    feed()
    first = doppelcam("--sink", f"virtual:{VIRTUAL}")
    look(VIRTUAL).until("live", START_S)
    second = doppelcam("--sink", f"virtual:{VIRTUAL}")
    assert second.process.wait(60) == 2
    assert f"{VIRTUAL} is written to by another program (" in second.said()
    assert f"process {first.process.pid})" in second.said()
    assert first.end() == 0, first.said()


def test_a_device_that_another_program_left_stuck_is_freed(feed, doppelcam, look):
    # A writer that never streams leaves 0.12 neither CAPTURE nor OUTPUT: pyvirtualcam fails on it for ever.
    words = "ffmpeg -loglevel error -f lavfi -i testsrc=size=640x360:rate=30 -frames:v 5 -pix_fmt yuyv422 -f v4l2"
    for _ in range(2):
        subprocess.run([*words.split(), str(VIRTUAL)], check=False, timeout=20)
    feed()
    running = doppelcam("--sink", f"virtual:{VIRTUAL}")
    look(VIRTUAL).until("live", START_S)
    assert running.end() == 0, running.said()


def test_without_a_name_the_camera_called_doppelcam_is_taken(feed, doppelcam, look):
    feed()
    running = doppelcam("--sink", "virtual")
    look(VIRTUAL).until("cover", 20)
    assert running.end() == 0, running.said()
    named = doppelcam("--sink", "virtual:other")
    look(OTHER).until("cover", 20)
    assert named.end() == 0, named.said()


def test_doppelcams_own_camera_is_no_source(doppelcam):
    running = doppelcam("--sink", f"virtual:{CAMERA}")
    assert running.process.wait(60) == 2
