"""A one-photo model as its card describes it: what it takes, what it gives; opened, checked, run."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engines.card import ModelCard
from engines.door import open_engine
from engines.engine import Array, Engine, TensorSpec
from engines.errors import DoppelcamError, EngineError, ModelError
from live.align.templates import FIVE_POINTS
from live.fit.colour import SMALL_PX
from live.frame import Floats, Image, Mask
from live.swappers.one_photo.planes import packed, shrink, to_mask, to_planes

_SIDES = (64, 128, 192, 224, 256, 384, 512, 768, 1024)
_HINT = "add the model's file again: doppelcam models add FILE"


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the net drew. `parts`: planes float32 [3, n, n], RGB in levels 0..255 times `gain` plus `offset`; they are
    the k * k interleaved parts of one picture. `small` float32 [SMALL_PX, SMALL_PX, 3]: that picture, BGR in levels.
    `mask` u8 [n, n]: what of it the net says is face, None if it says nothing.
    """

    parts: list[Array]
    small: Floats
    mask: Mask | None


@dataclass(frozen=True, slots=True)
class Net:
    """An opened model. `size` is the side of its picture in pixels; level = value * `gain` + `offset`."""

    engine: Engine
    name: str
    size: int
    template: str
    scale: Floats
    shift: Floats
    gain: float
    offset: float
    target: TensorSpec
    source: TensorSpec
    image: str
    mask: str | None
    scratch: dict[int, Array] = field(default_factory=dict)  # by k: new memory for each frame would cost as the rest

    def run(self, crop: Image, source: Array) -> Drawn:
        """Draw the face of `source` over the crop u8 [k * size, k * size, 4], BGR. Raises EngineError.

        An answer with values that are no numbers is an error too: a black or green square must not be shown.
        """
        k = len(crop) // self.size
        if k not in self.scratch:
            self.scratch[k] = np.empty((k * k, 3, self.size, self.size), np.float32)
        planes = self.scratch[k]
        to_planes(packed(crop), planes, self.scale, self.shift)
        parts, small, mask = [], np.zeros((SMALL_PX, SMALL_PX, 3), np.float32), None
        for plane in planes:
            feeds = {self.target.name: plane[None].astype(self.target.dtype, copy=False), self.source.name: source}
            answer = self.engine.run(feeds)
            drawn = np.asarray(answer[self.image], np.float32)[0]
            if drawn.shape != plane.shape:
                raise EngineError(f"the model {self.name} gives a picture of {drawn.shape}, {plane.shape} is expected")
            parts.append(drawn.copy() if k > 1 else drawn)
            shrink(drawn, small)
            if self.mask is not None and mask is None:
                found = np.asarray(answer[self.mask], np.float32).reshape(self.size, self.size)
                mask = np.empty(found.shape, np.uint8)
                to_mask(found, mask)
        small = small * np.float32(self.gain / (k * k)) + np.float32(self.offset)
        if not np.isfinite(small).all():
            raise EngineError(
                f"the model {self.name} gives values that are no numbers",
                hint="half precision often overflows: --engine onnx_runtime:cpu:fp32, or the model's fp32 file",
            )
        return Drawn(parts, small, mask)


def open_net(card: ModelCard, engine: str, threads: int, fallback: bool) -> Net:
    """Open the model on this engine (see engines/door.py). ModelError where the card or the net is not as it should."""
    facts = card.facts
    if facts.get("kind") != "swapper":
        raise ModelError(
            f"the model {card.name!r} is no one-photo swapper (its family is {card.family!r})",
            hint="doppelcam models list shows kinds; a trained model is worn with --face",
        )
    size, template = facts.get("image_size"), facts.get("template")
    if size not in _SIDES:
        raise _wrong(card, "image_size", f"one of {', '.join(map(str, _SIDES))}")
    if template not in FIVE_POINTS:
        raise _wrong(card, "template", f"one of {', '.join(FIVE_POINTS)}")
    mean, std = (_three(card, name) for name in ("mean", "std"))
    if not (std > 1e-6).all():
        raise _wrong(card, "std", "three numbers above 0")
    if (facts.get("colour"), facts.get("layout")) != ("RGB", "NCHW"):
        raise _wrong(card, "colour", "RGB (and layout NCHW)")
    if facts.get("output") not in ("0..1", "-1..1"):
        raise _wrong(card, "output", '"0..1" or "-1..1"')
    gain, offset = (255.0, 0.0) if facts["output"] == "0..1" else (127.5, 127.5)
    inputs, outputs = (_names(card, side) for side in ("inputs", "outputs"))
    opened = open_engine(card, engine, threads, fallback)
    try:
        target, source, image, mask = _ports(card, opened, int(size), inputs, outputs)
    except ModelError:
        with suppress(DoppelcamError):
            opened.close()
        raise
    scale, shift = (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
    return Net(opened, card.name, size, template, scale, shift, gain, offset, target, source, image, mask)


def _ports(
    card: ModelCard, engine: Engine, size: int, inputs: dict[str, str], outputs: dict[str, str]
) -> tuple[TensorSpec, TensorSpec, str, str | None]:
    """Target, source, image and mask, if the net has them in the right shapes. Raises ModelError."""
    takes, gives = ({spec.name: spec for spec in side} for side in (engine.inputs, engine.outputs))
    target, source = (takes.get(inputs.get(what, "")) for what in ("target", "source"))
    image, mask = gives.get(outputs.get("image", "")), gives.get(outputs.get("mask", ""))
    side = card.facts.get("source_size")
    vector = (1, 512) if card.facts.get("source") == "embedding" else (1, 3, side, side)
    fits = (
        len(takes) == 2
        and target is not None and target.shape == (1, 3, size, size)
        and source is not None and source.shape == vector
        and image is not None and image.shape == (1, 3, size, size)
        and ("mask" not in outputs or (mask is not None and int(np.prod(mask.shape)) == size * size))
        and all(spec.dtype in (np.float32, np.float16) for spec in (target, source, image, mask) if spec is not None)
    )  # fmt: skip
    if not fits or target is None or source is None or image is None:
        raise ModelError(
            f"the net of model {card.name!r} takes {', '.join(map(str, engine.inputs))} and gives "
            f"{', '.join(map(str, engine.outputs))}, which is not what its card says",
            hint=_HINT,
        )
    return target, source, image.name, None if mask is None else mask.name


def _names(card: ModelCard, side: str) -> dict[str, str]:
    names = card.facts.get(side)
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise _wrong(card, side, "names of the net's ports")
    return names


def _three(card: ModelCard, name: str) -> Floats:
    value = card.facts.get(name)
    good = isinstance(value, list) and len(value) == 3
    if not good or not all(isinstance(one, (int, float)) and abs(one) < 1e4 for one in value or []):
        raise _wrong(card, name, "three numbers")
    return np.array(value, np.float32)


def _wrong(card: ModelCard, name: str, expected: str) -> ModelError:
    got: Any = card.facts.get(name)
    return ModelError(
        f"the card of model {card.name!r}: the fact {name!r} must be {expected}, got {got!r:.100}", hint=_HINT
    )
