"""The model card: what a model folder holds, where it came from and what one may do with it."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines import strict_json
from engines.errors import ModelError
from engines.plain_file import MAX_FILE, read_plain
from engines.strict_json import short

CARD_FILE = "card.json"
_MAX_CARD = 1 << 20  # bytes
_SHA256 = re.compile("[0-9a-f]{64}")
_TITLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ +-]{0,99}")  # becomes part of file names, and of lines on a screen
_TITLE_HINT = "letters, digits, blanks and . _ + - make a name"


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
        if wanted is None or not is_plain_name(name):
            raise ModelError(f"the card of model {self.name!r} does not vouch for a file {name!r}")
        # Packagers may lay out with links what they install; a stranger's folder has no reason to.
        data = read_plain(self.folder / name, MAX_FILE, links=self.trusted)
        if hashlib.sha256(data).hexdigest() != wanted:
            raise ModelError(
                f"{self.folder / name} is not the file that its card describes (sha256 differs)",
                hint="the file is damaged or was replaced: install or fetch it again",
            )
        return data


def read_card(folder: Path, trusted: bool = False) -> ModelCard:
    """Read `folder/card.json`. Raises ModelError that names the file and the field.

    A stranger may have written it: names that would lead out of the folder, doubled keys and numbers that are none
    are refused like wrong types.
    """
    path = folder / CARD_FILE
    if not os.path.lexists(path):
        raise ModelError(f"{folder} is not a model folder: no readable {CARD_FILE}")
    text = read_plain(path, _MAX_CARD, links=trusted)
    try:
        tree = strict_json.loads(text.decode("utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}") from error

    def entry(name: str, kind: type, default: Any = None) -> Any:
        value = tree.get(name, default)
        if not isinstance(value, kind):
            raise ModelError(f"{path}: field {name!r} must be a {kind.__name__}, got {short(value)}")
        return value

    def title(name: str) -> str:
        value = str(entry(name, str))
        if not _TITLE.fullmatch(value):
            raise ModelError(f"{path}: field {name!r} must be a plain name, got {short(value)}", hint=_TITLE_HINT)
        return value

    def texts(name: str) -> dict[str, str]:
        value = entry(name, dict)
        if not all(isinstance(text, str) for text in value.values()):
            raise ModelError(f"{path}: field {name!r} must map names to text, got {short(value)}")
        return dict(value)

    def plain(names: Iterable[str], field: str) -> None:
        for name in names:
            if not is_plain_name(name):
                raise ModelError(
                    f"{path}: field {field!r} names {short(name)}; files in the folder itself are expected"
                )

    def numbers(name: str) -> dict[str, float]:
        value = entry(name, dict, {})
        if not all(isinstance(number, (int, float)) and 0 <= number < math.inf for number in value.values()):
            raise ModelError(f"{path}: field {name!r} must map names to numbers, 0 or more, got {short(value)}")
        return {key: float(number) for key, number in value.items()}

    files, sha256, probes = texts("files"), texts("sha256"), entry("probes", str, "")
    plain(files.values(), "files")
    plain(sha256, "sha256")
    plain([probes] if probes else [], "probes")
    if not all(_SHA256.fullmatch(value) for value in sha256.values()):
        raise ModelError(f"{path}: field 'sha256' must map file names to 64 hexadecimal digits, got {short(sha256)}")
    return ModelCard(
        folder=folder,
        name=title("name"),
        family=entry("family", str),
        files=files,
        facts=entry("facts", dict, {}),
        licence=entry("licence", str, "unknown"),
        commercial_use=entry("commercial_use", bool, False),
        source=entry("source", str, "unknown"),
        sha256=sha256,
        tolerance=numbers("tolerance"),
        probes=probes or None,
        trusted=trusted,
    )


def is_plain_name(name: str) -> bool:
    """Whether `name` means a file in the folder itself, on every system."""
    return (
        bool(name)
        and name.isprintable()
        and name not in (".", "..")
        and not set(name) & set("/\\:")
        and len(name) < 200
    )
