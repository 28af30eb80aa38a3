"""Parts that stand in for real ones: a camera that numbers its pictures in pixels, and an oracle that reads them.

The "bare face" is a magenta square, the new face a green one; the frame's number is written as black and white
cells into the top rows, where no patch reaches. Whoever sees magenta at a sink has seen a leak.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from engines.errors import SinkLost, SourceLost
from live.frame import Captured, Face, Format, Patch, Persona, SafeFrame, View
from live.guard import Guard
from live.loop import Loop, LoopSettings
from live.parts import EndOfSource, Parts
from live.settings import setting
from live.trace import clock
from live.track import Tracks

WIDTH, HEIGHT, FACE = 160, 120, 40
BARE = (255, 0, 255)
NEW = (0, 200, 0)
CELL, BITS = 5, 24


def write_number(image, number):
    for bit in range(BITS):
        image[:CELL, bit * CELL : (bit + 1) * CELL] = 255 if number >> bit & 1 else 0


def read_number(image):
    """The number in the pixels, or None where the picture carries none (a cover)."""
    cells = [image[: CELL - 1, bit * CELL + 1 : (bit + 1) * CELL - 1] for bit in range(BITS)]
    if any(cell.min() < 200 and cell.max() > 55 for cell in cells):
        return None
    return sum(1 << bit for bit, cell in enumerate(cells) if cell.mean() > 127) or None


def leaks(image):
    """How many pixels of the bare face can be seen, also half blended in."""
    blue, green, red = (image[..., c].astype(int) for c in range(3))
    return int(((blue > 130) & (red > 130) & (green < 90)).sum())


def face_at(number):
    """Top left corner of the first face in frame `number`: it wanders to and fro, a pixel a frame."""
    return 10 + abs(30 - number % 60), 15 + abs(50 - number % 100)


@dataclass
class NumberedCamera:
    """Source of `count` pictures with `faces` bare faces each; `script` may raise or change a picture."""

    count: int = 100
    faces: Callable[[int], int] = lambda number: 1
    script: Callable[[int, np.ndarray], np.ndarray | None] = lambda number, image: None
    wait: Callable[[int], None] = lambda number: None
    sound: object = None
    opened: int = field(default=0, init=False)
    closed: int = field(default=0, init=False)
    number: int = field(default=0, init=False)

    def open(self):
        self.opened += 1
        return Format(WIDTH, HEIGHT, 30.0, self.sound)

    def read(self):
        if self.number >= self.count:
            raise EndOfSource
        self.number += 1
        self.wait(self.number)
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        for k in range(self.faces(self.number)):
            x, y = face_at(self.number)
            image[y : y + FACE, x + 70 * k : x + 70 * k + FACE] = BARE
        write_number(image, self.number)
        changed = self.script(self.number, image)
        return Captured(image if changed is None else changed, clock(), self.number / 30)

    def close(self):
        self.closed += 1


@dataclass
class LosingCamera(NumberedCamera):
    """Loses its device before each of the pictures in `lost_at`; it opens again after `refusals` tries."""

    lost_at: tuple[int, ...] = ()
    refusals: int = 0
    _refused: int = field(default=0, init=False)
    _gone: bool = field(default=False, init=False)

    def open(self):
        if self._gone and self._refused < self.refusals:
            self._refused += 1
            raise SourceLost("still gone")
        self._gone = False
        return super().open()

    def read(self):
        if self.number + 1 in self.lost_at and not self._gone:
            self.lost_at = tuple(n for n in self.lost_at if n != self.number + 1)
            self._gone = True
            raise SourceLost("unplugged")
        return super().read()


@dataclass
class ColourFinder:
    """Finds the magenta squares; `script(number, faces)` may raise or answer something else."""

    script: Callable[[int, list[Face]], list[Face] | None] = lambda number, faces: None

    def open(self):
        pass

    def find(self, image, previous):
        hits = (image == BARE).all(2)
        faces = []
        columns = np.flatnonzero(hits.any(0))
        for run in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1) if columns.size else []:
            rows = np.flatnonzero(hits[:, run[0]])
            x0, x1, y0, y1 = run[0], run[-1], rows[0], rows[-1]
            points = np.array([[x0, y0], [x1, y0], [(x0 + x1) / 2, (y0 + y1) / 2], [x0, y1], [x1, y1]], np.float32)
            faces.append(Face(points, None, 1.0))
        for face in faces:
            near = [old for old in previous if np.abs(old.points[2] - face.points[2]).max() < FACE]
            face.track = near[0].track if near else 0
        number = read_number(image)
        changed = self.script(number, faces)
        return faces if changed is None else changed

    def close(self):
        pass


@dataclass
class GreenSwapper:
    """Covers the face's box with green; `script(number, patch)` may raise or answer something else."""

    drawn = False

    script: Callable[[int, Patch], Patch | None] = lambda number, patch: None
    worn: list[str] = field(default_factory=list)

    def open(self):
        pass

    def wear(self, persona):
        self.worn.append(persona.name)

    def swap(self, image, face):
        x0, y0, x1, y1 = (round(v) for v in face.box)
        x0, y0, x1, y1 = max(x0 - 8, 0), max(y0 - 8, CELL), min(x1 + 9, WIDTH), min(y1 + 9, HEIGHT)
        shape = (max(y1 - y0, 1), max(x1 - x0, 1))
        patch = Patch(np.full((*shape, 3), NEW, np.uint8), np.full(shape, 255, np.uint8), x0, y0)
        changed = self.script(read_number(image), patch)
        return patch if changed is None else changed

    def close(self):
        pass


