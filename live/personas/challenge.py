"""Is it you? A short challenge before the camera: turn and blink in an order drawn by lot, and look like the photo.

It shows that somebody who looks like the picture sat here and agreed. It is consent, not proof of identity: a face-swap
program could pass it, and looks alone can be mistaken. No picture of it is kept.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np

from live.align import EYE_CORNERS, LIDS
from live.frame import Face, Floats, Image, View
from live.personas.likeness import Likeness, score

Action = Literal["left", "right", "blink"]
WORDS: dict[Action | Literal["straight"], str] = {
    "straight": "look straight into the camera",
    "left": "turn your head to your left",
    "right": "turn your head to your right",
    "blink": "blink with both eyes",
}
SECONDS = 8.0  # for each action
_TURN = 12.0  # degrees more than when looking straight; the pose underestimates by a quarter
_BACK = 8.0
_SHUT = 0.6  # of how far the eyes are open when looking straight
_STEADY_S = 0.7  # of looking straight before the next action
_AWAY_S = 0.4  # that the face may be missed; then somebody else could have sat down
_MOVED = 1.0  # of the face's size, in one picture: another face
_LEAST_LOOKS = 20  # pictures of the straight face that are compared with the photo


@dataclass
class Challenge:
    """Feed it each picture with `step` until `over`. `photos` are the portraits that are to be allowed.

    `passed` in the end, or `why_not` says why not; `words` is what to tell the person now.
    """

    photos: tuple[View, ...]
    likeness: Likeness
    actions: tuple[Action, ...] = field(default_factory=lambda: draw(secrets.randbits(64)))

    done: int = field(default=0, init=False)
    passed: bool = field(default=False, init=False)
    why_not: str = field(default="", init=False)

    _asked_s: float | None = field(default=None, init=False)
    _seen_s: float = field(default=0.0, init=False)
    _straight_s: float | None = field(default=None, init=False)
    _last: Face | None = field(default=None, init=False)
    _rest: tuple[float, float] | None = field(default=None, init=False)  # yaw and eyes when looking straight
    _ready: bool = field(default=False, init=False)
    _scores: list[float] = field(default_factory=list, init=False)
    _wanted: list[Floats] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._wanted = [self.likeness.features(view.image, view.face) for view in self.photos]

    @property
    def over(self) -> bool:
        return self.passed or bool(self.why_not)

    @property
    def words(self) -> str:
        return WORDS[self.actions[self.done] if self._ready and self.done < len(self.actions) else "straight"]

    @property
    def record(self) -> str:
        """What was done, for the pack: in words, without anything measured from the face but the likeness."""
        acts = ", ".join(WORDS[action] for action in self.actions)
        return f"live challenge ({acts}); matched to the photo by {self.likeness.words}, {self.score:.2f}"

    @property
    def score(self) -> float:
        """How like the photo the face is: the median over the pictures so far."""
        return float(np.median(self._scores)) if self._scores else 0.0

    def step(self, image: Image, faces: list[Face], at_s: float) -> None:
        """Take in one picture with the faces in it, caught at `at_s` seconds."""
        if self.over:
            return
        if self._asked_s is None:
            self._asked_s = self._seen_s = at_s
        if len(faces) > 1:
            self._fail("there is more than one face before the camera")
        elif at_s - self._asked_s > SECONDS:
            self._fail(f"it took more than {SECONDS:.0f} seconds to {self.words}" if self._last is not None
                       else "no face was found before the camera")  # fmt: skip
        elif not faces:
            if self._last is not None and at_s - self._seen_s > _AWAY_S:
                self._fail("the face went out of sight")
        elif self._last is not None and _jumped(self._last, faces[0]):
            self._fail("another face came in")
        else:
            self._last, self._seen_s = faces[0], at_s
            self._look(image, faces[0], at_s)

    def _look(self, image: Image, face: Face, at_s: float) -> None:
        yaw, eyes = face.pose[0], openness(face)
        if self._ready:
            assert self._rest is not None, "the face was straight before it was asked for anything"
            asked, turned, opened = self.actions[self.done], yaw - self._rest[0], eyes / self._rest[1]
            if _does(asked, turned, opened):
                self.done += 1
                self._next(at_s)
            elif abs(turned) > _TURN:  # people blink unasked, but a recording in another order turns unasked
                self._fail(f"the head was turned when it was asked to {self.words}")
            return
        straight = abs(yaw - (self._rest[0] if self._rest else 0)) < _BACK
        if not straight:
            self._straight_s = None
            return
        self._compare(image, face)
        if self._straight_s is None:
            self._straight_s = at_s
        if at_s - self._straight_s < _STEADY_S:
            return
        if self.done < len(self.actions):
            self._rest = self._rest or (yaw, max(eyes, 1e-3))
            self._next(at_s, ready=True)
        elif len(self._scores) >= _LEAST_LOOKS:
            if self.score >= self.likeness.threshold:
                self.passed = True
            else:
                self._fail(
                    f"the face before the camera does not look like the photo ({self.score:.2f} by "
                    f"{self.likeness.words}; {self.likeness.threshold:.2f} is needed)"
                )

    def _compare(self, image: Image, face: Face) -> None:
        features = self.likeness.features(image, face)
        # Each photo must be of this person: the worst one counts.
        self._scores.append(min(score(features, wanted) for wanted in self._wanted))

    def _next(self, at_s: float, ready: bool = False) -> None:
        self._ready, self._asked_s, self._straight_s = ready, at_s, None

    def _fail(self, why: str) -> None:
        self.why_not = why


def draw(lot: int) -> tuple[Action, ...]:
    """Four actions by this lot: each of the three once, one of them again, never the same twice in a row."""
    dice = random.Random(lot)
    while True:
        actions: list[Action] = ["left", "right", "blink", dice.choice(["left", "right", "blink"])]
        dice.shuffle(actions)
        if all(one != other for one, other in pairwise(actions)):
            return tuple(actions)


def openness(face: Face) -> float:
    """How far the eyes are open, as part of their width; the mean of both. 1.0 for a face without a mesh."""
    if face.mesh is None:
        return 1.0
    parts = []
    for (start, end), lids in zip(EYE_CORNERS, LIDS, strict=True):
        upper, lower = np.array(lids).T
        gap = np.linalg.norm(face.mesh[upper, :2] - face.mesh[lower, :2], axis=1).mean()
        parts.append(gap / (np.linalg.norm(face.mesh[end, :2] - face.mesh[start, :2]) + 1e-6))
    return float(np.mean(parts))


def _does(action: Action, yaw: float, eyes: float) -> bool:
    """Whether the face does this: the person's left is the picture's right."""
    wanted: Callable[[], bool] = {
        "left": lambda: yaw > _TURN,
        "right": lambda: yaw < -_TURN,
        "blink": lambda: abs(yaw) < _TURN and eyes < _SHUT,
    }[action]
    return wanted()


def _jumped(before: Face, now: Face) -> bool:
    x0, _, x1, _ = before.box
    return float(np.linalg.norm(before.points.mean(0) - now.points.mean(0))) > _MOVED * (x1 - x0)
