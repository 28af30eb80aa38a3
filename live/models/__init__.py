"""The nets that ship with doppelcam, each a model folder, and where a model is found by its name."""

from __future__ import annotations

from pathlib import Path

from engines.card import CARD_FILE, ModelCard, read_card
from engines.errors import BadInput

PERSONAL = "personal"
FOOTAGE = "footage"  # on the card of a personal engine: its teacher, where it had none but the persona's own pictures
"""The family on the card of an engine that `doppelcam teach` made."""

_FOLDER = Path(__file__).parent


def shipped(name: str) -> ModelCard:
    """The card of a net that ships."""
    return read_card(_FOLDER / name, trusted=True)


def shipped_names() -> list[str]:
    return sorted(path.parent.name for path in _FOLDER.glob(f"*/{CARD_FILE}"))


def open_card(name: str) -> ModelCard:
    """The card of a shipped net, of a model of the user's, or of a model folder's path. BadInput, ModelError."""
    if name in shipped_names():
        return shipped(name)
    from engines.store import user_store

    yours = user_store()
    if name in yours.names():
        return yours.card(name)
    if Path(name).is_dir():
        return read_card(Path(name))
    raise BadInput(
        f"there is no model {name!r}",
        hint=f"choose {', '.join([*shipped_names(), *yours.names()])}, or the path of a model folder",
    )
