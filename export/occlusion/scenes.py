"""Paints one lesson: a face as a webcam shows it, perhaps with something in front, and where that something is.

What belongs to a face is no thing in front: beard, glasses, tongue, shadows. It is painted on the face, untold.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from export.occlusion.faces import FACE_PX, HANDS, FaceCrop, hand_mask, square_around
from export.occlusion.shapes import Box, Floats, Place, Random, filled, texture
from export.occlusion.things import any_thing

Image = NDArray[np.uint8]

NET_PX = 96
NET_ZOOM = 1.35  # the net's crop is this many times as wide as the face
_CANVAS = 128
# The outline of the mesh, between the lips, the eyes' corners, mouth and chin (MediaPipe's order).
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
_BEARD = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454,
          425, 391, 393, 164, 167, 165, 205)  # fmt: skip
_MOUSTACHE = (165, 167, 164, 393, 391, 287, 270, 269, 267, 0, 37, 39, 40, 57)
_LIPS = (61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91)
# Where things like to be: mouth, nose, eyes, cheeks, chin, forehead.
_AIMS = (13, 4, 159, 386, 205, 425, 152, 199, 151, 234, 454, 17)


@dataclass(frozen=True, slots=True)
class Lesson:
    """`image` u8 [96, 96, 3] BGR; `hidden` and `counts` float32 [96, 96] 0..1: what is hidden, where it matters."""

    image: Image
    hidden: Floats
    counts: Floats


def paint(rng: Random, faces: list[FaceCrop], box: Box, clean: float = 0.5) -> Lesson:
    """A lesson; with the chance `clean` nothing is in front (of a face that has no hand on it anyway)."""
    face = faces[int(rng.integers(len(faces)))]
    canvas, mesh, hand = pose(rng, face)
    n, size = _CANVAS, float(np.ptp(mesh[:, 0]))
    hull = filled(n, mesh[list(OVAL)])
    canvas = recolour(rng, canvas)
    skin = np.median(canvas[hull > 0.9], axis=0).astype(np.float32)
    canvas = dress(rng, canvas, mesh, size, skin, box, hull)
    hidden = hand
    for _ in range(0 if rng.random() < clean else rng.choice([1, 2], p=[0.85, 0.15])):
        aim = mesh[_AIMS[int(rng.integers(len(_AIMS)))]] + rng.normal(0, 0.12, 2) * size
        pixels, over = any_thing(rng, box, Place(n, (float(aim[0]), float(aim[1])), size, skin))
        canvas = cast_shadow(rng, canvas, over, size)
        canvas = canvas * (1 - over[..., None]) + pixels * over[..., None]
        hidden = np.maximum(hidden, over)
    canvas = light(rng, canvas)
    # Hair at the rim is anybody's guess, and nothing is drawn on the background: they count less.
    counts = np.maximum(cv2.erode(hull, np.ones((5, 5), np.uint8)), 0.2)
    if rng.random() < 0.1:  # the face is half out of the picture, whose last pixels are repeated
        edge, turns = int(rng.uniform(0.05, 0.5) * n), int(rng.integers(4))
        for plane in (canvas, hidden, counts):
            side = np.rot90(plane, turns)  # a view
            side[:, :edge] = side[:, edge : edge + 1] if plane is canvas else 0
    image = webcam(rng, canvas)
    small = (NET_PX, NET_PX)
    return Lesson(
        image,
        cv2.resize(hidden, small, interpolation=cv2.INTER_AREA).astype(np.float32),
        cv2.resize(counts, small, interpolation=cv2.INTER_AREA).astype(np.float32),
    )


def pose(rng: Random, face: FaceCrop) -> tuple[Floats, Floats, Floats]:
    """The face a little turned, warped, mirrored and off its place: canvas float32 BGR, its mesh, a hand's mask."""
    n = _CANVAS
    image, mesh, hand = face.image, face.mesh, hand_mask(face.name)
    if rng.random() < 0.5:
        image, hand = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(hand[:, ::-1])
        mesh = (mesh * (-1, 1) + (FACE_PX - 1, 0)).astype(np.float32)
    base = square_around(mesh, n, NET_ZOOM * rng.uniform(0.92, 1.12), level=False)
    turn = cv2.getRotationMatrix2D(((n - 1) / 2, (n - 1) / 2), rng.normal(0, 6), 1.0)
    turn[:, :2] = turn[:, :2] @ np.diag([rng.uniform(0.84, 1.12), rng.uniform(0.9, 1.1)])
    middle = np.array([(n - 1) / 2] * 2)
    turn[:, 2] = middle - turn[:, :2] @ middle + rng.normal(0, 0.03, 2) * n
    forth = np.vstack([turn, (0, 0, 1)]) @ np.vstack([base, (0, 0, 1)])
    back = np.linalg.inv(forth)[:2].astype(np.float32)
    # A turned head: what is nearer moves further. The head is taken for an egg; soft noise is added.
    y, x = (np.indices((n, n)).astype(np.float32) - (n - 1) / 2) / (n / 2 / NET_ZOOM)
    depth = np.sqrt(np.maximum(1 - 0.9 * x**2 - 0.7 * y**2, 0))
    yaw, nod = rng.normal(0, 0.22), rng.normal(0, 0.1)
    bumps = cv2.resize(
        rng.normal(0, rng.uniform(0.3, 2.4), (5, 5, 2)).astype(np.float32), (n, n), interpolation=cv2.INTER_CUBIC
    )
    shift = np.stack([depth * yaw, depth * nod], -1) * (n / 2 / NET_ZOOM) + bumps
    where = np.indices((n, n)).astype(np.float32)[::-1].transpose(1, 2, 0) - shift
    maps = where @ back[:, :2].T + back[:, 2]
    map_x, map_y = (np.ascontiguousarray(maps[..., k], np.float32) for k in (0, 1))
    canvas = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.remap(hand, map_x, map_y, cv2.INTER_LINEAR) if face.name in HANDS else np.zeros((n, n), np.float32)
    flat = (mesh @ forth[:2, :2].T + forth[:2, 2]).astype(np.float32)
    moved = flat.copy()
    for _ in range(3):  # the pixel at p was fetched from p - shift(p): the point q lands where p - shift(p) = q
        at = np.clip(np.round(moved), 0, n - 1).astype(int)
        moved = flat + shift[at[:, 1], at[:, 0]]
    return canvas.astype(np.float32), moved.astype(np.float32), mask.astype(np.float32)


