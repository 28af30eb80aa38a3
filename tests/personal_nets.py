"""Personal engines as `doppelcam teach` writes them, but tiny and of known effect: the crop in another colour."""

from __future__ import annotations

import json

import cv2
import numpy as np

from live.fit.known import known_of, look_of
from live.personas.taught import mark_own
from tests.trained_nets import make_trained, tint

SIZE = 128


def ellipse(tall=0.4, wide=0.29, centre=(0.5, 0.52)):
    """A mask 0..1 [SIZE, SIZE] as large as a face in the crop."""
    mask = np.zeros((SIZE, SIZE), np.float32)
    middle = tuple(round(c * SIZE) for c in centre)
    cv2.ellipse(mask, middle, (round(wide * SIZE), round(tall * SIZE)), 0, 0, 360, 1.0, -1)
    return cv2.blur(mask, (5, 5))


def make_personal(folder, looks, picture=tint, face_mask=None, front=None, face=None, own=True):
    """A model folder. `looks` [n, 6]: those of the lessons; `face`: whose face it was taught (a sample's); `own`: by
    this user."""
    masks = {
        "face_mask": ellipse() if face_mask is None else face_mask,
        "front": np.zeros((SIZE, SIZE)) if front is None else front,
    }
    taught = {
        "teacher": "mesh", "seconds": 60.0, "frames": 1500, "face": face or {"sample": "joel"}, "known": known_of(looks)
    }  # fmt: skip
    make_trained(folder, picture, ("whole_face", "dfl33"), SIZE, masks, taught=taught)
    change_card(folder, family="personal")
    if own:
        mark_own(folder)
    return folder


def change_card(folder, **fields):
    """Other fields on its card; facts are changed one by one."""
    path = folder / "card.json"
    tree = json.loads(path.read_text())
    tree["facts"] |= fields.pop("facts", {})
    path.write_text(json.dumps(tree | fields))
    return folder


def known_looks(portrait):
    """The look of this persona's own picture, as if it were the wearer's."""
    return look_of(portrait.image, portrait.face)[None]
