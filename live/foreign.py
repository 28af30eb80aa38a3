"""Recognises models that other tools made, and writes the card that they lack.

Where families look alike a known checksum decides, then the file's name, then what is typical, then the user.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, cast

import numpy as np

from engines.errors import BadInput, ModelError
from engines.quarantine.onnx_file import OnnxFile
from live.catalogue import Entry, by_name, by_sha256
from live.families import FAMILIES, Facts, Signature


def signature_of(file: OnnxFile) -> Signature:
    """What the file takes and gives; a port without a shape has none here either."""
    inputs, outputs = (tuple((port.name, port.shape or ()) for port in ports) for ports in (file.inputs, file.outputs))
    return Signature(inputs, outputs, frozenset(file.operators))


def recognise(signature: Signature, file_name: str, sha256: str = "", family: str = "") -> tuple[str, Facts]:
    """The name of the family of this net, and its facts. `family` is what the user says it is.

    ModelError: of no known family. BadInput: it could be of several, or is not of the one that the user says.
    """
    fitting = {name: facts for name, one in FAMILIES.items() if (facts := one.facts(signature)) is not None}
    if not fitting:
        raise ModelError(
            f"{file_name} is of no kind that is known here: it {signature}",
            hint=f"known are: {', '.join(FAMILIES)}; a model folder with a card of its own can be added as it is",
        )
    entry = by_sha256(sha256)
    likely = [family] if family else [entry.family] if entry else []
    likely = likely or [name for name in fitting if name in file_name.casefold()]
    likely = likely or [name for name in fitting if FAMILIES[name].typical(signature)]
    if len(likely) != 1:
        raise BadInput(
            f"{file_name} could be of several kinds: {', '.join(fitting)}", hint="say which one it is: --family"
        )
    if likely[0] not in fitting:
        raise BadInput(f"{file_name} is no {likely[0]!r}: it {signature}", hint=f"it looks like: {', '.join(fitting)}")
    facts = fitting[likely[0]]
    if likely[0] == "crossface":
        facts["of"] = next((name for name in ("ghost", "hififace", "simswap") if name in file_name.casefold()), "")
    return likely[0], facts


def card_of(family: str, facts: Facts, file: Path, sha256: str, licence: str = "", entry: Entry | None = None) -> Facts:
    """The tree of card.json, less name and checksums. `entry`: where it was pulled from.

    Only a file that the catalogue knows may be used commercially; of others a card says what they seem to be.
    """
    sure = entry or by_sha256(sha256)
    guess = sure or by_name(file.name, family)
    source = (sure.url or sure.page) if sure else f"added as {file.name}"
    said = licence or (sure.licence if sure else f"{guess.licence}, if it is {guess.name}" if guess else "unknown")
    return {
        "family": family,
        "files": {"onnx": file.name},
        "facts": {"kind": FAMILIES[family].kind, **facts, **({"needs": list(guess.needs)} if guess else {})},
        "licence": said,
        "commercial_use": bool(sure and sure.commercial_use and not licence),
        "source": source,
        "source_sha256": sha256,
    }


def with_fixed_shapes(file: Path, facts: Facts) -> bytes:
    """The model with a batch of one and pictures of the facts' size, where it leaves these open.

    Runtimes here take nothing else: with sizes that are known they plan memory and operators once.
    """
    import onnx

    model = onnx.load_model_from_string(file.read_bytes())
    weights = {weight.name for weight in model.graph.initializer}
    _fix([port for port in model.graph.input if port.name not in weights], facts.get("image_size", 1))
    _fix(model.graph.output, None)
    # Sizes of inner arrays that were written for an open batch would contradict.
    del model.graph.value_info[:]
    return cast(bytes, onnx.shape_inference.infer_shapes(model, data_prop=True).SerializeToString())


def emap_of(file: Path) -> bytes:
    """inswapper's 512x512 matrix as an .npy: the last weight of that size that no operator takes. Raises ModelError.

    The net's `source` is the recogniser's vector times this matrix; runtimes do not give weights out, so it must lie
    beside the net.
    """
    import onnx

    graph = onnx.load_model_from_string(file.read_bytes()).graph
    taken = {name for node in graph.node for name in node.input}
    spare = [weight for weight in graph.initializer if list(weight.dims) == [512, 512] and weight.name not in taken]
    if not spare:
        raise ModelError(
            f"{file.name} lacks the matrix that an inswapper carries beside its net",
            hint="another program has re-saved the file: get the original one",
        )
    data = io.BytesIO()
    np.save(data, onnx.numpy_helper.to_array(spare[-1]).astype(np.float32), allow_pickle=False)
    return data.getvalue()


def _fix(ports: Any, side: int | None) -> None:
    """Give the ports' open sizes a value: 1 to the first, the batch, and `side` to the others, unless None."""
    for port in ports:
        for axis, size in enumerate(port.type.tensor_type.shape.dim):
            if not size.HasField("dim_value") and (axis == 0 or side is not None):
                size.dim_value = side if axis and side is not None else 1
