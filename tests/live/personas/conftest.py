"""A folder of faces of its own for each test, a second user's beside it, and packs that are quickly made."""

from __future__ import annotations

from datetime import timedelta

import cv2
import numpy as np
import pytest

from live.personas import consent
from live.personas.pack import Pack
from live.personas.packs import Packs, now
from live.personas.vault import Vault


@pytest.fixture(autouse=True)
def packs(tmp_path, monkeypatch):
    for name in ("DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    return Packs(tmp_path / "data" / "doppelcam" / "faces")


@pytest.fixture
def other(tmp_path):
    """Another person's machine."""
    return Vault(tmp_path / "other" / "faces")


@pytest.fixture
def png():
    done, data = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8))
    assert done
    return data.tobytes()


@pytest.fixture
def make(png):
    """A pack of one portrait; what is given is changed."""

    def made(name="lena", days=100, **changes):
        at = changes.pop("made", now())
        fields = {"disclosure": "synthetic", "how": "declared", "photos": (png,), **changes}
        return Pack(name, fields.pop("disclosure"), fields.pop("how"), at, at + timedelta(days=days), **fields)

    return made


@pytest.fixture
def agreed(packs, other):
    """A consent of another person to the user of `packs`; what is given is changed."""

    def give(**changes):
        fields = {"person": "Ann", "wearer": "Bob", "wearer_key": packs.vault.public_key(), "photos": ["ab" * 32],
                  "models": [], "scope": ["live"], "until": now() + timedelta(days=200)}  # fmt: skip
        return consent.give(other.signing_key(), **{**fields, **changes})

    return give
