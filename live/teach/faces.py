"""Step 2: in which frames there is a face that can be learnt from, frame by frame as the loop finds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.engine import Array
from engines.errors import BadInput
from live.cast import Roles
from live.frame import STRANGER, Captured, Face, Floats, Image
from live.parts import EndOfSource, Finder, NothingYet, Source
from live.teach.looks import BLURRED, REASONS, THUMB_PX, Look, blurred, look, spread_out
from live.teach.pieces import Pieces
from live.track import Tracks

A_PIECE = 256  # frames
LEAST, MOST = 150, 3000  # frames that are learnt from
LEAST_PHOTOS = 40  # photos, which are less alike
_RUN_UP = 12  # frames that a finder sees before it goes on where it was interrupted
_TWO = 10  # frames with two people are no mistake of the finder's any more
NO_FACE = "no face"

Tell = Callable[[int], None]
"""Gets the number of frames that were seen so far."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a footage of so many frames and seconds. Of those with a face, in order: `numbers`, from 0; the
    faces; an index of looks.REASONS; the crop's side in pixels; small pictures u8 [n, THUMB_PX, THUMB_PX, 3].
    """

    frames: int
    seconds: float
    numbers: Array
    faces: list[Face]
    reasons: Array
    crop_px: Floats
    thumbs: Image

    @property
    def fit(self) -> list[int]:
        """Which of the rows are learnt from, in order."""
        good = np.flatnonzero(self.reasons == 0)
        return [int(good[k]) for k in spread_out(self.thumbs[good], MOST)]

    @property
    def left_out(self) -> dict[str, int]:
        """How many frames cannot be learnt from, by the reason, the most frequent first."""
        counts = Counter({NO_FACE: self.frames - len(self.numbers)})
        counts.update(REASONS[int(reason)] for reason in self.reasons if reason)
        return {reason: count for reason, count in counts.most_common() if count}


def find_faces(source: Source, finder: Finder, who: str, pieces: Pieces, tell: Tell, apart: bool = False) -> None:
    """Look at every frame of this source, which is opened and closed here, from the first that is in no piece on.

    `who` and `apart` as in Footage. Raises BadInput: two people though `who` says nothing, a full disk; what source and
    finder do.
    """
    (tracks, roles), start = _followed(who), len(pieces) * A_PIECE
    rows: list[tuple[int, Face, Look]] = []
    number, begun, crowds = -1, start, list[float]()
    source.open()
    try:
        for number, captured in enumerate(_pictures(source)):
            tell(number + 1)
            if number < start - _RUN_UP:
                continue
            if apart:
                tracks, roles = _followed(who)
            found = finder.find(captured.image, tracks.faces)
            faces, _ = tracks.update(found, captured.position_s, captured.image)
            faces = roles.cast(faces, captured.image, captured.position_s)
            here = [face for face in faces if not face.missed and face.role != STRANGER and face.mesh is not None]
            if len(here) > 1:
                crowds.append(captured.position_s)
                if len(crowds) >= _TWO:
                    raise BadInput(
                        f"there are two people in the footage, at {crowds[0]:.1f} s for example: who is taught?",
                        hint="--who left, right or largest; or cut out a part in which you are alone",
                    )
            if number >= start and here:
                face = max(here, key=lambda one: one.box[3] - one.box[1])
                rows.append((number, face, look(captured.image, face)))
            if number + 1 == begun + A_PIECE:
                pieces.add(**_packed(rows, number + 1 - begun, captured.position_s))
                rows, begun = [], number + 1
        if number + 1 > begun:
            pieces.add(**_packed(rows, number + 1 - begun, captured.position_s))
    finally:
        source.close()


def _followed(who: str) -> tuple[Tracks, Roles]:
    roles = Roles()
    roles.whos = (who or "everyone",)
    return Tracks(), roles


def read_faces(pieces: Pieces) -> Seen:
    """What `find_faces` kept. Raises BadInput."""
    parts = list(pieces)
    if not parts:
        raise BadInput("no faces have been looked for yet", hint="doppelcam teach faces NAME")
    rows = [key for key, array in parts[0].items() if array.ndim]
    whole: dict[str, Array] = {key: np.concatenate([part[key] for part in parts]) for key in rows}
    reasons = whole["reasons"].copy()
    reasons[blurred(whole["sharp"], reasons)] = BLURRED
    faces = [_face(whole, k) for k in range(len(reasons))]
    frames = sum(int(part["frames"]) for part in parts)
    return Seen(
        frames, float(parts[-1]["seconds"]), whole["numbers"], faces, reasons, whole["crop_px"], whole["thumbs"]
    )


def demand_enough(seen: Seen, sheet: Path, least: int = LEAST, option: str = "--source") -> None:
    """Raise BadInput where there is too little to learn from; `sheet` shows what there is, `option` gives other."""
    fit = int((seen.reasons == 0).sum())
    if fit >= least:
        return
    told = ", ".join(f"{count} {reason}" for reason, count in seen.left_out.items()) or "there are no more"
    raise BadInput(
        f"only {fit} of {seen.frames} frames show a face that can be learnt from, {least} are needed: {told}",
        hint=f"{sheet} shows them; give other footage with --again {option}: a minute or two in good light, the whole "
        "face in the picture",
    )


def all_pictures(source: Source) -> Generator[Captured, None, None]:
    """Opens the source, and closes it at the end."""
    source.open()
    try:
        yield from _pictures(source)
    finally:
        source.close()


def _pictures(source: Source) -> Iterator[Captured]:
    while True:
        try:
            yield source.read()
        except NothingYet:
            continue
        except EndOfSource:
            return


def _packed(rows: list[tuple[int, Face, Look]], frames: int, seconds: float) -> dict[str, Array]:
    n = len(rows)

    def of(shape: tuple[int, ...], kind: Any, values: list[Any]) -> Array:
        return np.array(values, kind).reshape(n, *shape)

    unread = np.full((2, 3), np.nan, np.float32)
    faces, looks = [face for _, face, _ in rows], [seen for _, _, seen in rows]
    return {
        "frames": np.array(frames),
        "seconds": np.array(seconds),
        "numbers": of((), np.int64, [number for number, _, _ in rows]),
        "points": of((5, 2), np.float32, [face.points for face in faces]),
        "mesh": of((468, 3), np.float32, [face.mesh for face in faces]),
        "irises": of((2, 3), np.float32, [unread if face.irises is None else face.irises for face in faces]),
        "pose": of((3,), np.float32, [face.pose for face in faces]),
        "score": of((), np.float32, [face.score for face in faces]),
        "track": of((), np.int64, [face.track for face in faces]),
        "reasons": of((), np.int64, [one.reason for one in looks]),
        "crop_px": of((), np.float32, [one.crop_px for one in looks]),
        "sharp": of((), np.float32, [one.sharp for one in looks]),
        "thumbs": of((THUMB_PX, THUMB_PX, 3), np.uint8, [one.thumb for one in looks]),
    }


def _face(arrays: dict[str, Array], k: int) -> Face:
    irises = arrays["irises"][k]
    yaw, pitch, roll = (float(value) for value in arrays["pose"][k])
    return Face(
        points=arrays["points"][k],
        mesh=arrays["mesh"][k],
        score=float(arrays["score"][k]),
        pose=(yaw, pitch, roll),
        track=int(arrays["track"][k]),
        irises=None if np.isnan(irises).any() else irises,
    )
