"""`bench swap`: its scene holds the faces it says, the nets' time is told apart, and the table is printed."""

from __future__ import annotations

import time

import numpy as np
import pytest
from typer.testing import CliRunner

from live.blenders.feather import Feather
from live.cli import app
from live.cli.bench.swap import around_the_nets, scene


@pytest.mark.parametrize(("width", "height", "count"), [(1280, 720, 1), (1280, 720, 3)])
def test_the_faces_are_as_high_as_it_says(finder, portrait, width, height, count):
    picture, faces = scene(portrait, finder, width, height, count)
    assert picture.shape == (height, width, 3) and len(faces) == count
    for face in faces:
        assert face.box[3] - face.box[1] == pytest.approx(0.45 * height, rel=0.06)
    assert sorted(face.track for face in faces) == list(range(1, count + 1))


class Engine:
    def run(self, feeds):
        time.sleep(0.005)
        return feeds


class Swapper:
    def __init__(self, patch):
        self.engines, self.patch = [Engine()], patch

    def swap(self, image, face):
        self.engines[0].run({})
        return self.patch


def test_what_the_nets_take_is_told_apart(finder, portrait):
    from live.veil import veil

    swapper = Swapper(veil(portrait.image, portrait.face))
    core, waited, nets = around_the_nets(swapper, Feather(), portrait.image, [portrait.face] * 2, 4).T
    assert core.shape == (4,)
    assert (nets >= 10).all() and np.median(core) < 10 and np.median(waited) < 10
    assert "run" not in vars(swapper.engines[0])


@pytest.mark.long
def test_the_table():
    done = CliRunner().invoke(
        app, ["bench", "swap", "sample:nia", "--frames", "5", "--engine", "onnx_runtime:cpu:fp32"]
    )
    assert done.exit_code == 0, done.output
    assert done.output.count("1280x720") == done.output.count("1920x1080") == 2
