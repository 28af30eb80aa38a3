"""The judge of the fault tests: a camera whose bare faces carry a burned-in code, and an oracle that looks for it.

The oracle knows nothing of the loop, the guard, the finder, or where a face should be: it looks at every place of every
picture that reached a sink. Correlation does not mind how faint the code is, and a quarter of it is enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from live.frame import Captured, Face, Format
from live.parts import EndOfSource
from live.trace import clock
from tests.doubles import CELL, FACE, HEIGHT, WIDTH, face_at, read_number, write_number

CHIP = 2
SEEN = 0.25  # likeness from which the code is seen; what shows none of it reaches 0.15
_DARK, _LIGHT = (150, 0, 150), (255, 0, 255)


def burned() -> np.ndarray:
    """The bare face: u8 [40, 40, 3], magenta of two shades in a fixed random pattern."""
    bits = np.random.default_rng(20_26).integers(0, 2, (FACE // CHIP, FACE // CHIP)).astype(bool)
    bits = bits.repeat(CHIP, 0).repeat(CHIP, 1)
    return np.where(bits[..., None], np.array(_LIGHT), np.array(_DARK)).astype(np.uint8)


BARE = burned()
_NOISE = np.random.default_rng(1).normal(0, 0.7, (HEIGHT, WIDTH)).astype(np.float32)


def _fine(grey: np.ndarray) -> np.ndarray:
    """The code's own scale of detail, edges of patches cut down: a quarter of the code is then half of the whole."""
    detail = grey - cv2.blur(grey, (5, 5))
    limit = max(float(np.abs(detail).mean()) * 4, 1.0)
    return np.clip(detail, -limit, limit)


_CODE = _fine(BARE.astype(np.float32).mean(2))


def likeness(image: np.ndarray) -> float:
    """How like the code the likest place of a picture is: 1 a bare face; half of that for a quarter of one."""
    grey = cv2.transform(image, np.full((1, 3), 1 / 3, np.float32)).astype(np.float32)
    # Correlation is not defined where all pixels are the same.
    return float(cv2.matchTemplate(_fine(grey + _NOISE), _CODE, cv2.TM_CCOEFF_NORMED).max())


def seen(image: np.ndarray) -> bool:
    """Whether any of the bare face can be seen in this picture."""
    return likeness(image) > SEEN


@dataclass
class CodedCamera:
    """Source of `count` numbered pictures of faces with the code; `fault(number)` names what is wrong with one."""

    count: int
    fault: object = lambda number: None
    faces: object = lambda number: 1
    number: int = field(default=0, init=False)
    _jump_s: float = field(default=0.0, init=False)
    _before: np.ndarray | None = field(default=None, init=False)
    _lost: bool = field(default=False, init=False)

    def open(self):
        return Format(WIDTH, HEIGHT, 30.0)

    def read(self):
        if self.number >= self.count:
            raise EndOfSource
        fault = self.fault(self.number + 1)
        if fault == "camera lost" and not self._lost:
            self._lost = True
            from engines.errors import SourceLost

            raise SourceLost("unplugged")
        self._lost = False
        self.number += 1
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        for k in range(self.faces(self.number)):
            x, y = face_at(self.number)
            image[y : y + FACE, x + 70 * k : x + 70 * k + FACE] = BARE
        write_number(image, self.number)
        if fault in ("clock jump", "face missed at a clock jump"):
            self._jump_s += [-2.0, 5.0, -0.2][self.number % 3]
        changed = self._changed(image, fault)
        self._before = image
        return Captured(changed, clock(), self.number / 30 + self._jump_s)

    def _changed(self, image, fault):
        if fault == "resolution change":
            return cv2.resize(image, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_NEAREST)
        if fault == "grey picture":
            return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        if fault == "picture of floats":
            return image.astype(np.float32)
        if fault == "picture with alpha":
            return np.dstack([image, np.full((HEIGHT, WIDTH), 255, np.uint8)])
        if fault == "stale picture" and self._before is not None:
            return self._before.copy()
        return image

    def close(self):
        pass


@dataclass
class CodeFinder:
    """Finds bare faces by their colour; `script(number, faces)` may raise or answer something else."""

    script: object = lambda number, faces: None

    def open(self):
        pass

    def find(self, image, previous):
        hits = (image[..., 1] == 0) & (image[..., 0] >= 150) & (image[..., 0] == image[..., 2])
        hits[:CELL] = False
        faces = []
        columns = np.flatnonzero(hits.any(0))
        for run in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1) if columns.size else []:
            rows = np.flatnonzero(hits[:, run[0] : run[-1] + 1].any(1))
            x0, x1, y0, y1 = run[0], run[-1], rows[0], rows[-1]
            points = np.array([[x0, y0], [x1, y0], [(x0 + x1) / 2, (y0 + y1) / 2], [x0, y1], [x1, y1]], np.float32)
            faces.append(Face(points, None, 1.0))
        for face in faces:
            near = [old for old in previous if np.abs(old.points[2] - face.points[2]).max() < FACE]
            face.track = near[0].track if near else 0
        changed = self.script(read_number(image), faces)
        return faces if changed is None else changed

    def close(self):
        pass
