"""Wears a trained model: the net looks at the wearer's face in the crop it was trained on, and gives the new face.

For each frame: 68 points of the mesh (live/align/landmarks.py), the crop (live/align/crops.py), the net (net.py), what
of its picture is shown (live/fit/mask.py), the wearer's colours (live/fit/colour.py), and back into the frame
(live/fit/place.py). What lies in front of the face (live/occlusion.py) stays in front.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import cv2
import numpy as np

from engines.engine import Array, Engine
from engines.errors import BadInput
from live.align import CORE, cut_fine
from live.align.crops import resized
from live.align.landmarks import FEATURES, face_hull, landmarks
from live.fit.colour import SMALL_PX, Colours, compile_all, recoloured
from live.fit.mask import face_alpha
from live.fit.place import drawn, from_corner, moved, shifted, shown_in, small
from live.frame import Face, Floats, Image, Mask, Patch, Persona
from live.occlusion import Occlusion
from live.settings import setting
from live.swappers.trained.net import Net, open_net

_CORE = list(CORE[1:])  # without the forehead, which many trained nets leave to the wearer, as the guard allows
_MASKS = {"both": ("face_mask", "celeb_mask"), "face": ("face_mask",), "celeb": ("celeb_mask",), "hull": ()}


@dataclass
class Trained:
    """Swapper for models made by `doppelcam export`; the finder must give a mesh."""

    drawn: ClassVar[bool] = False
    wears_model: ClassVar[bool] = True
    needs_mesh: ClassVar[bool] = True

    morph: float = setting(
        0.75,
        "how far the face becomes the other one, for models that leave it open",
        low=0,
        high=1,
        step=0.05,
        live=True,
    )
    mask: str = setting(
        "both",
        "what of the new picture is shown: where both of the net's masks say so, the wearer's (face), the new face's "
        "(celeb), or the hull of the points, which is also taken where the net has no masks",
        choices=tuple(_MASKS),
    )
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
    sharpen: float = setting(0, "how much sharper the new face is made", low=0, high=2, step=0.1, live=True)
    scale: float = setting(100, "size of the new face, in %", low=70, high=130, step=1, live=True)
    x: float = setting(
        0, "how far to the right the new face is moved, in % of the crop", low=-20, high=20, step=0.5, live=True
    )
    y: float = setting(0, "how far down the new face is moved, in % of the crop", low=-20, high=20, step=0.5, live=True)
    front: bool = setting(True, "hands and things in front of the face stay in front")
    engine: str = setting("auto", "what runs the nets: auto, or RUNTIME[:DEVICE][:PRECISION]")
    threads: int = setting(0, "threads of the trained net; 0: measured", low=0, high=64)
    fallback: bool = setting(False, "where that engine is not to be had, take the best other one")

    _net: Net | None = field(default=None, init=False, repr=False)
    _masks: tuple[str, ...] = field(default=(), init=False, repr=False)
    _occlusion: Occlusion = field(default_factory=Occlusion, init=False, repr=False)
    _colours: Colours = field(default_factory=Colours, init=False, repr=False)

    def open(self) -> None:
        compile_all()
        if self.front:
            self._occlusion = Occlusion(engine=self.engine, fallback=self.fallback)
            self._occlusion.open()

    @property
    def engines(self) -> list[Engine]:
        return self._occlusion.engines + ([] if self._net is None else [self._net.engine])

    def close(self) -> None:
        self._occlusion.close()
        if self._net is not None:
            self._net.engine.close()
        self._net = None
        self._colours = Colours()

    def wear(self, persona: Persona) -> None:
        """Raises BadInput for a persona without a model or without the mask that is wished for, else as open_net."""
        if persona.model is None:
            raise BadInput(f"{persona.name} is no trained model", hint="doppelcam export makes a model folder to wear")
        if self._net is not None:
            self._net.engine.close()
        self._net = None
        net = self._net = open_net(persona.model, self.engine, self.threads, self.fallback)
        self._masks = tuple(name for name in _MASKS[self.mask] if name in net.masks)
        if self.mask in ("face", "celeb") and not self._masks:
            raise BadInput(
                f"the model {persona.name} gives no {self.mask} mask",
                hint=f"it gives {', '.join(net.masks) or 'none'}; --set swappers.trained.mask=hull needs none",
            )
        self._colours = Colours()

    def swap(self, image: Image, face: Face) -> Patch:
        if face.mesh is None:
            raise ValueError("the trained swap needs a finder that gives a mesh")
        net = self._net
        assert net is not None, "wear() comes first"
        points = landmarks(face.mesh)
        matrix = net.crop.matrix(points, net.size)
        old = cut_fine(image, matrix, net.size, cv2.INTER_CUBIC, cv2.BORDER_CONSTANT)
        given = net.run(old, self.morph)
        new = np.asarray(given["image"], np.uint8)
        place = moved(resized(matrix, net.out_size / net.size), net.out_size, self.scale, self.x, self.y)
        alpha, margin = self._alpha(given, place, points, face.mesh)
        on_alpha = shifted(place, margin, margin)
        left, top, right, bottom = rect = shown_in(alpha, on_alpha, image)
        if right - left < 2 or bottom - top < 2:
            return Patch(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8), 0, 0)
        hidden = self._occlusion.see(image, face, rect).mask if self.front else None
        if hidden is not None and not hidden.any():
            hidden = None
        if self.colour == "rct":
            seen = small(alpha[margin:-margin, margin:-margin], SMALL_PX)
            if hidden is not None:
                to_small = from_corner(resized(place, SMALL_PX / net.out_size), left, top)
                seen[cv2.warpAffine(hidden, to_small, (SMALL_PX, SMALL_PX)) > 0] = 0
            map = self._colours.look(face, small(new, SMALL_PX), small(old, SMALL_PX), np.asarray(seen, np.uint8))
            new = new if map is None else recoloured(new, map)
        if self.sharpen > 0:
            soft = cv2.GaussianBlur(new, (0, 0), net.out_size / 128)
            new = np.asarray(cv2.addWeighted(new, 1 + self.sharpen, soft, -self.sharpen, 0), np.uint8)
        size = (right - left, bottom - top)
        pixels = drawn(new, from_corner(place, left, top), size, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)
        shown = drawn(alpha, from_corner(on_alpha, left, top), size, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
        if hidden is not None:
            shown = cv2.multiply(shown, 255 - hidden, scale=1 / 255)
        return Patch(np.asarray(pixels, np.uint8), np.asarray(shown, np.uint8), left, top, hidden)

    def _alpha(self, given: Mapping[str, Array], place: Floats, points: Floats, mesh: Floats) -> tuple[Mask, int]:
        """What is shown of the net's picture, and how wide the margin around that is, in the picture's pixels."""
        assert self._net is not None
        size = self._net.out_size
        core = np.concatenate([points[FEATURES], mesh[_CORE, :2]])
        hull, core = (outline @ place[:, :2].T + place[:, 2] for outline in (face_hull(points), core))
        grow, soft = -round(self.erode / 100 * size), round(self.blur / 200 * size)
        masks = [given[name] for name in self._masks]
        return face_alpha(masks, hull, core, size, grow, soft), soft + 1
