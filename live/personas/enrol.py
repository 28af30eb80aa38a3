"""Adding a face: its portraits are taken in, how its consent was reached is checked, the pack is stored.

The command line and the panel both come through here; neither decides anything.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2

from engines.card import ModelCard
from engines.errors import BadInput
from live.frame import Disclosure, View
from live.parts import EndOfSource, Finder, Source
from live.personas.challenge import Challenge
from live.personas.consent import Consent, read_consent
from live.personas.likeness import best_likeness
from live.personas.pack import Pack
from live.personas.packs import Packs, demand_free, fingerprint_of, latest, now
from live.personas.portraits import pictures_in, view_of
from live.personas.signed import fingerprint
from live.pictures import picture_of, read_bytes

DECLARED, UNKNOWN = "declared to be nobody's face", "added without anybody's consent"
"""How consent was reached, for the pack, where nobody was asked; where another person signed: how_signed."""

_V4L = Path("/sys/class/video4linux")
_REAL = ("camera", "browser")  # sources that can be somebody's own camera


@dataclass(frozen=True, slots=True)
class Photos:
    """Pictures of one person as they were given: the face in each, and the sha256 of each file."""

    views: tuple[View, ...]
    digests: tuple[str, ...]


def take(path: Path, finder: Finder) -> Photos:
    """The portrait at `path`, or those in that folder; each shows one face. Raises BadInput."""
    pictures = pictures_in(path) if path.is_dir() else [path]
    return take_bytes([(picture.name, read_bytes(picture)) for picture in pictures], finder)


def take_bytes(pictures: list[tuple[str, bytes]], finder: Finder) -> Photos:
    """As `take`, of the bytes of picture files with the names that they have in errors. Raises BadInput."""
    views, digests = [], []
    for name, data in pictures:
        image = picture_of(data, name)
        faces = finder.find(image, [])
        if len(faces) > 1:
            raise BadInput(
                f"{name} shows {len(faces)} faces: only one person's may be kept",
                hint="cut the one face out, with some room around it, into a picture of its own",
            )
        views.append(view_of(image, name, None, finder))
        digests.append(hashlib.sha256(data).hexdigest())
    return Photos(tuple(views), tuple(digests))


def last_day(text: str) -> datetime:
    """The end of a day given as 2027-03-31, in UTC. Raises BadInput."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(hour=23, minute=59, second=59, tzinfo=UTC)
    except ValueError:
        raise BadInput(f"a last day (--until) is given as 2027-03-31, got {text!r}") from None


def demand_consent(document: bytes, name: str, packs: Packs, what: Photos | ModelCard) -> Consent:
    """The consent in this file, if it allows this user to wear these photos or this model now. Raises BadInput."""
    consent = read_consent(document, name)
    own = packs.vault.public_key()
    if consent.wearer_key != own:
        raise BadInput(
            f"{name} was given to the key {fingerprint(consent.wearer_key)}, yours is {fingerprint(own)}",
            hint="send yours (doppelcam consent key) and ask for a new consent",
        )
    if consent.key == own:
        raise BadInput(
            f"{name} was signed by yourself, on this machine",
            hint="your own face is added with --me; another person gives consent on a machine of their own",
        )
    if now() >= consent.until:
        raise BadInput(f"{name} ended on {consent.until:%Y-%m-%d}", hint=f"ask {consent.person} for a new one")
    if packs.withdrawn(consent):
        raise BadInput(f"{name} was withdrawn by {consent.person}")
    if isinstance(what, Photos):
        missing = [digest for digest in what.digests if digest not in consent.photos]
        if missing:
            raise BadInput(
                f"{name} is not for {len(missing)} of the {len(what.digests)} pictures",
                hint="it holds for the very files that were agreed to, byte by byte: take those",
            )
    elif fingerprint_of(what) not in consent.models:
        raise BadInput(f"{name} is not for this model", hint=f"its fingerprint is {fingerprint_of(what)}")
    return consent