def recolour(rng: Random, canvas: Floats) -> Floats:
    """Other skin and other light colours: darker or paler, redder or yellower; now and then grey."""
    unit = canvas / 255
    unit = unit ** rng.uniform(0.6, 1.9) * rng.uniform(0.75, 1.15)
    unit = unit * (1 + rng.normal(0, 0.06, 3))
    grey = unit.mean(-1, keepdims=True)
    keep = 0.0 if rng.random() < 0.06 else rng.uniform(0.5, 1.35)
    return np.asarray(np.clip((grey + (unit - grey) * keep) * 255, 0, 255), np.float32)


def dress(rng: Random, canvas: Floats, mesh: Floats, size: float, skin: Floats, box: Box, hull: Floats) -> Floats:
    """What is no thing in front: another background, beard, moustache, lipstick, glasses, a hat."""
    n = len(canvas)
    if rng.random() < 0.5:  # a background that begins behind the head, or right at the face as a hood does
        far = cv2.dilate(hull, np.ones((3, 3), np.uint8), iterations=int(rng.integers(3, 16)))
        if rng.random() < 0.5:
            far[n * 2 // 3 :] = 1
        edge = cv2.GaussianBlur(far, (0, 0), rng.uniform(0.7, 4))[..., None]
        canvas = canvas * edge + texture(rng, box, n) * (1 - edge)
    noise = cv2.GaussianBlur(rng.normal(0, 1, (n, n)).astype(np.float32), (0, 0), rng.uniform(0.5, 1.3))
    hair = np.array([(20, 20, 24), (35, 50, 80), (70, 100, 140), (120, 120, 122)][int(rng.integers(4))])
    for chance, outline in ((0.18, _BEARD), (0.12, _MOUSTACHE)):
        if rng.random() < chance:
            mask = filled(n, mesh[list(outline)] + rng.normal(0, 0.01 * size, (len(outline), 2)).astype(np.float32))
            mask = mask - filled(n, mesh[list(_LIPS)]) * rng.uniform(0.5, 1)
            mask = cv2.GaussianBlur(np.maximum(mask, 0), (0, 0), 0.03 * size) * rng.uniform(0.2, 0.95)
            share = np.clip(mask * (1 + 0.5 * noise), 0, 1)[..., None]
            canvas = canvas * (1 - share) + (hair + 40 * noise[..., None]) * share
    if rng.random() < 0.12:
        share = filled(n, mesh[list(_LIPS)])[..., None] * rng.uniform(0.2, 0.8)
        canvas = canvas * (1 - share) + rng.uniform(0, 1, 3) * (90, 60, 200) * share
    if rng.random() < 0.25:
        canvas = glasses(rng, canvas, mesh, size)
    if rng.random() < 0.06:  # face paint, freckles, a plaster: small marks on the skin
        canvas = np.ascontiguousarray(canvas, np.float32)
        for _ in range(rng.integers(1, 30)):
            x, y = mesh[int(rng.integers(468))]
            cv2.circle(canvas, (int(x), int(y)), 1, (skin * rng.uniform(0.5, 0.9)).tolist(), -1, cv2.LINE_AA)
    return np.clip(canvas, 0, 255).astype(np.float32)


def glasses(rng: Random, canvas: Floats, mesh: Floats, size: float) -> Floats:
    """Frames around both eyes, clear, tinted or dark, perhaps with a reflection."""
    n = len(canvas)
    frame, lens = np.zeros((n, n), np.uint8), np.zeros((n, n), np.uint8)
    eyes = [(mesh[a] + mesh[b]) / 2 + (0, 0.03 * size) for a, b in ((33, 133), (362, 263))]
    wide, tall = size * rng.uniform(0.17, 0.22), size * rng.uniform(0.11, 0.19)
    thick, angle = int(rng.integers(1, 4)), np.degrees(np.arctan2(*(eyes[1] - eyes[0])[::-1]))
    boxy = rng.random() < 0.5
    for eye in eyes:
        t = np.linspace(0, 2 * np.pi, 40)
        ring = np.stack([np.cos(t), np.sin(t)], 1)
        if boxy:
            ring = np.sign(ring) * np.abs(ring) ** 0.45
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        ring = (ring * (wide, tall)) @ np.array([[cos, sin], [-sin, cos]]) + eye
        points = [np.round(ring * 16).astype(np.int32)]
        cv2.fillPoly(lens, points, 255, cv2.LINE_AA, 4)
        cv2.polylines(frame, points, True, 255, thick, cv2.LINE_AA, 4)
    along = (eyes[1] - eyes[0]) / np.linalg.norm(eyes[1] - eyes[0])
    lines = [(eyes[0] + along * wide, eyes[1] - along * wide)]
    lines += [(eyes[0] - along * wide, mesh[127]), (eyes[1] + along * wide, mesh[356])]
    for a, b in lines:
        start, end = (np.round(p * 16).astype(int).tolist() for p in (a, b))
        cv2.line(frame, start, end, 255, thick, cv2.LINE_AA, 4)
    tint = rng.uniform(0, 0.12) if rng.random() < 0.65 else rng.uniform(0.3, 0.97)
    share = (lens.astype(np.float32) / 255 * tint)[..., None]
    canvas = canvas * (1 - share) + rng.uniform(0, 60, 3) * share
    if rng.random() < 0.35:
        glare = filled(n, (eyes[int(rng.integers(2))] + rng.normal(0, 0.08 * size, (4, 2))).astype(np.float32))
        share = (glare * (lens / 255) * rng.uniform(0.1, 0.7))[..., None]
        canvas = canvas * (1 - share) + 245 * share
    share = (frame.astype(np.float32) / 255 * rng.uniform(0.5, 1))[..., None]
    return np.asarray(canvas * (1 - share) + rng.uniform(5, 150, 3) * rng.choice([0.3, 1.0]) * share, np.float32)


def cast_shadow(rng: Random, canvas: Floats, over: Floats, size: float) -> Floats:
    """The shadow that a thing throws on what lies behind it: soft, a little off, or nearly none."""
    dx, dy = rng.normal(0, 0.05, 2) * size
    moved = cv2.warpAffine(over, np.array([[1, 0, dx], [0, 1, dy]]), over.shape[::-1])
    soft = cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.01, 0.1) * size)
    return np.asarray(canvas * (1 - rng.uniform(0, 0.6) * soft[..., None]), np.float32)


