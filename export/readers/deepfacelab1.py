"""Reads models of DeepFaceLab 1 (2018 to January 2020): H64, H128, DF, LIAEF128, SAE and the first SAEHD."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from engines.errors import BadInput, ModelError
from export.deepfacelab_notes import Notes, read_notes
from export.graph import Graph, Value
from export.keras_chain import face_size, lanes, out_size, split, walk
from export.keras_weights import Layer, read_layers
from export.trained import Trained, check_options

_FACES = {"H64": "half", "H128": "half", "DF": "full", "LIAEF128": "full"}  # the others note theirs
_WORDS = {"h": "half", "mf": "mid_full", "f": "full"}
_TYPES = (*_WORDS.values(), "whole_face", "head")
_FITS = ("dfl51", "dfl33_2019", "dfl33")
_NETS = "encoder|inter_AB|inter_B|decoder(_src|_dst)?m?|decoder_srcm|decoder_dstm"
_FILE = re.compile(rf"((?:\d+_)?(?:{'|'.join(_FACES)}|SAE|SAEHD|Quick96))_(?:{_NETS})\.h5")

# Kernel and dilation of the four branches of the first SAEHD's encoder.
_BRANCHES = ((3, 1), (5, 1), (5, 2), (7, 2))


class Deepfacelab1:
    """Weights-only HDF5 files, MODEL_encoder.h5 ..., and MODEL_data.dat; all sizes are read from their shapes.

    The nets are those of DeepFaceLab's branch DFL-1.0 (commit 52a67a6) and, for SAE before its convolutions were
    padded alike on all sides, of commit 7ed38a8. What an SAE is made of is told by the layers that its files list.
    """

    options: ClassVar[Mapping[str, str]] = {
        "crop": f"the crop it was trained on, TYPE or TYPE:FIT, of {', '.join(_TYPES)} and {', '.join(_FITS)} "
        "(before August 2019, until December 2019, since)",
        "tanh": "yes for an SAE begun before 16 March 2019, whose pictures come out too bright otherwise",
        "model": "which one, where the folder holds several: H64, SAE ...",
    }

    @staticmethod
    def recognise(folder: Path) -> str | None:
        found = _find(folder)
        return f"DeepFaceLab 1 {', '.join(found)}" if found else None

    @staticmethod
    def read(folder: Path, options: Mapping[str, str]) -> Trained:
        check_options(options, Deepfacelab1.options)
        stem = _choose(folder, options.get("model"))
        model = _model(stem)
        if model == "Quick96":
            raise ModelError(
                f"{folder}: Quick96 of DeepFaceLab 1 is not supported: its dense layers (DenseMaxout) are of a kind "
                "whose layout could not be checked against the program",
                hint="Quick96 of DeepFaceLab 2 is",
            )
        notes = read_notes(stem)
        nets = _read_nets(stem, notes, _tanh(options, model))
        for name, found in (("resolution", nets.size), ("ae_dims", nets.ae_dims)):
            if notes.whole(name) not in (None, found):
                raise ModelError(
                    f"{notes.file} says {name}: {notes.whole(name)}, but the shapes in {stem.name}_*.h5 say {found}",
                    hint="files of two models are mixed up here: take them all from one backup",
                )
        crop, warnings = _crop(model, notes, nets.symmetric, options.get("crop"))
        return Trained(
            program="DeepFaceLab 1",
            model=model,
            size=nets.size,
            out_size=out_size(nets.build, str(stem)),
            crop=crop,
            build=nets.build,
            parameters=nets.parameters,
            iterations=notes.iterations,
            facts={"archi": "liae" if nets.liae else "df", "ae_dims": nets.ae_dims},
            warnings=warnings,
        )


@dataclass(frozen=True, slots=True)
class _Nets:
    """The chains of layers that a swap takes. df: encoder, code, image. liae: encoder, code (inter_AB) twice, image."""

    liae: bool
    tanh: bool
    encoder: list[Layer]  # up to its flatten
    code: list[Layer]
    image: list[Layer]
    celeb_mask: list[Layer]
    face_mask: list[Layer]
    inter_b: list[Layer]  # what the code of the wearer's own face begins with; liae with masks only

    @property
    def size(self) -> int:
        return face_size(self.encode, self.code)

    @property
    def ae_dims(self) -> int:
        return int(split(self.code, "dense")[0][-1].numbers.shape[1])

    @property
    def symmetric(self) -> bool:
        """Whether its strided convolutions are padded alike on all sides, as SAE's are since 19 September 2019."""
        return any(layer.kind == "zero_padding2d" for layer in self.encoder)

    @property
    def parameters(self) -> int:
        chains = (self.encoder, self.code, self.image, self.celeb_mask, self.face_mask, self.inter_b)
        return sum({id(layer): layer.parameters for chain in chains for layer in chain}.values())

    def encode(self, graph: Graph, face: Value) -> Value:
        x = graph.scale(face, 2, -1) if self.tanh else face
        if not any(layer.kind == "concatenate" for layer in self.encoder):
            return walk(graph, x, self.encoder, stride=2)
        branches = []
        for (kernel, dilation), branch in zip(_BRANCHES, lanes(self.encoder[:-2], len(_BRANCHES)), strict=True):
            for layer in branch:
                if layer.kind == "conv2d" and layer.numbers.shape[:2] != (kernel, kernel):
                    raise layer.broken(
                        f"its kernel has shape {list(layer.numbers.shape)}; {kernel}x{kernel} is expected here",
                        hint="an SAEHD of before 28 December 2019 had another net, which is not supported",
                    )
            branches.append(walk(graph, x, branch, dilation=dilation))
        return walk(graph, graph.concat(branches), self.encoder[-1:])

    def build(self, graph: Graph) -> dict[str, Value]:
        flat = self.encode(graph, graph.face(self.size))
        code = own = walk(graph, flat, self.code)
        if self.inter_b:
            own = graph.concat([walk(graph, flat, self.inter_b), code])
        if self.liae:
            code = graph.concat([code, code])
        outputs = {"image": self._picture(graph, code, self.image)}
        if self.celeb_mask:
            outputs["celeb_mask"] = self._picture(graph, code, self.celeb_mask)
        if self.face_mask:
            outputs["face_mask"] = self._picture(graph, own, self.face_mask)
        return outputs

    def _picture(self, graph: Graph, code: Value, decoder: list[Layer]) -> Value:
        x = walk(graph, code, decoder)
        return graph.scale(graph.unary("Tanh", x), 0.5, 0.5) if self.tanh else graph.unary("Sigmoid", x)


