"""Cameras and ways out, by the names that people know them by, and why one is not to be had."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from engines.errors import BadInput, DoppelcamError
from live.address import shown
from live.parts import SINKS
from live.run import Run

_SINKS = {
    "virtual": (
        "virtual_camera",
        "Virtual camera",
        "for OBS, Zoom, Teams, browsers: choose the camera doppelcam there",
    ),
    "pipewire": ("pipewire", "PipeWire camera", "for OBS 30 and newer, Firefox, GNOME: choose doppelcam there"),
    "mjpeg": ("mjpeg", "Browser source", "for OBS without a virtual camera; its address is shown below"),
    "webrtc": ("webrtc", "WebRTC page", "for other pages and players; its address is shown below"),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that can be chosen. `spec` is what `--source` or `--sink` takes; pages only know its `id`."""

    spec: str
    name: str
    note: str = ""
    why_not: str = ""

    @property
    def id(self) -> str:
        return shown(self.spec)  # an address without its password

    def public(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "note": self.note, "why_not": self.why_not}


def pick(offers: list[Offer], id: str, what: str) -> str:
    """The spec of the one that is meant. Raises BadInput where none is."""
    for offer in offers:
        if offer.id == id:
            return offer.spec
    raise BadInput(f"there is no such {what} here", hint=f"choose {', '.join(offer.id for offer in offers)}")


def sources(named: list[Run]) -> list[Offer]:
    """Where pictures can come from, cameras first; also what these runs name."""
    found = []
    with suppress(ImportError, DoppelcamError, OSError):
        from live.sources.camera.which import cameras

        for device in cameras():
            note = "a virtual camera" if device.virtual else ""
            why = "" if device.trouble is None else "this user may not open it"
            found.append(Offer(f"camera:{device.path}", device.name, note, why))
    found.append(Offer("camera", "First camera", "" if found else "none is connected"))
    found.append(Offer("browser", "A browser's camera", "its address is shown below"))
    found.append(Offer("sample", "Sample clip", "a synthetic person, to try it"))
    for run in named:
        found = _with(found, run.source)
    return found


def sinks(named: list[Run]) -> list[Offer]:
    """Where the picture can go, besides the panel; also what these runs name."""
    found = []
    for spec, (part, name, note) in _SINKS.items():
        error = SINKS.why_not(part)
        why = "" if error is None else ": ".join(filter(None, (error.message, error.hint)))
        found.append(Offer(spec, name, note, why))
    for spec in (spec for run in named for spec in run.sinks):
        found = _with(found, spec)
    return found


def _with(found: list[Offer], spec: str) -> list[Offer]:
    if any(one.spec == spec for one in found):
        return found
    return [Offer(spec, shown(spec), "from the command line or a preset"), *found]
