"""Makes live/models from MediaPipe's own packages: python -m export.mediapipe MODULES ASSETS OUT.

MODULES is mediapipe/modules/ of the unpacked PyPI wheel mediapipe 0.10.21, ASSETS the file
face_mesh_solution_packed_assets.data of the npm package @mediapipe/face_mesh 0.4.1657299874, OUT the folder to write.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import DoppelcamError, ModelError
from export.tflite import ImageInput, read_tflite

Numbers = NDArray[Any]

GEOMETRY = slice(3737848, 3757224)  # geometry_pipeline_metadata_landmarks.binarypb inside ASSETS
GEOMETRY_SHA256 = "bdbcda96dfcb7da883da124aaa2c55dee49770d934f0fcc71747f8c21bdc75b4"
EXPRESSIONS_SOURCE = "tests/samples/make_expressions.py from PyPI openpeople 0.1.2 (MIT)"
GEOMETRY_SOURCE = "npm @mediapipe/face_mesh 0.4.1657299874, geometry_pipeline_metadata_landmarks.binarypb"

# The iris net's 71 points as points of the mesh: both lids' edges, then wider and wider rows around them up to the
# brow. Each row runs from the temple to the nose, below and then above; the rows above leave out the corners.
RIGHT_EYE = (
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173,
    130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190,
    226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189,
    35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
)  # fmt: skip
LEFT_EYE = (
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398,
    359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414,
    446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413,
    265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Net:
    """One net of MediaPipe and what its card says."""

    name: str
    family: str
    file: str
    sha256: str
    image_input: ImageInput
    outputs: dict[str, tuple[int, ...]]
    facts: dict[str, Any]
    tolerance: dict[str, float] = field(default_factory=dict)  # px of the crop; where none is named, the PSNR counts


NETS = (
    Net(
        "face_detector",
        "mediapipe_detector",
        "face_detection/face_detection_short_range.tflite",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        ImageInput(mean=127.5, scale=127.5),
        {"boxes": (896, 16), "scores": (896,)},
        {
            "image_size": 128,
            "colour": "BGR",
            "anchors": [{"grid": 16, "per_cell": 2}, {"grid": 8, "per_cell": 6}],
            "keypoints": ["right_eye", "left_eye", "nose_tip", "mouth", "right_ear", "left_ear"],
        },
    ),
    Net(
        "face_mesh",
        "mediapipe_mesh",
        "face_landmark/face_landmark.tflite",
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        ImageInput(mean=0, scale=255),
        {"points": (468, 3), "presence": (1,)},
        {
            "image_size": 192,
            "colour": "BGR",
            "points": 468,
            "crop_scale": 1.5,
            "topology": "topology.npz",
            "expressions": "expressions.npz",
        },
        {"points": 0.1},
    ),
    Net(
        "iris",
        "mediapipe_iris",
        "iris_landmark/iris_landmark.tflite",
        "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
        ImageInput(mean=0, scale=255),
        {"eye": (71, 3), "iris": (5, 3)},
        {
            "image_size": 64,
            "colour": "BGR",
            "crop_scale": 2.3,  # the crop's side in distances between the eye's corners, which lie level in it
            "crop_eye": "right",  # the person's own; crops of the left eye go in mirrored
            "corners": {"right": [33, 133], "left": [263, 362]},  # points of the mesh: at the temple, at the nose
            "lids": [*range(9), *range(15, 8, -1)],  # of the 71 points, as a closed polygon
            "iris": ["centre", "nose_side", "top", "temple_side", "bottom"],
            "mesh_points": {"right": list(RIGHT_EYE), "left": list(LEFT_EYE)},
        },
        {"eye": 0.1, "iris": 0.1},
    ),
)


def write_models(modules: Path, assets: Path, out: Path) -> None:
    """Write a model folder for each net, and the mesh's topology. Raises ModelError for other files than these."""
    for net in NETS:
        data = _expect(modules / net.file, (modules / net.file).read_bytes(), net.sha256)
        folder = out / net.name
        folder.mkdir(parents=True, exist_ok=True)
        model = read_tflite(data, image_input=net.image_input, outputs=net.outputs)
        (folder / f"{net.name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
        source = f"PyPI mediapipe 0.10.21, mediapipe/modules/{net.file}"
        if "topology" in net.facts:
            geometry = _expect(assets, assets.read_bytes()[GEOMETRY], GEOMETRY_SHA256)
            triangles, canonical, uv = read_geometry(geometry)
            np.savez(folder / net.facts["topology"], triangles=triangles, canonical=canonical, uv=uv)
            source += f"; topology: {GEOMETRY_SOURCE}; expressions: {EXPRESSIONS_SOURCE}"
        files = sorted(path for path in folder.iterdir() if path.suffix in (".onnx", ".npz"))
        card = {
            "name": net.name,
            "family": net.family,
            "files": {"onnx": f"{net.name}.onnx"},
            "facts": net.facts,
            **({"tolerance": net.tolerance} if net.tolerance else {}),
            "licence": "Apache-2.0",
            "commercial_use": True,
            "source": source,
            "source_sha256": net.sha256,
            "sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
        }
        (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def read_geometry(data: bytes) -> tuple[Numbers, Numbers, Numbers]:
    """The mesh's triangles int16 [898, 3], canonical points float32 [468, 3] and uv float32 [468, 2].

    Triangles wind counter-clockwise as seen from outside the face. Points are in cm: x to the picture's right, y up,
    z towards the camera. uv runs 0..1 from the top left of the texture.
    """
    mesh = next(value for key, value in _fields(data) if key == 1)
    vertices = np.frombuffer(b"".join(value for key, value in _fields(mesh) if key == 3), "<f4").reshape(-1, 5)
    triangles = np.array([value for key, value in _fields(mesh) if key == 4], np.int16).reshape(-1, 3)
    return triangles, vertices[:, :3].copy(), vertices[:, 3:].copy()


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protobuf message: key and value; numbers as int, all else as bytes."""
    at = 0

    def number() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            value |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or number()
            yield key >> 3, data[at : at + size]
            at += size


def _expect(path: Path, data: bytes, sha256: str) -> bytes:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelError(f"{path} is not the file that this conversion was made for (sha256 differs)")
    return data


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        write_models(*map(Path, sys.argv[1:]))
    except (DoppelcamError, OSError) as error:
        sys.exit(str(error))
