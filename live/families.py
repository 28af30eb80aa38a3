"""The families of nets that other tools made: how each is told by what it takes and gives, and how it is run.

`mean` and `std` are of pixels from 0 to 1: the net takes (pixel - mean) / std. Crop templates bear FaceFusion's names.
Sources: DeepFaceLive (.dfm), InsightFace (SCRFD, ArcFace, inswapper), OpenCV Zoo (YuNet), yolov8-face,
Pytorch_Retinaface, and FaceFusion's tables for all others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Shape = tuple[int | None, ...]
Facts = dict[str, Any]
EMAP_FILE = "emap.npy"

_IMAGENET: Facts = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
_HALF: Facts = {"mean": [0.5] * 3, "std": [0.5] * 3}
_PLAIN: Facts = {"mean": [0.0] * 3, "std": [1.0] * 3}
_RGB: Facts = {"colour": "RGB", "layout": "NCHW"}
_ANY = -1  # a size that may be whatever it is, also open


@dataclass(frozen=True, slots=True)
class Signature:
    """What a net takes and gives, as (name, shape) with None for an open size, and the operators that it is made of."""

    inputs: tuple[tuple[str, Shape], ...]
    outputs: tuple[tuple[str, Shape], ...]
    operators: frozenset[str] = frozenset()

    def __str__(self) -> str:
        def ports(pairs: tuple[tuple[str, Shape], ...]) -> str:
            shown = [f"{name}[{', '.join('?' if n is None else str(n) for n in shape)}]" for name, shape in pairs[:12]]
            return ", ".join(shown) + (", ..." if len(pairs) > 12 else "")

        return f"takes {ports(self.inputs)}; gives {ports(self.outputs)}"


@dataclass(frozen=True, slots=True)
class Family:
    """Nets that are run alike. `facts` answers None for a net that is not of the family.

    `typical`: whether the net looks like one of the family beyond what running it needs.
    """

    kind: str
    facts: Callable[[Signature], Facts | None]
    typical: Callable[[Signature], bool] = lambda _: True


def _fits(shape: Shape, *wanted: int) -> bool:
    """A batch of one may be open; other sizes must be as they are wanted."""
    return len(shape) == len(wanted) and all(
        size == want or want == _ANY or (size is None and axis == 0)
        for axis, (size, want) in enumerate(zip(shape, wanted, strict=True))
    )


def _only(signature: Signature, *wanted: int) -> str | None:
    """The net's one input, if it is of this shape."""
    (name, shape), *others = signature.inputs
    return name if not others and _fits(shape, *wanted) else None


def _pair(signature: Signature, target: tuple[int, ...], source: tuple[int, ...]) -> Facts | None:
    """The names of a net's two inputs, told apart by their shapes, or by their names where the shapes are the same."""
    if len(signature.inputs) != 2:
        return None
    for (a, shape_a), (b, shape_b) in (signature.inputs, signature.inputs[::-1]):
        if _fits(shape_a, *target) and _fits(shape_b, *source) and (target != source or "target" in a.casefold()):
            return {"target": a, "source": b}
    return None


def _swapper(size: int, source: tuple[int, ...], how: Facts) -> Callable[[Signature], Facts | None]:
    def facts(signature: Signature) -> Facts | None:
        names = _pair(signature, (1, 3, size, size), source)
        if names is None:
            return None
        outputs = {what: name for what, (name, _) in zip(("image", "mask"), signature.outputs, strict=False)}
        return {"image_size": size, **_RGB, **how, "inputs": names, "outputs": outputs}

    return facts


def _either(*ways: Callable[[Signature], Facts | None]) -> Callable[[Signature], Facts | None]:
    return lambda signature: next((facts for way in ways if (facts := way(signature)) is not None), None)


