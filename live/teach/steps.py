"""The steps of teaching in a workshop: what is done already is left, what comes of each is noted and can be looked at.

Each raises what went wrong as DoppelcamError, and may be interrupted anywhere: the next time it goes on from there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from engines.card import ModelCard
from engines.errors import BadInput, NotAvailable
from engines.own_file import write_own
from engines.plugins import import_failure
from engines.store import user_store
from export.teach.pairs import SIZES, Pairs, Two
from live.app import kind_of, opened_finder, source_of
from live.cast import each_of
from live.frame import Floats, Image, Persona
from live.models import FOOTAGE
from live.parts import Swapper
from live.personas.packs import fingerprint_of
from live.personas.taught import mark_own
from live.run import read_run
from live.teach import faces, record, targets
from live.teach.alike import demand_alike
from live.teach.engine import demand_allowed, face_of, facts_of, keep_portraits, licence_of, shared, whose
from live.teach.footage import PERSONA, RECORDED, Footage, open_footage
from live.teach.itself import Itself
from live.teach.pieces import cannot_write
from live.teach.sheet import lessons_of, rows_of, write_sheet
from live.teach.workshop import PREVIEW, Workshop

if TYPE_CHECKING:
    from export.teach.course import Progress

_FINE_ENOUGH = 0.7  # pixels of the net's crop for one of the frame
_QUICK_MS = 6.0  # a net that takes longer is made smaller


def record_footage(
    workshop: Workshop, number: int, source: str, seconds: float, tell: Callable[[record.Now], None]
) -> record.Recorded:
    """Step 1, for footage that is not recorded yet. `source` as --source."""
    with opened_finder() as finder:
        camera = source_of(read_run(None, [], {"source": source}))
        return record.record(camera, finder, workshop.room(number) / RECORDED, seconds, tell)


def take_faces(workshop: Workshop, number: int, tell: faces.Tell) -> Footage:
    """Step 2: find the faces in this footage."""
    footage = workshop.footage[number]
    if footage.faces:
        return footage
    with opened_finder() as finder:
        source = open_footage(footage, workshop.of(number))
        faces.find_faces(source, finder, footage.who, workshop.faces(number), tell, footage.apart)
    seen = faces.read_faces(workshop.faces(number))
    sheet = faces_sheet(workshop, number)
    write_sheet(sheet, rows_of(seen))
    faces.demand_enough(seen, sheet, _least(footage), "--persona" if footage.whose else "--source")
    footage.faces = {
        "frames": seen.frames,
        "seconds": seen.seconds,
        "fit": len(seen.fit),
        "left_out": seen.left_out,
        "crop_px": round(float(np.median(seen.crop_px[seen.reasons == 0])), 1),
    }
    workshop.save()
    return footage


def _least(footage: Footage) -> int:
    return faces.LEAST_PHOTOS if footage.apart else faces.LEAST


def teacher_and_face(workshop: Workshop) -> tuple[Swapper, Persona, dict[str, Any], list[bytes]]:
    """The teacher, not opened; who it puts on, and as `engine.whose` whose face that is. Raises DoppelcamError."""
    parts = targets.teacher_of(workshop)
    swapper = Itself() if workshop.teacher == FOOTAGE else parts.swapper
    with opened_finder() as finder:
        persona = parts.persona(finder)
        return swapper, persona, *whose(workshop.face, persona, finder)


def make_targets(workshop: Workshop, number: int, tell: targets.Tell) -> Footage:
    """Step 3: let the teacher put the face on; where footage teaches, take each one's own."""
    footage = workshop.footage[number]
    if not footage.faces:
        raise BadInput("no faces have been looked for yet", hint=f"doppelcam teach faces {workshop.name}")
    if footage.targets:
        demand_allowed(workshop)
        return footage
    swapper, persona, taught, pictures = teacher_and_face(workshop)
    seen = faces.read_faces(workshop.faces(number))
    if workshop.taught and workshop.taught != taught:
        raise BadInput(
            f"{workshop.face} shows another face than the lessons that are there",
            hint=f"doppelcam teach targets {workshop.name} --again makes them anew",
        )
    if footage.whose:
        with opened_finder() as finder:
            demand_alike(persona, open_footage(footage, workshop.of(number)), seen, finder)
    if not workshop.taught:
        keep_portraits(workshop.portraits, pictures)
        workshop.taught = taught
    workshop.size = workshop.size or size_for(footage.faces["crop_px"])
    workshop.save()
    source, pieces = open_footage(footage, workshop.of(number)), workshop.targets(number)
    try:
        swapper.open()
        swapper.wear(persona)
        targets.make_targets(swapper, persona, source, seen, workshop.size, pieces, tell)
    finally:
        swapper.close()
    made = targets.read_made(pieces)
    targets.demand_enough(made, _least(footage))
    write_sheet(targets_sheet(workshop, number), lessons_of(targets.read_pairs([pieces])[0]))
    (teacher,) = each_of(swapper)
    kind = FOOTAGE if isinstance(teacher, Itself) else kind_of(teacher)
    footage.targets = {"pairs": made.pairs, "left_out": made.left_out, "teacher": kind}
    workshop.save()
    return footage


def size_for(crop_px: float) -> int:
    """The net's side for faces that are so large in the footage: fine enough for them, and quick enough here."""
    wide = [size for size in SIZES if size >= _FINE_ENOUGH * crop_px]
    for size in reversed(SIZES[: len(SIZES) - len(wide) + 1]):
        if size == SIZES[0] or not _torch() or _net_ms(size) <= _QUICK_MS:
            return size
    raise AssertionError("the smallest size is always quick enough")


