"""Reads models of faceswap 1, 2 and 3 (February 2019 on): whole Keras models, and the state file beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from engines.errors import BadInput, ModelError
from export.faceswap_state import CROP_OPTION, State, crop_of, is_rgb, read_state
from export.graph import Graph, Shapes, Value
from export.keras.model import Model, open_model
from export.keras.settings import short
from export.trained import Trained, check_options

_ROLE = re.compile(r"(.+?)_(encoder|decoder(?:_[AB])?|inter|intermediate(?:_[AB])?)\.h5")
_SIZES = range(16, 2049)  # pixels
_MAX_NUMBERS = 500_000_000  # of 4 bytes each; ONNX keeps at most 2 GB in a file

Run = Callable[[Graph, Value], list[Value]]


@dataclass(frozen=True, slots=True)
class _Files:
    """Of one model. `nets` are its files by role for faceswap 1, which has one a net; later it is one, "model"."""

    version: int
    name: str
    nets: Mapping[str, Path]
    state: Path | None

    def net(self, role: str) -> Model:
        if role not in self.nets:
            folder = next(iter(self.nets.values())).parent
            raise ModelError(
                f"{folder / f'{self.name}_{role}.h5'} is missing", hint="copy the whole model folder, or take a backup"
            )
        return open_model(self.nets[role])


class Faceswap:
    """MODEL_encoder.h5 and others (1), MODEL.h5 (2) or MODEL.keras (3), with MODEL_state.json.

    What the net is stands in the files, so that every plug-in of faceswap is read alike, as its inference does it
    (commit acdcfa87): the face goes into both inputs, the last picture of the wanted side comes out.
    """

    options: ClassVar[Mapping[str, str]] = {
        "side": "whose identity is worn, A or B (B: the one put onto A's face)",
        "crop": CROP_OPTION,
    }

    @staticmethod
    def recognise(folder: Path) -> str | None:
        found = [f"faceswap {files.version} {files.name}" for files in _find(folder)]
        return ", ".join(found) or None

    @staticmethod
    def read(folder: Path, options: Mapping[str, str]) -> Trained:
        check_options(options, Faceswap.options)
        side = options.get("side", "B").upper()
        if side not in ("A", "B"):
            raise BadInput(f"side={options['side']} is neither A nor B", hint=f"side: {Faceswap.options['side']}")
        files = _choose(folder)
        state = read_state(files.state)
        state.demand("name", files.name)
        crop, facts, warnings = crop_of(state, files.version, options.get("crop"))
        models = _open(files, side)
        size = _face_size(next(iter(models.values())))
        run = _chained(models) if files.version == 1 else _side(models["model"], side)
        encoder = None if files.version == 1 else models["model"].net_inside("encoder")
        rgb = is_rgb(state, files.name, encoder)

        def build(graph: Graph) -> dict[str, Value]:
            return _pick(run(graph, graph.face(size, "RGB" if rgb else "BGR")), folder)

        outputs = build(Shapes())
        out_size = outputs["image"].shape[2]
        _compare(state, files.version, size, out_size, "celeb_mask" in outputs)
        parameters = sum(model.parameters for model in models.values())
        if parameters > _MAX_NUMBERS:
            raise ModelError(f"{folder}: the net has {parameters:,} numbers, more than an ONNX file can hold")
        if files.name == "phaze_a" and "enc_architecture" not in state.config:
            warnings.append(f"no state tells the order of colours: {'RGB' if rgb else 'BGR'}, by the encoder's make")
        architecture = state.config.get("architecture")
        return Trained(
            program=f"faceswap {files.version}",
            model=f"{files.name} {architecture}" if architecture in ("df", "liae") else files.name,
            size=size,
            out_size=out_size,
            crop=crop,
            build=build,
            parameters=parameters,
            iterations=state.iterations,
            facts={**facts, "side": side},
            warnings=tuple(warnings),
        )


# ---- the files


def _find(path: Path) -> list[_Files]:
    """The models in a folder, or the one in a file. Raises nothing: a file that cannot be read is judged by names."""
    if path.is_file():
        single = _single(path) if path.suffix in (".h5", ".keras") and not _ROLE.fullmatch(path.name) else None
        return [single] if single else []
    if not path.is_dir():
        return []
    found: dict[str, _Files] = {}
    parts: dict[str, dict[str, Path]] = {}
    # A model that faceswap 3 has taken over from 2 is there as both: the .keras, which comes last, is the newer.
    for file in [*sorted(path.glob("*.h5")), *sorted(path.glob("*.keras"))]:
        if role := _ROLE.fullmatch(file.name):
            parts.setdefault(role[1], {})[role[2]] = file
        elif single := _single(file):
            found[single.name] = single
    for name, nets in parts.items():
        state = _state(path, name)
        if name not in found and any(_is_whole(file, state) for file in nets.values()):
            found[name] = _Files(1, name, nets, state)
    return list(found.values())


def _single(file: Path) -> _Files | None:
    state = _state(file.parent, file.stem)
    version = 3 if file.suffix == ".keras" else 2
    try:
        faces = any(name.startswith("face_in") for name in open_model(file).inputs)
    except ModelError:
        faces = state is not None
    return _Files(version, file.stem, {"model": file}, state) if faces else None


def _is_whole(file: Path, state: Path | None) -> bool:
    """Whether it is one of faceswap 1's; other programs have files of these names, with weights alone."""
    try:
        open_model(file)
    except ModelError as error:
        return state is not None and "weights alone" not in error.message
    return True


