"""Checkpoints in, a model folder out: recognises the family, builds the net, checks it, writes it whole or not."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from engines import gate
from engines.card import CARD_FILE, ModelCard, read_card
from engines.door import open_variant
from engines.engine import Variant
from engines.errors import BadInput, ModelError, NotAvailable
from engines.plain_file import open_plain
from engines.work import flop
from export.graph import Graph
from export.precision import lower
from export.safe_files import MAX_FILE
from export.trained import READERS, Reader, Trained

NET = "net.onnx"
_CHECKPOINTS = (".h5", ".npy", ".dat", ".keras", ".json", ".dfm", ".onnx")
_PICTURES = (".jpg", ".jpeg", ".png")
_MOST_PICTURES = 128
_ROUNDING = 1.5 / 255  # how far bytes may be off floats: half a step in, half a step out, and float32 in between

Tell = Callable[[str], None]


def _silent(words: str) -> None:
    """Whoever does not care what is being done."""


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint that was recognised and read."""

    folder: Path
    what: str
    trained: Trained


def find(folder: Path, options: Mapping[str, str]) -> Found:
    """Recognise and read the checkpoint in `folder` (or the file). Raises ModelError and BadInput."""
    if not folder.exists():
        raise BadInput(f"there is no {folder}", hint="give the folder that holds the trained model's files")
    claims = {}
    for name in READERS.names():
        what = _reader(name).recognise(folder)
        if what is not None:
            claims[name] = what
    if not claims:
        raise ModelError(
            f"{folder} holds no trained model that is known here ({_contents(folder)})",
            hint="expected the files of FakeApp, faceswap, DeepFaceLab 1 or 2, or a .dfm: see README",
        )
    if len(claims) > 1:
        raise BadInput(
            f"{folder} holds several models: {', '.join(claims.values())}", hint="put each into a folder of its own"
        )
    [(name, what)] = claims.items()
    return Found(folder, what, _reader(name).read(folder, options))


