"""Settings -> parts -> Loop. The only file that names concrete parts."""

from __future__ import annotations

import difflib
import logging
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engines.errors import BadInput, NotAvailable
from engines.plugins import Plugins
from live import settings
from live.cast import Cast, Roles, split_who
from live.frame import Persona
from live.guard import Guard
from live.loop import Loop, LoopSettings, Parts
from live.models import open_card
from live.parts import BLENDERS, FINDERS, SINKS, SOURCES, SWAPPERS, Finder
from live.personas import model_of, open_persona
from live.settings import setting
from live.track import Tracks

KINDS = {"sources": SOURCES, "finders": FINDERS, "swappers": SWAPPERS, "blenders": BLENDERS, "sinks": SINKS}
SECTIONS: dict[str, type] = {"guard": Guard, "track": Tracks, "who": Roles, "loop": LoopSettings}
SHORT = {"virtual": "virtual_camera"}

_log = logging.getLogger("doppelcam.app")


@dataclass
class Run:
    """What one run is made of: the top level keys of doppelcam.toml."""

    source: str = setting("camera", "camera[:N|:PATH|:NAME], sample, or a video's path or URL")
    face: str = setting(
        "",
        "a picture's path (path#2 for its second face), a folder, a trained model, or sample[:name]; for several "
        "people a list of WHO=FACE, where WHO is left, right, largest, everyone or a picture of the wearer",
    )
    finder: str = setting("mediapipe_mesh", "what finds faces")
    model: str = setting(
        "", "the one-photo model that draws the face of a picture (doppelcam models list); empty: none"
    )
    swapper: str = setting(
        "auto",
        "what makes the new face; auto: trained for a trained model, one_photo where a model is named, else mesh",
    )
    blender: str = setting("feather", "what sets it into the picture")
    engine: str = setting("auto", "what runs the nets: auto, or RUNTIME[:DEVICE][:PRECISION], e.g. openvino:cpu:fp32")
    fallback: bool = setting(False, "where that engine is not to be had, take the best other one, and say so")
    fast: bool = setting(False, "no real time: every frame of a file, as fast as it goes")

    more_faces: list[str] = field(default_factory=list)  # of further people: WHO=FACE
    sinks: list[str] = field(default_factory=list)
    tree: dict[str, Any] = field(default_factory=dict)


def read_run(profile: Path | None, pairs: list[str], flags: dict[str, Any]) -> Run:
    """Profile, `--set` pairs and flags as one Run; later ones win. Raises BadInput for anything unknown."""
    tree = settings.read_toml(profile) if profile is not None else {}
    tree = settings.merge(tree, settings.assignments(pairs))
    tree = settings.merge(tree, {key: value for key, value in flags.items() if value is not None})
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


def build(run: Run) -> Loop:
    """The loop for this run, nothing opened yet. Raises BadInput and NotAvailable."""
    return loop_of(run, parts_of(run))


def parts_of(run: Run) -> Parts:
    """The parts for this run, nothing opened yet. Raises BadInput and NotAvailable."""
    if not run.face:
        raise BadInput("which face shall be worn?", hint="--face PICTURE or MODEL_FOLDER, or --face sample to try")
    if not run.sinks:
        raise BadInput("where shall the picture go?", hint="--sink virtual, --sink window, --sink swapped.mp4 ...")
    source = _source(run)
    sinks: dict[str, Any] = {}
    for spec in run.sinks:
        if spec in sinks:
            raise BadInput(f"the sink {spec!r} is given twice")
        sinks[spec] = _sink(run, spec)
    faces = [face for _, face in _cast_of(run)]
    return Parts(
        source=source,
        finder=_part(run, "finders", run.finder),
        swapper=Cast([_swapper(run, face) for face in faces]),
        blender=_part(run, "blenders", run.blender),
        sinks=sinks,
        persona=lambda finder: _personas(faces, finder),
    )


def _personas(faces: list[str], finder: Finder) -> Persona:
    """The personas of all, as one."""
    first, *others = (open_persona(face, finder) for face in faces)
    return replace(first, others=tuple(others))


def _cast_of(run: Run) -> list[tuple[str, str]]:
    """Who wears which face, (WHO, FACE). Raises BadInput where it is not clear who is who."""
    specs = [run.face, *run.more_faces]
    cast = [split_who(spec) for spec in specs]
    cast = [(who or "largest", face) for who, face in cast]
    whos = [who for who, _ in cast]
    twice = next((who for who in whos if whos.count(who) > 1), None)
    if twice is not None:
        raise BadInput(
            f"two faces are given to {twice!r}, the one in front"
            if twice == "largest"
            else f"two faces are given to {twice!r}",
            hint="say who gets which: --face left=FACE --face right=FACE, or a picture of the wearer for left",
        )
    return cast


