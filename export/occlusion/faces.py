"""Cuts faces, hands and textures out of openpeople's pictures of synthetic people, to paint occluded faces with.

The pictures are those of PyPI `openpeople` 0.1.2 (MIT). Faces are found with the shipped detector and mesh.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.card import read_card
from engines.door import open_engine
from engines.engine import Engine

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

FACE_PX = 256
ZOOM = 2.0  # a crop is this many times as wide as the face in it
PICTURES = ("studio_portrait", "amateur_selfie", "studio_posture", "amateur_posture")
SHEET = "emotions_sheet"  # 4 x 4 pictures of one framing
LEFT_OUT = ("P003", "P004/amateur_selfie")  # resembles an actress; a hand at the jaw


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """A face in a crop: `image` u8 [256, 256, 3] BGR, `mesh` float32 [468, 2] in its pixels.

    `name` is the picture's: the person's number, the picture's, for a sheet also row and column.
    """

    name: str
    image: Image
    mesh: Floats

    @property
    def person(self) -> str:
        return self.name.split("/")[0]


class Cutter:
    """The detector and the mesh net of live/models, run on still pictures."""

    def __init__(self, models: Path) -> None:
        self._detector: Engine = open_engine(read_card(models / "face_detector"))
        self._mesh: Engine = open_engine(read_card(models / "face_mesh"))
        self._anchors = np.array(
            [
                ((x + 0.5) / n, (y + 0.5) / n)
                for n, each in ((16, 2), (8, 6))
                for y in range(n)
                for x in range(n)
                for _ in range(each)
            ]
        )

    def cut(self, name: str, image: Image) -> FaceCrop | None:
        """The best face of a picture; None if there is none."""
        mesh = self.find(image)
        if mesh is None:
            return None
        matrix = square_around(mesh, FACE_PX, ZOOM)
        crop = shrink(image, matrix, FACE_PX)
        return FaceCrop(name, crop, (mesh @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32))

    def find(self, image: Image) -> Floats | None:
        """Mesh float32 [468, 2] of the best face, in picture pixels."""
        height, width = image.shape[:2]
        side = max(height, width)
        canvas = np.zeros((side, side, 3), np.uint8)
        canvas[:height, :width] = image
        answer = self._detector.run({"image": cv2.resize(canvas, (128, 128), interpolation=cv2.INTER_AREA)})
        best = int(answer["scores"].argmax())
        if answer["scores"][best] < 0:
            return None
        box = answer["boxes"][best]
        corner = (box[:2] / 128 + self._anchors[best]) * side
        reach = 0.8 * float(box[2:4].max()) / 128 * side
        mesh = np.array([corner - reach / 2, corner + reach / 2], np.float32)
        matrix = square_around(mesh, 192, 1.5, level=False)
        for _ in range(4):
            answer = self._mesh.run({"image": shrink(image, matrix, 192)})
            if answer["presence"][0] < 0:
                return None
            inverse = cv2.invertAffineTransform(matrix)
            mesh = (answer["points"][:, :2] @ inverse[:, :2].T + inverse[:, 2]).astype(np.float32)
            matrix = square_around(mesh, 192, 1.5)
        return mesh


def square_around(mesh: Floats, size: int, zoom: float, level: bool = True) -> Floats:
    """The 2x3 matrix from the picture to a square around the points with level eyes, as live.align.crop_around."""
    low, high = mesh.min(0), mesh.max(0)
    eyes = mesh[263] - mesh[33] if level else np.array([1.0, 0.0])
    scale = size / (zoom * float((high - low).max()))
    cos, sin = scale * eyes / np.hypot(*eyes)
    turn = np.array([[cos, sin], [-sin, cos]])
    shift = (size - 1) / 2 - turn @ ((low + high) / 2)
    return np.hstack([turn, shift[:, None]]).astype(np.float32)


def shrink(image: Image, matrix: Floats, size: int) -> Image:
    """The crop, from a smaller copy of the picture where the crop is much coarser, so that it does not alias."""
    matrix = matrix.copy()
    while np.hypot(matrix[0, 0], matrix[1, 0]) < 0.6:
        image = cv2.pyrDown(image)  # type: ignore[assignment]
        matrix[:, :2] *= 2
    return cv2.warpAffine(  # type: ignore[return-value]
        image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def cut_people(openpeople: Path, models: Path) -> list[FaceCrop]:
    """All faces of all people: `openpeople` is the unpacked package, `models` doppelcam's live/models."""
    cutter = Cutter(models)
    faces: list[FaceCrop] = []
    for folder in sorted((openpeople / "data" / "curated").iterdir()):
        if folder.name in LEFT_OUT:
            continue
        for picture in PICTURES:
            name = f"{folder.name}/{picture}"
            image = cv2.imread(str(folder / "assets" / f"{picture}.jpg"))
            face = None if image is None or name in LEFT_OUT else cutter.cut(name, image)  # type: ignore[arg-type]
            if face is not None:
                faces.append(face)
        sheet = cv2.imread(str(folder / "assets" / f"{SHEET}.jpg"))
        if sheet is not None:
            faces += cut_sheet(cutter, folder.name, sheet)  # type: ignore[arg-type]
    return faces


