"""The wearer's colours on the new face: mean and spread in Lab brought to the wearer's (Reinhard et al., 2001).

What that does to the colours of a face is, within a level or two, one affine map of BGR. That map is found on small
pictures, is applied to the large one in one pass and without the steps of Lab in bytes, and can be steadied over time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from live.frame import Face, Floats, Image, Mask

SMALL_PX = 32
_LEAST = 40  # pixels of the small picture below which nothing is learned
_CALM, _JUMP = 0.15, 40.0  # how much of a new map is taken over at once; a change by so many levels is, wholly
_CHANGE = 3.0  # levels by which a picture's mean must move to be looked at anew at once
_FORGET = 300  # looks after which the colours of a face that was not seen are forgotten

Map = npt.NDArray[np.float32]


@dataclass(slots=True)
class _Known:
    """The map of one face, the mean levels of both pictures when it was learned, and when that was."""

    map: Map
    levels: Floats
    learned: int
    seen: int


@dataclass
class Colours:
    """The maps of the faces that are tracked, steadied from frame to frame."""

    _known: dict[int, _Known] = field(default_factory=dict, init=False)
    _looks: int = field(default=0, init=False)

    def look(self, face: Face, new: Image, old: Image, seen: Mask) -> Map | None:
        """The map for this face now, as `colour_map`; a face that is missed keeps what it had. Once a frame a face.

        It is learned anew in every second frame, and at once when the light changes.
        """
        self._looks += 1
        known = self._known.get(face.track) if face.track else None
        levels = np.array([*cv2.mean(new)[:3], *cv2.mean(old)[:3]], np.float32)
        if known is not None:
            known.seen = self._looks
            # Several faces take turns in the count of looks, so a face's own age is told by how many there are.
            calm = self._looks - known.learned < 2 * len(self._known) and np.abs(levels - known.levels).max() < _CHANGE
            if face.missed or calm:
                return known.map
        found = colour_map(new, old, seen)
        if found is None:
            return None if known is None else known.map
        now = found if known is None else eased(known.map, found)
        if face.track:
            self._known[face.track] = _Known(now, levels, self._looks, self._looks)
            self._known = {track: one for track, one in self._known.items() if self._looks - one.seen < _FORGET}
        return now


def colour_map(new: Image, old: Image, seen: Mask) -> Map | None:
    """The map float32 [3, 4] of levels that gives `new` the colours of `old`; None where too little is `seen`.

    u8 [SMALL_PX, SMALL_PX, 3] twice, and u8 [SMALL_PX, SMALL_PX]: where both show skin of the face.
    """
    at = np.asarray(seen > 127, np.uint8)
    count = cv2.countNonZero(at)
    if count < _LEAST:
        return None
    before = new.astype(np.float32)
    lab, wearer = (cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_BGR2Lab) for picture in (new, old))
    (mean, spread), (wished, wide) = (
        (a[:, 0].astype(np.float32), b[:, 0].astype(np.float32))
        for a, b in (cv2.meanStdDev(picture, mask=at) for picture in (lab, wearer))
    )
    wanted = (lab - mean) * np.clip((wide + 1e-3) / (spread + 1e-3), 0.5, 2) + wished
    after = np.clip(cv2.cvtColor(wanted.astype(np.float32), cv2.COLOR_Lab2BGR) * 255, 0, 255)
    # Least squares for the change, with a soft pull to none: a face of one colour tells no slope.
    weight = at.reshape(-1, 1) * np.float32(1 / count)
    from_, change = before.reshape(-1, 3), (after - before).reshape(-1, 3)
    middle, shift = (weight * from_).sum(0), (weight * change).sum(0)
    off = from_ - middle
    heavy = (off * weight).T
    slope = np.linalg.solve(heavy @ off + np.eye(3, dtype=np.float32), heavy @ change).T
    return np.hstack([np.eye(3) + slope, (shift - slope @ middle)[:, None]]).astype(np.float32)


def eased(before: Map, now: Map) -> Map:
    """The map some way from `before` to `now`: far where a middle grey would change much, else a little."""
    step = now - before
    size = float(np.abs(step @ (128, 128, 128, 1)).max())
    return before + step * np.float32(min(1.0, _CALM + size / _JUMP))


def recoloured(picture: Image, map: Map) -> Image:
    """`picture` u8 [h, w, 3] with other colours."""
    return np.asarray(cv2.transform(picture, map), np.uint8)


def of_small(picture: Floats) -> Image:
    """A small picture of levels, float32 [h, w, 3], as u8."""
    return np.asarray(np.clip(picture + np.float32(0.5), 0, 255), np.uint8)
