"""37 kinds of fault at random points of a long run, judged by an oracle that reads codes burned into bare faces.

3,000 pictures by default; `pytest -m soak tests/faults/test_oracle.py` judges 100,000.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest

from engines.errors import EngineError, EngineLost, SinkLost
from live.guard import Guard
from tests.doubles import HEIGHT, NEW, WIDTH, GreenSwapper, PlainBlender, Witness, face_at, make_loop
from tests.faults import oracle
from tests.faults.oracle import BARE, CodedCamera, CodeFinder, seen
from tests.faults.test_no_raw_frame import BAD_PATCHES

FAULTS = (
    "find raises", "find has a bug", "face missed", "face found late", "place is no number", "second face missed",
    "swap raises", "out of memory", "second face fails", "engine lost", "part lost on the pixels thread",
    *(f"patch: {how}" for how in BAD_PATCHES), "stale patch", "shared buffer", "camera's own buffer",
    "same face given back",
    "blend raises", "blend stops halfway", "nothing blended",
    "camera lost", "resolution change", "grey picture", "picture of floats", "picture with alpha", "stale picture",
    "clock jump", "face missed at a clock jump", "settings change", "sink lost", "cover pressed",
)  # fmt: skip
SECOND = {"second face missed", "second face fails", "shared buffer"}


@pytest.fixture(autouse=True, params=[False, True], ids=["swap by a net", "drawn swap"])
def drawn(request, monkeypatch):
    monkeypatch.setattr(GreenSwapper, "drawn", request.param)
    monkeypatch.setattr("live.reopen.PAUSES_S", (0.0005,))


class Plan:
    """Which fault befalls which picture: bursts of 1 to 8 pictures at random places, a third of all."""

    def __init__(self, seed, count):
        self.dice = random.Random(seed)
        self.faults = {}
        number, kinds = 5, list(FAULTS)
        while number < count:
            self.dice.shuffle(kinds)
            for kind in kinds:  # each kind as often as any other
                number += self.dice.randint(3, 14)
                for _ in range(self.dice.randint(1, 8)):
                    self.faults[number] = kind
                    number += 1

    def __call__(self, number):
        return self.faults.get(number)


class Judge(Witness):
    """A sink that asks the oracle about every picture. Covers are the same picture again and again: asked once."""

    def __init__(self, fault=lambda number: None):
        super().__init__()
        self.covers, self.raw, self.shown, self.fault, self.lost = {}, [], Counter(), fault, set()
        self.pressed = threading.Event()  # from when cover() has returned until it is taken off

    def write(self, frame):
        image = frame.image
        if self.pressed.is_set() and frame.state != "cover":
            self.raw.append(("after the press", oracle.read_number(image)))
        assert not image.flags.writeable and image.shape == (HEIGHT, WIDTH, 3)
        self.shown[frame.state] += 1
        if id(image) in self.covers:
            return
        if frame.state == "cover":
            self.covers[id(image)] = image  # kept, so that its id stays its own
        if seen(image):
            self.raw.append((frame.state, oracle.read_number(image)))
        number = oracle.read_number(image)
        if self.fault(number) == "sink lost" and number not in self.lost:
            self.lost.add(number)
            raise SinkLost("cable pulled")


def faulty_parts(plan):
    """Finder, swapper and blender that do what the plan says; the dice are the plan's own."""
    kept = {}

    def find(number, faces):
        fault = plan(number)
        if fault == "find raises":
            raise EngineError("CUDA error")
        if fault == "find has a bug":
            raise ZeroDivisionError
        if fault == "engine lost":
            raise EngineLost("the server went away")
        if fault == "face found late":
            threading.Event().wait(0.002)
        if fault in ("face missed", "face missed at a clock jump"):
            return []
        if fault == "place is no number":
            return [replace(face, points=np.full((5, 2), np.nan, np.float32)) for face in faces]
        if fault == "second face missed" and plan(number - 1) == fault:
            return faces[:1]
        return None

    def swap(number, patch):
        fault = plan(number)
        if fault in ("swap raises", "second face fails") and (fault == "swap raises" or patch.x > 60):
            raise EngineError("CUDA error")
        if fault == "out of memory":
            raise MemoryError
        if fault == "part lost on the pixels thread":
            raise EngineLost("the device was reset")
        if fault == "stale patch" and "stale" in kept:
            return kept["stale"]
        if number is not None and number % 9 == 0:
            kept["stale"] = patch
        if fault == "shared buffer":
            kept.setdefault("shared", patch)
            return replace(patch, pixels=kept["shared"].pixels[: len(patch.pixels), : patch.pixels.shape[1]])
        bad = BAD_PATCHES.get(fault.removeprefix("patch: ")) if fault else None
        return bad(patch) if bad else None

    def blend(number):
        if plan(number) == "blend raises":
            raise ValueError("bug")

    def halfway(number):
        if plan(number) == "blend stops halfway":
            raise MemoryError

    class Swapper(GreenSwapper):
        def swap(self, image, face):
            patch = super().swap(image, face)
            if plan(oracle.read_number(image)) in ("camera's own buffer", "same face given back"):
                h, w = patch.alpha.shape
                own = image[patch.y : patch.y + h, patch.x : patch.x + w]
                aliased = plan(oracle.read_number(image)) == "camera's own buffer"
                return replace(patch, pixels=own if aliased else cv2.GaussianBlur(own, (3, 3), 0.3))
            return patch

    class Blender(PlainBlender):
        def blend(self, image, face, patch):
            if plan(oracle.read_number(image)) != "nothing blended":
                super().blend(image, face, patch)

    return CodeFinder(find), Swapper(swap), Blender(lambda number, image: blend(number), halfway)


