"""Several faces: finished on a second thread, in their order, and nothing goes on when one fails."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from engines.errors import EngineError
from live.abreast import Abreast
from live.frame import Face, Patch

PICTURE = np.zeros((40, 60, 3), np.uint8)
PATCH = Patch(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8), 0, 0)


def face(k):
    return Face(np.full((5, 2), k, np.float32), None, 1.0, track=k)


class Halves:
    """Notes who does what; `slow` is waited for in the first face's second half, `fails` names a face and a half."""

    def __init__(self, slow=None, fails=()):
        self.slow, self.fails, self.done = slow, fails, []

    def begin(self, image, face):
        self.note(face, "begin")

        def rest():
            if self.slow is not None and face.track == 1:
                assert self.slow.wait(10)
            self.note(face, "rest")
            return Patch(PATCH.pixels, PATCH.alpha, face.track, 0)

        return rest

    def note(self, face, half):
        self.done.append((face.track, half, threading.get_ident()))
        if self.slow is not None and (face.track, half) == (3, "begin"):
            self.slow.set()
        if (face.track, half) in self.fails:
            raise EngineError(f"{half} of {face.track}")


@pytest.fixture
def abreast():
    one = Abreast()
    yield one
    one.close()


def test_the_first_is_finished_while_the_last_is_begun(abreast):
    swapper = Halves(slow=threading.Event())  # set when the third is begun: with one thread this would never end
    patches = abreast.swap(swapper, PICTURE, [face(1), face(2), face(3)])
    assert [patch.x for patch in patches] == [1, 2, 3]
    here = threading.get_ident()
    assert [track for track, half, _ in swapper.done if half == "begin"] == [1, 2, 3]
    assert all((half == "begin" or track == 3) == (thread == here) for track, half, thread in swapper.done)


@pytest.mark.parametrize("fails", [(2, "begin"), (3, "begin"), (3, "rest"), (1, "rest")])
def test_when_one_fails_all_that_was_begun_is_over(abreast, fails):
    swapper = Halves(fails={fails})
    with pytest.raises(EngineError, match=f"{fails[1]} of {fails[0]}"):
        abreast.swap(swapper, PICTURE, [face(1), face(2), face(3)])
    noted = len(swapper.done)
    begun = {track for track, half, _ in swapper.done if half == "begin"} - {fails[0]}
    over = {track for track, half, _ in swapper.done if half == "rest"}
    assert (begun - {3}) <= over
    swapper.fails = ()
    assert len(abreast.swap(swapper, PICTURE, [face(1), face(2)])) == 2
    assert len(swapper.done) == noted + 4


def test_a_swapper_that_cannot_be_halved_and_a_single_face_stay_on_this_thread(abreast):
    threads = []

    class Whole:
        def swap(self, image, face):
            threads.append(threading.get_ident())
            return PATCH

    assert abreast.swap(Whole(), PICTURE, []) == []
    assert abreast.swap(Whole(), PICTURE, [face(1)]) == [PATCH]
    assert abreast.swap(Whole(), PICTURE, [face(1), face(2)]) == [PATCH, PATCH]
    assert set(threads) == {threading.get_ident()}
