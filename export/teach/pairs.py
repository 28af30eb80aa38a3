"""What a personal engine is taught from: pictures of the wearer's face, and what a slow teacher made of each.

Or those of two people, each of whom is their own teacher.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SIZES = (128, 192, 256)
CROP = ("full", "dfl33")
"""The crop that the net looks at, by its name in live/align/crops.py: it holds the whole new face and little else."""

TOLD = 182

_EXAM, _STRETCHES = 0.1, 5  # part of the footage that is never learned from, only asked about; in so many stretches

Pictures = npt.NDArray[np.uint8]


def stored_px(size: int) -> int:
    """The side of a stored picture: the net's crop with a margin of an eighth of its side all around, so that lessons
    can move, turn and scale it.
    """
    return size * 5 // 4


@dataclass(frozen=True, slots=True)
class Pairs:
    """In the footage's order: `faces` and `targets` u8 [n, s, s, 3] BGR, `masks` u8 [n, s, s], s = stored_px(size).

    A target is the face with the new one laid in, clean: no marks, no grain. A mask is what of it is the new face.
    `told` float32 [n, TOLD], where two people are learned from: what the face does, in numbers that mean the same for
    both, the last six of which are no way to move points (live/teach/told.py).
    """

    faces: Pictures
    targets: Pictures
    masks: Pictures
    told: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        n, side = self.faces.shape[:2]
        if self.faces.shape != (n, side, side, 3) or self.targets.shape != self.faces.shape:
            raise ValueError(f"pairs of pictures expected, got {self.faces.shape} and {self.targets.shape}")
        if self.masks.shape != (n, side, side):
            raise ValueError(f"a mask for each picture expected, got {self.masks.shape}")
        if self.told is not None and self.told.shape != (n, TOLD):
            raise ValueError(f"{TOLD} numbers for each picture expected, got {self.told.shape}")

    def __len__(self) -> int:
        return len(self.faces)

    def split(self) -> tuple[Pairs, Pairs]:
        """What is learned from, and what is only asked about: a few stretches of the footage."""
        asked = np.zeros(len(self), bool)
        for stretch in np.array_split(np.arange(len(self)), _STRETCHES):
            asked[stretch[len(stretch) - max(1, round(len(stretch) * _EXAM)) :]] = True
        return self._only(~asked), self._only(asked)

    def _only(self, which: npt.NDArray[np.bool_]) -> Pairs:
        told = None if self.told is None else self.told[which]
        faces = self.faces[which]
        return Pairs(faces, faces if self.targets is self.faces else self.targets[which], self.masks[which], told)


@dataclass(frozen=True, slots=True)
class Two:
    """The wearer's pictures and the persona's, each of which is its own target; both are told."""

    wearer: Pairs
    persona: Pairs
