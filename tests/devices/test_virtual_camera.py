"""A fed camera -> doppelcam -> v4l2loopback -> ffmpeg, for real: what a meeting program would get."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import cv2

from live import sentinel, v4l2
from tests.devices.bed import OTHER, VIRTUAL

START_S = 180  # the first start measures engines and compiles


def owned(device):
    """Wait until a doppelcam has this device: after a run, its sentinel shows a cover there already."""
    end = time.monotonic() + START_S
    while str(device) not in sentinel.held() or sentinel.waits(str(device)):
        assert time.monotonic() < end
        time.sleep(0.1)


def steadily_live(consumer):
    """All frames up to two seconds without a cover: soon after a start the bed stands still again and again."""
    end, seen = time.monotonic() + START_S, consumer.until("live", START_S)
    while time.monotonic() < end:
        part = consumer.watch(2)
        seen.frames += part.frames
        if {f.kind for f in part.frames} == {"live"}:
            return seen
    raise TimeoutError("it stands still too often")


def test_the_face_that_arrives_is_swapped_and_on_time(feed, doppelcam, look, kept, record_property):
    feed()
    running = doppelcam("--sink", f"virtual:{VIRTUAL}", "--report", kept / "report.json")
    consumer = look(VIRTUAL)
    assert consumer.next().kind == "cover"  # long before the nets are loaded
    start = consumer.until("live", START_S)
    assert {f.kind for f in start.frames} <= {"cover", "live", "torn"}
    consumer.watch(6)  # pages of memory touched for the first time are slow in there: half a second a step
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
    assert not seen.of("unreadable")
    # Torn ones are the driver's, which locks nothing; covers come when the machine stands still for half a second.
    assert len(seen.of("torn", "cover")) <= len(seen.frames) // 10
    assert len({f.number for f in seen.of("live")}) > 40
    assert seen.fresh_fps() > 8 and seen.age_ms(50) < 300  # what a busy machine must give, too


def test_a_sentinel_keeps_the_camera_through_stop_kill_start_and_end_until_it_is_released(
    feed, doppelcam, look, record_property
):
    feed()
    killed = doppelcam("--sink", f"virtual:{VIRTUAL}")
    consumer = look(VIRTUAL)
    seen = []
    for how in (signal.SIGSTOP, signal.SIGKILL):
        seen.append(steadily_live(consumer))
        since = time.monotonic()
        killed.process.send_signal(how)
        seen.append(consumer.until("cover", 20))
        record_property(f"covered_after_{how.name}_ms", round((time.monotonic() - since) * 1000))
        stays = consumer.watch(2)
        assert {f.kind for f in stays.frames} == {"cover"}
        # Whoever looks sees a camera that lives; the driver alone shows its picture once a second.
        assert len(stays.frames) >= 3 and stays.longest_gap_ms() < 900, killed.said()
        if how == signal.SIGSTOP:
            killed.process.send_signal(signal.SIGCONT)
    killed.process.wait()
    assert sentinel.held() == [str(VIRTUAL)] and sentinel.waits(str(VIRTUAL))
    running = doppelcam("--sink", f"virtual:{VIRTUAL}")
    seen += [consumer.until("live", START_S), consumer.watch(1)]
    assert not sentinel.waits(str(VIRTUAL)) and not sentinel.release(str(VIRTUAL))
    assert running.end() == 0, running.said()
    assert "doppelcam release" in running.said()
    # An orderly end leaves a cover, and nothing after it.
    seen += [consumer.until("cover", START_S), after := consumer.watch(2)]
    assert {f.kind for f in after.frames} == {"cover"}
    assert not any(part.bare or part.of("unreadable") for part in seen)
    consumer.close()
    time.sleep(1)
    assert not v4l2.ask(str(VIRTUAL)).caps & v4l2.CAP_OUTPUT  # there for meeting programs, also where nobody looks
    release = [sys.executable, "-c", "from live.cli import main; main()", "release"]
    done = subprocess.run(release, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and f"{VIRTUAL} is free" in done.stdout
    assert v4l2.ask(str(VIRTUAL)).caps & v4l2.CAP_OUTPUT  # waits for its next writer


def test_without_a_sentinel_the_driver_still_covers(feed, doppelcam, look, record_property):
    feed()
    killed = doppelcam("--sink", f"virtual:{VIRTUAL}")
    consumer = look(VIRTUAL)
    consumer.until("live", START_S)
    (watching,) = [number for number, name in v4l2.holders(str(VIRTUAL))[0] if name == "doppelcam-cover"]
    for number in (watching, killed.process.pid):
        os.kill(number, signal.SIGKILL)
    since = time.monotonic()
    covered = consumer.until("cover", 20)
    record_property("covered_by_the_driver_s", round(time.monotonic() - since, 2))
    assert not covered.bare


def test_a_run_that_shall_not_stay_leaves_nothing(feed, doppelcam, look):
    feed()
    running = doppelcam("--sink", f"virtual:{VIRTUAL}", "--set", "sinks.virtual_camera.stay=false")
    look(VIRTUAL).until("live", START_S)
    assert running.end() == 0, running.said()
    assert sentinel.held() == [] and "doppelcam release" not in running.said()


def test_after_a_kill_and_after_a_stop_the_device_is_there_for_the_next(feed, doppelcam, look):
    # A writer that never streams leaves 0.12 neither CAPTURE nor OUTPUT: pyvirtualcam fails on it for ever.
    words = "ffmpeg -loglevel error -f lavfi -i testsrc=size=640x360:rate=30 -frames:v 5 -pix_fmt yuyv422 -f v4l2"
    subprocess.run([*words.split(), str(VIRTUAL)], check=False, timeout=20)
    feed()
    for how in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
        running = doppelcam("--sink", f"virtual:{VIRTUAL}")
        owned(VIRTUAL)
        consumer = look(VIRTUAL)
        consumer.until("cover", START_S)
        consumer.close()
        assert running.end(how) == (-how if how == signal.SIGKILL else 0), running.said()


def test_an_unplugged_camera_is_covered_and_back_in_time(feed, doppelcam, look, record_property):
    webcam = feed()
    running = doppelcam("--sink", f"virtual:{VIRTUAL}")
    consumer = look(VIRTUAL)
    consumer.until("live", START_S)
    consumer.watch(1)
    webcam.kill()
    webcam.wait()
    gone = consumer.until("cover", START_S)
    gone.frames += consumer.watch(2).frames  # on a busy machine a picture that was under way may come late
    away = consumer.watch(2)
    assert {f.kind for f in away.frames} == {"cover"} and not gone.bare
    feed()  # prints "ready" when its first frame is in
    replugged = time.monotonic()
    back = consumer.until("live", START_S)
    took_s = time.monotonic() - replugged
    record_property("picture_back_s", round(took_s, 2))
    assert not back.bare and not consumer.watch(2).bare
    assert took_s < 10
    assert running.end() == 0, running.said()


def test_which_device_is_taken_and_who_has_it(feed, doppelcam, look):
    feed()
    named = doppelcam("--sink", "virtual")
    look(VIRTUAL).until("cover", START_S)
    other = doppelcam("--sink", "virtual:other")
    look(OTHER).until("cover", START_S)
    refused = doppelcam("--sink", "virtual")
    assert refused.process.wait(START_S) == 2
    assert f"{VIRTUAL} is written to by another program (" in refused.said()
    assert f"doppelcam, process {named.process.pid}" in refused.said()
    for running in (named, other):
        assert running.end() == 0, running.said()