def loop_of(run: Run, parts: Parts) -> Loop:
    """The loop that runs these parts with this run's settings. Raises BadInput."""
    guard = settings.make(Guard, run.tree.get("guard", {}), "guard")
    tracks = settings.make(Tracks, run.tree.get("track", {}), "track")
    loop_settings = settings.make(LoopSettings, run.tree.get("loop", {}), "loop")
    everybodys = {"engine": run.engine, "fallback": run.fallback}
    roles = settings.make(Roles, everybodys | run.tree.get("who", {}), "who")
    roles.whos = tuple(who for who, _ in _cast_of(run))
    return Loop(parts, guard, tracks, loop_settings, lossless=run.fast, roles=roles)


def _part(run: Run, section: str, name: str, more: dict[str, Any] | None = None) -> Any:
    part = KINDS[section].load(name)
    own = {f.name for f in settings.settings_of(part)}
    everybodys = {"engine": run.engine, "fallback": run.fallback, **({"model": run.model} if run.model else {})}
    shared = {key: value for key, value in everybodys.items() if key in own}
    values = {**shared, **run.tree.get(section, {}).get(name, {}), **(more or {})}
    return settings.make(part, values, f"{section}.{name}")


def _swapper(run: Run, face: str) -> Any:
    """The swapper that was asked for, if it can wear this face; "auto": the one that can."""
    model = model_of(face)
    auto = "trained" if model is not None else "one_photo" if run.model else "mesh"
    name = auto if run.swapper == "auto" else run.swapper
    swapper = _part(run, "swappers", name)
    if swapper.wears_model and model is None:
        raise BadInput(
            f"the swapper {name!r} wears trained models, and {face!r} is none",
            hint="--face MODEL_FOLDER, or swapper=auto",
        )
    if model is not None and not swapper.wears_model:
        raise BadInput(
            f"the swapper {name!r} wears pictures, and {face!r} is a trained model", hint="swapper=auto wears both"
        )
    if run.model and name != "one_photo":
        raise BadInput(
            f"{face!r} is worn by the swapper {name!r}, which does not take the model {run.model!r}",
            hint="leave out --model, or take a picture and swapper=auto",
        )
    if name == "one_photo":
        _tell_licence(swapper.model)
    return swapper


def _tell_licence(name: str) -> None:
    """Say what one may do with a one-photo model. Raises BadInput and ModelError for what is none."""
    if not name:
        raise BadInput("which one-photo model shall draw the face?", hint="--model NAME, see doppelcam models list")
    card = open_card(name)
    if card.facts.get("kind") != "swapper":
        raise BadInput(
            f"the model {name!r} draws no face from one photo (its family is {card.family!r})",
            hint="a trained model is worn with --face",
        )
    use = "commercial use allowed" if card.commercial_use else "no commercial use"
    _log.info("%s: licence %s, %s", card.name, card.licence, use)


def _source(run: Run) -> Any:
    name, argument = _split(SOURCES, run.source)
    if name is None:
        _no_part_meant(SOURCES, run.source)
        name, argument = "video_file", run.source
    more = _argument(SOURCES, name, argument)
    part = SOURCES.load(name)
    if "paced" in {f.name for f in settings.settings_of(part)}:
        more["paced"] = not run.fast
    elif run.fast:
        raise BadInput(f"only a file can be run as fast as it goes (--fast, bench), not the source {name!r}")
    return _part(run, "sources", name, more)


def _sink(run: Run, spec: str) -> Any:
    name, argument = _split(SINKS, spec)
    if name is None:
        if Path(spec).suffix.lower() != ".mp4":
            _no_part_meant(SINKS, spec)
            raise BadInput(
                f"{spec!r} is no sink",
                hint=f"choose {', '.join([*SHORT, *SINKS.names()])}, or a path that ends in .mp4",
            )
        name, argument = "recording", spec
    return _part(run, "sinks", name, _argument(SINKS, name, argument))


def _split(kind: Plugins, spec: str) -> tuple[str | None, str]:
    """`camera:1` as ("camera", "1"); None where the word before the colon is no part of this kind."""
    word, _, argument = spec.partition(":")
    word = SHORT.get(word, word)
    return (word, argument) if word in kind.names() else (None, "")


def _no_part_meant(kind: Plugins, spec: str) -> None:
    """Raise BadInput when `spec` looks like a misspelt part rather than a path that does not exist."""
    word = spec.partition(":")[0]
    near = difflib.get_close_matches(word, [*kind.names(), *SHORT], n=1)
    if near and "/" not in spec and "." not in spec and not Path(spec).exists():
        raise BadInput(f"there is no {kind.kind} called {spec!r}", hint=f"did you mean {near[0]!r}?")


def _argument(kind: Plugins, name: str, argument: str) -> dict[str, Any]:
    if not argument:
        return {}
    key = settings.argument_of(kind.load(name))
    if key is None:
        raise BadInput(f"the {kind.kind} {name!r} takes nothing after the colon, got {argument!r}")
    return {key: argument}
