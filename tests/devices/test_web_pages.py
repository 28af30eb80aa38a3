"""The pages in a real Chromium with a file as its camera: what they show, what they say, and the way round.

camera file -> page -> browser source -> the real loop, default swap -> WebRTC and Motion JPEG -> pages
"""

from __future__ import annotations

import base64
import threading
import time

import cv2
import numpy as np
import pytest

from live.app import build
from live.frame import Format
from live.local_server.keys import addresses
from live.parts import NothingYet
from live.run import read_run
from live.sinks.mjpeg import Mjpeg
from live.sinks.webrtc import Webrtc
from live.sources.browser import Browser
from live.sources.sample import CLIP
from live.sources.video_file import VideoFile
from tests.browsers import Firefox, chromium, write_y4m
from tests.numbered import HEIGHT, WIDTH, feeding
from tests.time_code import READ_IN_PAGE, burn, read

pytestmark = [pytest.mark.long, pytest.mark.outside]

FIRST, COUNT = 1000, 90

GRAB = """() => {
  const picture = document.getElementById("picture");
  if (picture.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;  // it has its size before its first picture
  const canvas = document.createElement("canvas");
  canvas.width = picture.videoWidth || picture.naturalWidth;
  canvas.height = picture.videoHeight || picture.naturalHeight;
  if (!canvas.width) return null;
  canvas.getContext("2d").drawImage(picture, 0, 0);
  return canvas.toDataURL("image/png").split(",")[1];
}"""


@pytest.fixture(scope="module")
def bare():
    """What the camera sees, with numbers, as it was before any swap."""
    clip = VideoFile(str(CLIP), paced=False)
    clip.open()
    pictures = []
    for number in range(COUNT):
        picture = cv2.resize(clip.read().image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        burn(picture, FIRST + number)
        pictures.append(picture)
    clip.close()
    return pictures


@pytest.fixture(scope="module")
def browser(bare, tmp_path_factory):
    with chromium(write_y4m(tmp_path_factory.mktemp("camera") / "camera.y4m", bare)) as found:
        yield found


@pytest.fixture
def page(browser):
    """Opens pages; any error in their scripts and any request to another place fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    errors, hosts = [], set()

    def open_page(url):
        made = context.new_page()
        made.on("pageerror", lambda error: errors.append(str(error)))
        made.on("request", lambda request: hosts.add(request.url.split("/")[2]))
        made.goto(url, wait_until="commit")
        return made

    yield open_page
    context.close()
    assert not errors
    assert {host.split(":")[0] for host in hosts} <= {"127.0.0.1"}


def grab(page):
    """What the page's picture shows, as BGR; None where there is none (yet, or the page has just lost it)."""
    return decoded(page.evaluate(GRAB))


def decoded(data):
    return None if data is None else cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)


def code(page):
    """The number in the page's picture; 0 where there is none."""
    image = grab(page)
    return (image is not None and read(image)) or 0


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while (found := condition()) is None or found is False:
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


@pytest.mark.parametrize(
    "sink", [Mjpeg(port=0), Webrtc(port=0), Webrtc(port=0, codec="h264")], ids=["mjpeg", "vp8", "h264"]
)
def test_a_watching_page_is_all_picture_and_comes_back_after_a_restart(page, sink, safe_frame):
    sink.open(Format(WIDTH, HEIGHT, 30.0))
    sink.port = int(sink.url.split(":")[2].split("/")[0])
    try:
        with feeding(sink, safe_frame) as newest:
            watching = page(sink.url)
            image = until(lambda: grab(watching))
            assert image.shape == (HEIGHT, WIDTH, 3)
            assert np.abs(image[50:].mean((0, 1)) - (200, 120, 40)).max() < 10
            until(lambda: code(watching) > newest[0] - 15)
            assert watching.evaluate("[scrollX, document.body.scrollHeight - innerHeight]") == [0, 0]
            assert watching.locator("#picture").bounding_box() == {"x": 0, "y": 0, "width": 1280, "height": 800}
            assert not watching.locator("#note").is_visible()
        sink.close()
        until(lambda: "doppelcam has stopped" in watching.locator("#note").inner_text())
        assert not watching.locator("#picture").is_visible()  # no picture stands there as if it were alive
        sink.open(Format(WIDTH, HEIGHT, 30.0))
        with feeding(sink, safe_frame) as newest:
            until(lambda: watching.locator("#picture").is_visible() and code(watching) > newest[0] - 15)
    finally:
        sink.close()


@pytest.mark.parametrize("sink", [Mjpeg(port=0), Webrtc(port=0)], ids=["mjpeg", "vp8"])
def test_firefox_shows_it_too(tmp_path, sink, safe_frame):
    firefox = Firefox(tmp_path)
    sink.open(Format(WIDTH, HEIGHT, 30.0))
    try:
        with feeding(sink, safe_frame) as newest:
            firefox.go(sink.url)
            image = until(lambda: decoded(firefox.js(GRAB)))
            assert np.abs(image[50:].mean((0, 1)) - (200, 120, 40)).max() < 10
            until(lambda: (read(decoded(firefox.js(GRAB))) or 0) > newest[0] - 15)
    finally:
        firefox.close()
        sink.close()


