"""A person cut from a portrait and a sheet of expressions: a textured mesh to be posed and drawn.

Used by make_samples.py; needs numpy, scipy, opencv-python and face_nets.py.
"""

from __future__ import annotations

import cv2
import numpy as np
from face_nets import Array, FaceNets
from scipy.spatial import Delaunay

WIDTH, HEIGHT = 1280, 720
SCALE = 0.322  # picture pixels per portrait pixel
OVERSAMPLE = 2
SHEET = (
    *("neutral", "happy", "sad", "angry", "surprised", "disgusted", "scared", "confused"),
    *("smug", "flirty", "thoughtful", "pensive", "exhausted", "shocked", "playful", "determined"),
)
OVAL = [
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176,
    149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
]  # fmt: skip
INNER_LIPS = [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95]
OUTER_LIPS = [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146]
RIGHT_EYE = [33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7]
LEFT_EYE = [263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249]
STEADY = [10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 127, 356, 234, 454, 162, 389, 21, 251, 109, 338]
LOWER = ("happy", "smug", "confused", "shocked", "playful")  # mouths
UPPER = ("flirty", "exhausted")  # raised brows, shut eyes


def smoothstep(lo: float, hi: float, x: Array) -> Array:
    """0 below lo, 1 above hi, smooth between."""
    t = np.clip((np.asarray(x, float) - lo) / (hi - lo), 0, 1)
    return t * t * (3 - 2 * t)


