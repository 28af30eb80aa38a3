"""The challenge before the camera to its end: somebody does what the panel asks for, and somebody does not.

The pictures are those of the sample clip, in the order that the challenge takes: nothing of it is replaced.
"""

from __future__ import annotations

from itertools import count

import cv2
import httpx
import pytest

from live.frame import Captured
from live.panel import show as module
from live.personas.challenge import WORDS
from live.personas.packs import user_packs
from live.sources.sample import Sample
from live.trace import clock
from tests.live.panel.conftest import SOON_S, live, say, until

pytestmark = pytest.mark.long

# The clip's pictures in which its person does this.
DOES = {
    WORDS["straight"]: range(24, 36),
    WORDS["left"]: range(118, 128),
    WORDS["right"]: range(146, 156),
    WORDS["blink"]: (67, 68),
}


class Actor(Sample):
    """A camera before which somebody does what the panel says; `obeys` tells what instead."""

    __module__ = "tests.camera"  # the kind of a part is the name of its file

    def __init__(self, told, obeys=lambda words: words):
        super().__init__(paced=False)
        self._told, self._obeys = told, obeys
        self.asked = []

    def open(self):
        format, self._clip, self._n = super().open(), [], count()
        while len(self._clip) < 160:
            self._clip.append(super().read().image)
        return format

    def read(self):
        words, n = self._told(), next(self._n)
        if words and words not in self.asked[-1:]:
            self.asked.append(words)
        places = DOES.get(self._obeys(words), DOES[WORDS["straight"]])
        return Captured(self._clip[places[n % len(places)]].copy(), clock(), n / 30)


@pytest.fixture(autouse=True)
def _own_faces(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


@pytest.fixture
def dropped(panel):
    """A photo of the clip's person, dropped on the page."""
    clip = Sample(paced=False)
    clip.open()
    done, data = cv2.imencode(".png", clip.read().image)
    clip.close()
    assert done
    return httpx.post(panel.url + "photo?name=me.png", content=data.tobytes(), timeout=SOON_S).json()


def before_the_camera(panel, monkeypatch, **more):
    actor = Actor(lambda: panel.show.state()["task"], **more)
    with monkeypatch.context() as patch:
        patch.setattr(module, "source_of", lambda run: actor)
        yield actor


@pytest.fixture
def actor(panel, monkeypatch):
    yield from before_the_camera(panel, monkeypatch)


@pytest.fixture
def stubborn(panel, monkeypatch):
    """Turns to the other side."""
    other = {WORDS["left"]: WORDS["right"], WORDS["right"]: WORDS["left"]}
    yield from before_the_camera(panel, monkeypatch, obeys=lambda words: other.get(words, words))


def test_who_does_what_is_asked_has_their_face_kept_and_the_show_goes_on(panel, dropped, actor):
    before = panel.show._loop
    status, kept = say(panel, "POST", "faces", {**dropped, "name": "me", "how": "self"})
    assert status == 200, kept
    assert (kept["id"], kept["disclosure"]) == ("me", "self")
    assert "live challenge" in user_packs().open("me").how and "matched to the photo" in kept["how"]
    assert {WORDS["left"], WORDS["right"], WORDS["blink"]} <= set(actor.asked) and len(actor.asked) >= 8
    assert panel.show.state()["task"] == "" and actor._container is None
    until(lambda: panel.show._loop not in (None, before))
    live(panel)
    assert say(panel, "POST", "wear", {"face": "me"})[0] == 200
    until(lambda: (panel.show.state()["worn"] or {}) == {"name": "me", "disclosure": "self"})
    say(panel, "POST", "wear", {"face": "sample:joel"})
    until(lambda: panel.show.state()["worn"]["name"] == "joel")


def test_who_does_something_else_is_told_why_and_nothing_is_kept(panel, dropped, stubborn):
    status, told = say(panel, "POST", "faces", {**dropped, "name": "me", "how": "self"})
    assert status == 400 and "the head was turned when it was asked to" in told["message"]
    assert user_packs().names() == [] and panel.show.state()["task"] == ""
    live(panel)
    again = say(panel, "POST", "faces", {**dropped, "name": "me", "how": "synthetic"})  # the photo is still there
    assert again[0] == 200
