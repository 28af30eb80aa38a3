"""Whose face is worn: opens portraits and trained models, refuses what cannot be worn with a reason."""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from engines.card import CARD_FILE, ModelCard, read_card
from engines.errors import BadInput
from engines.store import user_store
from live.frame import Face, Image, Persona, View
from live.parts import Finder

SAMPLE_PORTRAITS = Path(__file__).parent / "samples" / "portraits"
_MOST_BYTES = 64 << 20
_MOST_PIXELS = 64_000_000
_LONG_SIDE_PX = 2048
_SMALLEST_FACE_PX = 48
_MOST_VIEWS = 12
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def sample_names() -> list[str]:
    return sorted(path.stem for path in SAMPLE_PORTRAITS.glob("*.jpg"))


def open_persona(spec: str, finder: Finder) -> Persona:
    """The persona named by `spec`: a picture's path, `path#2` for its second face from the left, `sample[:name]`, a
    folder of pictures of one person (straight, turned, smiling), which fill what a single one does not show, or a
    trained model as in `model_of`.

    `finder` is an opened finder. Raises BadInput, and ModelError for a broken model folder.
    """
    model = model_of(spec)
    if model is not None:
        return Persona(model.name, (), model)
    path, number = _locate(spec)
    if not path.is_dir():
        return Persona(path.stem, (_open_view(path, number, finder),))
    pictures = sorted(p for p in path.iterdir() if p.suffix.lower() in _SUFFIXES)
    if not 1 <= len(pictures) <= _MOST_VIEWS:
        raise BadInput(
            f"the folder {path} holds {len(pictures)} pictures",
            hint=f"expected 1 to {_MOST_VIEWS} pictures of one person ({', '.join(_SUFFIXES)})",
        )
    views = [_open_view(picture, None, finder) for picture in pictures]
    return Persona(path.resolve().name, tuple(sorted(views, key=lambda view: abs(view.face.pose[0]))))


def model_of(spec: str) -> ModelCard | None:
    """The trained model that `spec` means: a model folder's path or an installed model's name. None: it means pictures.

    Raises BadInput for a model of another kind, ModelError for a broken card.
    """
    path = Path(spec).expanduser()
    if os.path.lexists(path / CARD_FILE):
        card = read_card(path)
    elif not path.exists() and spec in user_store().names():
        card = user_store().card(spec)
    else:
        return None
    if card.facts.get("kind") != "trained":
        raise BadInput(
            f"the model {card.name!r} is no trained face to wear (its family is {card.family!r})",
            hint="doppelcam export makes one of a checkpoint or a .dfm file",
        )
    return card


def _open_view(path: Path, number: int | None, finder: Finder) -> View:
    image = read_picture(path)
    faces = sorted(finder.find(image, []), key=lambda face: face.box[0])
    face = _choose(path, faces, number)
    x0, y0, x1, y1 = face.box
    if min(x1 - x0, y1 - y0) < _SMALLEST_FACE_PX:
        raise BadInput(
            f"the face in {path.name} is only {x1 - x0:.0f} x {y1 - y0:.0f} pixels",
            hint=f"take a picture in which the face is at least {_SMALLEST_FACE_PX} pixels wide, better 300",
        )
    return View(image, face)


def _locate(spec: str) -> tuple[Path, int | None]:
    kind, _, name = spec.partition(":")
    if kind == "sample":
        names = sample_names()
        if name and name not in names:
            raise BadInput(f"there is no sample face {name!r}", hint=f"choose one of: {', '.join(names)}")
        return SAMPLE_PORTRAITS / f"{name or 'joel'}.jpg", None
    path = Path(spec).expanduser()
    match = re.fullmatch(r"(.+)#(\d+)", spec)
    if match and not path.exists():
        return Path(match[1]).expanduser(), int(match[2])
    return path, None


def _choose(path: Path, faces: list[Face], number: int | None) -> Face:
    if not faces:
        raise BadInput(
            f"no face was found in {path.name}",
            hint="take a sharp picture that shows one whole face from the front, not too small",
        )
    if number is None and len(faces) > 1:
        raise BadInput(
            f"{path.name} shows {len(faces)} faces: which one?",
            hint=f"count from the left: '{path}#1' to '{path}#{len(faces)}'",
        )
    if number is not None and not 1 <= number <= len(faces):
        raise BadInput(f"{path.name} has no face #{number}: it shows {len(faces)}", hint="count from the left, from 1")
    return faces[(number or 1) - 1]


def read_picture(path: Path) -> Image:
    """A picture file as BGR u8, turned as its EXIF says, at most 2048 px on its long side. Raises BadInput.

    The header is looked at before anything is decoded, so that a small file cannot ask for gigabytes.
    """
    expected = "expected a JPEG, PNG, WebP or BMP picture"
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BadInput(f"{path} is larger than {_MOST_BYTES >> 20} MB", hint=expected)
        data = path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"there is no picture {path}", hint="check its path") from None
    except OSError as error:
        raise BadInput(f"the picture {path} cannot be read: {error.strerror or error}", hint=expected) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)  # its size is judged below
            with Pillow.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP", "BMP"]) as header:
                width, height = header.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Pillow.DecompressionBombError):
        raise BadInput(f"{path} is not a picture that can be read", hint=expected) from None
    if width * height > _MOST_PIXELS:
        raise BadInput(
            f"{path} has {width} x {height} pixels", hint=f"at most {_MOST_PIXELS // 10**6} million are read"
        )
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise BadInput(f"{path} is damaged: its picture cannot be decoded", hint=expected)
    scale = _LONG_SIDE_PX / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image, dtype=np.uint8)
