"""The default swap: the persona's skin drawn over the wearer's mesh, in its shape and in the wearer's light.

Needs one photo. What was made once for the persona is the atlas (atlas.py) and two eyeballs (eyes.py). For each frame:
the mesh goes some way towards the persona's shape (shape.py), the atlas is lit as the wearer is (light.py), gets the
folds of the wearer's expression (creases.py) and is drawn over the mesh with a z-buffer, as soft and noisy as the
picture around (live/fit/detail.py). The gaze, the inside of the mouth (mouth.py) and what lies in front of the face
(live/occlusion.py) stay the wearer's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import atan2, degrees, hypot
from typing import ClassVar

import cv2
import numpy as np

from engines.engine import Engine
from live.align import EYE_CORNERS, OVAL
from live.fit.detail import Detail, Noise
from live.frame import Face, Floats, Image, Mask, Patch, Persona
from live.models import shipped
from live.occlusion import Occlusion
from live.raster import draw_mesh
from live.settings import setting
from live.swappers.mesh.atlas import COLOUR_PX, Atlas, face_px, log_colours, make_atlas, sample
from live.swappers.mesh.creases import LEAST_PX, SHEET_PX, Creases, Look, Unfold
from live.swappers.mesh.eyes import OPENINGS, Eyeball, put_eye, take_eyes, white_of
from live.swappers.mesh.light import GRID_PX, Lamp, Light, log_paler, paler
from live.swappers.mesh.mouth import fill_outline, keep_mouth
from live.swappers.mesh.shape import Calm, Head, Own, Skull, towards

_TURNED, _TURNS_AWAY = 46, 12  # degrees of the mesh's yaw, which stays below a head's: 60 to 90 in truth


@dataclass
class _Wearer:
    """What is remembered of one tracked face."""

    own: Own = field(default_factory=Own)
    lamp: Lamp = field(default_factory=Lamp)
    creases: Creases = field(default_factory=Creases)
    look: Look = field(default_factory=Look)
    detail: Detail = field(default_factory=Detail)
    whites: list[Floats | None] = field(default_factory=lambda: [None, None])
    lit: Image | None = None  # the atlas in the wearer's light, as it is drawn
    lit_eyes: Floats = field(default_factory=lambda: np.ones((2, 3), np.float32))
    frames: int = 0
    used: int = 0


@dataclass(frozen=True, slots=True)
class _Glance:
    """What a frame shows of one face, for light, folds and the whites of the eyes: `here` u8 [h, w, 3] under the mesh
    `old` [468, 3] in its pixels, of which `seen` [468] says how well; `bare`: nothing is in front. `texture` is to be
    lit.
    """

    wearer: _Wearer
    here: Image
    old: Floats
    seen: Floats
    bare: bool
    texture: Image


@dataclass
class Mesh:
    """Swapper for portraits; the finder must give a mesh."""

    drawn: ClassVar[bool] = True
    wears_model: ClassVar[bool] = False
    needs_mesh: ClassVar[bool] = True

    shape: float = setting(1.0, "how far the face takes the persona's shape", low=0, high=1.5, step=0.05, live=True)
    light: float = setting(
        1.0, "how much of the wearer's light and colour is taken over", low=0, high=1, step=0.05, live=True
    )
    complexion: float = setting(
        0.35, "how much of the persona's complexion is kept; 0: the wearer's", low=0, high=1, step=0.05, live=True
    )
    grain: bool = setting(True, "the new face is as noisy as the camera's picture around it", live=True)
    front: bool = setting(True, "hands and things in front of the face stay in front")
    engine: str = setting("auto", "what runs the net that sees hands: auto, or RUNTIME[:DEVICE][:PRECISION]")
    fallback: bool = setting(False, "where that engine is not to be had, take the best other one")

    spare = 0  # set by the loop, see Swapper
    _uv: Floats = field(init=False, repr=False)
    _skull: Skull = field(init=False, repr=False)
    _calm: Calm = field(init=False, repr=False)
    _light: Light = field(init=False, repr=False)
    _unfold: Unfold = field(init=False, repr=False)
    _rim: Floats = field(init=False, repr=False)
    _noise: Noise = field(init=False, repr=False)
    _atlas: Atlas | None = field(default=None, init=False, repr=False)
    _eyeballs: list[Eyeball | None] = field(default_factory=list, init=False, repr=False)
    _persona: Floats = field(init=False, repr=False)
    _wearers: dict[int, _Wearer] = field(default_factory=dict, init=False, repr=False)
    _pale: dict[int, tuple[float, Image]] = field(default_factory=dict, init=False, repr=False)
    _occlusion: Occlusion = field(default_factory=Occlusion, init=False, repr=False)
    _glances: list[_Glance] = field(default_factory=list, init=False, repr=False)
    _frames: int = field(default=0, init=False)

    def open(self) -> None:
        card = shipped("face_mesh")
        with np.load(card.folder / "topology.npz") as topology:
            self._uv = np.ascontiguousarray(topology["uv"], np.float32)
            self._skull = Skull(topology["canonical"], topology["triangles"])
        with np.load(card.folder / "expressions.npz") as expressions:
            self._calm = Calm(expressions["calm"], expressions["ways"])
        self._light = Light(self._skull, self._skull.normals(self._skull.canonical), self._uv)
        self._unfold = Unfold(self._skull, self._uv)
        self._rim = rim_weight(len(self._uv))
        self._noise = Noise()
        if self.front:
            self._occlusion = Occlusion(engine=self.engine, fallback=self.fallback)
            self._occlusion.open()
        self._wearers = {}
        # Loads the compiled code now, not in the first frame.
        flat = np.zeros((4, 4), np.float32)
        draw_mesh(
            np.zeros((468, 3), np.float32), self._skull.triangles, self._uv, self._rim,
            flat, flat.copy(), np.zeros((4, 4), np.uint8), flat.copy(),
        )  # fmt: skip

    @property
    def engines(self) -> list[Engine]:
        return self._occlusion.engines

    def close(self) -> None:
        self._occlusion.close()
        self._atlas = None
        self._wearers, self._glances = {}, []

    def wear(self, persona: Persona) -> None:
        self._atlas = make_atlas(persona, self._skull, self._uv)
        self._eyeballs = take_eyes(persona.views, self._skull)
        self._persona = self._calm(self._atlas.shape)
        self._wearers, self._glances = {}, []
        self._pale = {}
        self._frames = 0

    def swap(self, image: Image, face: Face) -> Patch:
        if face.mesh is None:
            raise ValueError("the mesh swap needs a finder that gives a mesh")
        assert self._atlas is not None, "wear() comes first"
        self.catch_up()
        wearer = self._remember(face.track)
        head = self._skull.head(face.mesh)
        now = head.shape(face.mesh)
        if not face.missed or wearer.own.shape is None:  # another persona may be worn while a face is missed
            wearer.own.learn(self._calm(now), now, head, self._calm.expression(now))
        new = face.mesh
        if self.shape > 0:
            new = face.mesh + head.moved(towards(self._skull, self._persona, wearer.own, now, self.shape))

        height, width = image.shape[:2]
        both = np.concatenate([face.mesh[:, :2], new[:, :2]])
        left, top = (max(0, int(v) - 2) for v in both.min(0).tolist())
        right, bottom = (min(size, int(v) + 3) for v, size in zip(both.max(0).tolist(), (width, height), strict=True))
        if right - left < 4 or bottom - top < 4:
            return Patch(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8), 0, 0)
        here = image[top:bottom, left:right]
        corner = np.array([left, top, 0], np.float32)
        old, points = face.mesh - corner, np.ascontiguousarray(new - corner, np.float32)
        self._occlusion.rate = 2 if self.spare >= 2 else 1
        hidden = self._occlusion.see(image, face, (left, top, right, bottom)).mask if self.front else None
        if hidden is not None and not hidden.any():
            hidden = None
        seen = np.clip(-self._skull.normals(face.mesh)[:, 2] * 1.5 - 0.2, 0, 1)
        if hidden is not None:
            hidden = self._less_hidden(hidden, here, old, seen, wearer)
            seen *= 1 - sample(hidden, old[:, :2]) / 255
        texture = self._atlas.pick(1.05 * face_px(face) / wearer.detail.softness)
        if self.light > 0:
            glance = _Glance(wearer, here, old, seen, hidden is None, texture)
            lit = wearer.lit
            if lit is None or lit.shape != texture.shape:
                lit = self._learn(glance)
            elif wearer.frames % (4 if self.spare >= 3 else 2) == 1:  # light changes slowly
                self._glances.append(replace(glance, here=here.copy()))  # the picture will be painted over
            texture = lit
        pixels, alpha = self._draw(texture, points, here.shape[:2])
        wearer.detail.compare(pixels, here)
        keep_mouth(pixels, alpha, here, old, points)
        self._put_eyes(pixels, alpha, old, points, face, corner[:2], head, wearer)
        if self.grain:
            wearer.detail.add_grain(pixels, self._noise)
        turned = degrees(abs(atan2(head.turn[0, 2], head.turn[2, 2])))
        vague = min(max((turned - _TURNED) / _TURNS_AWAY, 0.0), 1.0)
        if vague > 0:  # the mesh breaks in profile: the new face dissolves before, and still covers the old one
            pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), 0.3 + vague * 0.06 * face_px(face)), np.uint8)
        if hidden is not None:
            alpha = np.asarray(cv2.multiply(alpha, 255 - hidden, scale=1 / 255), np.uint8)
        return Patch(pixels, alpha, left, top, hidden)

    def catch_up(self) -> None:
        """See Swapper: what the last frame shows, for those to come. The next swap does it where nobody else did."""
        glances, self._glances = self._glances, []
        for glance in glances:
            self._learn(glance)

    def _learn(self, glance: _Glance) -> Image:
        """Take it in; the texture in the wearer's light."""
        wearer = glance.wearer
        for k, eyeball in enumerate(self._eyeballs):
            white = wearer.whites[k]
            if eyeball is not None and (white is None or wearer.frames % 8 == 1 + 4 * k):
                now = white_of(glance.here, glance.old[list(OPENINGS[k]), :2])
                if now is not None:
                    wearer.whites[k] = now if white is None else white + (now - white) * np.float32(0.36)
        if not glance.bare or min(glance.here.shape[:2]) < LEAST_PX:
            wearer.creases.rest()
        else:
            sheet = self._unfold(glance.here, glance.old, glance.seen)
            wearer.creases.read(sheet, wearer.own.calm)
            wearer.look.learn(sheet)
        wearer.lit = self._lit(glance)
        return wearer.lit

    def _remember(self, track: int) -> _Wearer:
        """The memory of this track; what was not used for long is forgotten."""
        self._frames += 1
        wearer = self._wearers.setdefault(track, _Wearer())
        wearer.used = self._frames
        wearer.frames += 1
        if len(self._wearers) > 8:
            self._wearers = {k: w for k, w in self._wearers.items() if self._frames - w.used < 300}
        return wearer

    def _less_hidden(self, hidden: Mask, here: Image, old: Floats, seen: Floats, wearer: _Wearer) -> Mask:
        """What is said to be hidden, less what looks as this face always does (nose and lips beside a finger)."""
        same = sample(wearer.look.same(self._unfold(here, old, seen)), self._uv * SHEET_PX - 0.5)
        same *= np.clip(self._skull.from_rim_cm / 1.5 - 0.5, 0, 1)  # the jaw's edge is one, whatever it belongs to
        # It is smooth: a small picture of it will do.
        rows, columns = hidden.shape
        shrink = min(1.0, 2 * SHEET_PX / max(rows, columns))
        small = max(2, round(rows * shrink)), max(2, round(columns * shrink))
        at = np.ascontiguousarray(old * np.array([small[1] / columns, small[0] / rows, 1], np.float32), np.float32)
        map_x, map_y, depth = (np.empty(small, np.float32) for _ in range(3))
        face = np.empty(small, np.uint8)
        draw_mesh(at, self._skull.triangles, self._uv, same, map_x, map_y, face, depth)
        bare = cv2.resize(face, (columns, rows), interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.multiply(hidden, 255 - bare, scale=1 / 255), np.uint8)

    def _lit(self, glance: _Glance) -> Image:
        """The atlas in the wearer's light."""
        assert self._atlas is not None
        wearer, here, texture = glance.wearer, glance.here, glance.texture
        height, width = here.shape[:2]
        small = here
        if min(height, width) > 4 * COLOUR_PX:  # a few of the pixels are enough for means
            small = cv2.resize(here, (2 * COLOUR_PX, 2 * COLOUR_PX), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        small = cv2.resize(small, (COLOUR_PX, COLOUR_PX), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        at = (glance.old[:, :2] + 0.5) * np.array([COLOUR_PX / width, COLOUR_PX / height], np.float32) - 0.5
        inside = ((at >= 0) & (at <= COLOUR_PX - 1)).all(1)
        colours = log_colours(small, at)
        seen = glance.seen * inside
        skin, own = self._atlas.skin, self._atlas.colours
        keep = self._light.pale(colours, seen, own, skin, wearer.lamp)
        if keep < 0.95:
            texture = self._paler(texture, keep)
            own = log_paler(own, keep)
        gain = self._light.gain(
            colours, seen, own, skin, wearer.lamp, light=self.light, complexion=self.complexion
        )  # fmt: skip
        cells = np.clip(self._uv[np.array(EYE_CORNERS)].mean(1) * GRID_PX, 0, GRID_PX - 1).astype(int)
        wearer.lit_eyes = gain[cells[:, 1], cells[:, 0]]
        n = texture.shape[0]
        fine = cv2.resize(gain, (SHEET_PX, SHEET_PX), interpolation=cv2.INTER_LINEAR)
        folds = np.exp(wearer.creases.now * self._unfold.around_mouth)[..., None]
        whole = np.dstack([fine * folds, np.ones(fine.shape[:2], np.float32)])
        spread = cv2.resize(whole, (n, n), interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.multiply(texture, spread, dtype=cv2.CV_8U), np.uint8)

    def _paler(self, texture: Image, keep: float) -> Image:
        """A paler atlas, made again only when it would differ visibly."""
        known = self._pale.get(texture.shape[0])
        if known is None or abs(known[0] - keep) > 0.04:
            known = self._pale[texture.shape[0]] = (keep, paler(texture, keep))
        return known[1]

    def _draw(self, texture: Image, points: Floats, shape: tuple[int, ...]) -> tuple[Image, Mask]:
        rows, columns = shape[:2]
        map_x, map_y, depth = (np.empty((rows, columns), np.float32) for _ in range(3))
        alpha = np.empty((rows, columns), np.uint8)
        source = self._uv * np.float32(texture.shape[0]) - np.float32(0.5)
        draw_mesh(points, self._skull.triangles, source, self._rim, map_x, map_y, alpha, depth)
        drawn = np.asarray(
            cv2.remap(texture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
        )
        opacity = cv2.multiply(alpha, cv2.extractChannel(drawn, 3), scale=1 / 255)
        return np.asarray(cv2.cvtColor(drawn, cv2.COLOR_BGRA2BGR), np.uint8), np.asarray(opacity, np.uint8)

    def _put_eyes(
        self,
        pixels: Image,
        alpha: Mask,
        old: Floats,
        points: Floats,
        face: Face,
        corner: Floats,
        head: Head,
        wearer: _Wearer,
    ) -> None:
        """The persona's eyes, looking where the wearer looks; where there are none, the wearer's own."""
        for k, (eyeball, opening, corners) in enumerate(zip(self._eyeballs, OPENINGS, EYE_CORNERS, strict=True)):
            lids = points[list(opening), :2]
            if eyeball is None or face.irises is None:
                fill_outline(alpha, lids, 0)
                continue
            before, after = old[list(corners), :2], points[list(corners), :2]
            was, along = before[1] - before[0], after[1] - after[0]
            grown = hypot(*along.tolist()) / max(hypot(*was.tolist()), 1e-3)
            iris = face.irises[k, :2] - corner
            white = wearer.whites[k]
            gain = wearer.lit_eyes[k]
            if white is not None:
                share = np.float32(0.7 * self.light)
                gain = gain ** (1 - share) * np.exp((white - eyeball.white) * share)
            gaze = (iris - _middle(old[list(opening), :2])) * np.float32(grown)
            put_eye(
                eyeball, pixels, alpha, lids, along, _middle(lids) + gaze, eyeball.radius_cm * head.scale,
                max(0.5, float(head.turn[2, 2])), np.clip(gain, 0.3, 2.5),
            )  # fmt: skip


def _middle(points: Floats) -> Floats:
    """[2]: NumPy's own mean takes three times as long."""
    return np.asarray(points.sum(0) / np.float32(len(points)), np.float32)


def rim_weight(points: int) -> Floats:
    """Opacity of each vertex: 0 at the mesh's outline, 1 from the first row of vertices inward."""
    weight = np.ones(points, np.float32)
    weight[list(OVAL)] = 0
    return weight