def export(
    found: Found, out: Path, name: str, licence: str = "", precision: str = "fp32", faces: Path | None = None,
    tell: Tell = _silent,
) -> ModelCard:  # fmt: skip
    """Write the model folder `out`, which must not exist yet. Raises ModelError and BadInput; nothing is left then.

    `precision` int8 and fp16 add a form of the net to the fp32 one; int8 needs `faces`, a folder of aligned pictures
    of the person whose face is to be replaced, as the net was trained with.
    """
    if out.exists():
        raise BadInput(f"{out} exists already", hint="give another --out, or remove it first")
    if precision == "int8" and faces is None:
        raise BadInput("int8 needs pictures to find its ranges by", hint="--faces FOLDER of aligned faces")
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".export-", dir=out.parent))
    try:
        tell("building the net")
        card = _write(found, work, name, licence)
        tell("checking it against the net in floats")
        _check(found.trained, card)
        if precision != "fp32":
            tell(f"making its {precision} form")
            made_up = gate.probes(card, _inputs(card))
            probes = crops(faces, found.trained.size, card) if faces else made_up
            lower(card, precision, probes, [_nobody(probe) for probe in probes[:4]] if faces else made_up)
        os.chmod(work, 0o755)
        os.replace(work, out)
    except OSError as error:
        raise BadInput(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return read_card(out)


def crops(folder: Path, size: int, card: ModelCard) -> list[gate.Feeds]:
    """Up to 128 pictures of a folder, spread over it, as inputs of the net: u8 [size, size, 3]. Raises BadInput."""
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in _PICTURES)
    paths = paths[:: max(1, len(paths) // _MOST_PICTURES)][:_MOST_PICTURES]
    images = [cv2.imread(str(path), cv2.IMREAD_COLOR) for path in paths]
    if not images or any(image is None for image in images):
        raise BadInput(f"{folder} holds no pictures that can be read ({', '.join(_PICTURES)})")
    morph = [spec for spec in _inputs(card) if spec.name == "morph"]
    feeds: list[gate.Feeds] = []
    for image in images:
        face = cv2.resize(np.asarray(image, np.uint8), (size, size), interpolation=cv2.INTER_AREA)
        feeds.append({"face": np.asarray(face, np.uint8), **{spec.name: np.ones(1, np.float32) for spec in morph}})
    return feeds


def gflop(trained: Trained) -> float:
    """Billions of operations of one run."""
    return flop(_built(trained, fused=False)) / 1e9


def _built(trained: Trained, fused: bool) -> bytes:
    graph = Graph(fused)
    return graph.finish(**trained.build(graph))


def _write(found: Found, work: Path, name: str, licence: str) -> ModelCard:
    trained, data = found.trained, _built(found.trained, fused=True)
    graph = Graph()
    outputs = list(trained.build(graph))
    tree: dict[str, Any] = {
        "name": name,
        "family": "trained",
        "files": {"onnx": NET},
        "facts": {
            "kind": "trained",
            "program": trained.program,
            "model": trained.model,
            "size": trained.size,
            "out_size": trained.out_size,
            "colour": "BGR",
            "crop": list(trained.crop),
            "outputs": outputs,
            "morph": trained.morph,
            "iterations": trained.iterations,
            "parameters": trained.parameters,
            "made_from": _fingerprints(found.folder),
            **trained.facts,
        },
        "licence": licence or "as its maker says",
        "commercial_use": False,
        "source": f"{found.what}, exported by doppelcam",
        "sha256": {NET: hashlib.sha256(data).hexdigest()},
    }
    (work / NET).write_bytes(data)
    (work / CARD_FILE).write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")
    return read_card(work)


def _check(trained: Trained, card: ModelCard) -> None:
    """The net as it will run, with bytes in and out, against the plain one in floats. Raises ModelError."""
    plain = _built(trained, fused=False)
    with tempfile.TemporaryDirectory(prefix=".plain-", dir=card.folder) as work:
        (Path(work) / NET).write_bytes(plain)
        float_card = ModelCard(
            Path(work), card.name, "", {"onnx": NET}, {}, "", False, "", {NET: hashlib.sha256(plain).hexdigest()},
            trusted=True,
        )  # fmt: skip
        del plain
        with contextlib.closing(open_variant(card, Variant("onnx_runtime"))) as bytes_engine:
            probes = gate.probes(card, bytes_engine.inputs)
            got = [{name: array.copy() for name, array in bytes_engine.run(probe).items()} for probe in probes]
        with contextlib.closing(open_variant(float_card, Variant("onnx_runtime"))) as engine:
            for probe, answer in zip(probes, got, strict=True):
                floats = np.ascontiguousarray(probe["face"].transpose(2, 0, 1)[None], np.float32) / np.float32(255)
                wanted = engine.run({**probe, "face": floats})
                for name, array in wanted.items():
                    if not np.isfinite(array).all():
                        raise ModelError(
                            f"the net's {name} is not a number: the checkpoint is damaged, or training collapsed"
                        )
                    seen = answer[name].astype(np.float32) / 255
                    seen = seen.transpose(2, 0, 1)[None] if seen.ndim == 3 else seen[None, None]
                    off = float(np.abs(seen - np.clip(array, 0, 1)).max())
                    if off > _ROUNDING:
                        raise ModelError(f"the net's {name} in bytes is {off * 255:.1f} of 255 off the one in floats")


def _inputs(card: ModelCard) -> Any:
    with contextlib.closing(open_variant(card, Variant("onnx_runtime"))) as engine:
        return engine.inputs


def _nobody(probe: gate.Feeds) -> gate.Feeds:
    """The same colours in 8 x 8 places: nobody is in it any more, so it may stay in a folder that is passed on."""
    face = probe["face"]
    few = cv2.resize(face, (8, 8), interpolation=cv2.INTER_AREA)
    many = cv2.resize(few, face.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return {**probe, "face": np.asarray(many, np.uint8)}


def _fingerprints(folder: Path) -> dict[str, str]:
    """sha256 of the checkpoint's files, so that a model can be traced to what it was made from."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else [folder]
    found = {}
    for path in paths:
        if path.suffix.lower() in _CHECKPOINTS and path.is_file():
            with open_plain(path, MAX_FILE) as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _contents(folder: Path) -> str:
    if folder.is_file():
        return f"a file {folder.suffix or 'without an ending'}"
    names = sorted(path.name for path in folder.iterdir())[:4]
    return f"it holds {', '.join(names)} ..." if names else "it is empty"


def _reader(name: str) -> Reader:
    try:
        return cast(Reader, READERS.load(name))
    except NotAvailable as error:
        raise ModelError(error.message, hint=error.hint) from error