def _dfm(signature: Signature) -> Facts | None:
    faces = [(name, shape) for name, shape in signature.inputs if "in_face" in name]
    morphs = [name for name, _ in signature.inputs if "morph_value" in name]
    if len(faces) != 1 or len(faces) + len(morphs) != len(signature.inputs) or not _fits(faces[0][1], 1, _ANY, _ANY, 3):
        return None
    names = {name.partition(":")[0]: name for name, _ in signature.outputs}
    if set(names) != {"out_face_mask", "out_celeb_face", "out_celeb_face_mask"}:
        return None
    return {
        "image_size": faces[0][1][1],
        "colour": "BGR",
        "layout": "NHWC",
        **_PLAIN,
        "coverage": 2.2,  # the crop's side in unit faces: DeepFaceLive's default; the file does not tell
        "inputs": {"target": faces[0][0], **({"morph": morphs[0]} if morphs else {})},
        "outputs": {"mask": names["out_face_mask"], "image": names["out_celeb_face"],
                    "image_mask": names["out_celeb_face_mask"]},
    }  # fmt: skip


def _gfpgan(signature: Signature) -> Facts | None:
    faces = [name for name, shape in signature.inputs if _fits(shape, 1, 3, 512, 512)]
    weights = [name for name, shape in signature.inputs if shape in ((), (1,), (None,))]
    images = [name for name, shape in signature.outputs if _fits(shape, 1, 3, 512, 512)]
    if len(faces) != 1 or len(weights) > 1 or len(faces) + len(weights) != len(signature.inputs) or not images:
        return None
    how = {"image_size": 512, **_RGB, **_HALF, "template": "ffhq_512", "output": "-1..1"}
    faithful = {"weight": 1.0} if weights else {}  # CodeFormer's: 0 as fine, 1 as like the input as it can
    ports = {
        "inputs": {"image": faces[0], **({"weight": weights[0]} if weights else {})},
        "outputs": {"image": images[0]},
    }
    return {**how, **faithful, **ports}


def _scrfd(signature: Signature) -> Facts | None:
    name = _only(signature, 1, 3, _ANY, _ANY)
    widths = {1: "scores", 4: "boxes", 10: "points"}
    found: dict[str, list[tuple[int, str]]] = {}
    for output, shape in signature.outputs:
        if len(shape) not in (2, 3) or shape[-1] not in widths:
            return None
        found.setdefault(widths[shape[-1]], []).append((-(shape[-2] or 0), output))
    if name is None or len(signature.outputs) not in (6, 9) or {len(group) for group in found.values()} != {3}:
        return None
    return {
        "image_size": signature.inputs[0][1][-1] or 640,
        **_RGB,
        "mean": [0.5] * 3,
        "std": [128 / 255] * 3,
        "strides": [8, 16, 32],
        "anchors": 2,
        "inputs": {"image": name},
        "outputs": {
            what: [output for _, output in sorted(group, key=lambda one: one[0])] for what, group in found.items()
        },
    }


def _yunet(signature: Signature) -> Facts | None:
    name = _only(signature, 1, 3, _ANY, _ANY)
    wanted = {what: [f"{what}_{stride}" for stride in (8, 16, 32)] for what in ("cls", "obj", "bbox", "kps")}
    if name is None or {output for output, _ in signature.outputs} != {one for row in wanted.values() for one in row}:
        return None
    size = signature.inputs[0][1][-1] or 640
    scale = {"mean": [0.0] * 3, "std": [1 / 255] * 3, "strides": [8, 16, 32]}
    return {
        "image_size": size,
        "colour": "BGR",
        "layout": "NCHW",
        **scale,
        "inputs": {"image": name},
        "outputs": wanted,
    }


def _retinaface(signature: Signature) -> Facts | None:
    name = _only(signature, 1, 3, _ANY, _ANY)
    widths = {4: "boxes", 2: "scores", 10: "points"}
    outputs = {
        widths[shape[-1] or 0]: output for output, shape in signature.outputs if (shape[-1:] or (0,))[0] in widths
    }
    if name is None or len(signature.outputs) != 3 or len(outputs) != 3:
        return None
    means = {"mean": [104 / 255, 117 / 255, 123 / 255], "std": [1 / 255] * 3}
    priors = {"strides": [8, 16, 32], "priors": [[16, 32], [64, 128], [256, 512]], "variances": [0.1, 0.2]}
    size = signature.inputs[0][1][-1] or 640
    return {"image_size": size, "colour": "BGR", "layout": "NCHW", **means, **priors, "inputs": {"image": name},
            "outputs": outputs}  # fmt: skip


