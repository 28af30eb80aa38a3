"""How old a picture is that a browser shows: `python -m tests.bench.web_latency {round|mjpeg} [WIDTH HEIGHT] [CODEC]`.

round: Chromium's camera file -> page -> browser source -> the loop, default swap -> WebRTC sink -> another page of that
Chromium; from the camera's frame in the first page to the picture in the second one. mjpeg: from the write of a picture
that holds the time to its reading, by ffmpeg's reader (PyAV) in another process, and by a page.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np

from live import frame as values
from live.app import build
from live.frame import Format, SafeFrame
from live.run import read_run
from live.sinks.mjpeg import Mjpeg
from live.sources.sample import CLIP
from live.sources.video_file import VideoFile
from tests.browsers import chromium, write_y4m
from tests.time_code import READ_IN_PAGE, burn, read

SECONDS, FIRST = 15, 1000

SENT = """() => { globalThis.seen = [];
  const track = document.getElementById("view").srcObject.getVideoTracks()[0].clone();
  const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 1 }).readable.getReader();
  (async () => { for (;;) { const { value } = await reader.read();
    seen.push([readCode(value, value.codedWidth), performance.timeOrigin + performance.now()]);
    value.close(); } })(); }"""
SHOWN = """() => { globalThis.seen = []; const video = document.getElementById("picture");
  const step = () => { seen.push([readCode(video, video.videoWidth), performance.timeOrigin + performance.now()]);
    video.requestVideoFrameCallback(step); };
  video.requestVideoFrameCallback(step); }"""
SHOWN_IMAGE = """() => { globalThis.seen = []; const picture = document.getElementById("picture"); let last = null;
  const step = () => { const code = readCode(picture, picture.naturalWidth);
    if (code !== last) seen.push([code, performance.timeOrigin + performance.now()]);
    last = code; requestAnimationFrame(step); };
  step(); }"""


def clip(width, height, count=90):
    file = VideoFile(str(CLIP), paced=False)
    file.open()
    pictures = [cv2.resize(file.read().image, (width, height), interpolation=cv2.INTER_AREA) for _ in range(count)]
    file.close()
    return pictures


def tell(name, numbers, ages):
    p50, p95, worst = np.percentile(ages, [50, 95, 100])
    print(  # noqa: T201
        f"{name}: {len(numbers) / SECONDS:.1f} pictures a second, {numbers.count(None)} undecodable, "
        f"age p50 {p50:.0f} ms, p95 {p95:.0f} ms, worst {worst:.0f} ms"
    )


def way_round(width, height, codec):
    pictures = clip(width, height)
    for number, picture in enumerate(pictures):
        burn(picture, FIRST + number)
    camera = write_y4m(Path(tempfile.mkdtemp()) / "camera.y4m", pictures)
    sets = [f"sources.browser.width={width}", f"sources.browser.height={height}"]
    sets += [f"sources.browser.codec={codec}", f"sinks.webrtc.codec={codec}"]
    loop = build(read_run(None, sets, {"source": "browser:0", "face": "sample", "sink": ["webrtc:0"]}))
    thread = threading.Thread(target=loop.run)
    thread.start()
    sink = loop.parts.sinks["webrtc:0"]
    while not sink.url:
        time.sleep(0.1)
    with chromium(camera) as browser:
        context = browser.new_context()
        sending, watching = context.new_page(), context.new_page()
        for page, url in ((sending, loop.parts.source.url), (watching, sink.url)):
            page.goto(url)
            page.evaluate(READ_IN_PAGE)
        sending.click("#go")
        time.sleep(6)
        sending.evaluate(SENT)
        watching.evaluate(SHOWN)
        time.sleep(SECONDS)
        sent, shown = sending.evaluate("seen"), watching.evaluate("seen")
    loop.stop()
    thread.join()
    ages = []
    for number, at in shown:
        before = [then for n, then in sent if n == number and then <= at]
        if number is not None and before:
            ages.append(at - before[-1])
    tell(f"way round {width}x{height} {codec}", [number for number, _ in shown], ages)
    report = loop.ledger.report()
    print(f"  of that in the loop, with the swap: {report['age_ms']}")  # noqa: T201


def now_ms():
    return int(time.time() * 1000) & 0xFFFFFFFF


def mjpeg(width, height):
    sink = Mjpeg(port=0)
    sink.open(Format(width, height, 30.0))
    pictures, over = clip(width, height), threading.Event()

    def feed():
        due = time.monotonic()
        for number in range(1_000_000):
            picture = pictures[number % len(pictures)].copy()
            burn(picture, now_ms())
            sink.write(SafeFrame(values._GUARDS_KEY, picture, "live", number / 30, None))
            due += 1 / 30
            if over.wait(max(0, due - time.monotonic())):
                return

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        reader = [sys.executable, "-m", "tests.bench.web_latency", "read", sink.url + "stream.mjpg"]
        subprocess.run(reader, check=True)
        with chromium() as browser:
            page = browser.new_page()
            page.goto(sink.url, wait_until="commit")
            time.sleep(3)
            page.evaluate(READ_IN_PAGE)
            page.evaluate(SHOWN_IMAGE)
            time.sleep(SECONDS)
            seen = page.evaluate("seen")
        ages = [int(at) % 2**32 - number for number, at in seen if number is not None]
        tell("page in Chromium", [number for number, _ in seen], ages)
    finally:
        over.set()
        thread.join()
        sink.close()


def read_stream(url):
    import av

    numbers, ages = [], []
    with av.open(url, format="mpjpeg", options={"fflags": "nobuffer"}) as container:
        begun = time.monotonic()
        for frame in container.decode(video=0):
            number = read(frame.to_ndarray(format="bgr24"))
            if time.monotonic() > begun + 2:
                numbers.append(number)
                ages += [now_ms() - number] if number is not None else []
            if time.monotonic() > begun + 2 + SECONDS:
                break
    tell("ffmpeg's reader", numbers, ages)


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "read":
        read_stream(rest[0])
    else:
        size = [int(value) for value in rest[:2]] or ([640, 360] if what == "round" else [1280, 720])
        if what == "round":
            way_round(*size, rest[2] if len(rest) > 2 else "vp8")
        else:
            mjpeg(*size)
