"""The nets that ship with doppelcam, each a model folder, and where a model is found by its name."""

from __future__ import annotations

from pathlib import Path

from engines.card import CARD_FILE, ModelCard, read_card
from engines.errors import BadInput

_FOLDER = Path(__file__).parent


def shipped(name: str) -> ModelCard:
    """The card of a net that ships."""
    return read_card(_FOLDER / name, trusted=True)


def shipped_names() -> list[str]:
    return sorted(path.parent.name for path in _FOLDER.glob(f"*/{CARD_FILE}"))


def open_card(name: str) -> ModelCard:
    """The card of a shipped net or of a model folder's path. Raises BadInput and ModelError."""
    if name in shipped_names():
        return shipped(name)
    if Path(name).is_dir():
        return read_card(Path(name))
    raise BadInput(
        f"there is no model {name!r}", hint=f"choose {', '.join(shipped_names())}, or the path of a model folder"
    )