def _net_ms(size: int) -> float:
    from export.teach.write import net_ms

    return net_ms(size)


def _torch() -> bool:
    return find_spec("torch") is not None


def demand_torch() -> None:
    """Raise NotAvailable where training cannot be done."""
    if not _torch():
        raise NotAvailable("training needs PyTorch, which is not installed", hint='pip install "doppelcam[teach]"')


def train(workshop: Workshop, seconds: float, tell: Callable[[Progress], None], stop: Callable[[], bool]) -> Progress:
    """Step 4: train for so many seconds in all, from what was learnt before on, until `stop`."""
    demand_torch()
    demand_allowed(workshop)
    if not any(footage.targets for footage in workshop.footage):
        raise BadInput("there are no lessons yet", hint=f"doppelcam teach targets {workshop.name} makes them")
    try:
        from export.teach.course import run
        from export.teach.train import ByTeacher
        from export.teach.two import ByFootage
    except ImportError as error:
        raise import_failure("training", error) from error

    def show(now: Progress) -> None:
        if now.preview is not None:
            _write_preview(preview(workshop), now.preview)
        tell(now)

    (lessons, _), persona = _lessons(workshop)
    size = workshop.size
    subject = ByTeacher(lessons, size) if persona is None else ByFootage(Two(lessons, persona[0]), size)
    return run(subject, seconds, workshop.training, show, stop)


Lessons = tuple[Pairs, Floats]


def _lessons(workshop: Workshop) -> tuple[Lessons, Lessons | None]:
    """The lessons, and how the wearer looked in each; the persona's, where footage teaches. Raises BadInput."""
    if workshop.teacher != FOOTAGE:
        return targets.read_pairs([workshop.targets(number) for number in range(len(workshop.footage))]), None
    demand_both(workshop)

    def own(person: str) -> Lessons:
        numbers = workshop.numbers(person)
        return targets.read_own([(workshop.targets(k), faces.read_faces(workshop.faces(k))) for k in numbers])

    return own(""), own(PERSONA)


def demand_both(workshop: Workshop) -> None:
    """Raise BadInput where two people's footage is to teach, and one's is not there."""
    for one, option, words in (("", "--source", "you"), (PERSONA, "--persona", "the persona")):
        if workshop.teacher == FOOTAGE and not workshop.numbers(one):
            raise BadInput(f"{workshop.name} has no footage of {words}", hint=f"give it with {option} CLIP")


def export(workshop: Workshop, keep: bool, tell: Callable[[str], None]) -> ModelCard:
    """Step 5: make the engine, among the user's models, and delete the lessons unless they are to be kept.

    An engine that this workshop made before is replaced.
    """
    demand_torch()
    demand_allowed(workshop)
    if not workshop.footage:
        raise BadInput(f"{workshop.name!r} has nothing new to make an engine of", hint=more_of(workshop.name))
    from export.teach.write import write_engine

    store = user_store()
    there = workshop.name in store.names()
    if there and fingerprint_of(store.card(workshop.name)) != workshop.engine:
        raise BadInput(
            f"there is another model {workshop.name!r} already", hint=f"doppelcam models remove {workshop.name}"
        )
    (lessons, looks), persona = _lessons(workshop)
    face, pictures = face_of(workshop, lessons, looks)
    taught = facts_of(workshop, face, looks if persona is None else shared(looks, persona[1]))
    files = dict(zip(face.get("portraits", []), pictures, strict=True))
    licence = licence_of(workshop)
    more = {"licence": licence} if licence else {}
    made = workshop.folder / "engine"
    shutil.rmtree(made, ignore_errors=True)  # what an interrupted one left
    tell("building the net")
    card = write_engine(
        workshop.training, made, workshop.name, {"taught": taught}, lessons.faces, files, tell=tell, **more
    )
    try:
        card = mark_own(made)
    except OSError as error:
        raise cannot_write(made, error) from None
    if there:
        store.remove(workshop.name)
    try:
        store.root.mkdir(parents=True, exist_ok=True)
        made.replace(store.root / workshop.name)
    except OSError as error:
        raise cannot_write(store.root / workshop.name, error) from None
    workshop.engine = fingerprint_of(card)
    workshop.save()
    if not keep:
        workshop.learnt = taught
        workshop.forget_lessons()
    return store.card(workshop.name)


def more_of(name: str) -> str:
    """What one may do with an engine that is made."""
    return f"doppelcam run --face {name} wears it; doppelcam teach more {name} --source CLIP goes on"


def preview(workshop: Workshop) -> Path:
    return workshop.folder / PREVIEW


def _write_preview(path: Path, picture: Image) -> None:
    done, data = cv2.imencode(".png", picture)
    assert done, "a picture can be written"
    try:
        write_own(path, data.tobytes())
    except OSError as error:
        raise cannot_write(path, error) from None


def again_faces(workshop: Workshop, number: int) -> None:
    """Forget the faces of this footage, and all that was made of them."""
    again_targets(workshop, number)
    workshop.footage[number].faces = {}
    workshop.save()
    workshop.faces(number).clear()


def again_targets(workshop: Workshop, number: int) -> None:
    """Forget what the teacher made of this footage, and what was learnt from it."""
    workshop.footage[number].targets = {}
    if not any(footage.targets for footage in workshop.footage):
        workshop.taught = {}
    workshop.save()
    workshop.forget_training()
    workshop.targets(number).clear()


def faces_sheet(workshop: Workshop, number: int) -> Path:
    return workshop.of(number) / "faces.png"


def targets_sheet(workshop: Workshop, number: int) -> Path:
    return workshop.of(number) / "targets.png"
