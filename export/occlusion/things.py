"""Paints things that come in front of a face: hands, microphones, cups, phones, paper, sleeves, strands of hair."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from export.occlusion.hands import cut_hand, drawn_hand
from export.occlusion.shapes import (
    Box,
    Layer,
    Place,
    Random,
    filled,
    height_field,
    on_top,
    quad,
    shade,
    skin_near,
    texture,
)


def any_thing(rng: Random, box: Box, place: Place) -> Layer:
    """One layer of a kind drawn by lot; hands are every second thing."""
    kinds: list[tuple[float, Callable[[], Layer]]] = [
        (0.32, lambda: drawn_hand(rng, box, place)),
        (0.23, lambda: cut_hand(rng, box, place)),
        (0.09, lambda: microphone(rng, place)),
        (0.08, lambda: cup(rng, box, place)),
        (0.07, lambda: slab(rng, box, place)),
        (0.06, lambda: sleeve(rng, box, place)),
        (0.06, lambda: strands(rng, place)),
        (0.09, lambda: blob(rng, box, place)),
    ]
    chances = np.array([chance for chance, _ in kinds])
    return kinds[int(rng.choice(len(kinds), p=chances / chances.sum()))][1]()


def microphone(rng: Random, place: Place) -> Layer:
    n, r = place.n, place.size * rng.uniform(0.12, 0.3)
    angle, long = rng.normal(0, 0.9), place.size * 3
    foot = np.array([place.at[0] + np.sin(angle) * long, place.at[1] + np.cos(angle) * long, -0.3 * r])
    head = np.array([*place.at, 0.0])
    ends = np.array([(head, head + (foot - head) * r * rng.uniform(0, 0.6) / long), (head, foot)], np.float32)
    thin = r * rng.uniform(0.3, 0.75)
    height, top = height_field(ends, np.array([(r, r), (thin, thin * 0.8)], np.float32), n)
    inside = top >= 0
    if not inside.any():
        return np.zeros((n, n, 3), np.float32), np.zeros((n, n), np.float32)
    light = shade(rng, height, inside, place.size)
    colours = rng.uniform(10, 90, (2, 1)) * np.ones(3) if rng.random() < 0.7 else rng.uniform(10, 230, (2, 3))
    mesh = rng.uniform(0.5, 1.6, (n, n)) if rng.random() < 0.6 else np.ones((n, n))
    pixels = colours[np.maximum(top, 0)] * (light * np.where(top == 0, mesh, 1))[..., None]
    return pixels.astype(np.float32), cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.6)


def cup(rng: Random, box: Box, place: Place) -> Layer:
    """A cup, glass or bottle: a band that is round in its light, sometimes with a hand around it."""
    n, wide = place.n, place.size * rng.uniform(0.35, 0.85)
    angle, tall = rng.normal(0, 0.35), wide * rng.uniform(0.9, 2.2)
    alpha = filled(n, quad(place.at, wide, tall, angle, rng.uniform(0.6, 1.05)))
    x, y = np.meshgrid(np.arange(n) - place.at[0], np.arange(n) - place.at[1])
    across = np.clip((x * np.cos(angle) + y * np.sin(angle)) / (wide / 2), -1, 1)
    round_light = 1.1 - rng.uniform(0.2, 0.7) * (across - rng.uniform(-0.5, 0.5)) ** 2
    pixels = texture(rng, box, n) * round_light[..., None]
    if rng.random() < 0.5:
        low = (place.at[0], place.at[1] + tall * rng.uniform(0, 0.4))
        hand, over = drawn_hand(rng, box, Place(n, low, place.size, place.skin))
        return on_top((pixels.astype(np.float32), alpha), (hand, over))
    return pixels.astype(np.float32), alpha


def slab(rng: Random, box: Box, place: Place) -> Layer:
    """A phone, a book, a sheet of paper, perhaps held."""
    n, wide = place.n, place.size * rng.uniform(0.3, 0.9)
    tall = wide * rng.uniform(0.6, 2.1)
    angle = rng.normal(0, 0.5)
    alpha = filled(n, quad(place.at, wide, tall, angle, rng.uniform(0.85, 1.15)))
    pixels = texture(rng, box, n)
    lot = rng.random()
    if lot < 0.4:  # a phone's dark back with its lenses
        pixels = np.ascontiguousarray(pixels * 0.15 + rng.uniform(5, 60), np.float32)
        for _ in range(rng.integers(1, 4)):
            lens = np.array(place.at) + rng.uniform(-0.3, 0.3, 2) * (wide, tall)
            cv2.circle(pixels, (int(lens[0]), int(lens[1])), int(0.07 * wide) + 1, (90, 80, 70), 1, cv2.LINE_AA)
    elif lot < 0.7:
        pixels = pixels * 0.1 + rng.uniform(150, 225)
    layer = (pixels.astype(np.float32), alpha)
    if rng.random() < 0.4:
        low = (place.at[0], place.at[1] + tall * 0.5)
        return on_top(layer, drawn_hand(rng, box, Place(n, low, place.size, place.skin)))
    return layer


def sleeve(rng: Random, box: Box, place: Place) -> Layer:
    """An arm across the face, in cloth or bare."""
    n, r, angle = place.n, place.size * rng.uniform(0.13, 0.4), rng.uniform(-1.3, 1.3)
    reach = np.array([np.cos(angle), np.sin(angle), 0]) * place.size
    ends = np.array([[np.array([*place.at, 0]) - reach * rng.uniform(0, 2), np.array([*place.at, 0]) + 3 * reach]])
    height, top = height_field(ends.astype(np.float32), np.array([[r, r * rng.uniform(0.8, 1.3)]], np.float32), n)
    inside = top >= 0
    if not inside.any():
        return blob(rng, box, place)
    light = shade(rng, height, inside, place.size)[..., None]
    bare = rng.random() < 0.35
    pixels = (skin_near(rng, place.skin) if bare else texture(rng, box, n)) * light
    return pixels.astype(np.float32), cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.6)


def strands(rng: Random, place: Place) -> Layer:
    """Locks of hair that fall over the face from above."""
    n = place.n
    mask = np.zeros((n, n), np.uint8)
    shine = np.zeros((n, n), np.float32)
    root = np.array([place.at[0] + rng.normal(0, 0.3) * place.size, n * 0.5 - 0.75 * place.size])
    for _ in range(rng.integers(2, 5)):
        start, tip = root + rng.normal(0, 0.1, 2) * place.size, np.array(place.at) + rng.normal(0, 0.2, 2) * place.size
        bend = (start + tip) / 2 + rng.normal(0, 0.2, 2) * place.size
        thick = place.size * rng.uniform(0.015, 0.05)
        for _ in range(rng.integers(4, 14)):
            t = np.linspace(0, 1, 16)[:, None]
            off = rng.normal(0, thick, 2)
            line = (
                (1 - t) ** 2 * (start + off) + 2 * t * (1 - t) * (bend + off) + t**2 * (tip + off * rng.uniform(0, 2))
            )
            points = [np.round(line * 16).astype(np.int32)]
            width = int(rng.integers(1, 4))
            cv2.polylines(mask, points, False, 255, width, cv2.LINE_AA, 4)
            cv2.polylines(shine, points, False, float(rng.uniform(0.5, 1.6)), width, cv2.LINE_AA, 4)
    colour = np.array([(22, 20, 22), (30, 45, 70), (70, 110, 160), (60, 60, 62), (150, 160, 170)][rng.integers(5)])
    return (colour * np.maximum(shine, 0.4)[..., None]).astype(np.float32), mask.astype(np.float32) / 255


def blob(rng: Random, box: Box, place: Place) -> Layer:
    """Anything: a smooth or cornered outline with a texture."""
    corners = int(rng.integers(3, 12))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = place.size * rng.uniform(0.1, 0.55) * rng.uniform(0.6, 1.3, corners)
    outline = np.stack([np.cos(angles), np.sin(angles) * rng.uniform(0.4, 1.6)], 1) * reach[:, None] + place.at
    alpha = filled(place.n, outline.astype(np.float32))
    if rng.random() < 0.5:
        alpha = np.clip(cv2.GaussianBlur(alpha, (0, 0), 0.05 * place.size) * 6 - 2.5, 0, 1).astype(np.float32)
    return texture(rng, box, place.n), alpha
