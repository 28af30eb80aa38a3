"""Makes the int8 or fp16 form of a model, keeps it only if it answers as fp32 does, and writes it into the folder."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)
from onnxruntime.transformers.float16 import convert_float_to_float16

from engines import gate
from engines.card import CARD_FILE, ModelCard, read_card
from engines.door import open_variant
from engines.engine import Variant
from engines.errors import BadInput, ModelError
from engines.tidy import EXACT

PRECISIONS = ("int8", "fp16")
_KEPT = 4
_LEAST_PROBES = 8  # fewer crops do not show how far the values of a net reach


@dataclass(frozen=True, slots=True)
class _Recipe:
    """One way of quantising: how ranges are found, and whether the first and the last layer stay fp32."""

    ranges: CalibrationMethod
    edges: bool

    def __str__(self) -> str:
        return f"{self.ranges.name.lower()} ranges{', first and last layer in fp32' if self.edges else ''}"


# From the simplest on; the first that passes the gate is kept.
_RECIPES = tuple(
    _Recipe(ranges, edges)
    for edges in (False, True)
    for ranges in (CalibrationMethod.MinMax, CalibrationMethod.Percentile)
)


@dataclass(frozen=True, slots=True)
class Made:
    """What was made: the card as it is now, how, and how far it is off fp32 on probes that it was not made with."""

    card: ModelCard
    how: str
    verdict: gate.Verdict


def lower(card: ModelCard, precision: str, probes: list[gate.Feeds], kept: list[gate.Feeds] | None = None) -> Made:
    """Add the form of `card`'s model in this precision, made with `probes`, to its folder.

    int8: QDQ with one scale a channel, u8 activations and s8 weights (ONNX Runtime's static quantisation), ranges from
    three quarters of the probes; every fourth one judges. fp16: weights and sums in half precision, inputs and outputs
    as they are. `kept` judge too and stay in the folder, so that every runtime can be judged by them; without any, a
    few of the judges do: what the user gave, mind where the folder goes. Raises ModelError, with the figures of all
    recipes, when none passes the gate; nothing is written then.
    """
    if precision not in PRECISIONS:
        raise BadInput(f"a model can be made {' or '.join(PRECISIONS)}, not {precision!r}")
    if precision == "int8" and len(probes) < _LEAST_PROBES:
        raise BadInput(f"{len(probes)} probes are too few to quantise by", hint=f"give {_LEAST_PROBES} or more")
    kept = kept or probes[::4][:_KEPT]
    judges = [*kept, *probes[::4]]
    learned = [probe for k, probe in enumerate(probes) if k % 4] or probes
    with contextlib.closing(open_variant(card, Variant("onnx_runtime"))) as engine:
        wanted = [_copied(engine.run(probe)) for probe in judges]
    refused = []
    with tempfile.TemporaryDirectory(prefix=".lower-", dir=card.folder) as work:
        for how, data in _forms(card, precision, learned, Path(work)):
            trial = replace(card, folder=Path(work), files={"onnx": "trial"}, sha256={"trial": _sha256(data)})
            (Path(work) / "trial").write_bytes(data)
            with contextlib.closing(open_variant(trial, Variant("onnx_runtime"))) as made:
                verdict = gate.judge(card, wanted, [_copied(made.run(probe)) for probe in judges])
            if not verdict.refused:
                return Made(_add(card, precision, data, kept), how, verdict)
            refused.append(f"{how}: {verdict.refused}")
    if not refused:
        raise ModelError(f"model {card.name!r} cannot be made {precision}: there is nothing in it to quantise")
    raise ModelError(
        f"model {card.name!r} cannot be made {precision} without losing too much ({'; '.join(refused)})",
        hint="more and more varied probes may help; the fp32 model stays as it is",
    )


def probes_from_file(path: Path, card: ModelCard) -> list[gate.Feeds]:
    """The probes in an .npz that holds a stack [n, ...] for each input of the model. Raises BadInput."""
    with contextlib.closing(open_variant(card, Variant("onnx_runtime"))) as engine:
        inputs = engine.inputs
    try:
        return gate.read_probes(io.BytesIO(path.read_bytes()), inputs)
    except (OSError, ValueError) as error:
        hint = f"an .npz with a stack of each of: {', '.join(str(spec) for spec in inputs)}"
        raise BadInput(f"{path} holds no probes: {error}", hint=hint) from error


def _forms(card: ModelCard, precision: str, probes: list[gate.Feeds], work: Path) -> Iterator[tuple[str, bytes]]:
    if precision == "fp16":
        tree = onnx.load_model_from_string(card.model())
        exact = [node.name for node in tree.graph.node if node.name.startswith(EXACT)]
        tree = convert_float_to_float16(tree, keep_io_types=True, node_block_list=exact)
        yield "all in half precision", tree.SerializeToString()
        return
    given, plain, made = work / "given.onnx", work / "plain.onnx", work / "made.onnx"
    given.write_bytes(card.model())
    with _quiet(), _translated(card):
        quant_pre_process(given, plain, skip_symbolic_shape=True)
    tree = onnx.load(plain)
    for k, node in enumerate(tree.graph.node):
        node.name = f"{node.op_type}_{k}"  # layers are left out by name, and many converters give none
    onnx.save(tree, plain)
    layers = [node.name for node in tree.graph.node if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")]
    for recipe in _RECIPES if layers else ():
        with _quiet(), _translated(card):
            quantize_static(
                plain,
                made,
                _Reader(probes),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=recipe.ranges,
                nodes_to_exclude=[*layers[:1], *layers[-1:]] if recipe.edges else [],
            )
        if all(node.op_type != "QuantizeLinear" for node in onnx.load(made).graph.node):
            continue
        yield str(recipe), made.read_bytes()


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no types
    """Hands the probes to ONNX Runtime one after the other."""

    def __init__(self, probes: list[gate.Feeds]) -> None:
        self._left = iter(probes)

    def get_next(self) -> gate.Feeds | None:
        return next(self._left, None)


@contextlib.contextmanager
def _translated(card: ModelCard) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the quantiser raises whatever it meets
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"ONNX Runtime cannot quantise model {card.name!r}: {line}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice that the quantiser prints, and logs at the root: a user can do nothing with it."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(before)


def _add(card: ModelCard, precision: str, data: bytes, judges: list[gate.Feeds]) -> ModelCard:
    """Write the form and probes, then the card that vouches for it: each whole, and right at any moment."""
    name, probes = f"{Path(card.files['onnx']).stem}.{precision}.onnx", card.probes or "probes.npz"
    tree: dict[str, Any] = json.loads((card.folder / CARD_FILE).read_text(encoding="utf-8"))
    tree["files"][f"onnx_{precision}"] = name
    tree["sha256"][name] = _sha256(data)
    contents = {name: data}
    if card.probes is None:
        held = io.BytesIO()
        stacks: dict[str, Any] = {key: np.stack([judge[key] for judge in judges]) for key in judges[0]}
        np.savez_compressed(held, **stacks)
        contents[probes] = held.getvalue()
        tree["probes"], tree["sha256"][probes] = probes, _sha256(contents[probes])
    contents[CARD_FILE] = (json.dumps(tree, indent=2) + "\n").encode()
    for path, content in contents.items():
        part = card.folder / f".{path}.part"
        part.write_bytes(content)
        os.replace(part, card.folder / path)
    return read_card(card.folder, trusted=card.trusted)


def _copied(answer: gate.Feeds) -> gate.Feeds:
    return {name: array.copy() for name, array in answer.items()}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