def sheet_cells(sheet: Array) -> dict[str, Array]:
    """The sixteen pictures of an expression sheet by name, without their white frames."""
    _, _, stats, _ = cv2.connectedComponentsWithStats((sheet.min(2) > 235).astype(np.uint8))
    boxes = sorted((r[:4] for r in stats[1:] if r[2] > 400 and r[3] > 250), key=lambda r: (r[1] // 300, r[0]))
    return {
        name: sheet[y + 12 : y + h - 12, x + 12 : x + w - 12] for name, (x, y, w, h) in zip(SHEET, boxes, strict=True)
    }


def align(source: Array, target: Array, use: list[int]) -> Array:
    """`source` moved, turned and scaled so that the points `use` lie best on those of `target`."""
    a, b = source[use], target[use]
    ma, mb = a.mean(0), b.mean(0)
    u, s, vt = np.linalg.svd((b - mb).T @ (a - ma))
    d = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = np.trace(np.diag(s) @ d) / ((a - ma) ** 2).sum()
    return (source - ma) @ (scale * u @ d @ vt).T + mb


def cut_out(portrait: Array, pad: int) -> Array:
    """Premultiplied BGRA (float, 0..255): the person without the grey, `pad` pixels wider each side."""
    h, w = portrait.shape[:2]
    image = cv2.copyMakeBorder(portrait, 0, 0, pad, pad, cv2.BORDER_REFLECT_101).astype(np.float32)
    y, x = np.mgrid[0:h, 0 : w + 2 * pad].astype(np.float32)
    u, v = (x - pad) / w - 0.5, y / h - 0.5
    basis = np.stack([np.ones_like(u), u, v, u * u, v * v, u * v, v**3, u * u * v, u**4, u * u * v * v, v**4], -1)
    empty = (np.abs(u) > 0.44) & (v < 0.22) & (np.abs(u) < 0.5)
    for limit in (12, 9, 7):  # fit the background where it is surely seen, then wherever it fits
        fit, *_ = np.linalg.lstsq(basis[empty][::7], image[empty][::7], rcond=None)
        back = basis @ fit.astype(np.float32)
        distance = np.abs(image - back).max(2)
        empty = (cv2.erode((distance < limit).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0) & (np.abs(u) < 0.5)
    full = np.interp(np.arange(h), [0, 1300, 1420, h], [88, 88, 55, 62])[:, None]  # dark hair above; skin, shirt below
    alpha = np.clip((distance - 7) / full, 0, 1).astype(np.float32)
    solid = cv2.morphologyEx((alpha > 0.55).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    outside, seed = 1 - solid, np.zeros((h + 2, w + 2 * pad + 2), np.uint8)
    for corner in (0, w + 2 * pad - 1):
        cv2.floodFill(outside, seed, (corner, 0), 2)
    core = cv2.erode((outside != 2).astype(np.uint8), np.ones((13, 13), np.uint8))
    core = cv2.morphologyEx(core, cv2.MORPH_OPEN, np.ones((25, 25), np.uint8))
    alpha = np.maximum(alpha, cv2.GaussianBlur(core.astype(np.float32), (0, 0), 3))
    near, tight = (
        cv2.GaussianBlur(
            cv2.dilate(core, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (n, n))).astype(np.float32),
            (0, 0),
            r,
        )
        for n, r in ((181, 12), (41, 4))
    )
    alpha *= np.where(y < 1345, near, tight)
    # the upper arms go on past the portrait's edges: mirrored cloth inside a straight outline
    over = np.maximum(pad - x, x - (pad + w - 1))
    starts = [int(np.argmax(alpha[:, column] > 0.9)) for column in (pad + 2, pad + w - 3)]
    arm = smoothstep(-3, 3, (y - np.where(u < 0, *starts)) * 0.6 - over)
    alpha = np.where(over > 0, np.maximum(arm, 0), alpha).astype(np.float32)[..., None]
    colour = np.clip(image - (1 - alpha) * back, 0, 255 * alpha)
    colour = np.where(over[..., None] > 0, image * alpha, colour)
    return np.concatenate([colour, alpha * 255], 2)


class Puppet:
    """The person as a textured mesh that can be posed."""

    def __init__(self, nets: FaceNets, face: Array, portrait: Array, sheet: Array) -> None:
        self.pad = 160
        self.base, _ = nets.mesh(portrait)
        self.base[:, 0] += self.pad
        far = np.maximum(self.base[:, 2] - 120, 0)
        self.base[:, 2] -= far - 150 * np.tanh(far / 200)  # flatter temples: less smearing when turned
        self.person = cut_out(portrait, self.pad)
        cells = {k: v for k, v in sheet_cells(sheet).items() if k in ("neutral", *LOWER, *UPPER)}
        raw = {k: nets.mesh(v)[0] for k, v in cells.items()}
        neutral = align(raw["neutral"], self.base, STEADY)
        scale = np.linalg.norm(np.ptp(self.base, 0)) / np.linalg.norm(np.ptp(raw["neutral"], 0))
        offsets = {k: align((v - v.mean(0)) * scale, neutral, STEADY) - neutral for k, v in raw.items()}
        y = self.base[:, 1]
        low = smoothstep(y[[145, 374]].mean() + 20, y[[98, 327]].mean(), y)[:, None]
        eye_centres = np.array([self.base[RIGHT_EYE].mean(0), self.base[LEFT_EYE].mean(0)])[:, :2]
        near = np.linalg.norm(self.base[:, None, :2] - eye_centres, axis=2).min(1)
        lids = smoothstep(150, 75, near)[:, None]
        self.offsets = {k: offsets[k] * low for k in LOWER}
        shut = offsets["exhausted"] + neutral - self.base  # the shut eye itself, however wide the open one is
        self.offsets |= {"flirty": offsets["flirty"] * (1 - low), "exhausted": shut * lids}
        lip = self.base[OUTER_LIPS].mean(0)
        reach = np.exp(-(((self.base[:, :2] - lip[:2]) / [190, 110]) ** 2).sum(1))[:, None]
        self.offsets["pucker"] = reach * ((lip - self.base) * [0.36, -0.12, 0] + [0, 0, -26])

        # extra points around the face, and how they follow
        h, w = self.person.shape[:2]
        gx, gy = np.meshgrid(np.arange(-60, w + 61, 62), np.arange(-60, h + 61, 62))
        extra = np.stack([gx.ravel() + 31 * (gy.ravel() // 62 % 2), gy.ravel()], 1).astype(np.float32)
        ring = self.base[OVAL][:, :2].astype(np.float32)
        away = -np.array([cv2.pointPolygonTest(ring, (float(px), float(py)), True) for px, py in extra])
        self.extra, away = extra[away > 30], away[away > 30]
        d = np.linalg.norm(self.extra[:, None] - ring, axis=2)
        self.follow = d**-2.5 / (d**-2.5).sum(1, keepdims=True)
        below = smoothstep(1250, 1450, self.extra[:, 1])
        self.decay = np.exp(-((away / (270 - 110 * below)) ** 2))[:, None]
        self.head = (1 - smoothstep(1260, 1760, self.extra[:, 1]))[:, None]

        # triangles: the mesh's own, in which mouth and eyes are filled holes, above a net of all the rest
        outer_ids = np.r_[OVAL, 468 + np.arange(len(self.extra))]
        outer = outer_ids[Delaunay(np.concatenate([ring, self.extra])).simplices]
        self.is_face = np.arange(len(outer) + len(face)) >= len(outer)  # the others lie below, under the face too
        self.triangles = np.concatenate([outer, face])
        inside = [np.isin(self.triangles, part).all(1) for part in (INNER_LIPS, RIGHT_EYE, LEFT_EYE)]
        self.is_mouth, self.is_eye = inside[0], inside[1] | inside[2]
        self.sources = {k: (cells[k].astype(np.float32), raw[k][:, :2]) for k in cells}
        self._paint()

    def _paint(self) -> None:
        """Region masks, colour gain and skin differences, all in the portrait's own geometry."""
        flat = np.concatenate([self.base[:, :2], self.extra])
        lo = np.maximum(self.base[:, :2].min(0).astype(int) - 60, 0)
        size = (self.base[:, :2].max(0) + 60 - lo).astype(int)
        label = self.rasterise(flat, np.r_[np.zeros(468), np.ones(len(self.extra))], lo, size, 1)
        warped = {k: self.sample(label, lo, 1, flat, *self.sources[k]) for k in self.sources}
        self.skin_at, face = lo, self.person[lo[1] : lo[1] + size[1], lo[0] : lo[0] + size[0], :3]
        ring = np.zeros(size[::-1], np.float32)
        cv2.fillPoly(ring, [(self.base[OVAL][:, :2] - lo).astype(np.int32)], 1)
        ring = cv2.GaussianBlur(cv2.erode(ring, np.ones((61, 61))), (0, 0), 22)[..., None]

        def low_pass(a: Array, sigma: float) -> Array:
            return cv2.GaussianBlur(a, (0, 0), sigma)

        self.gain = low_pass(face, 30) / np.maximum(low_pass(warped["neutral"], 30), 8)
        mouth, eyes = np.zeros(size[::-1], np.float32), np.zeros(size[::-1], np.float32)
        for part, mask in ((OUTER_LIPS, mouth), (RIGHT_EYE, eyes), (LEFT_EYE, eyes)):
            cv2.fillPoly(mask, [(self.base[part][:, :2] - lo).astype(np.int32)], 1)
        grow = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (45, 45))
        self.mouth, self.eyes = (low_pass(cv2.dilate(m, grow), 13)[..., None] for m in (mouth, eyes))
        row = np.arange(size[1])[:, None, None] + lo[1]
        y = self.base[:, 1]
        low = smoothstep(y[[145, 374]].mean(), y[[98, 327]].mean(), row).astype(np.float32)
        self.skins = {}
        for k in (*LOWER, "flirty"):
            change = low_pass((warped[k] - warped["neutral"]) * self.gain, 4) * ring
            self.skins[k] = change * ((1 - low) * (1 - self.eyes) if k == "flirty" else low)

    def pose(self, c: dict[str, float]) -> tuple[Array, Array]:
        """All points in the picture (n, 2) and their depths; c holds one frame of the script."""
        face = self.base + sum(c[k] * d for k, d in self.offsets.items())
        yaw, pitch, roll = np.deg2rad([c["yaw"], c["pitch"], c["roll"]])
        sy, cy, sp, cp = np.sin(yaw), np.cos(yaw), np.sin(pitch), np.cos(pitch)
        turn = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]]) @ np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
        side = self.base[[234, 454]].mean(0)
        pivot = np.array([side[0], side[1] + 180, side[2] + 60])
        turned = (face - pivot) @ turn.T + pivot
        neck = np.array([side[0], 1640.0])
        tilt = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        move = np.array([c["x"], c["y"]]) / SCALE
        body = np.array([c["body_x"], c["body_y"]]) / SCALE

        def lean(p: Array) -> Array:
            return (p - neck) @ tilt.T + neck + move

        extra = self.extra + self.decay * (self.follow @ (turned - self.base)[OVAL][:, :2])
        extra = self.head * lean(extra) + (1 - self.head) * (extra + body)
        points = np.concatenate([lean(turned[:, :2]), extra])
        depth = np.r_[turned[:, 2], np.full(len(extra), 1e4)]
        s = SCALE * c["zoom"]
        at = (points - [side[0], 2010]) * s + [WIDTH / 2 + c["slide"], HEIGHT]
        return at, depth

    def rasterise(self, at: Array, depth: Array, lo: Array, size: Array, over: int, only: Array | None = None) -> Array:
        """Which triangle covers each pixel (-1 = none); nearer ones hide farther ones."""
        label = np.full((size[1] * over, size[0] * over), -1, np.int32)
        corners = (at[self.triangles] - lo + 0.5) * over - 0.5
        far = depth[self.triangles].mean(1) + 1e5 * ~self.is_face - 1e3 * (self.is_mouth | self.is_eye)
        seen = (corners.max(1) > 0).all(1) & (corners.min(1) < size * over).all(1)
        fixed = np.round(corners * 16).astype(np.int32)
        for i in np.argsort(-far):
            if seen[i] and (only is None or only[i]):
                cv2.fillConvexPoly(label, fixed[i], int(i), cv2.LINE_8, 4)
        return label

    def lookup(self, label: Array, lo: Array, over: int, at: Array, source: Array) -> Array:
        """Where each labelled pixel lies in a source picture (h, w, 2); far outside where nothing is."""
        n = len(source)
        known = (self.triangles < n).all(1)
        a = np.concatenate([at[self.triangles], np.ones((len(self.triangles), 3, 1))], 2)
        bad = np.abs(np.linalg.det(a)) < 1e-4
        a[bad] = np.eye(3)
        coef = np.zeros((len(a) + 1, 3, 2))
        coef[:-1][known] = np.linalg.solve(a[known], source[self.triangles[known]])
        coef[:-1][bad | ~known] = 0
        coef[-1] = 0
        coef[:-1][bad & known] = 0
        coef[:-1, 2][bad & known] = source[self.triangles[bad & known, 0]]
        coef[-1, 2] = coef[:-1, 2][~known] = -1e4
        coef = coef.astype(np.float32)
        y, x = np.mgrid[0 : label.shape[0], 0 : label.shape[1]].astype(np.float32)
        x, y = (x + 0.5) / over - 0.5 + lo[0], (y + 0.5) / over - 0.5 + lo[1]
        c = coef[label]
        uv = c[..., 0, :] * x[..., None] + c[..., 1, :] * y[..., None] + c[..., 2, :]
        span = np.full((len(coef), 2, 2), -1e4)  # a sliver's rim must not look far outside its triangle
        corners = source[self.triangles[known]]
        span[:-1][known] = np.stack([corners.min(1) - 1, corners.max(1) + 1], 1)
        span = span.astype(np.float32)[label]
        return np.clip(uv, span[..., 0, :], span[..., 1, :]).astype(np.float32)

    def sample(self, label: Array, lo: Array, over: int, at: Array, picture: Array, source: Array) -> Array:
        """A source picture seen through the labelled triangles."""
        uv = self.lookup(label, lo, over, at, source)
        return cv2.remap(picture, uv, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    def render(self, c: dict[str, float]) -> tuple[Array, Array]:
        """One frame of the script: premultiplied BGRA at picture size, and the 468 points in it."""
        at, depth = self.pose(c)
        out = np.zeros((HEIGHT, WIDTH, 4), np.float32)
        lo = np.clip(np.floor(at.min(0)), 0, [WIDTH, HEIGHT]).astype(int)
        size = np.clip(np.ceil(at.max(0)), 0, [WIDTH, HEIGHT]).astype(int) - lo
        if size.min() < 4:
            return out, at[:468]
        over, flat = OVERSAMPLE, np.concatenate([self.base[:, :2], self.extra])
        label = self.rasterise(at, depth, lo, size, over)
        uv = self.lookup(label, lo, over, at, flat)
        face = np.append(self.is_face, False)[label]
        box = None
        if face.any():
            rows, cols = np.flatnonzero(face.any(1)), np.flatnonzero(face.any(0))
            box = (slice(rows[0] // 2 * 2, rows[-1] + 1), slice(cols[0] // 2 * 2, cols[-1] + 1))
            part, at_lo = label[box], lo + np.array([box[1].start, box[0].start]) // over
            if c["exhausted"] > 0:  # lids slide over the eyeball instead of squeezing it
                at_open, _ = self.pose(c | {"exhausted": 0.0})
                span = np.array(part.shape[::-1]) // over + 1
                lids = self.rasterise(at_open, depth, at_lo, span, over, self.is_face)[: part.shape[0], : part.shape[1]]
                ball = np.append(self.is_eye, False)[part] & (lids >= 0)
                uv[box][ball] = self.lookup(lids, at_lo, over, at_open, flat)[ball]
        layer = cv2.remap(self.person, uv, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        layer = np.clip(layer, 0, 255)
        if box is not None:
            layer[box] = self._face(c, layer[box], part, uv[box], at_lo, at)
        small = cv2.resize(layer, tuple(int(v) for v in size), interpolation=cv2.INTER_AREA)
        out[lo[1] : lo[1] + size[1], lo[0] : lo[0] + size[0]] = small
        return out, at[:468]

    def _face(self, c: dict[str, float], layer: Array, label: Array, uv: Array, lo: Array, at: Array) -> Array:
        """Adds the expression to a piece of the layer: skin shading, then mouth and lids from the sheet."""
        local = uv - self.skin_at.astype(np.float32)
        colour = layer[..., :3]

        def canonical(picture: Array, edge: int = cv2.BORDER_CONSTANT) -> Array:
            return cv2.remap(picture, local, None, cv2.INTER_LINEAR, borderMode=edge)

        skin = sum(float(c[k]) * s for k, s in self.skins.items() if c[k] > 0.01)
        if np.ndim(skin):
            colour = colour + canonical(skin)
        gain = canonical(self.gain, cv2.BORDER_REPLICATE)
        hole = np.append(self.is_mouth, False)[label][..., None]
        share = {k: float(c[k]) for k in LOWER if c[k] > 0.01}
        total = sum(share.values())
        if total:
            seen = {k: self.sample(label, lo, OVERSAMPLE, at, *self.sources[k]) for k in share}
            lips = sum(v * seen[k] for k, v in share.items()) / total * gain
            mask = canonical(self.mouth)[..., None] * smoothstep(0.0, 0.45, total)
            colour = colour * (1 - mask) + lips * mask
            inner = {k: v for k, v in share.items() if k != "smug"}
            if inner:
                inside = sum(v * seen[k] for k, v in inner.items()) / sum(inner.values()) * gain
                amount = hole * smoothstep(0.02, 0.12, sum(inner.values()))
                colour = colour * (1 - amount) + inside * amount
        if c["exhausted"] > 0:
            lids = self.sample(label, lo, OVERSAMPLE, at, *self.sources["exhausted"]) * gain
            ball = np.append(self.is_eye, False)[label][..., None]
            skin_mask = np.maximum(canonical(self.eyes)[..., None], ball) * smoothstep(0.15, 0.85, c["exhausted"])
            mask = np.where(ball, smoothstep(0.75, 0.98, c["exhausted"]), skin_mask)
            colour = colour * (1 - mask) + lids * mask
        return np.concatenate([np.clip(colour, 0, layer[..., 3:]), layer[..., 3:]], 2).astype(np.float32)