def _read_nets(stem: Path, notes: Notes, tanh: bool) -> _Nets:
    """Read the nets that the model's options call for, as the program would: others may lie there from before."""
    model = _model(stem)

    def path(net: str) -> Path:
        return stem.with_name(f"{stem.name}_{net}.h5")

    encoder, code = split(read_layers(path("encoder")), "flatten")
    celeb_mask: list[Layer] = []
    face_mask: list[Layer] = []
    inter_b: list[Layer] = []
    if model in _FACES:
        liae = model == "LIAEF128"
        image, celeb_mask = lanes(read_layers(path("decoder" if liae else "decoder_src")), 2)
    else:
        noted = notes.one_of("archi", "df", "liae")
        liae = noted == "liae" if noted else path("inter_AB").exists()
        image = _last_head(read_layers(path("decoder" if liae else "decoder_src")))
        masks = [path("decoderm")] if liae else [path("decoder_srcm"), path("decoder_dstm")]
        masked = notes.flag("learn_mask")
        if masked if masked is not None else masks[0].exists():
            celeb_mask = read_layers(masks[0])
            face_mask = celeb_mask if liae else read_layers(masks[1])
            inter_b = read_layers(path("inter_B")) if liae else []
    if liae:
        code = read_layers(path("inter_AB"))
    nets = _Nets(liae, tanh, encoder, code, image, celeb_mask, face_mask, inter_b)
    if tanh and nets.symmetric:
        raise BadInput(f"{stem}: tanh=yes is for an SAE of before 16 March 2019; this one was begun after September")
    return nets


def _last_head(decoder: list[Layer]) -> list[Layer]:
    """Without the heads of the smaller scales: an SAE had up to three, listed last, the full size behind the others."""
    while len(decoder) > 1 and decoder[-2].kind == "conv2d":
        decoder = [*decoder[:-2], decoder[-1]]
    return decoder


def _find(folder: Path) -> list[str]:
    """The models whose nets the folder holds: DeepFaceLab 1 keeps them all in one. "0_H64" was trained on GPU 0."""
    try:
        found = [_FILE.fullmatch(path.name) for path in folder.iterdir()]
    except OSError:
        return []
    return sorted({match[1] for match in found if match})


def _choose(folder: Path, wanted: str | None) -> Path:
    """What the names of the model's files begin with."""
    found = _find(folder)
    if not found:
        raise ModelError(f"{folder} holds no model of DeepFaceLab 1", hint="H64_encoder.h5 ... are expected")
    if wanted is None and len(found) > 1:
        raise BadInput(f"{folder} holds several models: {', '.join(found)}", hint=f"say which: model={found[0]}")
    if wanted is not None and wanted not in found:
        raise BadInput(f"{folder} holds no model {wanted!r}", hint=f"it holds {', '.join(found)}")
    return folder / (wanted or found[0])


def _model(stem: Path) -> str:
    return stem.name.split("_")[-1]


def _tanh(options: Mapping[str, str], model: str) -> bool:
    given = options.get("tanh", "no")
    if given not in ("yes", "no") or (given == "yes" and model != "SAE"):
        raise BadInput(f"tanh={given} does not fit a model {model}", hint=f"tanh: {Deepfacelab1.options['tanh']}")
    return given == "yes"


def _crop(model: str, notes: Notes, symmetric: bool, given: str | None) -> tuple[tuple[str, str], tuple[str, ...]]:
    """The crop that it was trained on, and warnings about what of it is a guess. Raises BadInput."""
    noted = notes.one_of("face_type", *_WORDS) if model not in _FACES else None
    face = _FACES.get(model) or (_WORDS[noted] if noted else "full")
    # SAE's padding changed some weeks after the fit did, and SAEHD's present net is younger than the last change.
    fit = "dfl33" if model == "SAEHD" else "dfl33_2019" if symmetric else "dfl51"
    told_face, _, told_fit = (given or "").partition(":")
    if given is not None and (told_face not in _TYPES or told_fit not in ("", *_FITS)):
        raise BadInput(f"crop={given} names no crop", hint=f"crop: {Deepfacelab1.options['crop']}")
    crop = (told_face or face, told_fit or fit)
    warnings = []
    if given is None and not noted and model not in _FACES:
        warnings.append("no notes tell the face type: full is assumed; crop=half or crop=mid_full says otherwise")
    if not told_fit and model != "SAEHD":
        warnings.append(
            f"the files do not tell which program version cut the faces: {crop[0]}:{fit} is assumed; "
            f"crop={crop[0]}:{'dfl51' if symmetric else 'dfl33_2019'} says otherwise"
        )
    return crop, tuple(warnings)
