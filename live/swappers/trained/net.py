"""A trained model as its card describes it: the crop that it takes, the pictures that it gives; opened and checked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.card import ModelCard
from engines.door import open_engine
from engines.engine import Array, Engine
from engines.errors import DoppelcamError, ModelError
from live.align.crops import Crop
from live.frame import Image

MASKS = ("face_mask", "celeb_mask", "front")
_LEAST_PX, _MOST_PX = 16, 2048


@dataclass(frozen=True, slots=True)
class Net:
    """An opened model. `size` and `out_size` are sides in pixels; `masks` are those of MASKS that it gives.

    `face_mask` is what of the crop is the wearer's face, `celeb_mask` what of the new picture is the new face.
    """

    engine: Engine
    size: int
    out_size: int
    crop: Crop
    masks: tuple[str, ...]
    morph: bool

    def run(self, crop: Image, morph: float) -> dict[str, Array]:
        """`image` u8 [out_size, out_size, 3] BGR and each mask u8 [out_size, out_size], for a crop u8 [size, size, 3].

        They belong to the engine until the next run.
        """
        feeds: dict[str, Array] = {"face": crop}
        if self.morph:
            feeds["morph"] = np.array([morph], np.float32)
        return self.engine.run(feeds)


def open_net(card: ModelCard, engine: str, threads: int, fallback: bool) -> Net:
    """Open the model on this engine (see engines/door.py). ModelError where the card or the net is not as it should."""
    size, out_size = (_whole(card, name) for name in ("size", "out_size"))
    crop = _crop(card)
    outputs = card.facts.get("outputs")
    if not isinstance(outputs, list) or "image" not in outputs or not set(outputs) <= {"image", *MASKS}:
        raise _wrong(card, "outputs", f"a list of image and maybe {' and '.join(MASKS)}")
    morph = card.facts.get("morph", False)
    if not isinstance(morph, bool):
        raise _wrong(card, "morph", "true or false")
    opened = open_engine(card, engine, threads, fallback)
    net = Net(opened, size, out_size, crop, tuple(name for name in MASKS if name in outputs), morph)
    try:
        _check(card, net)
    except ModelError:
        with suppress(DoppelcamError):
            opened.close()
        raise
    return net


def _check(card: ModelCard, net: Net) -> None:
    """Raise ModelError unless the net takes and gives what the card says."""
    u8, f32 = np.dtype(np.uint8), np.dtype(np.float32)
    takes: dict[str, Any] = {"face": ((net.size, net.size, 3), u8), **({"morph": ((1,), f32)} if net.morph else {})}
    gives: dict[str, Any] = {"image": ((net.out_size, net.out_size, 3), u8)}
    gives |= {name: ((net.out_size, net.out_size), u8) for name in net.masks}
    for what, wanted, specs in (("takes", takes, net.engine.inputs), ("gives", gives, net.engine.outputs)):
        found = {spec.name: (spec.shape, spec.dtype) for spec in specs}
        if {name: found.get(name) for name in wanted} != wanted or (what == "takes" and len(found) > len(wanted)):
            raise ModelError(
                f"the net of model {card.name!r} {what} {', '.join(map(str, specs))}, which is not what its card says",
                hint="export the model again",
            )


def _crop(card: ModelCard) -> Crop:
    names = card.facts.get("crop")
    if not isinstance(names, list) or len(names) != 2 or not all(isinstance(name, str) for name in names):
        raise _wrong(card, "crop", 'a face type and a fit, such as ["full", "dfl33"]')
    numbers = []
    for name, default in (("coverage", 1.0), ("vertical_offset", 0.0)):
        value = card.facts.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _wrong(card, name, "a number")
        numbers.append(float(value))
    return Crop(names[0], names[1], *numbers)


def _whole(card: ModelCard, name: str) -> int:
    value = card.facts.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not _LEAST_PX <= value <= _MOST_PX:
        raise _wrong(card, name, f"a whole number from {_LEAST_PX} to {_MOST_PX}")
    return value


def _wrong(card: ModelCard, name: str, expected: str) -> ModelError:
    got = repr(card.facts.get(name))
    return ModelError(
        f"the card of model {card.name!r}: the fact {name!r} must be {expected}, got {got[:100]}",
        hint="export the model again",
    )
