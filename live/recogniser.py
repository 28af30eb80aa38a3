"""Turns a face into the vector that tells people apart: an ArcFace net of the user's own, by its card.

None ships with doppelcam. One-photo swappers are told by such a vector whose face to draw, and the cast (live/cast.py)
tells by it who is who.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from engines.card import ModelCard
from engines.door import open_engine, open_variant, reference
from engines.engine import Array, Engine, TensorSpec
from engines.errors import EngineError, ModelError, NotAvailable
from engines.store import user_store
from live.align import cut_fine
from live.align.crops import five_point_matrix
from live.frame import Floats, Image

LENGTH = 512
_HINT = "doppelcam models pull arcface_w600k_r50, or models add with your file (InsightFace: not for commercial use)"


class Recogniser:
    """An opened recogniser. Opened, used and closed on one thread."""

    def __init__(self, card: ModelCard, engine: str = "", threads: int = 0, fallback: bool = False) -> None:
        """`engine` as for engines/door.py; "" where it runs too seldom to be worth measuring: plain fp32 on the CPU.

        Raises ModelError where the net is no recogniser of the kind that swappers are told by.
        """
        self.engine = open_once(card) if not engine else open_engine(card, engine, threads, fallback)
        self._template = str(card.facts.get("template"))
        if (
            card.facts.get("kind") != "recogniser"
            or self._template != "arcface_112_v2"
            or [spec.shape for spec in self.engine.inputs] != [(1, 3, 112, 112)]
            or (1, LENGTH) not in [spec.shape for spec in self.engine.outputs]
        ):
            self.close()
            raise ModelError(
                f"the model {card.name!r} is no ArcFace recogniser (1x3x112x112 in, {LENGTH} numbers out)", hint=_HINT
            )
        self._output = next(spec.name for spec in self.engine.outputs if spec.shape == (1, LENGTH))

    def vector(self, image: Image, points: Floats) -> Floats:
        """float32 [512], as the net gives it, for the face with these five points (as Face.points).

        Raises EngineError for an answer that is no vector.
        """
        crop = cut_fine(image, five_point_matrix(points, self._template, 112), 112)
        (spec,) = self.engine.inputs
        answer = self.engine.run({spec.name: fed(crop, spec, 0.5, 0.5)})[self._output]
        vector = np.array(answer, np.float32).ravel()
        if not np.isfinite(vector).all() or not vector.any():
            raise EngineError(f"the recogniser {self.engine.model!r} gives no vector for this face")
        return vector

    def close(self) -> None:
        with suppress(EngineError):
            self.engine.close()


def recogniser_card(name: str = "") -> ModelCard:
    """The recogniser of this name, or the one that is installed. Raises NotAvailable, BadInput, ModelError."""
    store = user_store()
    if name:
        return store.card(name)
    found = installed("recogniser")
    if not found:
        raise NotAvailable("no face recogniser is installed", hint=_HINT)
    known = [card for card in found if "w600k_r50" in card.name]  # what public swappers were trained with
    return (known or found)[0]


def installed(kind: str) -> list[ModelCard]:
    """The user's models of this kind, by name; broken ones are left out."""
    store, found = user_store(), []
    for name in store.names():
        with suppress(ModelError):
            card = store.card(name)
            if card.facts.get("kind") == kind:
                found.append(card)
    return found


def open_once(card: ModelCard) -> Engine:
    """An engine for a net that runs once or now and then: plain fp32 on the CPU, nothing is measured."""
    ways = reference(card)
    return open_variant(card, ways[0]) if ways else open_engine(card)


def fed(crop: Image, spec: TensorSpec, mean: float, std: float) -> Array:
    """A BGR crop u8 [n, n, 3] as a net's input [1, 3, n, n], RGB, (0..1 - mean) / std."""
    planes = np.ascontiguousarray(crop[:, :, ::-1].transpose(2, 0, 1), np.float32)
    return ((planes / 255 - mean) / std)[None].astype(spec.dtype)


def unit(vector: Floats) -> Floats:
    """The same direction, length 1."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float32)
