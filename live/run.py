"""What one run is made of: profile, `--set` and flags as one Run, checked before anything is opened."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.errors import BadInput, NotAvailable
from live import settings
from live.cast import Roles
from live.guard import Guard
from live.loop import LoopSettings
from live.parts import BLENDERS, FINDERS, MARKS, SINKS, SOURCES, SWAPPERS
from live.settings import setting
from live.sound.microphone import Microphone
from live.track import Tracks

KINDS = {
    "sources": SOURCES, "finders": FINDERS, "swappers": SWAPPERS, "blenders": BLENDERS, "marks": MARKS, "sinks": SINKS
}  # fmt: skip
SECTIONS: dict[str, type] = {
    "guard": Guard,
    "track": Tracks,
    "who": Roles,
    "loop": LoopSettings,
    "microphone": Microphone,
}
SHORT = {"virtual": "virtual_camera"}


@dataclass
class Run:
    """What one run is made of: the top level keys of doppelcam.toml."""

    source: str = setting("camera", "camera[:N|:PATH|:NAME|:ID], browser[:PORT], sample, a video's path, or a URL")
    face: str = setting(
        "",
        "a picture's path (path#2 for its second face), a folder, one of your faces, a trained model, sample[:name]; "
        "for several people a list of WHO=FACE, where WHO is left, right, largest, everyone or a picture of the wearer",
    )
    finder: str = setting("mediapipe_mesh", "what finds faces")
    model: str = setting(
        "", "the one-photo model that draws the face of a picture (doppelcam models list); empty: none"
    )
    swapper: str = setting(
        "auto",
        "what makes the new face; auto: personal for a personal engine, trained for another trained model, one_photo "
        "where a model is named, else mesh",
    )
    blender: str = setting("feather", "what sets it into the picture")
    engine: str = setting("auto", "what runs the nets: auto, or RUNTIME[:DEVICE][:PRECISION], e.g. openvino:cpu:fp32")
    fallback: bool = setting(False, "where that engine is not to be had, take the best other one, and say so")
    sound: str = setting("", "a live microphone: auto, or (part of) its name; none if empty")
    disclosure: str = setting(
        "label",
        "how viewers are told: a label in the picture, or elsewhere, which takes a reason",
        choices=("label", "elsewhere"),
    )
    disclosure_reason: str = setting("", "where and how viewers are told instead; it goes into report and record")
    fast: bool = setting(False, "no real time: every frame of a file, as fast as it goes")

    more_faces: list[str] = field(default_factory=list)  # of further people: WHO=FACE
    sinks: list[str] = field(default_factory=list)
    tree: dict[str, Any] = field(default_factory=dict)


def read_run(profile: Path | None, pairs: list[str], flags: dict[str, Any]) -> Run:
    """Profile, `--set` pairs and flags as one Run; later ones win. Raises BadInput for anything unknown."""
    tree = settings.read_toml(profile) if profile is not None else {}
    tree = settings.merge(tree, settings.assignments(pairs))
    return run_of(settings.merge(tree, {key: value for key, value in flags.items() if value is not None}))


def run_of(tree: dict[str, Any]) -> Run:
    """The Run with these keys of doppelcam.toml. Raises BadInput for anything unknown."""
    names = [f.name for f in settings.settings_of(Run)]
    chosen: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for key, value in tree.items():
        if key in names:
            chosen[key] = value
        elif key in KINDS or key in SECTIONS or key == "sink":
            rest[key] = value
        else:
            raise settings.unknown_key(key, key, [*names, "sink", *KINDS, *SECTIONS])
    faces = chosen.get("face", "")
    if isinstance(faces, list):
        if not faces or not all(isinstance(face, str) for face in faces):
            raise BadInput(f"face is a text or a list of texts, got {faces!r}", hint='for example face = ["me_as.jpg"]')
        chosen["face"], *more = faces
    run = settings.make(Run, chosen, "doppelcam")
    run.more_faces = more if isinstance(faces, list) else []
    sinks = rest.pop("sink", [])
    run.sinks = [sinks] if isinstance(sinks, str) else sinks
    if not isinstance(run.sinks, list) or not all(isinstance(sink, str) for sink in run.sinks):
        raise BadInput(f"sink is a text or a list of texts, got {sinks!r}", hint='for example sink = ["virtual"]')
    run.tree = rest
    _check_tree(rest)
    return run


def tree_of(run: Run) -> dict[str, Any]:
    """The keys of doppelcam.toml that make this run (`run_of`): the source, and what is not as it is by default."""
    plain, face = Run(), [run.face, *run.more_faces]
    own = {f.name: getattr(run, f.name) for f in settings.settings_of(Run)}
    tree = {key: value for key, value in own.items() if key == "source" or value != getattr(plain, key)}
    tree |= {"face": face} if run.more_faces else {}
    tree |= {"sink": run.sinks} if run.sinks else {}
    return tree | typed(run.tree)


def typed(tree: dict[str, Any]) -> dict[str, Any]:
    """Sections as in `Run.tree`, checked before, with each value in its setting's own type: flags are texts."""
    found: dict[str, Any] = {}
    for section, content in tree.items():
        if section in KINDS:
            found[section] = {part: _typed(section, part, values) for part, values in content.items()}
        else:
            found[section] = _made(SECTIONS[section], content, section)
    return found


def _typed(section: str, part: str, values: dict[str, Any]) -> dict[str, Any]:
    try:
        return _made(KINDS[section].load(part), values, f"{section}.{part}")
    except NotAvailable:
        return values


def _made(part: type, values: dict[str, Any], where: str) -> dict[str, Any]:
    made: Any = settings.make(part, values, where)
    return {key: "" if getattr(made, key) is None else getattr(made, key) for key in values}  # TOML has no None


def _check_tree(tree: dict[str, Any]) -> None:
    for section, content in tree.items():
        if not isinstance(content, dict):
            raise BadInput(f"{section!r} is a table of settings, got {content!r}", hint=f"write it as [{section}...]")
        if section in KINDS:
            known = KINDS[section].names()
            for part, values in content.items():
                if part not in known:
                    raise settings.unknown_key(f"{section}.{part}", part, known)
                if not isinstance(values, dict):
                    raise BadInput(
                        f"{section}.{part} is a table of settings, got {values!r}",
                        hint=f"for example --set {section}.{part}.NAME=VALUE",
                    )
                with suppress(NotAvailable):  # matters only if the part is used, and is told then
                    settings.make(KINDS[section].load(part), values, f"{section}.{part}")
        else:
            settings.make(SECTIONS[section], content, section)
