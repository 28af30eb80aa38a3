"""The shape of a head without its pose: the wearer's own, learned while running, and the way to the persona's.

A shape is float32 [468, 3] in the axes and centimetres of MediaPipe's canonical face, but as a picture has them: x to
the right, y down, smaller z is nearer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, hypot, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from live.align import BROWS, LIDS, LIPS, OVAL
from live.frame import Floats
from live.raster import point_normals

Indices = npt.NDArray[np.int32]

_FADE_CM = 3.2  # how far from the rim the persona's shape is wholly there
_OPEN_CM = 0.5  # mean opening of the lids of a usual eye
# Lips and brows of another face seem to move less up and down than the wearer's, by these parts: drawn livelier, they
# are read as the wearer's (measured with the mesh net on six pairs of synthetic people).
_LIPS_MORE, _BROWS_MORE = 0.08, 0.14
_CALM = 1.0  # an expression of so many standard deviations is no calm face any more
_KNOWN = 12.0  # calm frames after which the wearer's shape counts as known
_FRAMES = 600  # from then on it is a mean over about so many calm frames
_BELIEF = 25.0  # cm^2: variance of what is a person's own, over all points
_MOST_CM = 1.2  # no point is moved by more, whatever the net saw


@dataclass(frozen=True, slots=True)
class Head:
    """Where a head is in a picture: `scale` (pixels a centimetre), `turn` (3 x 3 rotation), `shift` (pixels)."""

    scale: float
    turn: Floats
    shift: Floats

    def shape(self, mesh: Floats) -> Floats:
        """A mesh in pixels as a shape."""
        return np.asarray((mesh - self.shift) @ self.turn / self.scale, np.float32)

    def moved(self, difference: Floats) -> Floats:
        """A difference of shapes in pixels of the picture."""
        return np.asarray(difference @ self.turn.T * self.scale, np.float32)


class Skull:
    """What is known of every head: the canonical face, its rim, the parts that do not move with the face's muscles."""

    def __init__(self, canonical: Floats, triangles: npt.NDArray[Any]) -> None:
        self.triangles: Indices = np.ascontiguousarray(triangles, np.int32)
        self.canonical = (canonical * np.array([1, -1, -1], np.float32)).astype(np.float32)
        self.mirror = _mirror(self.canonical)
        self.from_rim_cm = _distances(self.canonical, self.triangles, list(OVAL))
        self.inner = _smoothstep(np.asarray(self.from_rim_cm / _FADE_CM, np.float32))
        self.livelier = np.zeros(len(self.canonical), np.float32)
        self.livelier[list(LIPS)] = _LIPS_MORE
        self.livelier[list(BROWS)] = _BROWS_MORE
        x, y = self.canonical[:, 0], self.canonical[:, 1]
        rigid = np.ones(len(x), np.float32)
        rigid[y > 2.2] = 0.05  # jaw, mouth
        rigid[list(LIPS)] = 0
        rigid[[i for pairs in LIDS for pair in pairs for i in pair]] = 0.2
        brows = (y < -3.6) & (y > -5.4) & (np.abs(x) > 0.8)
        rigid[brows] = 0.2
        self._rigid = rigid / rigid.sum()
        self._middle = self._rigid @ self.canonical
        self._centred = (self.canonical - self._middle) * self._rigid[:, None]
        self._spread = float((self._rigid @ (self.canonical - self._middle) ** 2).sum())

    def normals(self, mesh: Floats) -> Floats:
        """Outward normals of a mesh or a shape at its points: float32 [468, 3], z < 0 towards the camera."""
        normals = np.empty_like(mesh)
        point_normals(mesh, self.triangles, normals)
        return normals

    def mirrored(self, shape: Floats) -> Floats:
        """The shape of the mirror image."""
        return np.asarray(shape[self.mirror] * np.array([-1, 1, 1], np.float32), np.float32)

    def head(self, mesh: Floats) -> Head:
        """The similarity that brings the canonical face to the mesh (Umeyama 1991), fitted on what is rigid."""
        middle = self._rigid @ mesh
        u, s, vt = np.linalg.svd((mesh - middle).T @ self._centred)
        turn = u @ vt
        if np.dot(_cross(turn[0], turn[1]), turn[2]) < 0:  # a mirror: the least of the axes is turned round
            u[:, 2], s[2] = -u[:, 2], -s[2]
            turn = u @ vt
        scale = float(s.sum()) / self._spread
        return Head(scale, turn.astype(np.float32), (middle - scale * turn @ self._middle).astype(np.float32))


class Calm:
    """Takes the expression out of a shape: as much of it as the usual ways to move a face explain (`ways`, float32
    [k, 468, 3], as long as one standard deviation, away from the mean calm face `calm`).

    A part of what differs between people looks like an expression (a wide mouth, low brows) and would go too: `_BELIEF`
    makes small differences count as the person's own.
    """

    def __init__(self, calm: Floats, ways: Floats) -> None:
        self._calm, self._ways = calm, ways.reshape(len(ways), -1)
        inverse = np.linalg.inv(self._ways @ self._ways.T / _BELIEF + np.eye(len(ways)))
        self._read = (inverse @ self._ways / _BELIEF).astype(np.float32)

    def __call__(self, shape: Floats) -> Floats:
        return np.asarray(shape - (self._much(shape) @ self._ways).reshape(shape.shape), np.float32)

    def expression(self, shape: Floats) -> float:
        """How much expression is in a shape, in standard deviations."""
        much = self._much(shape)
        return sqrt(float(much @ much))

    def _much(self, shape: Floats) -> Floats:
        return np.asarray(self._read @ (shape - self._calm).reshape(-1), np.float32)


