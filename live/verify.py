"""Did a video come from doppelcam, where in it, and when was it made? What `doppelcam verify` tells, as data."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engines.errors import BadInput, NotAvailable, SourceLost
from live import credentials
from live.marks.watermark.detector import FOUND, FOUND_BY_SEARCH
from live.marks.watermark.watch import Stretch, Watch
from live.parts import SOURCES, EndOfSource, Source
from live.pictures import SUFFIXES, read_picture
from live.session import run_of

FALSE_POSITIVES = "under 1 in 10,000 windows of two seconds (pytest -m soak tests/live/marks/watermark)"


def inspect_file(path: Path) -> dict[str, Any]:
    """What is found in a video or picture file, as a tree for JSON. Raises BadInput."""
    watch = Watch()
    path = path.expanduser()
    if path.suffix.lower() in SUFFIXES:
        watch.add(read_picture(path), 0.0)
        stretches, length_s = watch.finish(), 0.0
    else:
        source = SOURCES.load("video_file")(str(path), paced=False)
        length_s = _follow(source, watch, float("inf"))
        stretches = watch.finish()
    tree = _tree(str(path), watch, stretches, length_s)
    tree["aigc_label"] = credentials.read_aigc(path)
    try:
        signed = credentials.read(path)
        tree["credentials"] = None if signed is None else asdict(signed)
    except NotAvailable as error:
        tree["credentials"], tree["credentials_unread"] = None, f"{error.message} ({error.hint})"
    if signed_by_us(tree["credentials"]):
        tree["from_doppelcam"] = True
    return tree


def inspect_camera(name: str, seconds: float) -> dict[str, Any]:
    """What a camera shows for so long, as a tree for JSON. Raises BadInput and NotAvailable."""
    watch = Watch()
    length_s = _follow(SOURCES.load("camera")(name), watch, seconds)
    return _tree(f"camera {name}", watch, watch.finish(), length_s)


def signed_by_us(signed: dict[str, Any] | None) -> bool:
    """Is this a whole signature that names doppelcam? Anybody may write the name: `state` tells who vouches for it."""
    return signed is not None and signed["state"] != "Invalid" and signed["made_with"].startswith("doppelcam ")


def _follow(source: Source, watch: Watch, seconds: float) -> float:
    """Show the watch what the source gives; how many seconds that were."""
    at_s = first_s = None
    try:
        source.open()
        with suppress(EndOfSource, SourceLost):  # a damaged video is judged by what can be read of it
            while True:
                captured = source.read()
                at_s = captured.position_s
                first_s = at_s if first_s is None else first_s
                if at_s - first_s > seconds:
                    break
                watch.add(captured.image, at_s)
    finally:
        source.close()
    if at_s is None or first_s is None:
        raise BadInput("there is no picture to look at", hint="is the camera covered or the video damaged?")
    return at_s - first_s


def _tree(name: str, watch: Watch, stretches: list[Stretch], length_s: float) -> dict[str, Any]:
    return {
        "looked_at": name,
        "seconds": round(length_s, 2),
        "from_doppelcam": bool(stretches),
        "watermark": {
            "best_score": round(watch.best, 2),
            "threshold": FOUND,
            "threshold_of_a_part": FOUND_BY_SEARCH,
            "false_positives": FALSE_POSITIVES,
            "stretches": [_stretch(stretch) for stretch in stretches],
        },
    }


def _stretch(stretch: Stretch) -> dict[str, Any]:
    said: dict[str, Any] = {
        "from_s": round(stretch.from_s, 2),
        "to_s": round(stretch.to_s, 2),
        "score": round(stretch.score, 2),
        "whole_picture": stretch.place.stretched,
        "mirrored": stretch.place.mirrored,
    }
    payload = stretch.payload
    if payload is not None:
        said["session"] = f"{payload.session:06x}"
        said["version"] = "{}.{}".format(*payload.version)
        said["begun_in_hour"] = payload.begun.isoformat(timespec="minutes")
        own = run_of(payload.session)
        if own is not None:
            said["own_session"] = {key: own[key] for key in ("started", "ended") if key in own}
    return said
