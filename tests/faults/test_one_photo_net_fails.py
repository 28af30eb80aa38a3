"""A one-photo model whose net fails in a running loop, in each way that a net can: the wearer's face is never shown."""

from __future__ import annotations

import numpy as np
import pytest

from live.align import CORE
from live.blenders.feather import Feather
from live.cast import Cast, Roles
from live.swappers.one_photo import OnePhoto
from tests.doubles import make_loop
from tests.faults.test_trained_net_fails import ERRORS, FAULTY, FRAMES, KnownFace, StillCamera, Watcher, raising
from tests.one_photo_nets import make_model, swapper


@pytest.fixture
def run(portrait, tmp_path, monkeypatch):
    """Runs a loop whose net tints, but in the faulty frames gives what `fault(answer)` makes of its answer."""
    monkeypatch.setattr("engines.door.admit", lambda card: None)
    monkeypatch.setattr("live.reopen.PAUSES_S", (0.01,))
    file_name = "uniface_256.onnx"  # it needs no recogniser
    folder = make_model(tmp_path / "model", file_name, swapper(file_name, "tint"))

    def start(fault):
        part = OnePhoto(model=str(folder), engine="onnx_runtime:cpu:fp32", threads=1, front=False, colour="off")
        calls, wear = [], part.wear

        def worn(persona):
            wear(persona)
            engine = part._net.engine
            run = type(engine).run

            def answer(feeds):
                calls.append(1)
                given = {name: array.copy() for name, array in run(engine, feeds).items()}
                return fault(given) if len(calls) in FAULTY else given

            engine.run = answer

        monkeypatch.setattr(part, "wear", worn)
        watcher = Watcher(portrait.image.copy(), portrait.face.mesh[list(CORE), :2])
        loop = make_loop(
            StillCamera(portrait.image), KnownFace(portrait.face), Cast([part]), Feather(), {"watcher": watcher},
            persona=lambda finder: portrait,
        )  # fmt: skip
        loop.roles = Roles()
        loop.roles.whos = ("largest",)
        loop.run()
        assert len(watcher.seen) == FRAMES
        assert all(bare <= 1 for state, bare in watcher.seen if state in ("live", "hold"))
        return [number for number, (state, _) in enumerate(watcher.seen, 1) if state == "cover"]

    return start


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_a_net_that_raises_ends_in_a_cover(run, error):
    assert run(raising(error)) == sorted(FAULTY)


STRANGE = {
    "no numbers": lambda given: {name: array * np.nan for name, array in given.items()},
    "one square of no numbers": lambda given: {name: with_square(array, np.nan) for name, array in given.items()},
    "infinite": lambda given: {name: with_square(array, np.inf) for name, array in given.items()},
    "black": lambda given: {name: array * 0 - 1 for name, array in given.items()},
    "green": lambda given: {name: array * 0 + np.reshape([-1, 1, -1], (1, 3, 1, 1)) for name, array in given.items()},
    "no picture": lambda given: {},
    "a small picture": lambda given: {name: array[:, :, :40] for name, array in given.items()},
}


def with_square(array, value):
    changed = array.copy()
    changed[:, :, 16:32, 200:216] = value
    return changed


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("fault", STRANGE.values(), ids=STRANGE)
def test_an_answer_that_is_no_picture_ends_in_a_cover(run, fault):
    assert run(fault) == sorted(FAULTY)
