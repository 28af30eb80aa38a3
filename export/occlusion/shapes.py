"""What painted things are made of: layers, places, textures, outlines, solids that are shaded as light falls on them.

A thing is a layer: pixels float32 [n, n, 3] BGR 0..255 and opacity float32 [n, n] 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]  # float32 or float64: numbers mix freely while painting
Layer = tuple[Floats, Floats]
Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Box:
    """What things are made of: hands cut out of pictures (float32 [256, 256, 4], BGR and opacity), textures (u8)."""

    hands: list[Floats]
    textures: list[NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how large: the canvas' side, the thing's middle, the face's width, the skin's colour."""

    n: int
    at: tuple[float, float]
    size: float
    skin: Floats


def texture(rng: Random, box: Box, n: int) -> Floats:
    """float32 [n, n, 3]: plain, striped or out of a picture, with some light of its own."""
    lot = rng.random()
    if lot < 0.45 and box.textures:
        picture = box.textures[rng.integers(len(box.textures))]
        side = int(rng.uniform(0.4, 1) * picture.shape[0])
        x, y = rng.integers(0, picture.shape[0] - side + 1, 2)
        pixels = cv2.resize(picture[y : y + side, x : x + side], (n, n)).astype(np.float32)
    else:
        pixels = np.broadcast_to(rng.uniform(5, 250, 3), (n, n, 3)).astype(np.float32)
        if lot < 0.65:
            wave = np.sin((np.indices((n, n)) * rng.normal(0, 0.6, (2, 1, 1))).sum(0) + rng.uniform(0, 6))
            pixels = pixels + (wave * rng.uniform(5, 60))[..., None]
    ramp = (np.indices((n, n)) * rng.normal(0, 0.6 / n, (2, 1, 1))).sum(0) + rng.uniform(0.6, 1.2)
    noise = rng.normal(0, rng.uniform(0, 8), (n, n, 1))
    return np.ascontiguousarray(np.clip(pixels * ramp[..., None] + noise, 0, 255), np.float32)


def filled(n: int, *outlines: Floats) -> Floats:
    """Opacity of polygons with soft edges."""
    mask = np.zeros((n, n), np.uint8)
    for outline in outlines:
        cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def quad(at: tuple[float, float], wide: float, tall: float, angle: float, narrow: float = 1.0) -> Floats:
    """A turned rectangle, `narrow` times as wide at its lower end; float32 [4, 2]."""
    corners = np.array([(-wide, -tall), (wide, -tall), (wide * narrow, tall), (-wide * narrow, tall)]) / 2
    cos, sin = np.cos(angle), np.sin(angle)
    turned = corners @ np.array([[cos, sin], [-sin, cos]])
    return np.asarray(turned + at, np.float32)


def height_field(ends: Floats, radii: Floats, n: int) -> tuple[Floats, NDArray[np.int64]]:
    """Height float32 [n, n] of tapered capsules seen from +z (-1e3 where there is none) and which one is on top."""
    height = np.full((n, n), -1e3, np.float32)
    top = np.full((n, n), -1)
    for k, ((a, b), (r0, r1)) in enumerate(zip(ends, radii, strict=True)):
        r = max(r0, r1)
        x0, y0 = np.clip(np.floor(np.minimum(a, b)[:2] - r).astype(int), 0, n)
        x1, y1 = np.clip(np.ceil(np.maximum(a, b)[:2] + r).astype(int) + 1, 0, n)
        if x1 <= x0 or y1 <= y0:
            continue
        x, y = np.meshgrid(np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32))
        along = b[:2] - a[:2]
        t = np.clip(((x - a[0]) * along[0] + (y - a[1]) * along[1]) / (along @ along + 1e-6), 0, 1)
        radius = r0 + (r1 - r0) * t
        rise = radius**2 - (x - a[0] - t * along[0]) ** 2 - (y - a[1] - t * along[1]) ** 2
        z = np.where(rise > 0, a[2] + (b[2] - a[2]) * t + np.sqrt(np.maximum(rise, 0)), -1e3)
        window = height[y0:y1, x0:x1]
        nearer = z > window
        window[nearer] = z[nearer]
        top[y0:y1, x0:x1][nearer] = k
    return height, top


def shade(rng: Random, height: Floats, inside: NDArray[np.bool_], unit: float) -> Floats:
    """Light 0..about 1.3 on a height field: diffuse with a soft ambient part, dark where a place lies deep."""
    floor = float(height[inside].min())
    solid = np.where(inside, height, floor).astype(np.float32)
    smooth = cv2.GaussianBlur(solid, (0, 0), 0.012 * unit + 0.4)
    dx, dy = (cv2.Sobel(smooth, cv2.CV_32F, *d, scale=1 / 8) for d in ((1, 0), (0, 1)))
    light = rng.normal(0, 1, 3) * (1, 1, 0.4) + (0, -0.5, 1.2)
    light /= np.linalg.norm(light)
    diffuse = np.maximum((-dx * light[0] - dy * light[1] + light[2]) / np.sqrt(dx**2 + dy**2 + 1), 0)
    deep = np.clip((cv2.GaussianBlur(solid, (0, 0), 0.06 * unit) - smooth) / (0.08 * unit), 0, 1)
    ambient = rng.uniform(0.35, 0.85)
    return (ambient + (1.1 - ambient) * diffuse) * (1 - rng.uniform(0.2, 0.9) * deep)  # type: ignore[no-any-return]


def skin_near(rng: Random, skin: Floats) -> Floats:
    """A hand's colour: the face's own, a shade off, or anybody's; now and then a glove."""
    lot = rng.random()
    if lot < 0.35:
        return skin
    if lot < 0.8:
        return np.clip(skin * rng.uniform(0.75, 1.3) * rng.uniform(0.93, 1.07, 3), 5, 250).astype(np.float32)
    if lot < 0.95:
        tone = np.array([(150, 180, 225), (110, 145, 200), (75, 105, 160), (45, 62, 100)][rng.integers(4)])
        return (tone * rng.uniform(0.8, 1.15)).astype(np.float32)
    return rng.uniform(10, 240, 3).astype(np.float32)


def on_top(under: Layer, over: Layer) -> Layer:
    """Both as one layer."""
    share = over[1][..., None]
    return under[0] * (1 - share) + over[0] * share, np.maximum(under[1], over[1])