def how_signed(given: Consent) -> str:
    """How consent was reached, for the pack, where another person has signed."""
    shown = given.challenge or "they did not show to be the one in the picture"
    return f"signed by {given.person}, key {fingerprint(given.key)}; {shown}"


def store(
    packs: Packs,
    name: str,
    what: Photos | ModelCard,
    disclosure: Disclosure,
    how: str,
    until: datetime | None = None,
    consent: Consent | None = None,
) -> Pack:
    """Store a face. `until`: no later than twelve months from now, or than the consent; None: as late as may be.

    Raises BadInput.
    """
    made = now()
    end = min(latest(made), consent.until) if consent is not None else latest(made)
    if until is not None and not made < until <= end:
        raise BadInput(f"it can end between tomorrow and {end:%Y-%m-%d}, not on {until:%Y-%m-%d}")
    photos: tuple[bytes, ...] = ()
    model, model_print = "", ""
    if isinstance(what, Photos):
        photos = tuple(_png(view) for view in what.views)
    else:
        model, model_print = what.name, fingerprint_of(what)
    pack = Pack(name, disclosure, how, made, until or end, photos, model, model_print, consent)
    packs.add(pack)
    return pack


def demand_new(name: str, packs: Packs, model: str = "") -> None:
    """Raises BadInput where this name cannot be a new face's; to be asked before any work."""
    demand_free(name, packs, model)


def demand_camera(source: Source) -> None:
    """Raises BadInput where a source is not somebody's own camera: a file, a stream, a virtual camera.

    Only Linux tells virtual cameras from others.
    """
    kind = type(source).__module__.rpartition(".")[2]
    if kind not in _REAL:
        raise BadInput(f"the source {kind!r} is no camera", hint="a challenge is made before your own camera")
    device = str(getattr(source, "device", ""))
    if sys.platform == "linux" and kind == "camera" and _is_virtual(device):
        raise BadInput(
            f"the camera {device!r} is a virtual one: what it shows is made by a program",
            hint="take the real one: --camera camera:NAME (doppelcam list)",
        )


def challenge(
    source: Source, finder: Finder, photos: Photos, say: Callable[[str], None], **how: tuple[str, ...]
) -> Challenge:
    """Hold the challenge before this camera, which is opened and closed here; `say` gets what to tell the person,
    each time that it changes. `finder` is an opened one. Raises BadInput when it is not passed.
    """
    likeness = best_likeness(finder)
    try:
        held = Challenge(photos.views, likeness, **how)  # type: ignore[arg-type]
        source.open()
        try:
            _hold(held, source, finder, say)
        finally:
            source.close()
    finally:
        likeness.close()
    if not held.passed:
        raise BadInput(
            f"the challenge was not passed: {held.why_not}",
            hint="sit in good light, alone, look into the camera, and try again",
        )
    return held


def _hold(held: Challenge, source: Source, finder: Finder, say: Callable[[str], None]) -> None:
    faces, told = finder.find(source.read().image, []), ""
    while not held.over:
        if held.words != told:
            told = held.words
            say(told)
        try:
            captured = source.read()
        except EndOfSource:
            raise BadInput("the camera stopped before the challenge was over") from None
        for face in faces:
            face.track = 1
        faces = finder.find(captured.image, faces)
        held.step(captured.image, faces, captured.position_s)


def _is_virtual(device: str) -> bool:
    if device.isdigit() or device.startswith("/"):
        nodes = [_V4L / (f"video{device}" if device.isdigit() else Path(device).resolve().name)]
    else:
        nodes = [node for node in _V4L.glob("video*") if device.casefold() in _name_of(node).casefold()][:1]
    return any("/virtual/" in str(node.resolve()) for node in nodes if node.exists())


def _name_of(node: Path) -> str:
    try:
        return (node / "name").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _png(view: View) -> bytes:
    done, data = cv2.imencode(".png", view.image)
    assert done, "a decoded picture can be written"
    return data.tobytes()
