"""A trained model whose net fails in a running loop, in each way that a net can: the wearer's face is never shown."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest

from engines.errors import EngineError, EngineLost
from live.align import CORE
from live.align.landmarks import FEATURES, landmarks
from live.blenders.feather import Feather
from live.frame import Captured, Face, Format
from live.parts import EndOfSource
from live.personas import open_persona
from live.swappers.trained import Trained
from live.swappers.trained.net import Net
from live.trace import clock
from tests.doubles import make_loop
from tests.trained_nets import SIZE, make_trained

FRAMES = 24
FAULTY = {5, 6, 7, 12, 18}


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
        return [Face(self.face.points, self.face.mesh, 1.0, self.face.pose, previous[0].track if previous else 0)]

    def close(self):
        pass


@dataclass
class Watcher:
    """Notes for each picture its state and at how many of the features' points the bare face is seen."""

    bare: np.ndarray
    points: np.ndarray
    seen: list = field(default_factory=list)

    def open(self, format):
        pass

    def write(self, frame):
        x, y = np.rint(self.points).astype(int).T
        off = np.abs(frame.image[y, x].astype(int) - self.bare[y, x]).max(1)
        self.seen.append((frame.state, int((off < 20).sum())))

    def close(self):
        pass


@pytest.fixture
def run(portrait, tmp_path, monkeypatch):
    """Runs a loop whose net gives green, but in the faulty frames what `fault(answer)` makes of its answer."""
    image = portrait.image.copy()
    mesh = portrait.face.mesh
    points = np.concatenate([landmarks(mesh)[FEATURES], mesh[list(CORE[1:]), :2]])
    folder = make_trained(tmp_path / "green", masks=dict.fromkeys(("face_mask", "celeb_mask"), np.ones((SIZE, SIZE))))
    calls = []

    def answer(net, crop, morph):
        calls.append(1)
        given = {"image": np.zeros((SIZE, SIZE, 3), np.uint8), "face_mask": np.full((SIZE, SIZE), 255, np.uint8)}
        given["image"][..., 1] = 255
        given["celeb_mask"] = given["face_mask"].copy()
        return fault(given) if len(calls) in FAULTY else given

    def start(this):
        nonlocal fault
        fault = this
        watcher = Watcher(image, points)
        loop = make_loop(
            StillCamera(image), KnownFace(portrait.face),
            Trained(engine="onnx_runtime:cpu:fp32", threads=1, front=False, colour="off"), Feather(),
            {"watcher": watcher}, persona=lambda finder: open_persona(str(folder), finder),
        )  # fmt: skip
        loop.run()
        return watcher.seen

    fault = None
    monkeypatch.setattr(Net, "run", answer)
    monkeypatch.setattr("live.reopen.PAUSES_S", (0.01,))
    return start


def raising(error):
    def fault(given):
        raise error

    return fault


ERRORS = [EngineError("out of memory"), EngineLost("the device is gone"), MemoryError(), ValueError("bug")]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_a_net_that_raises_ends_in_a_cover(run, error):
    seen = run(raising(error))
    assert len(seen) == FRAMES
    assert [number for number, (state, _) in enumerate(seen, 1) if state == "cover"] == sorted(FAULTY)
    assert all(bare == 0 for state, bare in seen if state == "live")


STRANGE = {
    "no masks": lambda given: given | {"face_mask": given["face_mask"] * 0, "celeb_mask": given["celeb_mask"] * 0},
    "one mask": lambda given: given | {"face_mask": given["face_mask"] * 0},
    "half a mask": lambda given: given | {"celeb_mask": given["celeb_mask"] // 2},
    "torn masks": lambda given: given | {"celeb_mask": cv2.randu(given["celeb_mask"].copy(), 0, 255)},
    "a small mask": lambda given: given | {"celeb_mask": given["celeb_mask"][:40, :40]},
    "no picture": lambda given: {key: value for key, value in given.items() if key != "image"},
    "a small picture": lambda given: given | {"image": given["image"][:40]},
    "floats": lambda given: given | {"image": np.full((SIZE, SIZE, 3), np.nan, np.float32)},
}


UNUSABLE = [STRANGE["a small mask"], STRANGE["no picture"]]  # all others are covered as well as ever


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.parametrize("fault", STRANGE.values(), ids=STRANGE)
def test_whatever_a_net_answers_the_features_are_never_seen(run, fault):
    seen = run(fault)
    assert len(seen) == FRAMES
    assert all(bare == 0 for state, bare in seen if state in ("live", "hold"))
    lives = {number for number, (state, _) in enumerate(seen, 1) if state == "live"}
    wanted = set(range(1, FRAMES + 1)) - (FAULTY if fault in UNUSABLE else set())
    assert lives == wanted