def light(rng: Random, canvas: Floats) -> Floats:
    """Light that falls off across the picture, hard shadow edges, a glow or a highlight: over face and thing alike."""
    n = len(canvas)
    y, x = (np.indices((n, n)).astype(np.float32) - n / 2) / n
    gain = np.ones((n, n), np.float32)
    if rng.random() < 0.5:
        a = rng.uniform(0, 2 * np.pi)
        gain *= np.clip(1 + rng.uniform(0, 1.6) * (np.cos(a) * x + np.sin(a) * y), 0.15, 2)
    if rng.random() < 0.45:  # one side of a hard edge lies in shadow
        a = rng.uniform(0, 2 * np.pi)
        wave = 0.05 * np.sin(rng.uniform(2, 12) * (x - y) + rng.uniform(0, 6))
        edge = (np.cos(a) * x + np.sin(a) * y + rng.normal(0, 0.15) + wave) / rng.uniform(0.01, 0.2)
        gain *= 1 - rng.uniform(0.2, 0.8) / (1 + np.exp(-np.clip(edge, -30, 30)))
    if rng.random() < 0.25:  # a spot of light, or a shadow of something out of the picture
        at = rng.normal(0, 0.2, 2)
        spot = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / rng.uniform(0.005, 0.08))
        gain *= 1 + rng.uniform(-0.6, 0.9) * spot
    tint = 1 + rng.normal(0, 0.08, 3) if rng.random() < 0.88 else rng.uniform(0.5, 1.2, 3)
    return (canvas * gain[..., None] * tint).astype(np.float32)


