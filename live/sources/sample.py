"""The shipped sample: ten seconds of a synthetic person before a camera, who talks, turns and leaves for a moment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from live.settings import setting
from live.sources.video_file import VideoFile

CLIP = Path(__file__).parents[1] / "samples" / "camera.mp4"


@dataclass
class Sample(VideoFile):
    """Source: the sample clip."""

    path: str = setting(str(CLIP), "the sample clip")
