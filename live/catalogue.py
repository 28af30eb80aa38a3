"""The catalogue: which models of the field are known, where people get them and what one may do with them."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from engines.errors import BadInput

CATALOGUE = Path(__file__).parent / "models" / "catalogue.toml"

# What the nets in the wheel are for, by the family on their card.
SHIPPED_KINDS = {
    "mediapipe_detector": "detector",
    "mediapipe_mesh": "points",
    "mediapipe_iris": "points",
    "occlusion": "mask",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of catalogue.toml, whose head says what the fields mean. An empty `url`: it cannot be pulled."""

    name: str
    kind: str
    family: str
    what: str
    licence: str
    commercial_use: bool
    page: str
    url: str = ""
    sha256: str = ""
    size: int = 0
    also: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    notes: str = ""

    @property
    def file(self) -> str:
        """What the file at `url` is called."""
        return self.url.rpartition("/")[2]


@cache
def catalogue() -> Mapping[str, Entry]:
    """Every known model by its name, in the order of the file."""
    tree = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))
    return MappingProxyType({name: _entry(name, values) for name, values in tree.items()})


def known(name: str) -> Entry:
    """The entry of this name. Raises BadInput with the nearest one."""
    entry = catalogue().get(name)
    if entry is None:
        near = difflib.get_close_matches(name, catalogue(), n=1)
        raise BadInput(
            f"the catalogue knows no model {name!r}",
            hint=f"did you mean {near[0]!r}?" if near else "doppelcam models list shows those that it knows",
        )
    return entry


def by_sha256(sha256: str) -> Entry | None:
    """The entry that this very file belongs to."""
    return next((entry for entry in catalogue().values() if sha256 and sha256 in (entry.sha256, *entry.also)), None)


def by_name(text: str, family: str) -> Entry | None:
    """The entry of this family that a file called `text` is named after: the longest name that begins it."""
    names = [name for name, e in catalogue().items() if e.family == family and text.casefold().startswith(name)]
    return catalogue()[max(names, key=len)] if names else None


def _entry(name: str, values: dict[str, Any]) -> Entry:
    made: Any = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return Entry(name=name, **made)
