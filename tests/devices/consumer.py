"""A program that looks at a virtual camera: ffmpeg, with each frame's time codes, cover and face judged as it comes."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field

import numpy as np

from tests.devices import timecode
from tests.devices.clip import HEIGHT, WIDTH, faces, is_cover

BARE_BELOW = 6.0  # grey levels: the bare face differs by about 1, the swapped one by more than 12


@dataclass
class Shown:
    """One frame that arrived: when, what it is, the age of its code, and how far its face is from the bare one."""

    at_ms: int
    kind: str  # live, cover, torn, unreadable
    age_ms: int | None = None
    number: int | None = None
    difference: float | None = None


@dataclass
class Seen:
    """All frames of one stretch, in order."""

    frames: list[Shown] = field(default_factory=list)

    def of(self, *kinds):
        return [frame for frame in self.frames if frame.kind in kinds]

    @property
    def bare(self):
        return [f for f in self.frames if f.difference is not None and f.difference < BARE_BELOW]

    @property
    def fps(self):
        span_ms = self.frames[-1].at_ms - self.frames[0].at_ms
        return 1000 * (len(self.frames) - 1) / max(span_ms, 1)

    def fresh_fps(self):
        """Frames a second with new content."""
        live = self.of("live", "torn")
        fresh = len({(f.age_ms is not None and f.at_ms - f.age_ms) for f in live})
        return 1000 * fresh / max(self.frames[-1].at_ms - self.frames[0].at_ms, 1)

    def age_ms(self, percent):
        return float(np.percentile([f.age_ms for f in self.of("live")], percent))

    def longest_gap_ms(self):
        times = [f.at_ms for f in self.frames]
        return max(np.diff(times), default=0)

    def figures(self):
        return {
            "fps": round(self.fresh_fps(), 2),
            "age_p50_ms": self.age_ms(50),
            "age_p95_ms": self.age_ms(95),
            "frames": len(self.frames),
            "live": len(self.of("live")),
            "cover": len(self.of("cover")),
            "torn": len(self.of("torn")),
            "unreadable": len(self.of("unreadable")),
            "least_difference": round(min(f.difference for f in self.of("live")), 1),
        }


class Consumer:
    """Reads the device as a meeting program would, until `close()`."""

    def __init__(self, device):
        self._faces = faces()
        words = f"ffmpeg -loglevel error -fflags nobuffer -f v4l2 -i {device} -fps_mode passthrough -pix_fmt gray"
        self._process = subprocess.Popen([*words.split(), "-f", "rawvideo", "-"], stdout=subprocess.PIPE)

    def next(self):
        data = self._process.stdout.read(WIDTH * HEIGHT)
        if len(data) < WIDTH * HEIGHT:
            raise EOFError("the camera gives no more frames")
        self.luma = np.frombuffer(data, np.uint8).reshape(HEIGHT, WIDTH)
        return judge(self.luma, self._faces)

    def watch(self, seconds):
        """All frames of so many seconds."""
        seen, end = Seen(), time.monotonic() + seconds
        while time.monotonic() < end:
            seen.frames.append(self.next())
        return seen

    def until(self, kind, within_s):
        """All frames up to the first of this kind. Raises TimeoutError."""
        seen, end = Seen(), time.monotonic() + within_s
        while time.monotonic() < end:
            seen.frames.append(self.next())
            if seen.frames[-1].kind == kind:
                return seen
        kinds = {kind: len(seen.of(kind)) for kind in ("live", "cover", "torn", "unreadable")}
        raise TimeoutError(f"no {kind} frame within {within_s} s, but {kinds}")

    def close(self):
        self._process.kill()
        self._process.wait()


def judge(luma, faces):
    """What one picture u8 [720, 1280] shows."""
    now = timecode.now_ms()
    upper, lower = timecode.read(luma)
    if upper is None and lower is None:
        return Shown(now, "cover" if is_cover(luma) else "unreadable")
    if upper is None or lower is None or upper != lower:
        return Shown(now, "torn")
    at_ms, number = upper
    return Shown(now, "live", (now - at_ms) & 0xFFFFF, number, faces.difference(luma, number))
