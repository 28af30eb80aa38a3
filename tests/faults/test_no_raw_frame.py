"""Each fault that can happen to a frame, injected into a running loop: no bare face ever reaches a sink.

The camera writes its frame number into the pixels and paints the bare face magenta; the sinks' witness reads both.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from engines.errors import EngineError, LoopFailed
from live.frame import Patch
from live.guard import Guard
from tests.doubles import (
    ColourFinder,
    GreenSwapper,
    LosingCamera,
    NumberedCamera,
    PlainBlender,
    Witness,
    make_loop,
    read_number,
)

FRAMES = 120
FAULTY = {*range(31, 34), *range(50, 58), 80, 82, 84, *range(100, 109)}


@pytest.fixture(autouse=True, params=[False, True], ids=["swap by a net", "drawn swap"])
def drawn(request, monkeypatch):
    """Everything holds on whichever thread the swap runs."""
    monkeypatch.setattr(GreenSwapper, "drawn", request.param)


def run(source=None, **more):
    sinks = {"one": Witness(), "two": Witness()}
    make_loop(source or NumberedCamera(FRAMES), sinks=sinks, give_up_after=1000, **more).run()
    return sinks["one"], sinks["two"]


def raising(error):
    def script(number, *_):
        if number in FAULTY:
            raise error

    return script


ERRORS = [
    EngineError("CUDA error"),
    ValueError("bug"),
    MemoryError("out of memory"),
    ZeroDivisionError(),
    KeyError("x"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("step", ["find", "swap", "blend", "halfway"])
def test_an_exception_in_any_step_ends_in_a_cover(step, error):
    script = raising(error)
    parts = {
        "find": {"finder": ColourFinder(script)},
        "swap": {"swapper": GreenSwapper(script)},
        "blend": {"blender": PlainBlender(script)},
        "halfway": {"blender": PlainBlender(halfway=script)},
    }[step]
    for witness in run(**parts):
        assert not witness.leaked()
        assert len(witness.seen) == FRAMES
        covered = {i for i, (state, _, _) in enumerate(witness.seen, 1) if state == "cover"}
        assert covered == FAULTY
        assert witness.numbers("live") == [n for n in range(1, FRAMES + 1) if n not in FAULTY]


def test_a_missed_face_is_swapped_where_it_should_be_then_held_then_covered():
    misses = range(40, 80)
    one, _ = run(finder=ColourFinder(lambda number, faces: [] if number in misses else None))
    assert not one.leaked()
    states = one.states()
    assert states[39:42] == ["live"] * 3  # coasting
    assert states[42:48] == ["hold"] * 6
    assert set(states[51:79]) == {"cover"}
    assert states[79:] == ["live"] * (FRAMES - 79)


def swapped_by(change):
    return GreenSwapper(lambda number, patch: change(patch) if number in FAULTY else None)


BAD_PATCHES = {
    "transparent": lambda p: replace(p, alpha=np.zeros_like(p.alpha)),
    "half transparent": lambda p: replace(p, alpha=p.alpha // 2),
    "beside the face": lambda p: replace(p, x=100 if p.x < 60 else 0),
    "outside the picture": lambda p: replace(p, x=150),
    "wrong size": lambda p: replace(p, pixels=p.pixels[:4]),
    "floats with NaN": lambda p: replace(p, pixels=np.full(p.pixels.shape, np.nan, np.float32)),
    "one pixel": lambda p: Patch(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8), 0, 0),
    "nothing": lambda p: "nothing",
}


@pytest.mark.parametrize("change", BAD_PATCHES.values(), ids=BAD_PATCHES)
def test_a_patch_that_does_not_replace_the_face_ends_in_a_cover(change):
    one, two = run(swapper=swapped_by(change))
    assert not one.leaked()
    assert not two.leaked()
    assert {i for i, s in enumerate(one.states(), 1) if s == "cover"} == FAULTY


def test_faces_at_places_that_are_no_numbers_end_in_a_cover():
    def broken(number, faces):
        if number in FAULTY:
            return [replace(f, points=np.full((5, 2), np.nan, np.float32)) for f in faces]
        return None

    one, _ = run(finder=ColourFinder(broken))
    assert not one.leaked()


def test_every_face_must_be_swapped_not_only_the_first():
    def only_first(number, patch):
        if number in FAULTY and patch.x > 60:
            raise EngineError("second face failed")

    one, _ = run(source=NumberedCamera(FRAMES, faces=lambda n: 2), swapper=GreenSwapper(only_first))
    assert not one.leaked()
    assert "live" in one.states()
    assert "cover" in one.states()


def test_a_second_face_that_is_missed_for_a_while_is_never_shown():
    def drop_one(number, faces):
        return faces[:1] if number in range(40, 52) else None

    one, _ = run(source=NumberedCamera(FRAMES, faces=lambda n: 2), finder=ColourFinder(drop_one))
    assert not one.leaked()
    assert one.states()[46] in ("hold", "cover")


@pytest.mark.parametrize("policy", ["cover", "hold"])
def test_without_a_face_in_sight_the_bare_picture_is_not_shown_unless_asked_for(policy):
    one, _ = run(source=NumberedCamera(79, faces=lambda n: n % 40 < 10), guard=Guard(on_no_face=policy))
    assert not one.leaked()
    assert "bare" not in one.states()
    at_the_end = one.seen[78]  # no face since frame 50: linger and hold are over
    assert at_the_end[0] == policy


def test_a_picture_of_another_size_or_kind_does_not_leak():
    import cv2

    def change(number, image):
        if number in FAULTY:
            return cv2.resize(image, (320, 240), interpolation=cv2.INTER_NEAREST)
        return None

    one, _ = run(source=NumberedCamera(FRAMES, script=change))
    assert not one.leaked()


def test_a_lost_camera_does_not_leak(monkeypatch):
    monkeypatch.setattr("live.reopen.PAUSES_S", (0.02,))
    source = LosingCamera(FRAMES, lost_at=(30, 31, 90), refusals=1, wait=lambda n: threading.Event().wait(0.001))
    one, _ = run(source=source, lossless=False, stall_ms=100)
    assert not one.leaked()


@pytest.mark.parametrize("seed", range(4))
def test_any_mixture_of_faults_does_not_leak(seed):
    """Random faults in all steps at once, in real time with drops."""
    dice = random.Random(seed)
    plan = {n: dice.choice(["find", "miss", "swap", "patch", "blend", "halfway", None, None]) for n in range(1, 1001)}

    def at(step, error=True):
        def script(number, *_):
            if plan.get(number) == step:
                raise EngineError(step)

        return script

    def find(number, faces):
        at("find")(number)
        return [] if plan.get(number) == "miss" else None

    def swap(number, patch):
        at("swap")(number)
        return dice.choice(list(BAD_PATCHES.values()))(patch) if plan.get(number) == "patch" else None

    one, two = run(
        source=NumberedCamera(
            1000, faces=lambda n: (1 + seed // 2) * (n // 100 % 3 != 0), wait=lambda n: threading.Event().wait(0.0005)
        ),
        finder=ColourFinder(find),
        swapper=GreenSwapper(swap),
        blender=PlainBlender(at("blend"), at("halfway")),
        lossless=seed % 2 == 0,
    )
    for witness in (one, two):
        assert not witness.leaked()
        assert {"live", "cover"} <= set(witness.states())
        lives = [n for n in witness.numbers("live") if n]
        assert lives == sorted(lives)


@dataclass
class FailingMark:
    """Writes the frame's number into the last row, or raises."""

    script: Callable[[int], None]

    def open(self, format):
        pass

    def wear(self, persona):
        pass

    def apply(self, image, position_s, fresh):
        self.script(read_number(image))
        image[-1] = 255

    def close(self):
        pass


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_no_frame_leaves_without_its_marks(error):
    unmarked = []

    def watch(frame):
        if frame.state != "cover" and not (frame.image[-1] == 255).all():
            unmarked.append(read_number(frame.image))

    sink = Witness(before=watch)
    mark = FailingMark(raising(error))
    loop = make_loop(NumberedCamera(FRAMES), sinks={"one": sink}, marks=[mark], give_up_after=1000)
    loop.run()
    assert not unmarked and not sink.leaked()
    assert {i for i, state in enumerate(sink.states(), 1) if state == "cover"} == FAULTY
    assert loop.ledger.report()["covers"] == {"the marks failed": len(FAULTY)}


def test_marks_that_go_on_failing_end_the_run():
    before = set(threading.enumerate())
    loop = make_loop(NumberedCamera(1000), marks=[FailingMark(lambda number: 1 / 0)])
    with pytest.raises(LoopFailed, match="the marks failed"):
        loop.run()
    assert set(loop.parts.sinks["witness"].states()) == {"cover"}
    assert not {thread.name for thread in set(threading.enumerate()) - before}  # none waits for another