def judged(count, seed):
    """Run `count` pictures through a real loop with this seed's faults; the two judges, and the plan."""
    plan = Plan(seed, count)
    finder, swapper, blender = faulty_parts(plan)
    source = CodedCamera(count, plan, lambda n: 2 if plan(n) in SECOND else 0 if n // 250 % 8 == 7 else 1)
    sinks = {"one": Judge(), "two": Judge(plan)}
    loop = make_loop(source, finder, swapper, blender, sinks, Guard(), give_up_after=10**9)
    find = finder.find

    def changing(image, previous):
        if plan(oracle.read_number(image)) == "settings change":
            loop.guard.hold_ms = plan.dice.choice([0, 100, 300, 2000])
            loop.guard.on_no_face = plan.dice.choice(["cover", "hold"])
            loop.tracks.linger_ms = plan.dice.choice([300, 500, 2000])
            loop.tracks.coast_ms = plan.dice.choice([0, 100, 150])
        press(plan(oracle.read_number(image)) == "cover pressed")
        return find(image, previous)

    def press(on):
        """Covered by hand while the plan says so; each sink's judge knows when it may not get a live picture."""
        if on:
            loop.cover(True)
        for judge in sinks.values():
            judge.pressed.set() if on else judge.pressed.clear()
        if not on:
            loop.cover(False)

    finder.find = changing
    loop.run()
    return sinks, plan


def check(count, seed):
    sinks, plan = judged(count, seed)
    assert set(plan.faults.values()) == set(FAULTS)
    for judge in sinks.values():
        assert judge.raw == []
        assert judge.shown.total() >= 0.98 * count
        assert judge.shown["live"] > 0.3 * count and judge.shown["cover"] > 0.1 * count
        assert judge.shown["bare"] == 0


def test_no_raw_frame_in_3000(drawn):
    assert len(FAULTS) == 37
    check(1500, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_no_raw_frame_in_100000(drawn):
    for seed in range(5):
        check(10_000, seed=100 + seed)


# ---- the oracle itself


def picture(number=40):
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    oracle.write_number(image, number)
    return image


@pytest.mark.parametrize("number", [1, 17, 40, 99])
@pytest.mark.parametrize("strength", [1.0, 0.5, 0.1])
def test_a_bare_face_is_seen_wherever_it_is_and_however_faint(number, strength):
    image, (x, y) = picture(number), face_at(number)
    mixed = strength * BARE + (1 - strength) * np.array(NEW)
    image[y : y + 40, x : x + 40] = mixed
    assert seen(image)


@pytest.mark.parametrize("part", [np.s_[:20, :20], np.s_[:20, 20:], np.s_[20:, :20], np.s_[20:, 20:], np.s_[:, :20]])
def test_a_quarter_of_a_bare_face_is_seen(part):
    image = picture()
    image[30:70, 30:70] = NEW
    image[30:70, 30:70][part] = BARE[part]
    assert seen(image)


def test_where_there_is_no_bare_face_none_is_seen():
    from live.cover import draw_cover

    assert not seen(picture())
    new = picture()
    new[20:76, 20:76] = NEW
    assert not seen(new)
    for words in ("starting", "looking for the face", "camera lost, looking for it"):
        assert not seen(draw_cover(WIDTH, HEIGHT, words))
    noise = np.random.default_rng(3)
    assert not any(seen(noise.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)) for _ in range(200))


def test_the_oracle_sees_what_a_careless_program_would_show():
    """The faults do something: without the loop and its guard, raw pictures come by the score."""
    plan = Plan(1, 600)
    source = CodedCamera(600, plan, lambda n: 2 if plan(n) in SECOND else 1)
    finder, swapper, blender = faulty_parts(plan)
    raw, faulty = 0, 0
    for _ in range(600):
        try:
            image = source.read().image
        except Exception:
            continue
        faulty += plan(source.number) is not None
        try:
            with np.errstate(invalid="ignore"):
                for face in finder.find(image, []):
                    blender.blend(image, face, swapper.swap(image, face))
        except Exception:
            pass  # as peers do: the camera's picture goes on
        raw += image.ndim == 3 and image.shape[2] == 3 and seen(cv2.resize(image, (WIDTH, HEIGHT)).astype(np.uint8))
    assert raw > 0.4 * faulty
