"""What a one-photo net is told of the persona: a vector or a picture of its face, made once when it is put on."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np

from engines.card import ModelCard
from engines.engine import Array, TensorSpec
from engines.errors import DoppelcamError, EngineError, ModelError, NotAvailable
from live.align import cut_fine
from live.align.crops import five_point_matrix
from live.align.templates import FIVE_POINTS
from live.frame import Floats, Persona
from live.recogniser import LENGTH, Recogniser, fed, installed, open_once, recogniser_card, unit


def source_of(persona: Persona, card: ModelCard, spec: TensorSpec, recogniser: str = "") -> Array:
    """The model's input `spec` for this persona of one portrait or several.

    `recogniser` names the one to use; else the installed one. Raises NotAvailable where a net that it needs besides is
    not installed, ModelError where the card or such a net is not as it should.
    """
    if card.facts.get("source") == "image":
        return _picture(persona, card, spec)
    if card.facts.get("source") != "embedding":
        raise _wrong(card, "source", '"embedding" or "image"')
    vector = _vector(persona, recogniser)
    if card.facts.get("converter"):
        vector = _converted(vector, _converter(card))
    if card.facts.get("emap"):
        vector = unit(vector) @ _emap(card)
    if card.facts.get("normalise", False):
        vector = unit(vector)
    if not np.isfinite(vector).all() or not vector.any():
        raise ModelError(f"what the model {card.name!r} is told of {persona.name} is no vector")
    return np.asarray(vector.reshape(1, LENGTH), spec.dtype)


def _vector(persona: Persona, name: str) -> Floats:
    """The mean over the portraits, as the recogniser gives it."""
    opened = Recogniser(recogniser_card(name))
    try:
        vectors = [opened.vector(view.image, view.face.points) for view in persona.views]
    finally:
        opened.close()
    return np.mean(vectors, 0, dtype=np.float32)  # type: ignore[no-any-return]


def _picture(persona: Persona, card: ModelCard, spec: TensorSpec) -> Array:
    size, template = card.facts.get("source_size"), card.facts.get("source_template")
    if not isinstance(size, int) or not 32 <= size <= 1024:
        raise _wrong(card, "source_size", "a whole number from 32 to 1024")
    if template not in FIVE_POINTS:
        raise _wrong(card, "source_template", f"one of {', '.join(FIVE_POINTS)}")
    matrix = five_point_matrix(persona.face.points, template, size)
    return fed(cut_fine(persona.image, matrix, size), spec, 0.0, 1.0)


def _converter(card: ModelCard) -> ModelCard:
    """The net that turns ArcFace's vector into this family's own."""
    name = str(card.facts["converter"])
    found = [one for one in installed("converter") if one.name == name or one.facts.get("of") == card.family]
    if not found:
        raise NotAvailable(
            f"the model {card.name} needs {name} besides, which is not installed", hint=f"doppelcam models pull {name}"
        )
    return found[0]


def _converted(vector: Floats, card: ModelCard) -> Floats:
    engine = open_once(card)
    try:
        shapes = [spec.shape for spec in (*engine.inputs, *engine.outputs)]
        if shapes != [(1, LENGTH)] * 2:
            raise ModelError(f"the model {card.name!r} does not turn {LENGTH} numbers into {LENGTH}")
        (spec,), (output,) = engine.inputs, engine.outputs
        answer = engine.run({spec.name: vector.reshape(1, LENGTH).astype(spec.dtype)})[output.name]
        return np.array(answer, np.float32).ravel()
    except EngineError as error:
        raise ModelError(f"the model {card.name!r} does not run: {error.message}") from error
    finally:
        with suppress(DoppelcamError):
            engine.close()


def _emap(card: ModelCard) -> Floats:
    """inswapper's matrix, which lies beside its net."""
    try:
        matrix = np.load(io.BytesIO(card.read_file(str(card.facts["emap"]))), allow_pickle=False)
    except ValueError as error:
        raise ModelError(f"the matrix beside model {card.name!r} cannot be read: {error}") from error
    if matrix.shape != (LENGTH, LENGTH) or matrix.dtype.kind != "f" or not np.isfinite(matrix).all():
        raise ModelError(f"the matrix beside model {card.name!r} is not {LENGTH} x {LENGTH} numbers")
    return np.asarray(matrix, np.float32)


def _wrong(card: ModelCard, name: str, expected: str) -> ModelError:
    return ModelError(
        f"the card of model {card.name!r}: the fact {name!r} must be {expected}, got {card.facts.get(name)!r:.100}",
        hint="add the model's file again: doppelcam models add FILE",
    )