@dataclass
class Own:
    """The wearer's own shape: soon known from the first calm frames that look at the camera, then hardly changing.

    Were it to follow what it sees for longer, the new face would drift with each long laugh. `calm` 0..1: how much the
    last frame counted.
    """

    shape: Floats | None = None
    opening: Floats | None = None
    calm: float = 0.0
    _weight: float = field(default=0.0, init=False)

    def learn(self, shape: Floats, now: Floats, head: Head, expression: float = 0.0) -> None:
        """Take in one frame: its shape as it is (`now`), with the expression taken out (`shape`), how much that was."""
        gape = hypot(*(now[13] - now[14]).tolist())
        forward = min(max((float(head.turn[2, 2]) - 0.8) / 0.15, 0.0), 1.0)
        self.calm = forward * exp(-gape / 0.4 - 0.5 * (expression / _CALM) ** 2)
        weight = max(1e-3, self.calm)
        self._weight += weight
        share = np.float32(weight / (self._weight if self._weight < _KNOWN else _FRAMES))
        opening = openings(shape)
        if self.shape is None or self.opening is None:
            self.shape, self.opening = shape.copy(), np.maximum(opening, _OPEN_CM)  # they may be shut right now
            return
        self.shape += (shape - self.shape) * share
        # A lid that blinks says nothing of how open the eye is: the mean follows upwards faster than downwards.
        up = np.where(opening > self.opening, share, share * np.float32(0.3))
        self.opening += (opening - self.opening) * up


def openings(shape: Floats) -> Floats:
    """Mean distance between upper and lower lid in cm, right and left eye; float32 [2]."""
    apart = shape[_UPPER_LIDS] - shape[_LOWER_LIDS]
    return np.asarray(np.sqrt((apart * apart).sum(2)).sum(1) / np.float32(apart.shape[1]), np.float32)


def _lids(now: Floats, own: Floats, persona: Floats) -> Floats:
    """By what the lids' openings (cm) change: the persona's difference is added while the eye is open, so that lids
    move as far as the wearer's, and lids that the net sees nearly shut (it leaves a third) come together.
    """
    q = now / np.maximum(own, 0.05)
    differs = np.clip(persona - own, -0.4 * own, 0.5 * own) * _smoothstep((q - 0.48) / 0.35)
    shut = np.clip((q - 0.48) / 0.17, 0, 1)
    return np.asarray(np.maximum(now * shut + differs, 0) / np.maximum(now, 1e-3), np.float32)


_UPPER_LIDS, _LOWER_LIDS = np.array(LIDS, np.int64).transpose(2, 0, 1)  # of both eyes, [2, 7]
_INNER_LIPS = tuple(np.array(rows, np.int64) for rows in ((82, 13, 312, 81, 311, 80, 310, 191, 415),
                                                           (87, 14, 317, 178, 402, 88, 318, 95, 324)))  # fmt: skip


def towards(skull: Skull, persona: Floats, own: Own, now: Floats, strength: float) -> Floats:
    """How far each point of the wearer's face goes towards the persona's: cm, float32 [468, 3]; 0 at the rim.

    `now` is the wearer's shape in this frame. Lids change their opening apart from where they are, and the inner lips
    move in pairs, so that a closed eye stays closed and a closed mouth too.
    """
    assert own.shape is not None and own.opening is not None, "learn() comes first"
    step = persona - own.shape
    step[:, 1] += skull.livelier * (now - own.shape)[:, 1]
    step[:, 2] *= np.float32(0.5)  # the net's depth is its weakest guess
    factors = _lids(openings(now), own.opening, openings(persona))
    middle = (step[_UPPER_LIDS] + step[_LOWER_LIDS]) / 2
    half = (now[_UPPER_LIDS] - now[_LOWER_LIDS]) * ((factors - 1) / 2)[:, None, None]
    step[_UPPER_LIDS], step[_LOWER_LIDS] = middle + half, middle - half
    upper, lower = _INNER_LIPS
    step[upper] = step[lower] = (step[upper] + step[lower]) / 2
    far = np.sqrt((step * step).sum(1))
    step *= (np.minimum(1, _MOST_CM / np.maximum(far, 1e-6)) * skull.inner * np.float32(strength))[:, None]
    return step


def _cross(a: Floats, b: Floats) -> tuple[float, float, float]:
    """Of three numbers each: NumPy's own takes ten times as long."""
    (x, y, z), (u, v, w) = a.tolist(), b.tolist()
    return y * w - z * v, z * u - x * w, x * v - y * u


def _smoothstep(x: npt.NDArray[Any]) -> Floats:
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x), np.float32)


def _mirror(canonical: Floats) -> Indices:
    """For each point the number of its twin on the other side of the face."""
    flipped = canonical * np.array([-1, 1, 1], np.float32)
    far = np.linalg.norm(flipped[:, None] - canonical[None], axis=2)
    return np.asarray(far.argmin(1), np.int32)


def _distances(points: Floats, triangles: Indices, start: list[int]) -> Floats:
    """Shortest way along edges from the nearest of `start` to each point (Bellman and Ford)."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    length = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    far = np.full(len(points), np.inf, np.float32)
    far[start] = 0
    for _ in range(len(points)):
        before = far.copy()
        np.minimum.at(far, edges[:, 1], before[edges[:, 0]] + length)
        np.minimum.at(far, edges[:, 0], before[edges[:, 1]] + length)
        if np.array_equal(before, far):
            break
    return far
