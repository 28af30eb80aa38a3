"""Reads models of FakeApp and of faceswap in 2018, which it grew from: Original, LowMem and IAE."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from engines.errors import BadInput, ModelError
from export.graph import Graph, Value
from export.keras_chain import face_size, out_size, split, walk
from export.keras_weights import Layer, read_layers
from export.trained import Trained, check_options

_PAIR = ("encoder", "decoder_A", "decoder_B")
_FAMILIES = {  # what their files' names begin with, and their nets
    "": ("Original", _PAIR),
    "lowmem_": ("LowMem", _PAIR),
    "IAE_": ("IAE", ("encoder", "decoder", "inter_A", "inter_B", "inter_both")),
}
_REFUSED = {  # names of files that tell, and why
    "netGA*.h5": ("GAN", "a net of another kind, which paints onto the face by an alpha of its own"),
    "decoder_A_*.h5": ("OriginalHighRes", "its net changed from version to version"),
}


class Fakeapp:
    """encoder.h5, decoder_A.h5, decoder_B.h5 and their like: weights alone; all sizes are read from their shapes.

    The nets are those of faceswap's first months (commit 22f22d9b for Original).
    """

    options: ClassVar[Mapping[str, str]] = {"side": "whose identity is worn, A or B (B: the one put onto A's face)"}

    @staticmethod
    def recognise(folder: Path) -> str | None:
        found = _find(folder) or _refused(folder)
        return f"FakeApp / faceswap 2018 {found[0]}" if found else None

    @staticmethod
    def read(folder: Path, options: Mapping[str, str]) -> Trained:
        check_options(options, Fakeapp.options)
        side = options.get("side", "B").upper()
        if side not in ("A", "B"):
            raise BadInput(f"side={options['side']} is neither A nor B", hint=f"side: {Fakeapp.options['side']}")
        found, refused = _find(folder), _refused(folder)
        if not found and refused:
            raise ModelError(f"{folder}: {refused[0]} models of faceswap 2018 are not supported: {refused[1]}")
        if not found:
            raise ModelError(f"{folder} holds no model of FakeApp", hint="encoder.h5, decoder_A.h5 ... are expected")
        name, prefix = found

        def net(kind: str) -> list[Layer]:
            return read_layers(folder / f"{prefix}{kind}.h5")

        shared = name == "IAE"
        encoder = net("encoder")
        head, tail = split(encoder, "flatten")
        inters = [net(f"inter_{side}"), net("inter_both")] if shared else [tail]
        decoder = net("decoder") if shared else net(f"decoder_{side}")
        if sum(layer.kind == "conv2d" for layer in head) == 3 and not shared:
            name = "LowMem"  # which had the plain names too at first
        channels = split(decoder, "conv2d")[0][-1].numbers.shape[2] // len(inters)

        def encode(graph: Graph, face: Value) -> Value:
            return walk(graph, face, head, stride=2)

        size = face_size(encode, inters[0])

        def build(graph: Graph) -> dict[str, Value]:
            flat = encode(graph, graph.face(size))
            codes = [walk(graph, flat, inter, channels=channels) for inter in inters]
            code = graph.concat(codes) if shared else codes[0]
            return {"image": graph.unary("Sigmoid", walk(graph, code, decoder))}

        return Trained(
            program="FakeApp / faceswap 2018",
            model=name,
            size=size,
            out_size=out_size(build, str(folder)),
            crop=("half", "dfl51"),
            build=build,
            parameters=sum(layer.parameters for net in (head, *inters, decoder) for layer in net),
            facts={"side": side, "ae_dims": int(split(inters[0], "dense")[0][-1].numbers.shape[1])},
        )


def _find(folder: Path) -> tuple[str, str] | None:
    """The model's name and what its files' names begin with."""
    held = _names(folder)
    for prefix, (name, nets) in _FAMILIES.items():
        # Two of them: a half-copied model is still one, but a lone encoder.h5 may be anybody's.
        if sum(f"{prefix}{net}.h5" in held for net in nets) >= 2:
            return name, prefix
    return None


def _refused(folder: Path) -> tuple[str, str] | None:
    """The name of a kind that is not supported, and why."""
    held = _names(folder)
    return next((what for names, what in _REFUSED.items() if fnmatch.filter(held, names)), None)


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []
