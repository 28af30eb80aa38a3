"""Which camera is meant: by number, path, name or id; and the same one again after it was unplugged."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from engines.errors import BadInput, SourceLost
from live import v4l2
from live.v4l2 import Device

# Links that udev makes, the same after every start and in every socket (by-id), or for the same socket (by-path).
_LINKS = (Path("/dev/v4l/by-id"), Path("/dev/v4l/by-path"))


def cameras() -> list[Device]:
    """Every node that gives pictures, real cameras first; also those that this user may not ask."""
    found = [device for device in v4l2.devices() if device.captures or device.trouble is not None]
    return sorted(found, key=lambda device: device.virtual)


def find(word: str) -> Device:
    """The camera that `word` means. Raises BadInput that names those that are here.

    "" is the first real one. A number or part of a name never means a virtual camera while a real one fits or is
    there; a path and a whole name always do.
    """
    here = cameras()
    real = [device for device in here if not device.virtual]
    if not word:
        if not here:
            raise BadInput("no camera is connected", hint="plug one in, or use --source sample")
        return (real or here)[0]
    if word.isdigit():
        return _numbered(int(word), here, real)
    if word.startswith("/"):
        return _at(word, here)
    for folder in _LINKS:
        if (folder / word).exists():
            return _at(str(folder / word), here)
    fitting = [device for device in here if word.lower() in device.name.lower()]
    exact = [device for device in fitting if device.name.lower() == word.lower()]
    fitting = exact or [device for device in fitting if not device.virtual] or fitting
    # A webcam often has a second node with the same name, for instance for infrared: the first one is the camera.
    if len({device.name for device in fitting}) == 1:
        return fitting[0]
    if fitting:
        raise BadInput(f"the camera name {word!r} fits several", hint=f"be more exact: {in_words(fitting)}")
    raise BadInput(f"there is no camera named {word!r}", hint=f"cameras here: {in_words(here)}")


def in_words(devices: list[Device]) -> str:
    return ", ".join(f"{device.path} ({device.name})" for device in devices) or "none"


def id_of(device: Device) -> str:
    """The name of the stable link to this node, "" where the system keeps none."""
    for folder in _LINKS[:1]:
        for link in sorted(folder.glob("*")):
            if os.path.realpath(link) == device.path:
                return link.name
    return ""


@dataclass(frozen=True, slots=True)
class Identity:
    """What stays the same of a camera while its node comes and goes; `usb` is maker, product and serial number."""

    name: str
    driver: str
    usb: tuple[str, ...]
    index: str
    bus: str

    def find(self) -> Device:
        """The same camera, whatever its node is called now: in the same socket, or else the only one like it.

        Raises SourceLost.
        """
        like = []
        for device in cameras():
            here = identity(device)
            if (here.name, here.driver, here.usb, here.index) == (self.name, self.driver, self.usb, self.index):
                if here.bus == self.bus:
                    return device
                like.append(device)
        if len(like) == 1:
            return like[0]
        why = "several like it are there" if like else "it is not there"
        raise SourceLost(f"camera {self.name} cannot be opened again: {why}", hint="plug it in where it was")


def identity(device: Device) -> Identity:
    node = v4l2.CLASS / Path(device.path).name
    return Identity(device.name, device.driver, _usb(node / "device"), _line(node / "index"), device.bus)


def _usb(place: Path) -> tuple[str, ...]:
    """Maker, product and serial number from the USB device above this interface; empty where there is none."""
    for folder in [place.resolve(), *place.resolve().parents]:
        if (folder / "idVendor").exists():
            return tuple(_line(folder / fact) for fact in ("idVendor", "idProduct", "serial"))
    return ()


def _line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _numbered(number: int, here: list[Device], real: list[Device]) -> Device:
    device = _at(f"/dev/video{number}", here)
    if device.virtual and real:
        raise BadInput(
            f"/dev/video{number} is a virtual camera ({device.name})",
            hint=f"cameras here: {in_words(real)}; if you do mean it: camera:/dev/video{number}",
        )
    return device


def _at(path: str, here: list[Device]) -> Device:
    node = os.path.realpath(path)
    for device in here:
        if device.path == node:
            return device
    if not Path(node).exists():
        raise BadInput(f"there is no camera {path}", hint=f"cameras here: {in_words(here)}")
    device = v4l2.ask(node)
    if device.virtual:
        raise BadInput(
            f"nothing feeds the virtual camera {path}", hint=f"start its program first; cameras here: {in_words(here)}"
        )
    raise BadInput(f"{path} is not a camera that gives pictures", hint=f"cameras here: {in_words(here)}")
