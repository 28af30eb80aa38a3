"""Writes what was trained as a model folder: the ONNX net, checked against the trained weights, and its card."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from engines.card import CARD_FILE, ModelCard, read_card
from engines.choose import measure, pick
from engines.door import candidates, open_variant
from engines.engine import Variant
from engines.errors import BadInput, ModelError
from export.teach.course import best_of
from export.teach.nets import Student, Worn
from export.teach.pairs import CROP

NET, PROBES = "net.onnx", "probes.npz"
_OFF = 1  # of 255: floats are summed in another order, and rounding may fall to the other side
_MASK_TOLERANCE = 32.0
_PROBES = 6
FAMILY = "personal"


def write_engine(
    state: Path,
    out: Path,
    name: str,
    facts: Mapping[str, Any],
    faces: npt.NDArray[np.uint8],
    files: Mapping[str, bytes] | None = None,
    licence: str = "yours: made on this machine of your own pictures",
    tell: Callable[[str], None] = lambda _: None,
) -> ModelCard:
    """Write the model folder `out`, which must not exist yet, of the best weights in `state`.

    `facts` join the card's; `files` lie beside the net (portraits). `faces` u8 [n, s, s, 3], some of the pairs', are
    what the net is checked on; nobody is recognised in what of them stays in the folder. Raises BadInput, ModelError;
    nothing is left then.
    """
    if out.exists():
        raise BadInput(f"{out} exists already", hint="give another name, or remove it first")
    student, course = best_of(state)
    size = student.size
    margin = (faces.shape[1] - size) // 2
    crops = faces[:: max(1, len(faces) // _PROBES), margin : margin + size, margin : margin + size][:_PROBES]
    worn = Worn(student).eval()
    contents = {NET: _onnx(worn, size), PROBES: _npz(crops), **(files or {})}
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".teach-", dir=out.parent))
    try:
        for file, data in contents.items():
            (work / file).write_bytes(data)
            os.chmod(work / file, 0o600)
        tree = {
            "name": name,
            "family": FAMILY,
            "files": {"onnx": NET},
            "facts": {
                "kind": "trained",
                "size": size,
                "out_size": size,
                "colour": "BGR",
                "crop": list(CROP),
                "outputs": ["image", "face_mask", "front"],
                "parameters": sum(one.numel() for one in student.parameters()),
                "iterations": course.step,
                "trained_s": round(course.spent_s),
                **facts,
            },
            "licence": licence,
            "commercial_use": False,
            "source": "taught by doppelcam",
            "sha256": {file: hashlib.sha256(data).hexdigest() for file, data in contents.items()},
            "tolerance": {"face_mask": _MASK_TOLERANCE, "front": _MASK_TOLERANCE},
            "probes": PROBES,
        }
        (work / CARD_FILE).write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")
        tell("checking it against the trained weights")
        _check(worn, read_card(work), crops)
        os.replace(work, out)
    except OSError as error:
        raise BadInput(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return read_card(out)


def net_ms(size: int) -> float:
    """How long a net of this size takes on one thread here, on the best of what is installed; inf: it runs nowhere."""
    torch.manual_seed(0)
    student = Student(size)
    student.begin(torch.rand(3, size, size))
    with tempfile.TemporaryDirectory(prefix="teach-") as folder:
        data = _onnx(Worn(student).eval(), size)
        (Path(folder) / NET).write_bytes(data)
        card = ModelCard(
            Path(folder), f"a net of {size} px", FAMILY, {"onnx": NET}, {}, "", False, "",
            {NET: hashlib.sha256(data).hexdigest()}, {"face_mask": 255.0, "front": 255.0}, trusted=True,
        )  # fmt: skip
        best = pick(measure(card, candidates(card, threads=1), open_variant))
    return float("inf") if best is None else best.p50_ms


def _onnx(worn: Worn, size: int) -> bytes:
    data = io.BytesIO()
    with warnings.catch_warnings():  # of the exporter that will replace this one, which needs more packages
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            worn, (torch.zeros(size, size, 3, dtype=torch.uint8),), data, input_names=["face"],
            output_names=["image", "face_mask", "front"], opset_version=17, dynamo=False,
        )  # fmt: skip
    return data.getvalue()


def _check(worn: Worn, card: ModelCard, crops: npt.NDArray[np.uint8]) -> None:
    with contextlib.closing(open_variant(card, Variant("onnx_runtime"))) as engine, torch.no_grad():
        for crop in crops:
            wanted = [plane.numpy() for plane in worn(torch.from_numpy(crop.copy()))]
            got = engine.run({"face": np.ascontiguousarray(crop)})
            for name, plane in zip(("image", "face_mask", "front"), wanted, strict=True):
                off = int(np.abs(got[name].astype(int) - plane).max())
                if off > _OFF:
                    raise ModelError(f"the written net's {name} is {off} of 255 off the trained one's")


def _npz(crops: npt.NDArray[np.uint8]) -> bytes:
    """The crops in 8 x 8 colours each."""
    few = [cv2.resize(crop, (8, 8), interpolation=cv2.INTER_AREA) for crop in crops]
    data = io.BytesIO()
    np.savez_compressed(
        data, face=np.array([cv2.resize(one, crops.shape[1:3], interpolation=cv2.INTER_CUBIC) for one in few])
    )
    return data.getvalue()