def cut_sheet(cutter: Cutter, person: str, sheet: Image) -> list[FaceCrop]:
    """The faces of an expression sheet. Its frames are not quite on a grid: windows of about a cell look for them."""
    height, width = sheet.shape[:2]
    faces = []
    for row in range(4):
        for column in range(4):
            x, y = int(column * width / 4), int((row + 0.1) * height / 4.2)
            cell = sheet[y : y + int(height / 4), x : x + width // 4]
            face = cutter.cut(f"{person}/{SHEET}/{row}{column}", np.ascontiguousarray(cell))
            if face is not None:
                faces.append(face)
    return faces


def mix_people(faces: list[FaceCrop], count: int, rng: np.random.Generator) -> list[FaceCrop]:
    """More people: two faces warped to a shape between theirs, and blended unlike from place to place."""
    bare = [face for face in faces if face.name not in HANDS]
    size = (FACE_PX, FACE_PX)
    mixed: list[FaceCrop] = []
    while len(mixed) < count:
        one, other = (bare[int(rng.integers(len(bare)))] for _ in range(2))
        if one.person == other.person:
            continue
        shape = (one.mesh + rng.uniform(0.1, 0.6) * (other.mesh - one.mesh)).astype(np.float32)
        pictures = [warp(face.image, face.mesh, shape).astype(np.float32) for face in (one, other)]
        face = np.zeros(size, np.uint8)
        cv2.fillConvexPoly(face, cv2.convexHull(np.round(shape).astype(np.int32)), 1)
        tones = [np.median(picture[face > 0], axis=0) for picture in pictures]
        gain = (tones[0] / np.maximum(tones[1], 8)) ** rng.uniform(0, 1)
        inner = cv2.GaussianBlur(cv2.erode(face, np.ones((25, 25), np.uint8)).astype(np.float32), (0, 0), 6)
        patches = cv2.resize(rng.uniform(0, 1, (4, 4)), size, interpolation=cv2.INTER_CUBIC)
        share = (inner * np.clip(2 * patches - 0.5, 0, 1))[..., None]
        image = np.clip(pictures[0] * (1 - share) + pictures[1] * gain * share, 0, 255).astype(np.uint8)
        mixed.append(FaceCrop(f"{one.person}/with/{other.name}", image, shape))
    return mixed


def warp(image: Image, mesh: Floats, shape: Floats) -> Image:
    """The crop with its `mesh` moved to `shape`; between and beyond the points the move is averaged smoothly."""
    coarse, scale = 64, FACE_PX / 64
    move = np.zeros((coarse, coarse, 3), np.float32)
    at = np.clip(np.round(shape / scale), 0, coarse - 1).astype(int)
    np.add.at(move, (at[:, 1], at[:, 0]), np.hstack([mesh - shape, np.ones((len(mesh), 1), np.float32)]))
    near, far = (cv2.GaussianBlur(move, (0, 0), sigma) for sigma in (1.5, 10.0))
    blurred = near + 0.02 * far
    field = cv2.resize(blurred[..., :2] / (blurred[..., 2:] + 1e-5), (FACE_PX, FACE_PX))
    y, x = np.indices((FACE_PX, FACE_PX)).astype(np.float32)
    return cv2.remap(  # type: ignore[return-value]
        image, x + field[..., 0], y + field[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


# Where a hand is in front of the face: its outline in the crop, traced by eye. These are no clean faces.
HANDS: dict[str, tuple[str, ...]] = {
    "P001/emotions_sheet/22": (
        "103,186 116,180 133,180 146,185 153,194 161,202 162,215 159,232 157,247 126,246 127,234 119,227 106,240 "
        "99,241 98,227 101,212 105,205 121,195 129,192 111,190",
    ),
    "P002/emotions_sheet/22": (
        "94,170 101,173 107,185 108,196 119,194 138,179 153,171 166,169 167,175 153,183 143,190 157,195 161,207 "
        "159,222 94,225 91,212 94,197 95,183",
    ),
    "P002/emotions_sheet/30": (
        "68,179 75,182 81,194 82,205 99,194 111,180 121,165 130,154 136,151 137,158 147,151 153,153 152,162 158,165 "
        "158,173 151,188 159,188 161,194 148,212 146,218 69,218 71,205 72,194",
    ),
    "P004/emotions_sheet/22": (
        "95,174 103,177 109,190 110,200 115,194 130,177 146,174 161,180 165,188 161,192 146,188 157,195 161,205 "
        "159,212 160,231 101,231 94,220 99,197 96,185",
    ),
    "P005/emotions_sheet/22": (
        "101,171 110,180 116,195 117,205 130,190 141,181 158,180 171,185 175,194 171,197 158,194 171,205 172,212 "
        "175,227 177,242 173,255 82,255 94,227 101,207 101,193 97,180",
    ),
    "P006/emotions_sheet/22": (
        "97,174 104,177 110,190 110,195 119,194 133,183 148,175 166,175 169,180 158,185 148,188 157,196 161,205 "
        "161,215 95,208 96,197 99,188",
    ),
    "P008/emotions_sheet/22": (
        "92,171 99,174 105,185 104,203 117,194 133,181 151,174 165,172 171,175 170,181 157,185 145,192 159,195 "
        "166,201 165,209 167,215 165,223 170,229 169,239 155,241 121,235 81,230 85,217 87,207 93,197 94,183",
    ),
    "P009/emotions_sheet/22": (
        "100,178 104,179 110,189 111,195 117,187 129,179 139,180 149,187 156,199 154,203 141,199 150,203 151,215 "
        "150,229 147,241 139,247 129,237 121,255 80,255 91,237 97,225 97,213 101,203 101,191",
    ),
    "P010/emotions_sheet/22": (
        "93,172 98,174 105,185 106,193 113,192 129,181 147,174 163,174 165,179 155,185 141,192 151,197 154,203 "
        "157,213 159,225 158,230 89,220 91,209 95,193 95,183",
    ),
    "P010/emotions_sheet/31": (
        "71,103 75,103 79,106 79,114 84,124 90,127 95,129 101,145 105,161 109,181 115,207 83,208 80,193 77,173 "
        "75,157 71,137 71,116",
        "175,102 179,101 182,104 181,120 179,141 175,161 173,181 171,208 136,208 138,189 145,169 151,149 155,133 "
        "159,124 165,124 169,116",
    ),
}


def hand_mask(name: str) -> Floats:
    """0..1 float32 [256, 256]: the hands in the crop of this name; all 0 for a clean face."""
    mask = np.zeros((FACE_PX, FACE_PX), np.uint8)
    for outline in HANDS.get(name, ()):
        points = np.array([pair.split(",") for pair in outline.split()], np.int32)
        cv2.fillPoly(mask, [points], 255)
    return (cv2.GaussianBlur(mask, (0, 0), 1.0) / 255).astype(np.float32)


def cut_textures(openpeople: Path, faces: list[FaceCrop], rng: np.random.Generator) -> list[Image]:
    """Squares u8 [128, 128, 3] of rooms, trees and clothes from the amateur pictures of the people in `faces`."""
    textures = []
    for person in sorted({face.person for face in faces}):
        for picture in ("amateur_selfie", "amateur_posture", "studio_posture"):
            image = cv2.imread(str(openpeople / "data" / "curated" / person / "assets" / f"{picture}.jpg"))
            if image is None:
                continue
            height, width = image.shape[:2]
            for _ in range(12):
                side = int(rng.uniform(0.06, 0.25) * min(height, width))
                # The middle of the upper half may hold the face.
                x, y = int(rng.uniform(0, width - side)), int(rng.uniform(0, height - side))
                if 0.2 < (x + side / 2) / width < 0.8 and (y + side / 2) / height < 0.6:
                    continue
                textures.append(cv2.resize(image[y : y + side, x : x + side], (128, 128), interpolation=cv2.INTER_AREA))
    return textures  # type: ignore[return-value]
