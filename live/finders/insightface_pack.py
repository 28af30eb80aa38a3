"""Finds faces with the SCRFD detector of an InsightFace pack of the user's, and follows them with the mesh.

`doppelcam models add FOLDER` or `models pull buffalo_l` brings a pack; its ArcFace serves swaps and live/cast.py. The
package insightface is not needed. Its 106 points are not used: the mesh has more, and every swap knows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from live.detectors import detector_card
from live.finders._far_sighted import FarSighted


def available() -> None:
    """Raises NotAvailable where no such detector is installed."""
    detector_card("scrfd")


@dataclass
class InsightfacePack(FarSighted):
    """Finder with InsightFace's detector: small, far and turned faces too. Mostly not for commercial use."""

    family: ClassVar[str] = "scrfd"
