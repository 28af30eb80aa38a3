"""The model card: what a model folder holds, where it came from and what one may do with it."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.errors import ModelError

CARD_FILE = "card.json"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """`card.json` beside the model files, read. `files` maps a format ("onnx", "onnx_int8") to a name in `folder`.

    `facts` is what the code that runs the model must know (sizes, colour order ...) and what engines/ never reads.
    `tolerance` is how far an output may be off the fp32 one, at most, before a way of running the model is refused;
    `probes`, an .npz in the folder, holds arrays [n, ...] for each input to find that out with.
    `trusted`: it came with doppelcam, not from a stranger.
    """

    folder: Path
    name: str
    family: str
    files: dict[str, str]
    facts: dict[str, Any]
    licence: str
    commercial_use: bool
    source: str
    sha256: dict[str, str]
    tolerance: dict[str, float] = field(default_factory=dict)
    probes: str | None = None
    trusted: bool = False

    def model(self, precision: str = "fp32") -> bytes:
        """The ONNX file made for this precision, else the fp32 one, from which a runtime may make its own."""
        made = f"onnx_{precision}"
        return self.read(made if made in self.files else "onnx")

    def read(self, kind: str) -> bytes:
        """The bytes of the file of this format, checked against the card's sha256. Raises ModelError."""
        name = self.files.get(kind)
        if name is None:
            raise ModelError(f"model {self.name!r} has no {kind} file; its card lists {sorted(self.files)}")
        return self.read_file(name)

    def read_file(self, name: str) -> bytes:
        """The bytes of any file that the card vouches for. Raises ModelError."""
        wanted = self.sha256.get(name)
        if wanted is None or Path(name).name != name:
            raise ModelError(f"the card of model {self.name!r} does not vouch for a file {name!r}")
        try:
            data = (self.folder / name).read_bytes()
        except OSError as error:
            raise ModelError(
                f"model {self.name!r} cannot be read: {error.strerror or error}: {self.folder / name}",
                hint="install doppelcam again, or fetch the model folder again",
            ) from error
        if hashlib.sha256(data).hexdigest() != wanted:
            raise ModelError(
                f"{self.folder / name} is not the file that its card describes (sha256 differs)",
                hint="the file is damaged or was replaced: install or fetch it again",
            )
        return data


def read_card(folder: Path, trusted: bool = False) -> ModelCard:
    """Read `folder/card.json`. Raises ModelError that names the file and the field."""
    path = folder / CARD_FILE
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{folder} is not a model folder: no readable {CARD_FILE}") from error
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}") from error
    if not isinstance(tree, dict):
        raise ModelError(f"{path} must hold one JSON object")

    def entry(name: str, kind: type, default: Any = None) -> Any:
        value = tree.get(name, default)
        if not isinstance(value, kind):
            raise ModelError(f"{path}: field {name!r} must be a {kind.__name__}, got {value!r}")
        return value

    def texts(name: str) -> dict[str, str]:
        value = entry(name, dict)
        if not all(isinstance(text, str) for text in value.values()):
            raise ModelError(f"{path}: field {name!r} must map names to text, got {value!r}")
        return dict(value)

    def numbers(name: str) -> dict[str, float]:
        value = entry(name, dict, {})
        if not all(isinstance(number, (int, float)) and 0 <= number < math.inf for number in value.values()):
            raise ModelError(f"{path}: field {name!r} must map names to numbers, 0 or more, got {value!r}")
        return {key: float(number) for key, number in value.items()}

    return ModelCard(
        folder=folder,
        name=entry("name", str),
        family=entry("family", str),
        files=texts("files"),
        facts=entry("facts", dict, {}),
        licence=entry("licence", str, "unknown"),
        commercial_use=entry("commercial_use", bool, False),
        source=entry("source", str, "unknown"),
        sha256=texts("sha256"),
        tolerance=numbers("tolerance"),
        probes=entry("probes", str, "") or None,
        trusted=trusted,
    )
