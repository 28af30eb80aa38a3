"""Step 1: the camera's pictures while the wearer does what the script says, sealed as they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engines.errors import BadInput, SourceLost
from engines.store import check_room
from live.frame import Face
from live.parts import EndOfSource, Finder, NothingYet, Source
from live.sealed import SealedWriter
from live.session_file import Recorder
from live.teach.pieces import cannot_write
from live.teach.script import Step, script, step_at

_LEAST_S = 20.0  # worth keeping where it was broken off
_LOOK_S = 0.5  # between two looks whether a face is there
_PACKED = 0.5  # of a picture's bytes


@dataclass(frozen=True, slots=True)
class Now:
    """How far a recording is. `seen`: a face was found in the last picture that was looked at."""

    at_s: float
    of_s: float
    step: Step
    seen: bool


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of it. `lost`: pictures that the disk or the processor was too slow for; `whole`: to the end."""

    seconds: float
    pictures: int
    lost: int
    whole: bool


def record(source: Source, finder: Finder, path: Path, seconds: float, tell: Callable[[Now], None]) -> Recorded:
    """Record so many seconds of this source, which is opened and closed here; `finder` is an opened one.

    Ctrl-C and a camera that goes away end it: from 20 seconds on what came until then is kept. Raises BadInput and
    what the source raises, and leaves no file then.
    """
    part = path.with_suffix(".part")
    recorder = Recorder(source, SealedWriter(part), {"run": {}})
    try:
        format = recorder.open()
        try:
            check_room(path.parent, int(format.width * format.height * 3 * format.fps * seconds * _PACKED))
            at_s, whole = _watch(recorder, finder, seconds, tell)
        finally:
            recorder.close()
            recorder.finish()
        if not whole and at_s < _LEAST_S:
            raise BadInput(
                f"the recording ended after {at_s:.0f} seconds, too few to learn from",
                hint="doppelcam teach record NAME records again; about 100 seconds are good",
            )
        recorder.writer.close()
        part.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        part.unlink(missing_ok=True)
    return Recorded(at_s, recorder.written, recorder.lost, whole)


def _watch(recorder: Recorder, finder: Finder, seconds: float, tell: Callable[[Now], None]) -> tuple[float, bool]:
    """The seconds that were recorded, and whether that is all."""
    steps, faces, at_s = script(seconds), list[Face](), 0.0
    first_s: float | None = None
    looked_s = -_LOOK_S
    try:
        while at_s < seconds:
            try:
                captured = recorder.read()
            except NothingYet:
                continue
            first_s = captured.position_s if first_s is None else first_s
            at_s = captured.position_s - first_s
            if at_s - looked_s >= _LOOK_S:
                looked_s = at_s
                faces = finder.find(captured.image, [])
            tell(Now(at_s, seconds, step_at(steps, at_s), bool(faces)))
    except (EndOfSource, SourceLost, KeyboardInterrupt):
        return at_s, False
    return at_s, True
