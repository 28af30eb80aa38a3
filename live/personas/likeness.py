"""How like the face before the camera is to a portrait: by the user's own recogniser, else by looks alone.

By looks alone is weak. Both faces are laid on each other by five points; what all faces share (the mean of the shipped
portraits) is taken away; what is left of light, shade and colour is correlated. On five synthetic people the same one
scored 0.77 and more, others 0.41 and less, all in even light. Twins, make-up and a good mask it does not tell, nor does
it know somebody after ten years. A recogniser (any ArcFace that `doppelcam models add` knows) is far better.
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from engines.card import ModelCard
from live.align import cut_fine
from live.align.crops import five_point_matrix
from live.frame import Face, Image, View
from live.parts import Finder
from live.personas.portraits import sample_names, sample_view
from live.recogniser import Recogniser, installed, unit

_Vector = npt.NDArray[np.float32]
_SIDE_PX = 96
_PART = slice(10, 91), slice(12, 84)  # rows and columns without hair and background
_FINEST_PX, _COARSEST_PX = 2, 16  # detail below is noise, above is light
_COLOURS = (1.0, 1.5, 1.5)  # how much L, a and b count


class Likeness(Protocol):
    """Compares faces. `threshold`: from which score on, in the median of many pictures, it is held to be one person.
    `words` go into the record of how a consent was reached.
    """

    threshold: float
    words: str

    def features(self, image: Image, face: Face) -> _Vector:
        """float32 [n], of length 1."""

    def close(self) -> None: ...


def score(one: _Vector, other: _Vector) -> float:
    """-1 to 1."""
    return float(one @ other)


def best_likeness(finder: Finder) -> Likeness:
    """The user's recogniser where there is one; `finder` is an opened one. Raises like `open_engine`."""
    found = installed("recogniser")
    return Recognised(found[0]) if found else Looks([sample_view(name, finder) for name in sample_names()])


class Looks:
    """By looks alone; `others` are portraits of whoever, for what all faces share."""

    threshold = 0.55
    words = "looks alone, which is weak"

    def __init__(self, others: list[View]) -> None:
        self._mean = np.mean([_detail(view.image, view.face) for view in others], axis=0)

    def features(self, image: Image, face: Face) -> _Vector:
        rest = _detail(image, face) - self._mean
        return np.asarray(rest / (np.linalg.norm(rest) + 1e-6), np.float32)

    def close(self) -> None:
        pass


class Recognised:
    """By an ArcFace net."""

    threshold = 0.35  # of the cosine; a usual choice for ArcFace at few false matches

    def __init__(self, card: ModelCard) -> None:
        self.words = f"the recogniser {card.name}"
        self._net = Recogniser(card, "auto")

    def features(self, image: Image, face: Face) -> _Vector:
        return unit(self._net.vector(image, face.points))

    def close(self) -> None:
        self._net.close()


def _detail(image: Image, face: Face) -> _Vector:
    """float32 [n]: light, shade and colour of the face between fine and coarse, each channel in units of its own."""
    crop = cut_fine(image, five_point_matrix(face.points, "arcface_112_v2", _SIDE_PX), _SIDE_PX)
    lab = cv2.cvtColor(crop, cv2.COLOR_BGR2LAB).astype(np.float32)[_PART]
    band = cv2.GaussianBlur(lab, (0, 0), _FINEST_PX) - cv2.GaussianBlur(lab, (0, 0), _COARSEST_PX)
    band -= band.mean((0, 1))
    light = band[:, :, :1] / (band[:, :, :1].std() + 1e-3)
    channels = np.concatenate([light, band[:, :, 1:] / 6], 2) * np.array(_COLOURS)
    return np.asarray(channels.ravel(), np.float32)
