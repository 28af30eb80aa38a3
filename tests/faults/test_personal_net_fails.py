"""A personal engine whose net fails in a running loop: the mesh swap is shown; where both fail, a cover is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import pytest

from engines.errors import EngineError, EngineLost
from live.align import CORE, face_from_mesh
from live.blenders.feather import Feather
from live.frame import Captured, Face, Format, Persona
from live.parts import EndOfSource
from live.personas import open_persona
from live.swappers.mesh import Mesh
from live.swappers.personal import Personal
from live.swappers.trained.net import Net
from live.trace import clock
from tests.doubles import make_loop
from tests.personal_nets import SIZE, known_looks, make_personal

FRAMES = 24
FAULTY = {5, 6, 7, 12, 18}
SCALE = 0.5


@dataclass
class StillCamera:
    image: np.ndarray
    number: int = 0

    def open(self):
        return Format(self.image.shape[1], self.image.shape[0], 30.0)

    def read(self):
        if self.number == FRAMES:
            raise EndOfSource
        self.number += 1
        return Captured(self.image.copy(), clock(), self.number / 30)

    def close(self):
        pass


@dataclass
class KnownFace:
    face: Face

    def open(self):
        pass

    def find(self, image, previous):
        return [replace(self.face, track=previous[0].track if previous else 0)]

    def close(self):
        pass


@dataclass
class Watcher:
    """Notes for each picture its state, whether it shows the camera's picture where the face is, and whether green."""

    bare: np.ndarray
    points: np.ndarray
    seen: list = field(default_factory=list)

    def open(self, format):
        pass

    def write(self, frame):
        (x0, y0), (x1, y1) = self.points.min(0).astype(int), self.points.max(0).astype(int)
        here = frame.image[y0:y1, x0:x1].astype(int)
        change = np.sqrt(np.square(here - self.bare[y0:y1, x0:x1]).mean())
        self.seen.append((frame.state, bool(change < 4), bool(np.median(here[..., 1]) > 240)))

    def close(self):
        pass


@pytest.fixture
def run(portrait, finder, tmp_path, monkeypatch):
    """Runs a loop whose net gives green, but in the faulty frames what `fault(answer, crop)` makes of its answer."""
    image = cv2.resize(portrait.image, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_AREA)
    face = face_from_mesh(portrait.face.mesh * np.float32(SCALE), 1.0)
    here = Persona("wearer", (replace(portrait.views[0], image=image, face=face),))
    folder = make_personal(tmp_path / "green", known_looks(here))
    calls = []

    def answer(net, crop, morph):
        calls.append(1)
        given = {"image": np.zeros((SIZE, SIZE, 3), np.uint8), "face_mask": np.full((SIZE, SIZE), 255, np.uint8)}
        given["image"][..., 1] = 255
        given["image"][::2, ::2, 0] = 40
        given["front"] = np.zeros((SIZE, SIZE), np.uint8)
        return fault(given, crop) if len(calls) in FAULTY else given

    def start(this):
        nonlocal fault
        fault = this
        watcher = Watcher(image, face.mesh[list(CORE), :2])
        loop = make_loop(
            StillCamera(image), KnownFace(face), Personal(engine="onnx_runtime:cpu:fp32"), Feather(),
            {"watcher": watcher}, persona=lambda finder_: open_persona(str(folder), finder),
        )  # fmt: skip
        loop.run()
        return watcher.seen, loop.ledger.report()

    fault = None
    monkeypatch.setattr(Net, "run", answer)
    monkeypatch.setattr("live.reopen.PAUSES_S", (0.01,))
    return start


def raising(error):
    def fault(given, crop):
        raise error

    return fault


FAULTS = {
    "raises": raising(EngineError("out of memory")),
    "a bug": raising(ValueError("bug")),
    "not a number": lambda given, crop: given | {"image": np.full((SIZE, SIZE, 3), np.nan, np.float32)},
    "no mask": lambda given, crop: given | {"face_mask": given["face_mask"] * 0},
    "torn mask": lambda given, crop: given | {"face_mask": cv2.randu(given["face_mask"].copy(), 0, 255)},
    "no picture": lambda given, crop: {},
    "flat": lambda given, crop: given | {"image": np.full((SIZE, SIZE, 3), 99, np.uint8)},
    "the wearer": lambda given, crop: given | {"image": crop.copy()},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_whatever_the_net_does_a_new_face_is_shown_in_every_frame(run, fault):
    seen, report = run(fault)
    assert [state for state, _, _ in seen] == ["live"] * FRAMES
    assert not any(bare for _, bare, _ in seen)
    assert [green for _, _, green in seen] == [True] * 4 + [False] * (FRAMES - 4)
    assert report["frames"]["stood_in"] == FRAMES - 4 and report["frames"]["failed"] == 0


def test_a_front_that_claims_the_whole_face_is_not_believed(run):
    seen, _ = run(lambda given, crop: given | {"front": np.full((SIZE, SIZE), 255, np.uint8)})
    assert seen == [("live", False, True)] * FRAMES


def test_where_the_mesh_swap_fails_too_there_is_a_cover(run, monkeypatch):
    swap = Mesh.swap
    broken = []

    def fails(mesh, image, face):
        broken.append(1)
        if len(broken) <= 3:
            raise ValueError("bug")
        return swap(mesh, image, face)

    monkeypatch.setattr(Mesh, "swap", fails)
    seen, report = run(FAULTS["raises"])
    assert report["frames"]["failed"] > 0 and "cover" in {state for state, _, _ in seen}
    assert not any(bare for state, bare, _ in seen if state == "live")
    assert seen[-1][0] == "live"


def test_a_lost_engine_is_opened_again_behind_a_cover(run):
    seen, report = run(raising(EngineLost("the device is gone")))
    assert report["engine_lost"] == len(FAULTY) and report["frames"]["stood_in"] == 0
    assert {state for state, _, _ in seen} == {"live", "cover"}
    assert not any(bare for state, bare, _ in seen if state == "live")
