"""A Run (run.py) -> parts -> Loop. The only file that names concrete parts."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from engines.card import ModelCard
from engines.errors import BadInput
from engines.plugins import Plugins
from live import session, settings
from live.address import is_address, shown
from live.cast import Cast, Roles, split_who
from live.frame import Disclosure, Persona
from live.guard import Guard
from live.loop import Loop, LoopSettings
from live.models import PERSONAL, open_card
from live.parts import FINDERS, SINKS, SOURCES, Finder, Mark, Parts, Sink
from live.personas import Choice, choose
from live.personas.consent import SCOPE
from live.run import KINDS, SHORT, Run
from live.sinks.recording import KINDS as RECORDINGS
from live.sinks.stream import SCHEMES
from live.sound.microphone import Microphone
from live.track import Tracks

USES = {"recording": "record", "stream": "stream"}
"""What an outgoing sink does with the face, as in consent.SCOPE; all others: live."""

_log = logging.getLogger("doppelcam.live")


def build(run: Run, **more: Any) -> Loop:
    """The loop for this run, nothing opened yet; `more` is the Loop's. Raises BadInput and NotAvailable."""
    return loop_of(run, parts_of(run), **more)


def parts_of(run: Run, also: dict[str, Sink] | None = None) -> Parts:
    """The parts for this run and `also` these sinks, by name; nothing opened yet. Raises BadInput and NotAvailable."""
    if not run.face:
        raise BadInput("which face shall be worn?", hint="--face PICTURE or MODEL_FOLDER, or --face sample to try")
    if not run.sinks and not also:
        raise BadInput("where shall the picture go?", hint="--sink virtual, --sink window, --sink swapped.mp4 ...")
    source = source_of(run)
    sinks: dict[str, Any] = {}
    for spec in run.sinks:
        if run.sinks.count(spec) > 1:
            raise BadInput(f"the sink {shown(spec)!r} is given twice")
        sinks[_free_name(shown(spec), sinks)] = _sink(run, spec)
    sinks |= also or {}
    faces = [face for _, face in _cast_of(run)]
    choices = [choose(face) for face in faces]
    for choice in choices:
        _demand_scope(choice, sinks)
    outgoing = any(sink.outgoing for sink in sinks.values())
    name, disclosure = " + ".join(one.name for one in choices), _weakest([one.disclosure for one in choices])
    _check_reason(run)
    # The watermark first: the label is drawn last, over everything.
    marks = ["watermark", *(["badge"] if outgoing and run.disclosure == "label" else [])]
    parts = Parts(
        source=source,
        finder=_part(run, "finders", run.finder),
        swapper=Cast([_swapper(run, face, choice.model) for face, choice in zip(faces, choices, strict=True)]),
        blender=_part(run, "blenders", run.blender),
        marks=marks_of(run, marks),
        sinks=sinks,
        persona=lambda finder: _personas(choices, disclosure, finder),
        sound=_sound(run),
        session=session.begin(name, disclosure),
        reason=run.disclosure_reason.strip(),
    )
    parts.check_told(name, disclosure)
    return parts


def _personas(choices: list[Choice], disclosure: Disclosure, finder: Finder) -> Persona:
    """The personas of all, as one."""
    all_of_them = [choice.open(finder) for choice in choices]

    def why_not() -> str:
        return next((why for one in all_of_them if (why := one.why_not())), "")

    first, *others = all_of_them
    return replace(first, disclosure=disclosure, others=tuple(others), why_not=why_not)


def _weakest(disclosures: list[Disclosure]) -> Disclosure:
    """What viewers must be told when faces of all of these are in the picture."""
    order: tuple[Disclosure, ...] = ("unverified", "consented", "self", "synthetic")
    return next(one for one in order if one in disclosures)


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


def marks_of(run: Run, names: list[str]) -> list[Mark]:
    """These marks with this run's settings, not opened."""
    return [_part(run, "marks", name) for name in names]


def _free_name(name: str, taken: dict[str, Any]) -> str:
    """Two streams to one server have the same name once their keys are left out."""
    names = [name, *(f"{name} ({k})" for k in range(2, len(taken) + 2))]
    return next(free for free in names if free not in taken)


def _sound(run: Run) -> Microphone | None:
    if not run.sound:
        return None
    if run.fast:
        raise BadInput("a live microphone has real time, --fast has not", hint="leave --sound or --fast away")
    return settings.make(Microphone, {**run.tree.get("microphone", {}), "device": run.sound}, "microphone")


def kind_of(part: Any) -> str:
    """What a part's file is called."""
    return type(part).__module__.rpartition(".")[2]


def _demand_scope(choice: Choice, sinks: dict[str, Any]) -> None:
    """Raise BadInput where a sink does what nobody consented to."""
    uses = {USES.get(kind_of(sink), "live") for sink in sinks.values() if sink.outgoing}
    for use in sorted(uses):
        if choice.scope is not None and use not in choice.scope:
            raise BadInput(
                f"the face {choice.name!r} may not {SCOPE[use]}",
                hint=f"the consent covers: to {'; to '.join(SCOPE[one] for one in choice.scope)}",
            )


