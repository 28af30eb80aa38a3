"""The wearer's colours on the new face: mean and spread in Lab brought to the wearer's (Reinhard et al., 2001).

What that does to the colours of a face is, within a level or two, one affine map of BGR. That map is found on small
pictures, is applied to the large one in one pass and without the steps of Lab in bytes, and can be steadied over time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from live.compiled import compiled
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
    lab, wearer = (
        cv2.cvtColor(picture.astype(np.float32) * np.float32(1 / 255), cv2.COLOR_BGR2Lab) for picture in (new, old)
    )
    if reinhard(lab, wearer, seen) < _LEAST:
        return None
    map = np.zeros((3, 4), np.float32)
    affine(new, cv2.cvtColor(lab, cv2.COLOR_Lab2BGR), seen, map)
    return map


@compiled()
def reinhard(lab, wearer, seen):  # type: ignore[no-untyped-def]
    """Bring mean and spread of `lab` f32 [n, n, 3] to those of `wearer`, in place, over the pixels that are `seen`
    (u8 [n, n], above 127). Answers how many these are.
    """
    count = 0
    for y in range(seen.shape[0]):
        for x in range(seen.shape[1]):
            count += seen[y, x] > 127
    for c in range(3):
        a = aa = b = bb = 0.0
        for y in range(seen.shape[0]):
            for x in range(seen.shape[1]):
                if seen[y, x] > 127:
                    here, there = np.float64(lab[y, x, c]), np.float64(wearer[y, x, c])
                    a, aa, b, bb = a + here, aa + here * here, b + there, bb + there * there
        n = max(count, 1)
        spread, wide = np.sqrt(max(aa / n - (a / n) ** 2, 0.0)), np.sqrt(max(bb / n - (b / n) ** 2, 0.0))
        times = min(max((wide + 1e-3) / (spread + 1e-3), 0.5), 2.0)
        more = b / n - a / n * times
        for y in range(seen.shape[0]):
            for x in range(seen.shape[1]):
                lab[y, x, c] = np.float32(lab[y, x, c] * times + more)
    return count


@compiled()
def affine(before, after, seen, map):  # type: ignore[no-untyped-def]
    """Fill `map` f32 [3, 4] with what turns `before` u8 [n, n, 3] into `after` f32 [n, n, 3], 0..1, best in least
    squares, where it is `seen`. A soft pull is to no change: a face of one colour tells no slope.

    Number by number: numpy's operations on whole arrays take numba two seconds to compile.
    """
    heavy, cross, inverse, slope = np.zeros((3, 3)), np.zeros((3, 3)), np.zeros((3, 3)), np.zeros((3, 3))
    middle, shift, count = np.zeros(3), np.zeros(3), 0
    for i in range(3):
        heavy[i, i] = 1
    for way in range(2):  # the means first, then what lies around them
        for y in range(seen.shape[0]):
            for x in range(seen.shape[1]):
                if seen[y, x] <= 127:
                    continue
                count += way == 0
                for i in range(3):
                    level = np.float64(before[y, x, i])
                    change = min(max(np.float64(after[y, x, i]) * 255, 0.0), 255.0) - level
                    if way == 0:
                        middle[i] += level
                        shift[i] += change
                        continue
                    for j in range(3):
                        off = np.float64(before[y, x, j]) - middle[j]
                        cross[i, j] += change * off / count
                        heavy[i, j] += (level - middle[i]) * off / count
        if way == 0:
            for i in range(3):
                middle[i] /= count
                shift[i] /= count
    for i in range(3):  # symmetric: its inverse is made of cross products of its rows
        p, q = (i + 1) % 3, (i + 2) % 3
        for j in range(3):
            k, m = (j + 1) % 3, (j + 2) % 3
            inverse[i, j] = heavy[p, k] * heavy[q, m] - heavy[p, m] * heavy[q, k]
    size = heavy[0, 0] * inverse[0, 0] + heavy[0, 1] * inverse[0, 1] + heavy[0, 2] * inverse[0, 2]
    for i in range(3):
        for j in range(3):
            for k in range(3):
                slope[i, j] += cross[i, k] * inverse[k, j] / size
    for i in range(3):
        map[i, 3] = shift[i]
        for j in range(3):
            map[i, j] = slope[i, j] + (i == j)
            map[i, 3] -= slope[i, j] * middle[j]


def compile_all() -> None:
    """Compile now, not in the first frame."""
    one = np.zeros((SMALL_PX, SMALL_PX, 3), np.uint8)
    colour_map(one, one, np.full((SMALL_PX, SMALL_PX), 255, np.uint8))


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
