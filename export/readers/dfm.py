"""Reads .dfm files, the nets that DeepFaceLive runs: ONNX, checked in quarantine, written anew in a simpler form."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import onnx

from engines.errors import BadInput, ModelError
from engines.plain_file import MAX_FILE, read_plain
from engines.quarantine import inspect
from engines.quarantine.onnx_file import OnnxFile
from export.graph import Graph, Shapes, Value
from export.onnx_net import OPERATORS, OPSETS, OnnxNet
from export.trained import Trained, check_options

_CROPS = ("whole_face", "head", "full", "mid_full", "half")
_OUTPUTS = {"face_mask": 1, "image": 3, "celeb_mask": 1}  # in DeepFaceLive's order, and their channels
_SIGNATURE = "one input in_face [n, R, R, 3], maybe morph_value [1], three outputs: the mask, the face, its mask"


class Dfm:
    """A .dfm, as DeepFaceLab has exported SAEHD, Quick96 and AMP since 2021; half precision is computed in fp32."""

    options: ClassVar[Mapping[str, str]] = {"crop": f"the crop it was trained on: {', '.join(_CROPS)}"}

    @staticmethod
    def recognise(folder: Path) -> str | None:
        return "a .dfm of DeepFaceLive" if _files(folder) else None

    @staticmethod
    def read(folder: Path, options: Mapping[str, str]) -> Trained:
        check_options(options, Dfm.options)
        crop = options.get("crop", _CROPS[0])
        if crop not in _CROPS:
            raise BadInput(f"crop={crop} names no crop", hint=f"crop: {Dfm.options['crop']}")
        files = _files(folder)
        if len(files) != 1:
            raise BadInput(f"{folder} holds {len(files)} .dfm files", hint="give the file itself")
        [path] = files
        try:
            checked = inspect(path)
            size = _size(checked)
            net = OnnxNet(_tree(path, checked), size)
            image = _build(net, Shapes())["image"]
        except ModelError as error:
            named = error.message if str(path) in error.message else f"{path}: {error.message}"
            raise ModelError(named, hint=error.hint) from error
        morph = len(checked.inputs) > 1
        assumed = f"a .dfm does not say its face type: {crop} is assumed; crop=full, crop=head ... say otherwise"
        return Trained(
            program="DeepFaceLive",
            model=".dfm with morph" if morph else ".dfm",
            size=size,
            out_size=image.shape[2],
            crop=(crop, "dfl33"),
            build=lambda graph: _build(net, graph),
            parameters=checked.parameters,
            morph=morph,
            facts={"written_by": checked.producer.removesuffix(" None") or "unknown"},
            warnings=() if "crop" in options else (assumed,),
        )


def _build(net: OnnxNet, graph: Graph) -> dict[str, Value]:
    outputs = dict(zip(_OUTPUTS, net.build(graph), strict=True))
    for name, channels in _OUTPUTS.items():
        if outputs[name].shape[1] != channels:
            raise ModelError(f"its {name} has {outputs[name].shape[1]} channels, not {channels}")
    return outputs


def _files(folder: Path) -> list[Path]:
    """The .dfm itself, or those in a folder without the files that a .dfm is made of, which tell more."""
    if folder.suffix.lower() == ".dfm" and not folder.is_dir():
        return [folder]
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return []
    if any(path.suffix == ".npy" for path in paths):
        return []
    return [path for path in paths if path.suffix.lower() == ".dfm"]


def _size(checked: OnnxFile) -> int:
    """R of `in_face` [n, R, R, 3]. Raises ModelError: another signature, or operators that no .dfm has."""
    shapes = [port.shape or () for port in checked.inputs]
    floats = all(port.dtype == "float32" for port in (*checked.inputs, *checked.outputs))
    match shapes[0]:
        case (None | 1, int(size), int(width), 3) if size == width and shapes[1:] in ([], [(1,)]) and floats:
            if len(checked.outputs) != len(_OUTPUTS):
                raise ModelError(f"it has {len(checked.outputs)} outputs; expected is {_SIGNATURE}")
        case _:
            found = ", ".join(f"{port.name} {list(port.shape or ())} {port.dtype}" for port in checked.inputs)
            raise ModelError(f"it takes {found}; expected is {_SIGNATURE}")
    strange = sorted({*checked.operators} - OPERATORS) + [name for name in checked.domains if name != "ai.onnx"]
    if strange or checked.opset not in OPSETS:
        raise ModelError(
            f"it uses {strange[0] if strange else f'opset {checked.opset}'}, which no .dfm of DeepFaceLab does",
            hint="export it anew with DeepFaceLab (6 export as dfm)",
        )
    return size


def _tree(path: Path, checked: OnnxFile) -> Any:
    """The file as it was checked; where its batch is open, batch 1, which is then loaded and run in quarantine too."""
    data = read_plain(path, MAX_FILE)
    if hashlib.sha256(data).hexdigest() != checked.sha256:
        raise ModelError("it changed while it was looked at")
    tree = onnx.load_model_from_string(data)
    del data
    if not all(port.static for port in checked.inputs):
        pictures = {checked.inputs[0].name, *(port.name for port in checked.outputs)}
        for value in (*tree.graph.input, *tree.graph.output):
            if value.name in pictures and len(value.type.tensor_type.shape.dim):
                value.type.tensor_type.shape.dim[0].dim_value = 1
        with tempfile.TemporaryDirectory() as folder:
            fixed = Path(folder) / path.name
            fixed.write_bytes(tree.SerializeToString())
            inspect(fixed)
    return tree
