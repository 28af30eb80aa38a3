"""Finds faces with OpenCV's YuNet, a tiny detector under MIT, and follows them with the mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from live.detectors import detector_card
from live.finders._far_sighted import FarSighted


def available() -> None:
    """Raises NotAvailable where no such detector is installed."""
    detector_card("yunet")


@dataclass
class Yunet(FarSighted):
    """Finder with OpenCV's detector: small and far faces too."""

    family: ClassVar[str] = "yunet"
