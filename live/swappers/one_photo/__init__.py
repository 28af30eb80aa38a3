"""Wears one photo through a net of the user's: inswapper, simswap, ghost, hyperswap, hififace, blendswap, uniface.

One adapter for all: what a model takes and gives stands on its card. When the persona is put on, the net is told of it
once (source.py). For each frame: the crop by five points (live/align/crops.py), bytes to planes (planes.py), the net
(net.py), what of its picture is shown (live/fit/mask.py), the wearer's colours (live/fit/colour.py), bytes again, and
back into the frame (live/fit/place.py), now and then finished by an enhancer (live/fit/enhance.py). What lies in front
of the face (live/occlusion.py) stays in front.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import cv2
import numpy as np

from engines.engine import Array, Engine
from engines.errors import BadInput, EngineError, EngineLost, ModelError
from live.align import CORE, INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE, outline_of
from live.align.crops import five_point_matrix, resized
from live.fit.colour import SMALL_PX, Colours, of_small
from live.fit.enhance import Enhancer, enhanced, open_enhancer
from live.fit.mask import face_alpha
from live.fit.place import drawn, finer, from_corner, shifted, shown_in, small
from live.frame import Face, Floats, Image, Mask, Patch, Persona
from live.models import open_card
from live.occlusion import Occlusion
from live.settings import setting
from live.swappers.one_photo.net import Drawn, Net, open_net
from live.swappers.one_photo.planes import compile_all, cut_wide, fill_margin, packed, span, to_pixels
from live.swappers.one_photo.source import source_of

_FLAT = 2  # levels; a picture that spans less is of one colour
_KEPT = {"eyes": (RIGHT_EYE, LEFT_EYE), "mouth": (INNER_LIPS,), "lips": (OUTER_LIPS,)}
_KEEP = {
    "nothing": (), "eyes": ("eyes",), "mouth": ("mouth",), "lips": ("lips",),
    "eyes and mouth": ("eyes", "mouth"), "eyes and lips": ("eyes", "lips"),
}  # fmt: skip


@dataclass
class OnePhoto:
    """Swapper for portraits with a one-photo model of yours (`doppelcam models`)."""

    drawn: ClassVar[bool] = False
    wears_model: ClassVar[bool] = False
    needs_mesh: ClassVar[bool] = False

    model: str = setting("", "which model: its name in `doppelcam models list`, or a model folder")
    recogniser: str = setting("", "which ArcFace tells it whose face to draw; empty: the one that is installed")
    boost: int = setting(
        1, "the face is drawn so many times as fine, by as many times squared runs of the net", low=1, high=4
    )
    mask: str = setting(
        "both",
        "what of the new picture is shown: inside the outline of the face (hull), where the model says (model), or "
        "where both do; a model that says nothing leaves it to the outline",
        choices=("both", "model", "hull"),
    )
    keep: str = setting("nothing", "what of your own face stays", choices=tuple(_KEEP), live=True)
    erode: float = setting(
        0, "how much narrower the mask is made, in % of the crop", low=-20, high=20, step=0.5, live=True
    )
    blur: float = setting(4, "width of the mask's soft edge, in % of the crop", low=0, high=20, step=0.5, live=True)
    colour: str = setting(
        "rct",
        "rct: the new face takes the wearer's colours (mean and spread in Lab); off",
        choices=("rct", "off"),
        live=True,
    )
    enhancer: str = setting(
        "", "a face enhancer of yours that finishes the new face: its name in `doppelcam models list`"
    )
    enhance: float = setting(0.8, "how much of what the enhancer adds is taken", low=0, high=1, step=0.05)
    enhance_every: int = setting(4, "it looks at a face once in so many frames, where there is time", low=1, high=60)
    front: bool = setting(True, "hands and things in front of the face stay in front")
    engine: str = setting("auto", "what runs the nets: auto, or RUNTIME[:DEVICE][:PRECISION]")
    threads: int = setting(0, "threads of the model; 0: measured", low=0, high=64)
    fallback: bool = setting(False, "where that engine is not to be had, take the best other one")

    spare = 0  # set by the loop, see Swapper
    _net: Net | None = field(default=None, init=False, repr=False)
    _source: Array | None = field(default=None, init=False, repr=False)
    _enhancer: Enhancer | None = field(default=None, init=False, repr=False)
    _occlusion: Occlusion = field(default_factory=Occlusion, init=False, repr=False)
    _colours: Colours = field(default_factory=Colours, init=False, repr=False)

    def open(self) -> None:
        if not self.model:
            raise BadInput("which one-photo model shall draw the face?", hint="--model NAME, see doppelcam models list")
        self._net = open_net(open_card(self.model), self.engine, self.threads, self.fallback)
        if self.mask == "model" and self._net.mask is None:
            raise BadInput(f"the model {self.model} gives no mask", hint="--set swappers.one_photo.mask=hull")
        if self.enhancer:
            self._enhancer = open_enhancer(open_card(self.enhancer), self.engine, self.threads, self.fallback)
        if self.front:
            self._occlusion = Occlusion(engine=self.engine, fallback=self.fallback)
            self._occlusion.open()
        compile_all()

    @property
    def engines(self) -> list[Engine]:
        opened = [one.engine for one in (self._net, self._enhancer) if one is not None]
        return self._occlusion.engines + opened

    @property
    def extra_ms(self) -> float:
        return 0.0 if self._enhancer is None else self._enhancer.ms

    def close(self) -> None:
        self._occlusion.close()
        if self._enhancer is not None:
            self._enhancer.close()
        if self._net is not None:
            with suppress(EngineError):
                self._net.engine.close()
        self._net = self._source = self._enhancer = None
        self._colours = Colours()

    def wear(self, persona: Persona) -> None:
        """Tells the model of the persona, and tries it on the persona's own picture.

        Raises BadInput for a persona without a picture, NotAvailable where a net is missing that it needs besides,
        ModelError where the model gives nothing that can be shown.
        """
        if not persona.views:
            raise BadInput(f"{persona.name} is a trained model, no picture", hint="--face PICTURE")
        assert self._net is not None, "open() comes first"
        self._source = source_of(persona, open_card(self.model), self._net.source, self.recogniser)
        try:
            self._forget()
            self.swap(persona.image, persona.face)
            if self._enhancer is not None:
                self._forget()
                self._enhancer.ms = 0.0  # the first time took longer than it does live
                self.swap(persona.image, persona.face)
        except EngineLost:
            raise
        except EngineError as error:
            raise ModelError(f"{error.message}, already when it is tried out", hint=error.hint) from error
        self._forget()

    def _forget(self) -> None:
        """What was learned of the faces so far is of another persona."""
        self._colours, self.spare = Colours(), 0
        if self._enhancer is not None:
            self._enhancer.forget()

    def swap(self, image: Image, face: Face) -> Patch:
        return self.begin(image, face)()

    def begin(self, image: Image, face: Face) -> Callable[[], Patch]:
        net = self._net
        assert net is not None and self._source is not None, "open() and wear() come first"
        side = net.size * self.boost
        matrix = five_point_matrix(face.points, net.template, side)
        crop = cut_wide(image, matrix, side)
        if crop is None:
            return _nowhere
        old = np.ascontiguousarray(small(crop, SMALL_PX)[..., :3])
        given = net.run(crop, self._source)
        if span(given.small) < _FLAT < span(old):
            raise EngineError(f"the model {net.name} gives a picture of one colour", hint="take its fp32 file")
        alpha, margin = self._alpha(given.mask, matrix, side, face)
        on_alpha = shifted(matrix, margin, margin)
        left, top, right, bottom = rect = shown_in(alpha, on_alpha, image)
        if right - left < 2 or bottom - top < 2:
            return _nowhere
        self._occlusion.rate = 2 if self.spare >= 2 else 1
        hidden = self._occlusion.see(image, face, rect).mask if self.front else None
        if hidden is not None and not hidden.any():
            hidden = None
        colours = self._levels(given, old, alpha[margin:-margin, margin:-margin], hidden, matrix, rect, face)
        # Not a buffer to be used again: the next face may be drawn before this one is placed.
        pixels = np.empty((*alpha.shape, 4), np.uint8)
        for one, planes in enumerate(given.parts):
            to_pixels(planes, one, colours, margin, alpha, packed(pixels))
        fill_margin(packed(pixels), margin, alpha)
        rest = partial(_placed, pixels, on_alpha, rect, hidden)
        return rest if self._enhancer is None else self._with_detail(self._enhancer, rest, image, face)

    def _with_detail(
        self, enhancer: Enhancer, rest: Callable[[], Patch], image: Image, face: Face
    ) -> Callable[[], Patch]:
        """`rest`, and then what the enhancer adds. It looks at one face a frame at most, where nothing is spared."""
        patch = None
        if self.spare == 0 and enhancer.due(face, self.enhance_every):
            self.spare = 1
            patch = rest()
            enhancer.look(image, face, patch)
        found = enhancer.detail(face)

        def finish() -> Patch:
            made = rest() if patch is None else patch
            return made if found is None else enhanced(made, *found, self.enhance)

        return finish

    def _alpha(self, mask: Mask | None, matrix: Floats, side: int, face: Face) -> tuple[Mask, int]:
        """What is shown of the net's picture, and how wide the margin around that is, in the picture's pixels."""

        def here(points: Floats) -> Floats:
            return points @ matrix[:, :2].T + matrix[:, 2]

        hull = here(outline_of(face))
        core = here(face.points if face.mesh is None else face.mesh[list(CORE), :2])
        masks = []
        if mask is not None and self.mask != "hull":
            masks.append(mask if side == len(mask) else cv2.resize(mask, (side, side)))
        if self.mask != "model" and masks:
            inside = np.zeros((side, side), np.uint8)
            cv2.fillConvexPoly(inside, np.round(hull * 16).astype(np.int32), 255, cv2.LINE_8, 4)
            masks.append(inside)
        grow, soft = -round(self.erode / 100 * side), round(self.blur / 200 * side)
        alpha, margin = face_alpha(masks, hull, core, side, grow, soft), soft + 1
        parts = [_KEPT[name] for name in _KEEP[self.keep]]
        if parts and face.mesh is not None:
            kept = np.zeros_like(alpha)
            for outline in (one for part in parts for one in part):
                points = here(face.mesh[list(outline), :2]) + np.float32(margin)
                cv2.fillPoly(kept, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
            soft = max(1, side // 128)
            wide = cv2.blur(cv2.dilate(kept, np.ones((2 * soft + 1,) * 2, np.uint8)), (2 * soft + 1,) * 2)
            alpha = np.asarray(cv2.multiply(alpha, 255 - wide, scale=1 / 255), np.uint8)
        return alpha, margin

    def _levels(
        self,
        given: Drawn,
        old: Image,
        alpha: Mask,
        hidden: Mask | None,
        matrix: Floats,
        rect: tuple[int, int, int, int],
        face: Face,
    ) -> Floats:
        """The map float32 [3, 4] from what the net gives, as BGR, to levels in the wearer's colours."""
        assert self._net is not None
        to_levels = np.hstack([np.eye(3) * self._net.gain, np.full((3, 1), self._net.offset)]).astype(np.float32)
        if self.colour == "off":
            return to_levels
        seen = small(alpha, SMALL_PX)
        if hidden is not None:
            to_small = from_corner(resized(matrix, SMALL_PX / len(alpha)), *rect[:2])
            seen[cv2.warpAffine(hidden, to_small, (SMALL_PX, SMALL_PX)) > 0] = 0
        map = self._colours.look(face, of_small(given.small), old, seen)
        if map is None:
            return to_levels
        to_levels[:, :3] = map[:, :3] * np.float32(self._net.gain)
        to_levels[:, 3] = map[:, :3].sum(1) * np.float32(self._net.offset) + map[:, 3]
        return to_levels


def _placed(pixels: Image, matrix: Floats, rect: tuple[int, int, int, int], hidden: Mask | None) -> Patch:
    """The patch for the rectangle of the frame, from a picture u8 [n, n, 4] with its alpha, to which `matrix` leads."""
    left, top, right, bottom = rect
    pixels, matrix = finer(pixels, matrix)
    size = (right - left, bottom - top)
    placed = drawn(pixels, from_corner(matrix, left, top), size, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
    shown = cv2.extractChannel(placed, 3)
    if hidden is not None:
        shown = cv2.multiply(shown, 255 - hidden, scale=1 / 255)
    new = cv2.cvtColor(placed, cv2.COLOR_BGRA2BGR)
    return Patch(np.asarray(new, np.uint8), np.asarray(shown, np.uint8), left, top, hidden)


def _nowhere() -> Patch:
    """For a face that lies outside the picture."""
    return Patch(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8), 0, 0)
