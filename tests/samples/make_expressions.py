"""Makes live/models/face_mesh/expressions.npz: the ways in which faces' muscles move the mesh, from synthetic people.

Needs an unpacked `openpeople` 0.1.2 wheel (synthetic people, MIT) and this repository:

    PYTHONPATH=. python tests/samples/make_expressions.py --openpeople DIR

Each person's expression sheet gives offsets from the own calm face, with the pose taken out; offsets and their mirror
images of five people are summed up by their principal components, as long as one standard deviation.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from live.finders.mediapipe_mesh import MediapipeMesh
from live.swappers.mesh.shape import Skull

PEOPLE = ("P001", "P002", "P004", "P007", "P009")  # the others are kept for judging
HAND_ON_CHIN = 10  # the picture called thoughtful
COMPONENTS = 4
FACE_MESH = Path(__file__).parents[2] / "live/models/face_mesh"


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--openpeople", type=Path, required=True, help="unpacked openpeople wheel")
    people = next(parser.parse_args().openpeople.rglob("curated"))
    topology = np.load(FACE_MESH / "topology.npz")
    skull = Skull(topology["canonical"], topology["triangles"].astype(np.int32))
    finder = MediapipeMesh()
    finder.open()
    offsets, calm_shapes = [], []
    for person in PEOPLE:
        portrait, sheet = (
            cv2.imread(str(people / person / "assets" / f"{name}.jpg"))
            for name in ("studio_portrait", "emotions_sheet")
        )
        height, width = sheet.shape[0] // 4, sheet.shape[1] // 4
        shapes = {}
        for cell in range(16):
            row, column = divmod(cell, 4)
            picture = sheet[row * height : (row + 1) * height, column * width : (column + 1) * width].copy()
            for face in finder.find(picture, [])[:1]:
                head = skull.head(face.mesh)
                if head.turn[2, 2] > 0.97 and cell != HAND_ON_CHIN:
                    shapes[cell] = head.shape(face.mesh)
        mesh = finder.find(portrait, [])[0].mesh
        calm = (skull.head(mesh).shape(mesh) + shapes[0]) / 2
        calm_shapes += [calm, skull.mirrored(calm)]
        for shape in shapes.values():
            offsets += [shape - calm, skull.mirrored(shape) - skull.mirrored(calm)]
    flat = np.reshape(offsets, (len(offsets), -1))
    _, size, way = np.linalg.svd(flat, full_matrices=False)
    ways = (way * size[:, None] / len(flat) ** 0.5)[:COMPONENTS].reshape(COMPONENTS, -1, 3)
    np.savez(
        FACE_MESH / "expressions.npz",
        calm=np.mean(calm_shapes, axis=0).astype(np.float32),
        ways=ways.astype(np.float32),
    )


if __name__ == "__main__":
    main()