@pytest.fixture
def source():
    part = Browser(port=0, width=WIDTH, height=HEIGHT)
    part.open()
    part.port = int(part.url.split(":")[2].split("/")[0])
    yield part
    part.close()


def numbers(source, count, seconds=60):
    found, end = [], time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < end
        try:
            found.append(read(source.read().image))
        except NothingYet:
            continue
    return found


def stopped(source):
    for _ in range(40):
        try:
            source.read()
        except NothingYet:
            return True
    return False


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_the_page_sends_the_camera_until_it_is_stopped(page, source, codec):
    source.close()
    source.codec = codec
    source.open()
    sending = page(source.url)
    assert sending.evaluate("document.getElementById('view').srcObject") is None  # nothing before it is asked for
    sending.click("#go")
    seen = numbers(source, 30)
    assert None not in seen and set(seen) <= set(range(FIRST, FIRST + COUNT)) and len(set(seen)) > 20
    until(lambda: sending.locator("#note").inner_text() == "Your camera is being sent.")
    sending.click("#go")
    until(lambda: sending.locator("#note").inner_text() == "Stopped. Nothing is sent.")
    assert stopped(source) and sending.evaluate("document.getElementById('view').srcObject") is None
    sending.click("#go")
    numbers(source, 3)


def test_a_closed_page_is_noticed_and_opened_again_it_goes_on(page, source):
    sending = page(source.url)
    sending.click("#go")
    numbers(source, 3)
    sending.close(run_before_unload=False)
    until(lambda: stopped(source))
    again = page(source.url)
    again.click("#go")
    numbers(source, 3)


def test_after_a_restart_of_doppelcam_the_page_goes_on_by_itself(page, source):
    sending = page(source.url)
    sending.click("#go")
    numbers(source, 3)
    source.close()
    until(lambda: "Trying again" in sending.locator("#note").inner_text())
    source.open()
    numbers(source, 3)


def test_the_page_that_came_last_sends_and_the_other_one_says_so(page, source):
    first = page(source.url)
    first.click("#go")
    numbers(source, 3)
    second = page(source.url)
    second.click("#go")
    until(lambda: "Another page sends" in first.locator("#note").inner_text())
    numbers(source, 3)
    assert second.locator("#note").inner_text() == "Your camera is being sent."


@pytest.mark.skipif(not addresses(), reason="this machine has no network but loopback")
def test_another_device_sends_its_camera_by_https(browser):
    source = Browser(port=0, width=WIDTH, height=HEIGHT, lan=True)
    source.open()
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 390, "height": 844})
    try:
        phone = context.new_page()
        phone.goto(source.url)
        phone.click("#go")
        assert None not in numbers(source, 20)
        peer = next(iter(source._peers._here.values()))
        ours = [c.ip for c in peer.getReceivers()[0].transport.transport.iceGatherer.getLocalCandidates()]
        assert ours == [source.url.split("/")[2].split(":")[0]]  # the address it came by, and no other
    finally:
        context.close()
        source.close()


def test_the_way_round_shows_swapped_faces_and_never_the_bare_one(page, bare):
    sizes = [f"sources.browser.{key}={value}" for key, value in {"width": WIDTH, "height": HEIGHT}.items()]
    run = read_run(None, sizes, {"source": "browser:0", "face": "sample:lena", "sink": ["webrtc:0", "mjpeg:0"]})
    loop = build(run)
    trouble = []

    def work():
        try:
            loop.run()
        except Exception as error:
            trouble.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        sinks = list(loop.parts.sinks.values())
        until(lambda: trouble or all(part.url for part in [loop.parts.source, *sinks]), 100)
        assert not trouble
        sending = page(loop.parts.source.url)
        watching = [page(sink.url) for sink in sinks]
        for each in watching:
            each.evaluate(READ_IN_PAGE)
            cover = until(lambda each=each: grab(each))
            assert read(cover) is None  # "waiting for the browser's camera"
        sending.click("#go")
        for each in watching:
            swapped = blurred = 0
            for _ in range(40):
                image = grab(each)
                number = None if image is None else read(image)
                if number is None:  # still the cover: few colours, no face
                    assert image is None or len(np.unique(image.reshape(-1, 3), axis=0)) < 3000
                    time.sleep(0.2)
                    continue
                face, around = apart(image, bare[number - FIRST])
                blurred += around >= 8  # browsers begin with little and coarse data
                assert face > 10, f"the bare face of picture {number}"
                swapped += 1
            assert swapped >= 20 and blurred <= 5
    finally:
        loop.stop()
        thread.join(30)
    report = loop.ledger.report()
    assert not trouble and not report["errors"]
    assert report["covers"]["waiting for the browser's camera"] > 0


def apart(image, bare):
    """How far a picture is from the bare one, in grey levels: in the middle of the face, and in the background
    where neither label nor banner lies."""
    far = cv2.absdiff(cv2.blur(image, (3, 3)), cv2.blur(bare, (3, 3))).mean(2)
    return far[130:260, 270:370].mean(), far[40:290, :150].mean()
