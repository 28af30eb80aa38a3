"""What a reader gives for a folder of checkpoints: how to build the net, and what is known about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engines.errors import BadInput
from engines.plugins import Plugins
from export.graph import Graph, Value

READERS = Plugins("reader", "export.readers")

Build = Callable[[Graph], dict[str, Value]]


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained face swap, read from its files alone.

    `build` writes the net into a graph, whose `face` has `size` pixels, and gives the outputs for `Graph.finish`:
    `image` [1, 3, out, out] in the new identity; if it has them `face_mask` (what of the crop is the wearer's face) and
    `celeb_mask` (what of the image is the new one), [1, 1, out, out]. It may be called several times. An input `morph`
    float32 (1,), 0..1, exists where `morph` is true.

    `crop` names the crop that it was trained on, in the words of live/align.py: a face type and which points it is
    fitted to, e.g. ("full", "dfl"). `facts` are more of what people ask, for the card and the table: archi ...
    """

    program: str  # "DeepFaceLab 1", "faceswap" ...
    model: str  # "H64", "SAEHD liae-ud", "original" ...
    size: int
    out_size: int
    crop: tuple[str, str]
    build: Build
    parameters: int
    morph: bool = False
    iterations: int | None = None
    facts: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Reader(Protocol):
    """What a class in export/readers/ is."""

    options: Mapping[str, str]
    """Options that a user may give, and what they mean, for what the files do not tell: {"crop": "..."}."""

    @staticmethod
    def recognise(folder: Path) -> str | None:
        """What this is ("DeepFaceLab 1 H64"), from names and, if need be, a look into files. None: not this family.

        `folder` is a folder, or a single file where the family has one. Raises nothing for files that it does not know.
        """

    @staticmethod
    def read(folder: Path, options: Mapping[str, str]) -> Trained:
        """Read it. Raises ModelError (file and tensor named) and BadInput (options)."""


def check_options(options: Mapping[str, str], known: Mapping[str, str]) -> None:
    """Raise BadInput for an option that this family does not have."""
    for name in options:
        if name not in known:
            words = "; ".join(f"{key}: {text}" for key, text in known.items())
            raise BadInput(f"this model has no option {name!r}", hint=words or "it has no options")
