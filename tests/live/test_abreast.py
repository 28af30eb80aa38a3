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
    """Notes who does what; `fails` names a face and a half. `waits`: the first face's second half and the third's first
    wait for each other.
    """

    def __init__(self, waits=False, fails=()):
        self.waits, self.fails, self.done = waits, fails, []
        self.meet = threading.Barrier(2, timeout=10)

    def begin(self, image, face):
        self.note(face, "begin")

        def rest():
            self.note(face, "rest")
            return Patch(PATCH.pixels, PATCH.alpha, face.track, 0)

        return rest

    def note(self, face, half):
        self.done.append((face.track, half, threading.get_ident()))
        if self.waits and (face.track, half) in ((1, "rest"), (3, "begin")):
            self.meet.wait()
        if (face.track, half) in self.fails:
            raise EngineError(f"{half} of {face.track}")


@pytest.fixture
def abreast():
    one = Abreast()
    yield one
    one.close()


def test_the_first_is_finished_while_the_last_is_begun(abreast):
    swapper = Halves(waits=True)  # with one thread this would never end
    patches = abreast.swap(swapper, PICTURE, [face(1), face(2), face(3)])
    assert [patch.x for patch in patches] == [1, 2, 3]
    threads = {(track, half): thread for track, half, thread in swapper.done}
    here = threading.get_ident()
    assert threads.pop((1, "rest")) != here
    threads.pop((2, "rest"))  # whoever comes to it first
    assert set(threads.values()) == {here} and len(threads) == 4


def test_what_the_second_thread_does_not_come_to_is_done_here(abreast):
    busy = threading.Event()
    abreast._second.submit(busy.wait, 10)
    swapper = Halves()
    assert [patch.x for patch in abreast.swap(swapper, PICTURE, [face(1), face(2), face(3)])] == [1, 2, 3]
    assert {thread for *_, thread in swapper.done} == {threading.get_ident()}
    busy.set()


@pytest.mark.parametrize("fails", [(2, "begin"), (3, "begin"), (3, "rest"), (1, "rest")])
def test_when_one_fails_all_that_was_begun_is_over(abreast, fails):
    swapper = Halves(fails={fails})
    with pytest.raises(EngineError, match=f"{fails[1]} of {fails[0]}"):
        abreast.swap(swapper, PICTURE, [face(1), face(2), face(3)])
    noted = len(swapper.done)
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
