"""The browser source, fed by a client that is no browser: who sends, who left, what fits."""

from __future__ import annotations

import time

import httpx
import numpy as np
import pytest

from engines.errors import BadInput, SourceLost
from live.parts import NothingYet
from live.sources.browser import Browser, fit
from tests.time_code import burn, read
from tests.webrtc_clients import offer_of, sending

WIDTH, HEIGHT = 640, 360


def numbered(number, width=WIDTH, height=HEIGHT, colour=(200, 120, 40)):
    image = np.full((height, width, 3), colour, np.uint8)
    burn(image, number)
    return image


@pytest.fixture
def source():
    part = Browser(port=0, width=WIDTH, height=HEIGHT)
    part.open()
    yield part
    part.close()


def whip(source):
    return source.url + "whip"


def pictures(source, count, seconds=60):
    """The next pictures; what it says while there is none goes unheard."""
    found, end = [], time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} pictures came"
        try:
            found.append(source.read())
        except NothingYet:
            continue
    return found


def test_it_opens_at_once_with_the_size_that_was_asked_for():
    source = Browser(port=0, width=800, height=608, fps=25)
    format = source.open()
    source.close()
    assert (format.width, format.height, format.fps, format.sound) == (800, 608, 25.0, None)


def test_until_somebody_sends_it_says_what_it_waits_for(source):
    with pytest.raises(NothingYet, match="waiting for the browser's camera"):
        source.read()


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_pictures_arrive_with_their_colours_and_times(codec):
    source = Browser(port=0, width=WIDTH, height=HEIGHT, codec=codec)
    source.open()
    with sending(whip(source), numbered):
        captured = pictures(source, 15)
    source.close()
    numbers = [read(c.image) for c in captured]
    assert None not in numbers and numbers == sorted(set(numbers))
    assert np.abs(captured[-1].image[50:].mean((0, 1)) - (200, 120, 40)).max() < 10
    times = [c.captured_ns for c in captured]
    assert times == sorted(set(times))
    assert captured[0].position_s == 0 and captured[-1].position_s == (times[-1] - times[0]) / 1e9
    assert captured[-1].image.flags.writeable


def test_a_slow_reader_gets_the_newest_picture(source):
    with sending(whip(source), numbered):
        first = read(pictures(source, 1)[0].image)
        time.sleep(0.7)
        assert read(pictures(source, 1)[0].image) >= first + 3  # not the next one in a queue


def test_when_the_sender_leaves_it_says_so_and_the_next_one_goes_on(source):
    with sending(whip(source), numbered):
        last = pictures(source, 2)[-1]
    with pytest.raises(NothingYet, match="has stopped"):
        for _ in range(40):
            source.read()
    with sending(whip(source), lambda n: numbered(5000 + n)):
        after = pictures(source, 2)
    assert read(after[-1].image) >= 5000
    assert after[0].position_s > last.position_s


def test_a_new_sender_takes_over(source):
    with sending(whip(source), numbered):
        pictures(source, 2)
        with sending(whip(source), lambda n: numbered(5000 + n)):
            pictures(source, 3)
            numbers = [read(c.image) for c in pictures(source, 10)]
    assert min(numbers[3:]) >= 5000


def test_sound_is_not_taken(source):
    with sending(whip(source), numbered, sound=True):
        assert len(pictures(source, 3)) == 3
        peer = next(iter(source._peers._here.values()))
        assert {t.kind: t.currentDirection for t in peer.getTransceivers()} == {
            "video": "recvonly",
            "audio": "inactive",
        }


def test_a_picture_of_another_shape_is_fitted_in(source):
    with sending(whip(source), lambda n: np.full((640, 360, 3), 200, np.uint8)):
        image = pictures(source, 2)[-1].image
    assert image.shape == (HEIGHT, WIDTH, 3)
    columns = image.mean((0, 2))
    assert columns[:200].max() < 12 and columns[-200:].max() < 12 and columns[WIDTH // 2] > 180


@pytest.mark.parametrize(
    ("shape", "box"),
    [((360, 640), (0, 0, 640, 360)), ((720, 1280), (0, 0, 640, 360)), ((480, 480), (140, 0, 500, 360)),
     ((100, 640), (0, 130, 640, 230)), ((1, 4000), (0, 179, 640, 180)), ((358, 640), (0, 1, 640, 359))],
)  # fmt: skip
def test_the_whole_picture_is_kept_in_its_shape(shape, box):
    fitted = fit(np.full((*shape, 3), 255, np.uint8), 640, 360)
    x0, y0, x1, y1 = box
    assert fitted.shape == (360, 640, 3)
    assert fitted[y0:y1, x0:x1].min() == 255
    assert int((fitted > 0).all(2).sum()) == (x1 - x0) * (y1 - y0)


def test_the_page_is_told_what_is_asked_for_and_whether_somebody_sends(source):
    asked = {"width": WIDTH, "height": HEIGHT, "fps": 30, "bitrate": 4000}
    state = source.url + "state"
    assert httpx.get(state).json() == {**asked, "sending": False}
    with sending(whip(source), numbered):
        assert httpx.get(state).json() == {**asked, "sending": True}


def test_a_bad_offer_does_not_throw_out_who_sends(source):
    with sending(whip(source), numbered):
        pictures(source, 1)
        assert httpx.post(whip(source), content="hello").status_code == 400
        assert httpx.post(whip(source), content=offer_of("audio")).status_code == 400
        assert len(pictures(source, 3)) == 3


def test_closed_and_opened_again_it_forgets_who_sent(source):
    with sending(whip(source), numbered):
        pictures(source, 1)
        source.close()
    source.open()
    with pytest.raises(NothingYet, match="waiting"):
        source.read()


def test_a_port_in_use_is_bad_input(source):
    other = Browser(port=int(whip(source).split(":")[2].split("/")[0]))
    with pytest.raises(BadInput, match="browser cannot listen"):
        other.open()
    other.close()


def test_a_server_that_ended_is_a_lost_source(source):
    source._server.stop()
    with pytest.raises(SourceLost):
        source.read()
