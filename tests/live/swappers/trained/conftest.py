"""What the tests of the trained swap share: swappers that wear tiny models of known effect."""

from __future__ import annotations

import numpy as np
import pytest

from live.models import shipped
from live.personas import open_persona
from live.swappers.trained import Trained
from tests.trained_nets import make_trained


@pytest.fixture
def wear(tmp_path):
    """Opens a swapper that wears such a model; `look` are its settings, all others as in make_trained."""
    opened = []

    def open_one(look=None, **model):
        folder = make_trained(tmp_path / f"model_{len(opened)}", **model)
        swapper = Trained(**{"engine": "onnx_runtime:cpu:fp32", "threads": 1, "front": False, **(look or {})})
        opened.append(swapper)
        swapper.open()
        swapper.wear(open_persona(str(folder), None))
        return swapper

    yield open_one
    for swapper in opened:
        swapper.close()


@pytest.fixture(scope="session")
def canonical():
    """Gives MediaPipe's canonical head in a picture of 640x480, turned by yaw and pitch in degrees."""
    with np.load(shipped("face_mesh").folder / "topology.npz") as topology:
        head = topology["canonical"] * np.array([1, -1, -1])

    def turned(yaw, pitch):
        a, b = np.radians([yaw, pitch])
        aside = [[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]]
        up = [[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]]
        return (14 * head @ (np.array(up) @ aside).T + (320, 240, 0)).astype(np.float32)

    return turned
