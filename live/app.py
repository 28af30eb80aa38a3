"""Settings -> parts -> Loop. The only file that names concrete parts."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.card import ModelCard
from engines.errors import BadInput, NotAvailable
from engines.plugins import Plugins
from live import session, settings
from live.guard import Guard
from live.loop import Loop, LoopSettings, Parts
from live.parts import BLENDERS, FINDERS, SINKS, SOURCES, SWAPPERS, Finder
from live.personas import Choice, choose
from live.personas.consent import SCOPE
from live.settings import setting
from live.track import Tracks

KINDS = {"sources": SOURCES, "finders": FINDERS, "swappers": SWAPPERS, "blenders": BLENDERS, "sinks": SINKS}
SECTIONS: dict[str, type] = {"guard": Guard, "track": Tracks, "loop": LoopSettings}
SHORT = {"virtual": "virtual_camera"}
USES = {"recording": "record", "stream": "stream", "window": "", "null": ""}
"""What a sink does with the face, as in consent.SCOPE; "": the picture stays with the wearer. Of all others: live."""

_log = logging.getLogger("doppelcam.live")


@dataclass
class Run:
    """What one run is made of: the top level keys of doppelcam.toml."""

    source: str = setting("camera", "camera[:N|:PATH|:NAME], sample, or a video's path or URL")
    face: str = setting(
        "", "a picture's path (path#2 for its second face), a folder, one of your faces, a trained model, sample[:name]"
    )
    finder: str = setting("mediapipe_mesh", "what finds faces")
    swapper: str = setting("auto", "what makes the new face; auto: mesh from pictures, trained from a trained model")
    blender: str = setting("feather", "what sets it into the picture")
    engine: str = setting("auto", "what runs the nets: auto, or RUNTIME[:DEVICE][:PRECISION], e.g. openvino:cpu:fp32")
    fallback: bool = setting(False, "where that engine is not to be had, take the best other one, and say so")
    fast: bool = setting(False, "no real time: every frame of a file, as fast as it goes")

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
    run = settings.make(Run, chosen, "doppelcam")
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
    source = source_of(run)
    sinks: dict[str, Any] = {}
    for spec in run.sinks:
        if spec in sinks:
            raise BadInput(f"the sink {spec!r} is given twice")
        sinks[spec] = _sink(run, spec)
    choice = choose(run.face)
    _demand_scope(choice, sinks)
    return Parts(
        source=source,
        finder=_part(run, "finders", run.finder),
        swapper=_swapper(run, choice.model),
        blender=_part(run, "blenders", run.blender),
        sinks=sinks,
        persona=choice.open,
        why_not=choice.why_not,
        session=session.begin(choice.name, choice.disclosure),
    )


def kind_of(part: Any) -> str:
    """What a part's file is called."""
    return type(part).__module__.rpartition(".")[2]


def _demand_scope(choice: Choice, sinks: dict[str, Any]) -> None:
    """Raise BadInput where a sink does what nobody consented to."""
    uses = {USES.get(kind_of(sink), "live") for sink in sinks.values()} - {""}
    for use in sorted(uses):
        if choice.scope is not None and use not in choice.scope:
            raise BadInput(
                f"the face {choice.name!r} may not {SCOPE[use]}",
                hint=f"the consent covers: to {'; to '.join(SCOPE[one] for one in choice.scope)}",
            )


def loop_of(run: Run, parts: Parts) -> Loop:
    """The loop that runs these parts with this run's settings. Raises BadInput."""
    guard = settings.make(Guard, run.tree.get("guard", {}), "guard")
    tracks = settings.make(Tracks, run.tree.get("track", {}), "track")
    loop_settings = settings.make(LoopSettings, run.tree.get("loop", {}), "loop")
    return Loop(parts, guard, tracks, loop_settings, lossless=run.fast)


@contextmanager
def opened_finder() -> Iterator[Finder]:
    """The default finder, opened, for what is done before a run: adding faces."""
    finder: Finder = FINDERS.load(Run().finder)()
    finder.open()
    try:
        yield finder
    finally:
        finder.close()


@contextmanager
def recorded(loop: Loop) -> Iterator[Callable[[], None]]:
    """Keeps the user's own record of sessions. Call what it gives when pictures come, again as often as you like: a
    run that could not start is none.
    """
    held = loop.parts.session
    assert held is not None, "parts_of() begins a session"
    kinds = [kind_of(sink) for sink in loop.parts.sinks.values()]
    noted: list[bool] = []

    def begun() -> None:
        if noted:
            return
        noted.append(True)
        if held.disclosure == "unverified" and any(USES.get(kind, "live") for kind in kinds):
            _log.info(
                "nobody's consent to wear %r is known: the label on outgoing pictures is larger (doppelcam faces)",
                held.persona,
            )
        try:
            session.note_start(held, kinds, marks=())
        except BadInput as error:  # the record is the user's: a full disk does not end the show
            _log.warning("%s", error.message)

    try:
        yield begun
        begun()  # a short file may be over before anybody looked
    finally:
        if noted:
            with suppress(BadInput):
                session.note_end(held)


def _part(run: Run, section: str, name: str, more: dict[str, Any] | None = None) -> Any:
    part = KINDS[section].load(name)
    own = {f.name for f in settings.settings_of(part)}
    shared = {key: value for key, value in {"engine": run.engine, "fallback": run.fallback}.items() if key in own}
    values = {**shared, **run.tree.get(section, {}).get(name, {}), **(more or {})}
    return settings.make(part, values, f"{section}.{name}")


def _swapper(run: Run, model: ModelCard | None) -> Any:
    """The swapper that was asked for, if it can wear this face; "auto": the one that can."""
    name = run.swapper if run.swapper != "auto" else "mesh" if model is None else "trained"
    swapper = _part(run, "swappers", name)
    if swapper.wears_model and model is None:
        raise BadInput(
            f"the swapper {name!r} wears trained models, and {run.face!r} is none",
            hint="--face MODEL_FOLDER, or swapper=auto",
        )
    if model is not None and not swapper.wears_model:
        raise BadInput(
            f"the swapper {name!r} wears pictures, and {run.face!r} is a trained model", hint="swapper=auto wears both"
        )
    return swapper


def source_of(run: Run) -> Any:
    """The source of this run, not opened. Raises BadInput and NotAvailable."""
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
    if near and "/" not in spec and "." not in spec and not os.path.exists(spec):
        raise BadInput(f"there is no {kind.kind} called {spec!r}", hint=f"did you mean {near[0]!r}?")


def _argument(kind: Plugins, name: str, argument: str) -> dict[str, Any]:
    if not argument:
        return {}
    key = settings.argument_of(kind.load(name))
    if key is None:
        raise BadInput(f"the {kind.kind} {name!r} takes nothing after the colon, got {argument!r}")
    return {key: argument}