def webcam(rng: Random, canvas: Floats) -> Image:
    """What a cheap camera makes of it, u8 [96, 96, 3]: exposure, blur, few pixels, noise, sharpening, JPEG."""
    bright = float(canvas.mean()) / 255
    gain = float(np.clip(bright * rng.uniform(0.6, 1.6), 0.12, 0.85)) / max(bright, 1e-3)  # a camera adapts
    seen = np.clip(canvas * gain / 255, 0, 1) ** rng.uniform(0.75, 1.35)
    unit: Floats = np.clip((seen - 0.5) * rng.uniform(0.6, 1.2) + 0.5 + rng.normal(0, 0.05), 0, 1).astype(np.float32)
    if rng.random() < 0.3:
        unit = cv2.GaussianBlur(unit, (0, 0), rng.uniform(0.4, 2.2))
    if rng.random() < 0.2:
        length = int(rng.integers(3, 11))
        kernel: Floats = cv2.warpAffine(
            np.eye(length, dtype=np.float32),
            cv2.getRotationMatrix2D(((length - 1) / 2,) * 2, rng.uniform(0, 180), 1.0),
            (length, length),
        )
        unit = cv2.filter2D(unit, -1, kernel / max(float(kernel.sum()), 1e-3))
    if rng.random() < 0.3:
        small = int(rng.integers(28, 96))
        unit = cv2.resize(unit, (small, small), interpolation=cv2.INTER_AREA)
    unit = cv2.resize(unit, (NET_PX, NET_PX), interpolation=cv2.INTER_AREA if len(unit) > NET_PX else cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        noise = rng.normal(0, 1, unit.shape).astype(np.float32)
        unit = unit + noise * rng.uniform(0, 0.05)
    if rng.random() < 0.2:
        unit = unit + (unit - cv2.GaussianBlur(unit, (0, 0), 1.2)) * rng.uniform(0.3, 1.2)
    image = np.clip(unit * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))])
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(image)
