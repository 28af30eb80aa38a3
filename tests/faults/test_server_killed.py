"""A real model server is killed in mid-stream and started again: cover, no bare face, and then the swap goes on."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from engines.door import RUNTIMES
from engines.errors import NotAvailable
from live.app import loop_of, parts_of
from live.cover import draw_cover
from live.finders import mediapipe_mesh
from live.frame import Captured, Format
from live.run import Run
from live.sources.sample import Sample
from live.trace import clock

MODELS = Path(mediapipe_mesh.__file__).parents[1] / "models"
NETS = ("face_detector", "face_mesh", "iris", "occlusion")

if (reason := RUNTIMES.why_not("open_inference")) is not None:
    pytest.skip(reason.message, allow_module_level=True)


@dataclass
class ShortSample:
    """Source: the first frames of the sample clip, to and fro without an end, 15 a second."""

    pictures: list[np.ndarray] = field(default_factory=list)
    number: int = 0

    def open(self):
        sample = Sample(paced=False)
        format = sample.open()
        self.pictures = [sample.read().image for _ in range(30)]
        sample.close()
        return Format(format.width, format.height, 15.0, None)

    def read(self):
        threading.Event().wait(1 / 15)
        place = self.number % 58
        self.number += 1
        return Captured(self.pictures[min(place, 58 - place)].copy(), clock(), self.number / 15)

    def close(self):
        pass


@dataclass
class Viewer:
    """Sink that keeps every picture with its state."""

    seen: list[tuple[str, np.ndarray]] = field(default_factory=list)

    def open(self, format):
        pass

    def write(self, frame):
        self.seen.append((frame.state, frame.image))

    def close(self):
        pass

    def count(self, state, since):
        """How many pictures in this state came since then."""
        return sum(seen == state for seen, _ in self.seen[since:])


def run(server, viewer, status, **settings):
    """A loop whose nets all run on the server, the finder's on one thread and the swapper's on another."""
    made = Run(face="sample", sinks=["null"], engine=f"open_inference:{server.address}?timeout_ms=5000")
    made.tree = {"loop": {"stall_ms": 150, **settings}}
    source = ShortSample()
    loop = loop_of(made, replace(parts_of(made), source=source, sinks={"viewer": viewer}))
    loop.run(seconds=90, status=lambda: status(loop))
    return loop.ledger.report(), source


@pytest.fixture(scope="module")
def server(serve):
    return serve({name: next((MODELS / name).glob("*.onnx")).read_bytes() for name in NETS})


def test_the_cover_is_shown_while_the_server_is_dead_and_the_swap_goes_on_when_it_is_back(server, monkeypatch):
    monkeypatch.setattr("live.reopen.PAUSES_S", (0.1, 0.2))
    viewer, marks = Viewer(), []

    def status(loop):
        if not marks and viewer.count("live", 0) >= 8:
            server.kill()
            marks.append(len(viewer.seen))
        elif len(marks) == 1 and viewer.count("cover", marks[0]) >= 5:
            marks.append(len(viewer.seen))
            server.start()
        elif len(marks) == 2 and viewer.count("live", marks[1]) >= 8:
            loop.stop()

    report, source = run(server, viewer, status)
    states = [state for state, _ in viewer.seen]
    assert len(marks) == 2 and viewer.count("live", marks[1]) >= 8, report
    killed = states.index("cover", marks[0])
    back = states.index("live", marks[1])
    assert back - killed >= 5 and set(states[killed:back]) == {"cover"}
    assert report["engine_lost"] >= 1 and report["covers"]["engine lost, looking for it"] >= 5
    assert all("open_inference" in facts["runs_on"] for facts in report["engines"].values())
    assert_no_bare_face(viewer, source, report)


def assert_no_bare_face(viewer, source, report):
    """Covers are drawn ones, and no swapped picture has the camera's own pixels in the middle of the face."""
    height, width = source.pictures[0].shape[:2]
    slates = [draw_cover(width, height, reason) for reason in report["covers"]]
    middle = np.s_[height // 3 : height * 2 // 3, width * 2 // 5 : width * 3 // 5]
    for state, picture in viewer.seen:
        if state == "cover":
            assert any(np.array_equal(picture, slate) for slate in slates)
        else:
            assert not any(np.array_equal(picture[middle], bare[middle]) for bare in source.pictures)


def test_without_a_server_nothing_starts(server):
    server.kill()
    viewer = Viewer()
    try:
        with pytest.raises(NotAvailable, match="no model server answers"):
            run(server, viewer, lambda loop: None)
    finally:
        server.start()
    assert viewer.seen == []
