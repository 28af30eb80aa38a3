"""Step 3: the teacher, a swapper at its slowest and best, puts the face on in every frame that is learnt from.

Where there is the persona's own footage, nobody teaches: each face is taken as it is (itself.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import cv2
import numpy as np

from engines.engine import Array
from engines.errors import BadInput, DoppelcamError, EngineLost
from export.teach.pairs import Pairs, stored_px
from live.align import cut_fine
from live.align.landmarks import landmarks
from live.app import parts_of
from live.blenders.feather import Feather
from live.fit.known import COLUMNS, look_of
from live.frame import Captured, Face, Floats, Image, Mask, Patch, Persona
from live.guard import covers_face, glimpse, still_bare
from live.models import FOOTAGE, PERSONAL
from live.parts import Parts, Source, Swapper
from live.personas import choose
from live.run import read_run
from live.teach.faces import LEAST, Seen, all_pictures
from live.teach.itself import Itself
from live.teach.looks import CROP
from live.teach.pieces import Pieces
from live.teach.told import told_of
from live.teach.workshop import Workshop

TEACHERS = ("auto", "mesh", "one_photo", "trained")
A_PIECE = 32  # frames
IN_FRONT = "something in front of the face"
_MOST_HIDDEN = 0.01  # of the new face
_RUN_UP = 15  # frames that a teacher draws again before it goes on where it was interrupted: it remembers
_TRIES, _MOST_FAILED = 64, 0.5  # after so many frames: the part of them that may fail

Tell = Callable[[int, int], None]
"""Gets how many frames are done, and of how many."""


def teacher_of(workshop: Workshop) -> Parts:
    """The teacher, with all that a run of it has; not opened. Where footage teaches, a swapper that wears the face.

    Raises BadInput, ModelError and NotAvailable.
    """
    if workshop.teacher not in (*TEACHERS, FOOTAGE):
        raise BadInput(f"there is no teacher {workshop.teacher!r}", hint=f"choose one of: {', '.join(TEACHERS)}")
    if not workshop.face:
        raise BadInput("which face shall be put on?", hint="--face PICTURE, one of your faces, or sample")
    model = choose(workshop.face).model
    if model is not None and model.family == PERSONAL:
        raise BadInput(
            f"{workshop.face!r} is itself a personal engine, and would teach what it learnt",
            hint="give the face that it was taught, or a better teacher's model",
        )
    if model is not None and workshop.teacher == FOOTAGE:
        raise BadInput(
            f"{workshop.face!r} is a trained model, which has no portrait",
            hint="--face PICTURE of the persona, or one of your faces",
        )
    swapper = "mesh" if workshop.teacher == FOOTAGE else workshop.teacher
    flags = {"face": workshop.face, "model": workshop.model or None, "swapper": swapper}
    pairs = ["swappers.mesh.grain=false", "swappers.one_photo.enhance_every=1", *workshop.settings]
    return parts_of(read_run(None, pairs, {**flags, "source": "sample", "sink": "null"}))


@dataclass(frozen=True, slots=True)
class Made:
    """What came of the frames: how many `pairs` there are, and how many were left out, by the reason."""

    pairs: int
    left_out: dict[str, int]


def make_targets(
    swapper: Swapper, persona: Persona, source: Source, seen: Seen, size: int, pieces: Pieces, tell: Tell
) -> None:
    """Let this swapper, which is open and wears the persona, draw all frames that are in no piece yet, in order.

    Raises BadInput: too many frames fail, the face may not be worn any more, a full disk; EngineLost; what the source
    raises.
    """
    rows = seen.fit
    done, fresh, failed = len(pieces) * A_PIECE, 0, Counter[str]()
    first = max(0, done - _RUN_UP)
    kept = list[_Lesson]()
    for at, (row, captured) in enumerate(of_these(source, seen, rows[first:]), first):
        lesson = _lesson(swapper, captured, seen.faces[row], size)
        if at < done:
            continue
        kept.append(lesson)
        fresh += 1
        failed[lesson.why] += bool(lesson.why and lesson.why != IN_FRONT)
        if fresh >= _TRIES and failed.total() > _MOST_FAILED * fresh:
            reason, _ = failed.most_common(1)[0]
            raise BadInput(
                f"the teacher failed on {failed.total()} of {fresh} frames: {reason}",
                hint="try another teacher, or another portrait: doppelcam bench look CLIP FACE shows what it makes",
            )
        if len(kept) == A_PIECE or at + 1 == len(rows):
            if why := persona.why_not():
                raise BadInput(f"{persona.name!r} cannot be worn any more: {why}")
            pieces.add(**_packed(kept, size))
            kept = []
        tell(at + 1, len(rows))


def of_these(source: Source, seen: Seen, rows: list[int]) -> Iterator[tuple[int, Captured]]:
    """Each of the rows with its picture. Raises BadInput where a picture is not there any more."""
    with closing(all_pictures(source)) as pictures:
        numbered = enumerate(pictures)
        for row in rows:
            captured = next((one for number, one in numbered if number == seen.numbers[row]), None)
            if captured is None:
                raise BadInput("the footage has fewer pictures than before", hint="--again takes its faces anew")
            yield row, captured


def read_made(pieces: Pieces) -> Made:
    """What came of `make_targets`. Raises BadInput."""
    left_out = Counter[str]()
    pairs = 0
    for piece in pieces:
        left_out.update(str(why) for why in piece["why"] if why)
        pairs += len(piece["faces"])
    return Made(pairs, dict(left_out.most_common()))


def demand_enough(made: Made, least: int = LEAST) -> None:
    """Raise BadInput where there are too few lessons."""
    if made.pairs < least:
        told = ", ".join(f"{count} {why}" for why, count in made.left_out.items())
        raise BadInput(
            f"the teacher made only {made.pairs} pictures, {least} are needed; left out: {told}",
            hint="more footage: doppelcam teach more NAME --source CLIP; or another teacher",
        )


def read_pairs(shelves: list[Pieces]) -> tuple[Pairs, Floats]:
    """All lessons of these footages, and how the wearer looked in each: float32 [n, 6] (live/fit/known.py).

    Raises BadInput.
    """
    parts = [piece for pieces in shelves for piece in pieces]
    if not parts:
        raise BadInput("there are no lessons yet", hint="doppelcam teach targets NAME")
    faces, targets, masks, looks = (
        np.concatenate([part[key] for part in parts]) for key in ("faces", "targets", "masks", "looks")
    )
    return Pairs(faces, targets, masks), looks


def read_own(shelves: list[tuple[Pieces, Seen]]) -> tuple[Pairs, Floats]:
    """As `read_pairs`, of footages of one person, whose own face is the target; told what it does."""
    pairs, looks = read_pairs([pieces for pieces, _ in shelves])
    faces = list[Face]()
    for pieces, seen in shelves:
        whys = np.concatenate([piece["why"] for piece in pieces])
        faces += [seen.faces[row] for row, why in zip(seen.fit, whys, strict=True) if not why]
    return Pairs(pairs.faces, pairs.faces, pairs.masks, told_of(faces)), looks


@dataclass(frozen=True, slots=True)
class _Lesson:
    """One frame: `pair` is face, target and mask; None where `why` says why it is left out."""

    why: str
    pair: tuple[Image, Image, Mask] | None
    look: Floats


def _lesson(swapper: Swapper, captured: Captured, face: Face, size: int) -> _Lesson:
    image = captured.image
    look = look_of(image, face)
    try:
        patch = swapper.swap(image, face)
    except EngineLost:
        raise
    except DoppelcamError as error:
        return _Lesson(error.message, None, look)
    except Exception as error:  # as the loop's: a swapper's fault costs this frame only
        return _Lesson(f"{type(error).__name__}: {error}", None, look)
    if patch.hidden is not None and float((patch.hidden > 127).mean()) > _MOST_HIDDEN:
        return _Lesson(IN_FRONT, None, look)
    if not covers_face(face, patch, image):
        return _Lesson("the new face does not cover the face", None, look)
    target = image.copy()
    Feather(soften=0).blend(target, face, patch)
    if not isinstance(swapper, Itself) and still_bare(patch, glimpse(patch, image), target):
        return _Lesson("the new face is the old one", None, look)
    return _Lesson("", _pair(image, target, face, patch, size), look)


def _pair(image: Image, target: Image, face: Face, patch: Patch, size: int) -> tuple[Image, Image, Mask]:
    """What is learnt from this frame, as in export/teach/pairs.py, for a net of `size` px."""
    assert face.mesh is not None, "faces of lessons have one"
    matrix = CROP.matrix(landmarks(face.mesh), size)
    matrix[:, 2] += size / 8
    side = stored_px(size)
    alpha = np.zeros(image.shape[:2], np.uint8)
    rows, columns = patch.alpha.shape
    alpha[patch.y : patch.y + rows, patch.x : patch.x + columns] = patch.alpha
    mask = cut_fine(alpha, matrix, side, border=cv2.BORDER_CONSTANT)
    # The face as a net that is worn gets it; what it shall draw as sharp as it is.
    return cut_fine(image, matrix, side), cut_fine(target, matrix, side, cv2.INTER_CUBIC), mask


def _packed(lessons: list[_Lesson], size: int) -> dict[str, Array]:
    side = stored_px(size)
    pairs = [lesson.pair for lesson in lessons if lesson.pair is not None]

    def of(which: int, *shape: int) -> Array:
        return np.array([pair[which] for pair in pairs], np.uint8).reshape(len(pairs), side, side, *shape)

    looks = [lesson.look for lesson in lessons if lesson.pair is not None]
    return {
        "why": np.array([lesson.why for lesson in lessons], np.str_),
        "faces": of(0, 3),
        "targets": of(1, 3),
        "masks": of(2),
        "looks": np.array(looks, np.float32).reshape(len(looks), len(COLUMNS)),
    }
