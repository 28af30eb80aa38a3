"""Portraits: which face of which picture is meant, and what cannot be worn, with a reason."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from engines.errors import BadInput
from live.frame import Face, Image, View
from live.parts import Finder
from live.pictures import SUFFIXES, decoded, read_bytes, read_picture

SAMPLE_PORTRAITS = Path(__file__).parents[1] / "samples" / "portraits"
MOST_VIEWS = 12
_SMALLEST_FACE_PX = 48


def sample_names() -> list[str]:
    return sorted(path.stem for path in SAMPLE_PORTRAITS.glob("*.jpg"))


def sample_view(name: str, finder: Finder) -> View:
    """The shipped portrait of this name."""
    image = decoded(read_bytes(SAMPLE_PORTRAITS / f"{name}.jpg"))  # it came with doppelcam: no process of its own
    assert image is not None, "the shipped portraits are whole"
    return view_of(image, f"{name}.jpg", None, finder)


def open_views(path: Path, number: int | None, finder: Finder) -> tuple[View, ...]:
    """The face in a picture (its `number`, counted from the left from 1, where there are several), or those of a
    folder of pictures of one person, the straightest first. Raises BadInput.
    """
    if not os.path.isdir(path):
        return (view_of(read_picture(path), path.name, number, finder, str(path)),)
    return straightest_first(
        view_of(read_picture(picture), picture.name, None, finder) for picture in pictures_in(path)
    )


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, by name. Raises BadInput: none, or too many."""
    pictures = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not 1 <= len(pictures) <= MOST_VIEWS:
        raise BadInput(
            f"the folder {folder} holds {len(pictures)} pictures",
            hint=f"expected 1 to {MOST_VIEWS} pictures of one person ({', '.join(SUFFIXES)})",
        )
    return pictures


def straightest_first(views: Iterable[View]) -> tuple[View, ...]:
    return tuple(sorted(views, key=lambda view: abs(view.face.pose[0])))


def path_of(text: str) -> Path:
    """The path that was written, `~` and `~name` resolved where there is such a user."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def split_number(spec: str) -> tuple[Path, int | None]:
    """`group.jpg#2` as its path and number, unless there is a file that is called so."""
    path = path_of(spec)
    match = re.fullmatch(r"(.+)#(\d{1,9})", spec)
    if match and not os.path.exists(path):
        return path_of(match[1]), int(match[2])
    return path, None


def view_of(image: Image, name: str, number: int | None, finder: Finder, spec: str = "") -> View:
    """The face in this picture, which is called `name` in errors, `spec` where it was given. Raises BadInput."""
    faces = sorted(finder.find(image, []), key=lambda face: face.box[0])
    face = _choose(name, spec or name, faces, number)
    x0, y0, x1, y1 = face.box
    if min(x1 - x0, y1 - y0) < _SMALLEST_FACE_PX:
        raise BadInput(
            f"the face in {name} is only {x1 - x0:.0f} x {y1 - y0:.0f} pixels",
            hint=f"take a picture in which the face is at least {_SMALLEST_FACE_PX} pixels wide, better 300",
        )
    return View(image, face)


def _choose(name: str, spec: str, faces: list[Face], number: int | None) -> Face:
    if not faces:
        raise BadInput(
            f"no face was found in {name}",
            hint="take a sharp picture that shows one whole face from the front, not too small",
        )
    if number is None and len(faces) > 1:
        raise BadInput(
            f"{name} shows {len(faces)} faces: which one?",
            hint=f"count from the left: '{spec}#1' to '{spec}#{len(faces)}'",
        )
    if number is not None and not 1 <= number <= len(faces):
        raise BadInput(f"{name} has no face #{number}: it shows {len(faces)}", hint="count from the left, from 1")
    return faces[(number or 1) - 1]
