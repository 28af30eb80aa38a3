"""Reads models of DeepFaceLab 2 (since January 2020): SAEHD with every letter of its architecture, Quick96 and AMP."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, get_args

from engines.errors import BadInput, ModelError
from export.deepfacelab_notes import Notes, read_notes
from export.graph import Graph, Shapes, Value
from export.leras import Net, Order, Part, blend, inter_size
from export.trained import Trained, check_options

Archi = Literal["df", "liae", "amp"]

_PARTS: Mapping[Archi, tuple[str, ...]] = {
    "df": ("encoder", "inter", "decoder_src", "decoder_dst"),
    "liae": ("encoder", "inter_AB", "inter_B", "decoder"),
    "amp": ("encoder", "inter_src", "inter_dst", "decoder"),
}
_FILE = re.compile(
    rf"(.+_(?:SAEHD|Quick96|AMP))_(?:{'|'.join(sorted({part for parts in _PARTS.values() for part in parts}))})\.npy"
)
_CROPS = {"h": "half", "mf": "mid_full", "f": "full", "wf": "whole_face", "head": "head"}
_SAME = {"dfuhd": "df-u", "liaeuhd": "liae-u"}  # what these were called in the spring of 2020
_GONE = {
    "dfhd": "its encoder in four branches was given up in June 2020",
    "liaehd": "its encoder in four branches was given up in June 2020",
    "liaech": "this experiment of March 2020 was given up",
}


class Deepfacelab2:
    """NAME_SAEHD_encoder.npy ..., which are pickles, and NAME_SAEHD_data.dat or NAME_SAEHD_summary.txt.

    All sizes come from the tensors; notes that contradict them are an error. src is the new identity and dst the
    wearer: the image and `celeb_mask` are src's, `face_mask` is dst's.
    """

    options: ClassVar[Mapping[str, str]] = {
        "archi": "df or liae and its letters (liae-udt), where no notes tell",
        "crop": f"the crop it was trained on: {', '.join(_CROPS.values())}",
        "dense_order": "HWC for a model begun before the spring of 2020 that gives noise; else CHW",
        "model": "which one, where the folder holds several: NAME_SAEHD ...",
    }

    @staticmethod
    def recognise(folder: Path) -> str | None:
        found = [stem.split("_")[-1] for stem in _find(folder)]
        return f"DeepFaceLab 2 {', '.join(found)}" if found else None

    @staticmethod
    def read(folder: Path, options: Mapping[str, str]) -> Trained:
        check_options(options, Deepfacelab2.options)
        stem = _choose(folder, options.get("model"))
        kind = stem.name.split("_")[-1]
        notes = read_notes(stem)
        model = _read(stem, kind, notes, options)
        built = Shapes()
        model.build(built)
        model.refuse_more()
        for name, found in model.facts.items():
            if notes.whole(name) not in (None, found):
                raise ModelError(
                    f"{notes.file} says {name}: {notes.whole(name)}, but the tensors in {stem.name}_*.npy say {found}",
                    hint="files of two models are mixed up here: take them all from one backup",
                )
        crop, warnings = _crop(kind, notes, options.get("crop"))
        if notes.flag("pretrain"):
            warnings.append("it was saved while it was pretrained on many faces: it is nobody's face yet")
        title = _title(model.archi, model.letters)
        return Trained(
            program="DeepFaceLab 2",
            model=f"SAEHD {title}" if kind == "SAEHD" else kind,
            size=model.size,
            out_size=model.size,
            crop=(crop, "dfl33"),
            build=model.build,
            parameters=sum(part.parameters() for part in model.parts.values()),
            morph=model.archi == "amp",
            iterations=notes.iterations,
            facts={"archi": title} | {name: n for name, n in model.facts.items() if name != "resolution"},
            warnings=tuple(warnings),
        )


@dataclass(frozen=True, slots=True)
class _Model:
    """The parts of a model and how they go together."""

    archi: Archi
    letters: str
    parts: Mapping[str, Part]
    order: Order

    @property
    def channels(self) -> int:
        """Of what an inter gives: half of what the decoder takes, where it takes two."""
        channels = self._decoder.shape("upscale0/conv1/weight:0", 4)[2]
        return channels // 2 if self.archi == "liae" else channels

    @property
    def size(self) -> int:
        inter = self.parts[_PARTS[self.archi][1]]
        return inter_size(inter, self.channels) * (32 if "d" in self.letters else 16)

    @property
    def facts(self) -> dict[str, int]:
        """The options that the tensors tell, by the names that the program has for them."""
        first = self.parts["encoder"].shape(f"{'down1' if 't' in self.letters else 'down1/downs_0'}/conv1/weight:0", 4)
        dense = self.parts["encoder" if self.archi == "amp" else _PARTS[self.archi][1]]
        return {
            "resolution": self.size,
            "ae_dims": dense.shape("dense1/weight:0", 2)[1],
            **({"inter_dims": self.channels} if self.archi == "amp" else {}),
            "e_dims": first[3],
            "d_dims": self._decoder.shape("out_conv/weight:0", 4)[2] // 2,
            "d_mask_dims": self._decoder.shape("upscalem0/conv1/weight:0", 4)[3] // 32,
        }

    def build(self, graph: Graph) -> dict[str, Value]:
        net = Net(graph, self.letters, self.order)
        encoder, first, second, decoder = (self.parts[name] for name in _PARTS[self.archi])
        code = net.encoder(encoder, graph.face(self.size))
        own_decoder = decoder
        if self.archi == "df":
            decoder, own_decoder = second, decoder
            code = own = net.inter(first, code, self.channels)
        elif self.archi == "liae":
            ours = net.inter(first, code, self.channels)
            code, own = graph.concat([ours, ours]), graph.concat([net.inter(second, code, self.channels), ours])
        else:
            code = net.dense(encoder, "dense1", code)
            own = net.inter(second, code, self.channels)
            code = blend(graph, net.inter(first, code, self.channels), own, graph.input("morph", (1,)))
        return {
            "image": net.image(decoder, code),
            "face_mask": net.mask(own_decoder, own),
            "celeb_mask": net.mask(decoder, code),
        }

    def refuse_more(self) -> None:
        """Raise ModelError for tensors that no part of the net has used: it is another net then. Once it was built."""
        known = set().union(*(part.used for part in self.parts.values()))
        for part in self.parts.values():
            left = [name for name in part.unused() if name not in known]
            if left:
                raise ModelError(
                    f"{part.path} holds {left[0]!r}, which {_title(self.archi, self.letters)} has no place for",
                    hint="a modified or an experimental DeepFaceLab made it; export it there as .dfm",
                )

    @property
    def _decoder(self) -> Part:
        return self.parts["decoder_src" if self.archi == "df" else "decoder"]


def _read(stem: Path, kind: str, notes: Notes, options: Mapping[str, str]) -> _Model:
    order = options.get("dense_order", "CHW")
    if order not in get_args(Order):
        raise BadInput(f"dense_order={order} is no order", hint=f"dense_order: {Deepfacelab2.options['dense_order']}")
    noted = options.get("archi") or notes.options.get("archi") if kind == "SAEHD" else None
    if kind != "SAEHD" and "archi" in options:
        raise BadInput(f"{stem.name} is no SAEHD: it has one architecture only", hint="leave archi= out")
    archi: Archi = "amp" if kind == "AMP" else "df"
    letters = {"AMP": "udt", "Quick96": "ud"}.get(kind, "")
    if noted is not None:
        archi, letters = _archi(str(noted), stem)
    elif kind == "SAEHD":
        raise ModelError(
            f"{stem.name}: no {stem.name}_data.dat and no {stem.name}_summary.txt tells its architecture",
            hint="say what it was: --options archi=liae-udt (u and c cannot be seen in the tensors)",
        )
    paths = {name: stem.with_name(f"{stem.name}_{name}.npy") for name in _PARTS[archi]}
    missing = [path.name for path in paths.values() if not os.path.lexists(path)]
    if missing:
        raise ModelError(
            f"{stem.parent} holds no {missing[0]}, which a model of the architecture {archi} has",
            hint="copy all files of the model, or say archi= if the notes are of another one",
        )
    parts = {name: Part(path) for name, path in paths.items()}
    decoder = parts["decoder_src" if archi == "df" else "decoder"]
    if kind == "Quick96" and "upscale0/conv1/weight:0" not in decoder:
        raise ModelError(
            f"{stem.parent}: this Quick96 was begun before June 2020, with a net that is not supported",
            hint="train it anew, which takes hours: that is what Quick96 is for",
        )
    for letter, part, tensor in (("d", decoder, "out_conv1/weight:0"), ("t", parts["encoder"], "down2/conv1/weight:0")):
        if (tensor in part) != (letter in letters):
            holds, has = ("holds no", "has") if letter in letters else ("holds", "has no place for")
            raise ModelError(
                f"{part.path} {holds} {tensor}, which {_title(archi, letters)} {has}",
                hint="files of two models are mixed up here, or the archi that is noted or given does not fit",
            )
    return _Model(archi, letters, parts, order)  # type: ignore[arg-type]  # checked above


def _archi(text: str, stem: Path) -> tuple[Archi, str]:
    """What "liae-udt" means. Raises ModelError."""
    if text in _GONE:
        raise ModelError(f"{stem.name}: the architecture {text} is not supported: {_GONE[text]}")
    match = re.fullmatch(r"(df|liae)(?:-([udtc]*))?", _SAME.get(text, text))
    if match is None:
        raise ModelError(
            f"{stem.name}: there is no architecture {text[:60]!r}",
            hint="df or liae, and behind a dash letters of u, d, t and c",
        )
    letters = match[2] or ""
    return "df" if match[1] == "df" else "liae", "".join(letter for letter in "udtc" if letter in letters)


def _title(archi: Archi, letters: str) -> str:
    """As DeepFaceLab writes it: df, liae-udt; an AMP has one architecture only."""
    return "amp" if archi == "amp" else f"{archi}-{letters}".rstrip("-")


def _crop(kind: str, notes: Notes, given: str | None) -> tuple[str, list[str]]:
    """The face type, and a warning where it is a guess. Raises BadInput and ModelError."""
    if given is not None:
        if given not in _CROPS.values():
            raise BadInput(f"crop={given} names no crop", hint=f"crop: {Deepfacelab2.options['crop']}")
        return given, []
    if kind == "Quick96":
        return "full", []
    noted = notes.one_of("face_type", *_CROPS)
    if noted is not None:
        return _CROPS[noted], []
    return "whole_face", ["no notes tell the face type: whole_face is assumed; crop=full, crop=head ... say otherwise"]


def _find(folder: Path) -> list[str]:
    """NAME_KIND of the models in a folder: DeepFaceLab keeps them all in one."""
    try:
        found = [_FILE.fullmatch(path.name) for path in folder.iterdir()]
    except OSError:
        return []
    return sorted({match[1] for match in found if match})


def _choose(folder: Path, wanted: str | None) -> Path:
    """What the names of the model's files begin with."""
    found = _find(folder)
    if not found:
        raise ModelError(f"{folder} holds no model of DeepFaceLab 2", hint="NAME_SAEHD_encoder.npy ... are expected")
    if wanted is None and len(found) > 1:
        raise BadInput(f"{folder} holds several models: {', '.join(found)}", hint=f"say which: model={found[0]}")
    if wanted is not None and wanted not in found:
        raise BadInput(f"{folder} holds no model {wanted!r}", hint=f"it holds {', '.join(found)}")
    return folder / (wanted or found[0])