def _state(folder: Path, name: str) -> Path | None:
    path = folder / f"{name}_state.json"
    return path if path.exists() else None


def _choose(folder: Path) -> _Files:
    found = _find(folder)
    if len(found) > 1:
        raise BadInput(
            f"{folder} holds several models: {', '.join(files.name for files in found)}",
            hint="give the .h5 or .keras file of one, or put each into a folder of its own",
        )
    if not found:
        raise ModelError(
            f"{folder} holds no model of faceswap", hint="MODEL.keras, MODEL.h5 or MODEL_encoder.h5 is one"
        )
    return found[0]


# ---- the net


def _open(files: _Files, side: str) -> dict[str, Model]:
    """The models that a swap takes, the one that the face goes into first."""
    if files.version > 1:
        return {"model": files.net("model")}
    if not {"inter", "intermediate", "intermediate_A", "intermediate_B"} & set(files.nets):
        return {role: files.net(role) for role in ("encoder", f"decoder_{side}")}
    # iae has an intermediate for each side and inter for both; dfl_sae's liae has none for A.
    shared = "inter" if {"inter", "intermediate_A"} & set(files.nets) else "intermediate"
    own = shared if (shared, side) == ("intermediate", "A") else f"intermediate_{side}"
    return {role: files.net(role) for role in ("encoder", own, shared, "decoder")}


def _chained(models: Mapping[str, Model]) -> Run:
    """faceswap 1: encoder -> decoder, or encoder -> the side's own and the shared intermediate -> decoder."""
    encoder, *inters, decoder = models.values()
    if len(inters) == 1:  # the shared one, twice
        inters *= 2

    def run(graph: Graph, face: Value) -> list[Value]:
        code = encoder.run(graph, [face])
        if inters:
            code = [graph.concat([value for inter in inters for value in inter.run(graph, code)])]
        return decoder.run(graph, code)

    return run


def _side(model: Model, side: str) -> Run:
    """faceswap 2 and 3: the face into both inputs; the first half of the outputs is A's, the second B's."""
    half = model.outputs // 2
    if model.outputs % 2 or len(model.inputs) != 2:
        raise ModelError(
            f"{model.path} has {len(model.inputs)} inputs and {model.outputs} outputs; those of two sides are expected"
        )
    wanted = range(half) if side == "A" else range(half, 2 * half)

    def run(graph: Graph, face: Value) -> list[Value]:
        return model.run(graph, [face, face], wanted)

    return run


def _face_size(model: Model) -> int:
    shape, *others = model.inputs.values()
    size, alike = shape[0], all(other == shape for other in others)
    if not alike or not isinstance(size, int) or size not in _SIZES or shape[1:] != (size, 3):
        raise ModelError(f"{model.path} takes {short(list(shape))}; square pictures of three colours are expected")
    return size


def _pick(outputs: list[Value], folder: Path) -> dict[str, Value]:
    """The last picture, which is the largest, and the last mask."""
    found = {name: value for value in outputs for name in [{3: "image", 1: "celeb_mask"}.get(_channels(value))] if name}
    if "image" not in found:
        raise ModelError(f"{folder}: the net gives no picture, but {[list(value.shape) for value in outputs]}")
    for name, value in found.items():
        if value.shape[2] != value.shape[3] or value.shape[2:] != found["image"].shape[2:]:
            raise ModelError(f"{folder}: the net's {name} has shape {list(value.shape)}; a square is expected")
    return found


def _channels(value: Value) -> int:
    return value.shape[1] if len(value.shape) == 4 else 0


def _compare(state: State, version: int, size: int, out_size: int, masked: bool) -> None:
    """Whether the state is that of this net. Raises ModelError."""
    state.demand("learn_mask", masked)
    state.demand("output_size", out_size)
    state.demand("input_size", size)
    inputs = state.held.get("inputs")
    if version == 1 and isinstance(inputs, dict):
        for name, shape in inputs.items():
            if name.startswith("face") and shape != [size, size, 3]:
                raise ModelError(
                    f"{state.path} says {short(name)}: {short(shape)}, but the model takes {[size, size, 3]}",
                    hint=f"files of two models are mixed up here: take them from one backup, or move {state.path} away",
                )