def _single(taken: tuple[int, ...], given: tuple[int, ...], how: Facts) -> Callable[[Signature], Facts | None]:
    def facts(signature: Signature) -> Facts | None:
        name = _only(signature, *taken)
        (output, shape), *_ = signature.outputs
        return {**how, "inputs": {"image": name}, "outputs": {"out": output}} if name and _fits(shape, *given) else None

    return facts


def _transposed(signature: Signature) -> bool:
    return "ConvTranspose" in signature.operators


_VECTOR = (1, 512)
_FROM_ARCFACE: Facts = {"source": "embedding", "recogniser": "arcface"}
_V1: Facts = {"template": "arcface_112_v1", "output": "0..1"}
_SIMSWAP: Facts = {**_FROM_ARCFACE, "converter": "crossface_simswap", "normalise": True, **_V1}

FAMILIES: dict[str, Family] = {
    "inswapper": Family(
        "swapper",
        _swapper(128, _VECTOR, {**_FROM_ARCFACE, "emap": EMAP_FILE, "normalise": True, "template": "arcface_128",
                                "output": "0..1", **_PLAIN}),
    ),
    "simswap": Family(
        "swapper",
        _either(
            _swapper(256, _VECTOR, {**_SIMSWAP, **_IMAGENET}),
            _swapper(512, _VECTOR, {**_SIMSWAP, **_PLAIN}),
            _swapper(224, _VECTOR, {**_SIMSWAP, **_PLAIN}),  # as the maker's own code feeds it
        ),
        lambda s: len(s.outputs) == 1 and not _transposed(s),
    ),
    "ghost": Family(
        "swapper",
        _swapper(256, _VECTOR, {**_FROM_ARCFACE, "converter": "crossface_ghost", "normalise": False, **_V1,
                                "output": "-1..1", **_HALF}),
        lambda s: len(s.outputs) == 1 and _transposed(s),
    ),
    "hyperswap": Family(
        "swapper",
        _swapper(256, _VECTOR, {**_FROM_ARCFACE, "normalise": True, "template": "arcface_128", "output": "-1..1",
                                **_HALF}),
        lambda s: len(s.outputs) == 2,
    ),
    "hififace": Family(
        "swapper",
        _swapper(256, _VECTOR, {**_FROM_ARCFACE, "converter": "crossface_hififace", "normalise": True,
                                "template": "mtcnn_512", "output": "-1..1", **_HALF}),
        lambda s: len(s.outputs) == 2,
    ),
    "blendswap": Family(
        "swapper",
        _swapper(256, (1, 3, 112, 112), {"source": "image", "source_size": 112, "source_template": "arcface_112_v2",
                                         "template": "ffhq_512", "output": "0..1", **_PLAIN}),
    ),
    "uniface": Family(
        "swapper",
        _swapper(256, (1, 3, 256, 256), {"source": "image", "source_size": 256, "source_template": "ffhq_512",
                                         "template": "ffhq_512", "output": "-1..1", **_HALF}),
    ),
    "dfm": Family("trained", _dfm),
    "crossface": Family("converter", _single(_VECTOR, _VECTOR, {})),
    "arcface": Family(
        "recogniser",
        _single((1, 3, 112, 112), _VECTOR, {"image_size": 112, **_RGB, **_HALF, "template": "arcface_112_v2"}),
    ),
    "gfpgan": Family("enhancer", _gfpgan),  # and CodeFormer, GPEN, RestoreFormer
    "scrfd": Family("detector", _scrfd),
    "yunet": Family("detector", _yunet),
    "retinaface": Family("detector", _retinaface),
    "yoloface": Family(
        "detector", _single((1, 3, 640, 640), (1, 20, _ANY), {"image_size": 640, **_RGB, **_PLAIN})
    ),
    "xseg": Family(
        "mask",
        _single((1, 256, 256, 3), (1, _ANY, _ANY, 1), {"image_size": 256, "colour": "BGR", "layout": "NHWC", **_PLAIN}),
    ),
    "bisenet": Family(
        "mask",
        _single((1, 3, 512, 512), (1, 19, _ANY, _ANY), {"image_size": 512, "classes": 19, **_RGB, **_IMAGENET}),
    ),
}  # fmt: skip