@dataclass
class PlainBlender:
    """Copies the patch; `script(number, image)` may raise before, `after` when half of it is done."""

    script: Callable[[int, np.ndarray], None] = lambda number, image: None
    halfway: Callable[[int], None] = lambda number: None

    def open(self):
        pass

    def blend(self, image, face, patch):
        number = read_number(image)
        self.script(number, image)
        h, w = patch.alpha.shape
        image[patch.y : patch.y + h // 2, patch.x : patch.x + w] = patch.pixels[: h // 2]
        self.halfway(number)
        image[patch.y : patch.y + h, patch.x : patch.x + w] = patch.pixels

    def close(self):
        pass


@dataclass
class Witness:
    """Sink that notes for each picture: state, number in the pixels, leaking pixels."""

    fail_at: tuple[int, ...] = ()
    fail_with: Callable[[], Exception] = lambda: SinkLost("cable pulled")
    before: Callable[[SafeFrame], None] = lambda frame: None
    seen: list[tuple[str, int | None, int]] = field(default_factory=list)
    opened: int = 0
    closed: int = 0

    def open(self, format):
        self.opened += 1

    def write(self, frame):
        self.before(frame)
        assert type(frame) is SafeFrame
        assert not frame.image.flags.writeable
        self.seen.append((frame.state, read_number(frame.image), leaks(frame.image)))
        if len(self.seen) in self.fail_at:
            raise self.fail_with()

    def close(self):
        self.closed += 1

    def states(self):
        return [state for state, _, _ in self.seen]

    def numbers(self, *states):
        return [number for state, number, _ in self.seen if not states or state in states]

    def leaked(self):
        return [entry for entry in self.seen if entry[2]]


@dataclass
class StayingWitness(Witness):
    """A camera device that other programs look at. `size` is a setting."""

    stays: ClassVar[bool] = True

    size: int = setting(1, "a setting")


def any_persona(finder):
    """A persona without a picture, for swappers that do not look at it."""
    face = Face(np.zeros((5, 2), np.float32), None, 1.0)
    return Persona("nobody", (View(np.zeros((4, 4, 3), np.uint8), face),))


def make_loop(
    source=None,
    finder=None,
    swapper=None,
    blender=None,
    sinks=None,
    guard=None,
    lossless=True,
    persona=any_persona,
    outlets=None,
    marks=(),
    **settings,
):
    """A loop of doubles where nothing else is given; `settings` are LoopSettings."""
    parts = Parts(
        source or NumberedCamera(),
        finder or ColourFinder(),
        swapper or GreenSwapper(),
        blender or PlainBlender(),
        sinks if sinks is not None else {"witness": Witness()},
        persona,
        marks=marks,
    )
    return Loop(parts, guard or Guard(), Tracks(), LoopSettings(**settings), lossless=lossless, outlets=outlets)
