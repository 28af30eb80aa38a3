"""Whose face is worn: what `--face` means, who allowed it, and whether it still may be worn.

portraits.py   which face of which picture        packs.py    the user's own faces (pack.py: one), sealed
consent.py     another person's signed consent    vault.py    the key to them
challenge.py   "is it you?" before the camera     likeness.py how like two faces are
enrol.py       adding a face                      wipe.py     and leaving no trace of it
allowed.py     one of the user's faces, worn      taught.py   the face that a personal engine was taught
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from engines.card import CARD_FILE, ModelCard, read_card
from engines.errors import BadInput
from engines.store import user_store
from live.frame import Disclosure, Persona
from live.models import PERSONAL
from live.parts import Finder
from live.personas.allowed import Allowed, views_of
from live.personas.packs import Packs, fingerprint_of, user_packs
from live.personas.portraits import (
    SAMPLE_PORTRAITS,
    open_views,
    path_of,
    sample_names,
    sample_view,
    split_number,
)
from live.personas.taught import taught_face

__all__ = ["SAMPLE_PORTRAITS", "Choice", "choose", "model_of", "open_persona", "sample_names"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What `--face` means, before anything heavy is opened.

    `open` makes the persona with an opened finder. `scope`: what it may be used for, as in consent.SCOPE; None: nobody
    limited it.
    """

    name: str
    disclosure: Disclosure
    open: Callable[[Finder], Persona]
    model: ModelCard | None = None
    scope: tuple[str, ...] | None = None


def choose(spec: str) -> Choice:
    """What `spec` means: a picture's path, `path#2` for its second face from the left, a folder of pictures of one
    person (straight, turned, smiling), which fill what a single one does not show, `sample[:name]`, the name of one of
    the user's faces, or a trained model as in `model_of`.

    Raises BadInput: an unknown sample, a name with two meanings, a face that may not be worn (now), a model of another
    kind; ModelError for a broken model folder; NotAvailable where the key to the faces cannot be read.
    """
    kind, _, name = spec.partition(":")
    if kind == "sample":
        if name and name not in sample_names():
            raise BadInput(f"there is no sample face {name!r}", hint=f"choose one of: {', '.join(sample_names())}")
        name = name or "joel"
        return Choice(name, "synthetic", lambda finder: Persona(name, (sample_view(name, finder),), None, "synthetic"))
    if not os.path.exists(path_of(spec)):
        packs = user_packs()
        if spec in packs.names():
            return _packed(packs, spec)
    model = model_of(spec)
    if model is not None and model.family == PERSONAL:
        return _taught(model)
    if model is not None:
        return Choice(model.name, "unverified", lambda _: Persona(model.name, (), model), model)
    path, number = split_number(spec)
    title = path.resolve().name if os.path.isdir(path) else path.stem
    return Choice(title, "unverified", lambda finder: Persona(title, open_views(path, number, finder)))


def open_persona(spec: str, finder: Finder) -> Persona:
    """The persona named by `spec` (see `choose`). `finder` is an opened one. Raises BadInput and ModelError."""
    return choose(spec).open(finder)


def model_of(spec: str) -> ModelCard | None:
    """The trained model that `spec` means: a model folder's path or an installed model's name. None: it means pictures.

    Raises BadInput for a model of another kind, ModelError for a broken card.
    """
    path = path_of(spec)
    if os.path.lexists(path / CARD_FILE):
        card = read_card(path)
    elif not os.path.exists(path) and spec in user_store().names():
        card = user_store().card(spec)
    else:
        return None
    if card.facts.get("kind") != "trained":
        raise BadInput(
            f"the model {card.name!r} is no trained face to wear (its family is {card.family!r})",
            hint="doppelcam export makes one of a checkpoint or a .dfm file",
        )
    return card


def _packed(packs: Packs, name: str) -> Choice:
    pack = packs.open(name)
    if name in user_store().names() and pack.model != name:
        raise BadInput(
            f"there is a face and a trained model called {name!r}: which one?",
            hint=f"give the model's folder ({user_store().root / name}), or remove one of them",
        )
    allowed = Allowed(packs, pack)
    if why := allowed():
        raise BadInput(f"{name!r} cannot be worn: {why}", hint=f"doppelcam faces show {name}")
    model = None
    if pack.model:
        model = model_of(pack.model)
        if model is None or fingerprint_of(model) != pack.model_print:
            raise BadInput(
                f"the face {name!r} stands for the trained model {pack.model!r}, which is not there any more or is "
                "not the one that it was",
                hint=f"doppelcam faces remove {name}, then add it again",
            )

    def open(finder: Finder) -> Persona:
        if model is not None:
            return Persona(name, (), model, pack.disclosure, why_not=allowed)
        return Persona(name, views_of(pack, finder), None, pack.disclosure, why_not=allowed)

    return Choice(name, pack.disclosure, open, model, pack.scope)


def _taught(model: ModelCard) -> Choice:
    """A personal engine is worn as the face is that it was taught: while that may be worn, and only so."""
    face = taught_face(model)
    if why := face.why_not():
        raise BadInput(f"{model.name!r} cannot be worn: {why}", hint=face.hint)

    def open(finder: Finder) -> Persona:
        return Persona(model.name, face.views(finder), model, face.disclosure, why_not=face.why_not)

    return Choice(model.name, face.disclosure, open, model, face.scope)