def loop_of(run: Run, parts: Parts, **more: Any) -> Loop:
    """The loop that runs these parts with this run's settings; `more` is the Loop's own.

    With `outlets`, cameras stay open when it has ended. Raises BadInput.
    """
    guard = settings.make(Guard, run.tree.get("guard", {}), "guard")
    tracks = settings.make(Tracks, run.tree.get("track", {}), "track")
    loop_settings = settings.make(LoopSettings, run.tree.get("loop", {}), "loop")
    everybodys = {"engine": run.engine, "fallback": run.fallback}
    roles = settings.make(Roles, everybodys | run.tree.get("who", {}), "who")
    roles.whos = tuple(who for who, _ in _cast_of(run))
    return Loop(parts, guard, tracks, loop_settings, lossless=run.fast, roles=roles, **more)


@contextmanager
def opened_finder() -> Iterator[Finder]:
    """The default finder, opened, for what is done before a run: adding faces."""
    finder: Finder = FINDERS.load(Run().finder)()
    finder.open()
    try:
        yield finder
    finally:
        finder.close()


def _check_reason(run: Run) -> None:
    """Raise BadInput where a label is left out without a reason, or the other way round."""
    told = run.disclosure_reason.strip()
    if run.disclosure == "elsewhere" and not told:
        raise BadInput(
            "disclosure=elsewhere takes a reason: where and how are viewers told?",
            hint='for example --set disclosure_reason="in the title, and said at the start"',
        )
    if run.disclosure == "label" and told:
        raise BadInput("disclosure_reason is only for disclosure=elsewhere", hint="--set disclosure=elsewhere")


@contextmanager
def recorded(loop: Loop) -> Iterator[Callable[[], None]]:
    """Keeps the user's own record of sessions. Call what it gives when pictures come, again as often as you like: a
    run that could not start is none, and who is put on later is noted too.
    """
    held = loop.parts.session
    assert held is not None, "parts_of() begins a session"
    sinks = loop.parts.sinks.values()
    noted: list[Persona | None] = []

    def begun() -> None:
        nonlocal held
        assert held is not None, "as above"
        worn = loop.guard.worn
        if noted and (worn is noted[-1] or worn is None or noted[-1] is None):
            noted[-1] = noted[-1] or worn
            return
        if noted and worn is not None:
            names = held.persona.split(", then ")
            names += [worn.name] if worn.name not in names else []
            weakest = _weakest([held.disclosure, worn.disclosure])
            held = replace(held, persona=", then ".join(names), disclosure=weakest)
        noted.append(worn)
        if held.disclosure == "unverified" and any(sink.outgoing for sink in sinks):
            _log.info(
                "nobody's consent to wear %r is known: the label on outgoing pictures is larger (doppelcam faces)",
                held.persona,
            )
        try:
            marks = [kind_of(mark) for mark in loop.parts.marks]
            session.note_start(held, [kind_of(sink) for sink in sinks], marks, loop.parts.reason)
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
    everybodys = {"engine": run.engine, "fallback": run.fallback, **({"model": run.model} if run.model else {})}
    shared = {key: value for key, value in everybodys.items() if key in own}
    values = {**shared, **run.tree.get(section, {}).get(name, {}), **(more or {})}
    return settings.make(part, values, f"{section}.{name}")


def _swapper(run: Run, face: str, model: ModelCard | None) -> Any:
    """The swapper that was asked for, if it can wear this face; "auto": the one that can."""
    by_model = "personal" if model is not None and model.family == PERSONAL else "trained"
    auto = by_model if model is not None else "one_photo" if run.model else "mesh"
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
        if swapper.enhancer:
            _say_licence(open_card(swapper.enhancer))
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
    _say_licence(card)


def _say_licence(card: ModelCard) -> None:
    use = "commercial use allowed" if card.commercial_use else "no commercial use"
    _log.info("%s: licence %s, %s", card.name, card.licence, use)


def source_of(run: Run) -> Any:
    """The source of this run, not opened. Raises BadInput and NotAvailable."""
    name, argument = _split(SOURCES, run.source)
    if name is None:
        _no_part_meant(SOURCES, run.source)
        name, argument = "network" if "://" in run.source else "video_file", run.source
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
        if spec.partition("://")[0].lower() in SCHEMES and is_address(spec):
            name, argument = "stream", spec
        elif Path(spec).suffix.lower() in RECORDINGS and not is_address(spec):
            name, argument = "recording", spec
        else:
            _no_part_meant(SINKS, spec)
            raise BadInput(
                f"{shown(spec)!r} is no sink",
                hint=f"choose {', '.join([*SHORT, *SINKS.names()])}, a path that ends in {' or '.join(RECORDINGS)}, "
                f"or an address that begins with {'://, '.join(SCHEMES)}://",
            )
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
