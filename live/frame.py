"""The values that travel: what was captured, the faces in it, the patch that replaces one, what may be shown.

Pictures are BGR u8 HWC, coordinates are pixels of the frame (x right, y down, pixel centres at whole numbers).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from engines.card import ModelCard
from live.sound import Soundtrack
from live.trace import Trace

Image = npt.NDArray[np.uint8]
"""u8 [height, width, 3], BGR."""

Mask = npt.NDArray[np.uint8]
"""u8 [height, width]; 255 = wholly the new face."""

Floats = npt.NDArray[np.float32]


@dataclass(slots=True)
class Captured:
    """What a source read: a fresh writable image, owned by whoever takes it.

    `captured_ns` is the clock time at which the light was caught (for a file: when the frame was due);
    `position_s` is the frame's time on the source's own timeline, from 0, never going back.
    """

    image: Image
    captured_ns: int
    position_s: float


@dataclass(frozen=True, slots=True)
class Format:
    """What a source delivers and every sink gets. `sound` belongs to the pictures (see live/sound); `session` is the
    run's random number (24 bits), which marks and recordings carry.
    """

    width: int
    height: int
    fps: float
    sound: Soundtrack | None = None
    session: int = 0


STRANGER = -1


@dataclass(slots=True)
class Face:
    """One face in a picture.

    `points` float32 [5, 2]: right eye, left eye, nose tip, right and left mouth corner (the person's right).
    `mesh` float32 [468, 3] in MediaPipe's order, z in pixels too, smaller is nearer; None if the finder has none.
    `pose` is yaw, pitch, roll in degrees: yaw > 0 looks to the picture's right, pitch > 0 up, roll > 0 clockwise.
    It is rough: the mesh of a straight face has a pitch of about -9, and turns are underestimated by a quarter.
    `irises` float32 [2, 3]: centre and radius of the right and the left iris, None if the finder does not look.
    `track` is the same number from frame to frame (0: not tracked yet); `missed` says that the face was not found
    in this picture, and is where it should be by now. `role` is whose face it gets: the number of a persona, or
    STRANGER (see live/cast.py).
    """

    points: Floats
    mesh: Floats | None
    score: float
    pose: tuple[float, float, float] = (0.0, 0.0, 0.0)
    track: int = 0
    missed: bool = False
    irises: Floats | None = None
    role: int = 0

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 around all points."""
        all_points = self.points if self.mesh is None else self.mesh[:, :2]
        (x0, y0), (x1, y1) = all_points.min(0), all_points.max(0)
        return float(x0), float(y0), float(x1), float(y1)


@dataclass(slots=True)
class Patch:
    """A new face for the rectangle of the frame whose top left pixel is (x, y). It belongs to whoever gets it.

    `pixels` u8 [h, w, 3] BGR, `alpha` u8 [h, w]. It lies wholly inside the frame. `hidden` u8 [h, w]: 255 where
    something lies in front of the face, so that alpha is 0 there on purpose; None: nowhere.
    """

    pixels: Image
    alpha: Mask
    x: int
    y: int
    hidden: Mask | None = None


@dataclass(frozen=True, slots=True)
class View:
    """One picture of a persona and the face in it."""

    image: Image
    face: Face


Disclosure = Literal["synthetic", "self", "consented", "unverified"]
"""How it is known that this face may be worn; it decides how large the label on outgoing pictures is."""


@dataclass(frozen=True, slots=True)
class Persona:
    """Whose face is worn: one portrait or several, the one that looks most straight into the camera first; or a
    trained `model`, with portraits only if it is a personal engine. `others` are the personas of further people in the
    picture, in the order of their roles. `why_not` says in words why it may not be worn any more, "" while it may; it
    is cheap enough to be asked for each frame.
    """

    name: str
    views: tuple[View, ...]
    model: ModelCard | None = None
    disclosure: Disclosure = "unverified"
    others: tuple[Persona, ...] = ()
    why_not: Callable[[], str] = field(default=lambda: "", compare=False, repr=False)

    @property
    def image(self) -> Image:
        return self.views[0].image

    @property
    def face(self) -> Face:
        return self.views[0].face


@dataclass(slots=True)
class Frame:
    """One picture on its way through the loop. One owner at a time: hand it over, then forget it.

    `lost` counts faces that were there a moment ago, are not found, and are not known to have left.
    `spare` says how much optional work shall be left out (see Swapper).
    `trouble` says in words why the frame must not be shown. Only the blend step makes it `safe`, and only the guard
    notes that it is `marked`: a frame that is not both is never shown. `worn` is who was put on in it.
    """

    number: int
    image: Image
    position_s: float
    trace: Trace
    faces: list[Face] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    lost: int = 0
    trouble: str | None = None
    safe: bool = False
    marked: bool = False
    spare: int = 0
    worn: Persona | None = None


State = Literal["live", "hold", "cover", "bare"]


class SafeFrame:
    """The only thing that a sink accepts; only the guard makes one (`tests/live/test_guard.py` pins that).

    `image` is read-only and shared by all sinks. `state`: live (every face swapped), hold (the last live
    picture again), cover (a slate), bare (no face in it, and the user asked to see such pictures).
    `trace` is set for live and bare frames; `position_s` is None for covers before the first frame.
    """

    __slots__ = ("image", "position_s", "state", "trace")

    def __init__(self, key: Any, image: Image, state: State, position_s: float | None, trace: Trace | None) -> None:
        if key is not _GUARDS_KEY:
            raise PermissionError("only the guard makes a SafeFrame")
        image.setflags(write=False)
        self.image = image
        self.state = state
        self.position_s = position_s
        self.trace = trace


_GUARDS_KEY = object()
