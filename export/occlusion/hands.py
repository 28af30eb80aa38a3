"""Paints hands in front of a face: of capsules in any pose, or cut out of pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from export.occlusion.shapes import Box, Floats, Layer, Place, Random, height_field, shade, skin_near, texture

_KNUCKLES = np.array([(-0.17, 0.48), (-0.06, 0.52), (0.05, 0.50), (0.15, 0.44)])
_LENGTHS = np.array([0.40, 0.45, 0.42, 0.33])
_JOINTS = (0.45, 0.30, 0.25)  # how a finger's length is shared by its bones


def bones(rng: Random) -> tuple[Floats, Floats, list[int]]:
    """A hand in some pose: bones float32 [k, 2, 3] (ends; wrist at 0, y to the fingers, length about 1, z to the
    viewer), radii float32 [k, 2], and for each bone the finger (0: palm, 5: thumb, 6: forearm).
    """
    ends: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    radii: list[tuple[float, float]] = []
    owner: list[int] = []

    def bone(a: NDArray[np.float64], b: NDArray[np.float64], r0: float, r1: float, who: int) -> None:
        ends.append((a, b))
        radii.append((r0, r1))
        owner.append(who)

    pose = rng.choice(["flat", "cup", "fist", "point", "loose"], p=[0.3, 0.25, 0.13, 0.12, 0.2])
    curl_range = {"flat": (0, 0.25), "cup": (0.2, 0.7), "fist": (1.2, 1.6), "point": (1.2, 1.6), "loose": (0, 1.2)}
    spread = rng.uniform(-0.05, 0.22)
    together = rng.uniform(*curl_range[pose])
    pointing = rng.integers(0, 2) if pose == "point" else -1
    toward = rng.choice([-1.0, 1.0])  # curls to the viewer or to the face
    for i, knuckle in enumerate(_KNUCKLES):
        base = np.array([*knuckle, 0.02 * np.cos(i - 1.5)])
        root = np.array([knuckle[0] * 0.75, 0.02, 0.0])
        bone(root, base, 0.10, 0.075, 0)
        curl = rng.uniform(0, 0.15) if i <= pointing else together + rng.normal(0, 0.12)
        side = (i - 1.5) * spread + rng.normal(0, 0.04)
        angle, at = curl * 0.6, base
        thick = rng.uniform(0.9, 1.1) * (0.062 if i < 3 else 0.053)
        for k, share in enumerate(_JOINTS):
            reach = _LENGTHS[i] * share
            step = np.array([np.sin(side) * np.cos(angle), np.cos(side) * np.cos(angle), toward * np.sin(angle)])
            bone(at, at + reach * step, thick * (1 - 0.1 * k), thick * (0.9 - 0.1 * k), i + 1)
            at, angle = at + reach * step, angle + curl
    out, at = rng.uniform(0.1, 1.1), np.array([-0.13, 0.12, 0.02])
    for reach, r0, r1 in ((0.2, 0.09, 0.07), (0.17, 0.065, 0.058), (0.14, 0.058, 0.045)):
        step = np.array([-np.sin(out), np.cos(out), toward * rng.uniform(0, 0.6)])
        bone(at, at + reach * step, r0, r1, 5)
        at, out = at + reach * step, out - rng.uniform(0, 0.5)
    bone(np.array([0.0, 0.05, 0.0]), np.array([rng.normal(0, 0.4), -1.6, -0.1]), 0.13, 0.17, 6)
    return np.array(ends, np.float32), np.array(radii, np.float32), owner


def drawn_hand(rng: Random, box: Box, place: Place) -> Layer:
    """A hand of capsules with skin, nails and perhaps a sleeve; it mostly comes from below."""
    ends, radii, owner = bones(rng)
    n, unit = place.n, place.size * rng.uniform(0.75, 1.35)
    yaw, pitch, roll = rng.normal(0, 0.5), rng.normal(0, 0.45), rng.normal(0, 0.9)
    if rng.random() < 0.5:
        ends = ends * np.array([-1, 1, 1], np.float32)
    turn = cv2.Rodrigues(np.array([0, 0, roll]))[0] @ cv2.Rodrigues(np.array([pitch, yaw, 0]))[0]
    ends = (ends * (1, -1, 1)) @ turn.T.astype(np.float32)
    middle = ends[[b for b, who in enumerate(owner) if who < 6]].mean((0, 1))
    grip = middle + (ends[11, 1] - middle) * rng.uniform(-0.2, 0.9)
    ends = ((ends - grip) * unit + (*place.at, 0)).astype(np.float32)
    height, top = height_field(ends, radii * unit, n)
    inside = top >= 0
    if inside.sum() < 30:
        return cut_hand(rng, box, place)
    light = shade(rng, height, inside, unit)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (n, n)).astype(np.float32), (0, 0), rng.uniform(0.8, 3))
    who = np.array([*owner, 0])[top]
    tone = rng.uniform(0.94, 1.06, 7)[who] * (1 + rng.uniform(0, 0.12) * grain)
    pixels = skin_near(rng, place.skin) * (light * tone)[..., None]
    if rng.random() < 0.5:  # nails on the last bones
        for tip in [b for b, f in enumerate(owner) if 0 < f < 6 and (b + 1 == len(owner) or owner[b + 1] != f)]:
            y, x = np.indices((n, n))
            on = (top == tip) & (np.hypot(x - ends[tip, 1, 0], y - ends[tip, 1, 1]) < 0.05 * unit)
            pixels[on] = pixels[on] * 0.6 + rng.uniform(0.3, 0.45) * np.array([190, 190, 235]) * light[on][:, None]
    if rng.random() < 0.5:  # a sleeve
        on = who == 6
        pixels[on & inside] = (texture(rng, box, n) * light[..., None])[on & inside]
    return pixels.astype(np.float32), cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.6)


def cut_hand(rng: Random, box: Box, place: Place) -> Layer:
    """A hand out of a picture, turned, sized and toned as the face here needs it."""
    hand = box.hands[rng.integers(len(box.hands))]
    opacity = hand[..., 3]
    rows, columns = np.nonzero(opacity > 0.5)
    middle = np.array([rng.choice(columns), rng.choice(rows)], np.float32)
    # In its own crop the face is half as wide as high there: about 100 px.
    scale = place.size / 100 * rng.uniform(0.75, 1.5)
    angle = rng.normal(0, 0.7)
    flip = rng.choice([-1.0, 1.0])
    stretch = np.diag([flip, rng.uniform(0.85, 1.2)])
    cos, sin = np.cos(angle), np.sin(angle)
    turn = scale * np.array([[cos, -sin], [sin, cos]]) @ stretch
    matrix = np.hstack([turn, (np.array(place.at) - turn @ middle)[:, None]])
    moved = cv2.warpAffine(hand, matrix, (place.n, place.n), flags=cv2.INTER_LINEAR)
    own = np.median(hand[opacity > 0.9][:, :3], axis=0)
    gain = np.where(rng.random() < 0.75, skin_near(rng, place.skin) / np.maximum(own, 8), 1.0)
    return np.clip(moved[..., :3] * gain, 0, 255).astype(np.float32), np.ascontiguousarray(moved[..., 3])
