"""Chooses the moments of a clip by which a swap is judged: spread over it, the hard ones among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from live.frame import Face, Floats, Image
from live.parts import EndOfSource, Finder, Source
from live.track import Tracks

# Of MediaPipe's mesh: the inner lips' middles; top and chin; each eye's lids and corners.
_LIPS = (13, 14)
_HEIGHT = (10, 152)
_EYES = (((159, 145), (33, 133)), ((386, 374), (263, 362)))
_HEAD = 1.75  # the square around a head, in sizes of its face
_HAIR = 0.06  # how far its middle lies above the face's, as part of its side


@dataclass(frozen=True, slots=True)
class Window:
    """A square of a picture: its middle and its side in pixels. May reach beyond the picture."""

    x: float
    y: float
    side: float


@dataclass(frozen=True, slots=True)
class Moment:
    """What the largest face of one frame does. `label` says why the moment was chosen, if not for its time.

    `yaw` in degrees; `mouth` and `lids`: how far they are open, as part of the face's height and the eye's width (0
    where the finder has no mesh); `whole`: all of the face is in the picture.
    """

    at_s: float
    window: Window
    yaw: float
    mouth: float
    lids: float
    whole: bool
    label: str = ""


def scan(source: Source, finder: Finder, tracks: Tracks) -> list[Moment]:
    """Every frame of an opened source in which an opened finder finds a face. Finds them as the loop does."""
    moments: list[Moment] = []
    while True:
        try:
            captured = source.read()
        except EndOfSource:
            return moments
        found = finder.find(captured.image, tracks.faces)
        tracks.update(found, captured.position_s)
        if found:
            moments.append(_moment(captured.position_s, captured.image, found[0]))


def _moment(at_s: float, image: Image, face: Face) -> Moment:
    height, width = image.shape[:2]
    x0, y0, x1, y1 = face.box
    mouth, lids = (0.0, 0.0) if face.mesh is None else (_mouth(face.mesh), _lids(face.mesh))
    whole = x0 >= 0 and y0 >= 0 and x1 < width and y1 < height
    return Moment(at_s, head_window(face), face.pose[0], mouth, lids, whole)


def head_window(face: Face) -> Window:
    """The square that shows the whole head with hair and chin."""
    x0, y0, x1, y1 = face.box
    size = max(x1 - x0, y1 - y0) * (1.0 if face.mesh is not None else 2.5)  # five points span less than half a face
    side = _HEAD * size
    return Window((x0 + x1) / 2, (y0 + y1) / 2 - _HAIR * side, side)


def choose(moments: list[Moment], count: int) -> list[Moment]:
    """At most `count` of them in order of time: spread evenly, and of these, up to half replaced by the extremes.

    The extremes are sought among the frames that show the whole face: most turned to either side, widest mouth,
    most closed lids. Each takes the place of the nearest in time that is no extreme itself.
    """
    count = min(count, len(moments))
    places = [int((k + 0.5) * len(moments) / count) for k in range(count)]
    labels: dict[int, str] = {}
    for index, label in _extremes(moments)[: count // 2]:
        labels[index] = f"{labels[index]}, {label}" if index in labels else label
        if index not in places:
            free = [k for k, place in enumerate(places) if place not in labels]
            places[min(free, key=lambda k: abs(places[k] - index))] = index
    return [replace(moments[place], label=labels.get(place, "")) for place in sorted(places)]


def _extremes(moments: list[Moment]) -> list[tuple[int, str]]:
    """Index and label of each, the most telling first."""
    whole = [index for index, moment in enumerate(moments) if moment.whole]
    if not whole:
        return []

    def most(of: Callable[[Moment], float]) -> int:
        return max(whole, key=lambda index: of(moments[index]))

    left, right = most(lambda m: -m.yaw), most(lambda m: m.yaw)
    turns = [
        (index, f"yaw {moments[index].yaw:+.0f}°")
        for index in sorted({left, right}, key=lambda index: -abs(moments[index].yaw))
    ]
    extremes = turns[:1]
    if any(moments[index].mouth for index in whole):
        extremes += [(most(lambda m: m.mouth), "widest mouth"), (most(lambda m: -m.lids), "lids most shut")]
    return extremes + turns[1:]


def _mouth(mesh: Floats) -> float:
    return _gap(mesh, _LIPS) / _gap(mesh, _HEIGHT)


def _lids(mesh: Floats) -> float:
    """Of the eye that is more open, so that a wink, or an eye that is turned away, is not taken for shut lids."""
    return max(_gap(mesh, lids) / _gap(mesh, corners) for lids, corners in _EYES)


def _gap(mesh: Floats, pair: tuple[int, int]) -> float:
    return float(np.linalg.norm(mesh[pair[0], :2] - mesh[pair[1], :2])) + 1e-6
