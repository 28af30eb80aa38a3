"""Which likeness is taken, and that the user's own recogniser is the one that tells people apart elsewhere too."""

from __future__ import annotations

import numpy as np
import pytest

from engines.store import user_store
from live.personas.likeness import Looks, Recognised, best_likeness, score
from live.personas.portraits import sample_view
from live.recogniser import Recogniser, recogniser_card
from tests import one_photo_nets


@pytest.fixture
def recogniser(monkeypatch, tmp_path):
    """The user has a recogniser; files are not looked at in quarantine, which has tests of its own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("engines.door.admit", lambda card: None)
    name = one_photo_nets.RECOGNISER
    one_photo_nets.make_model(user_store().root / name[:-5], name, one_photo_nets.recogniser())


def test_without_a_recogniser_it_is_by_looks_alone(finder, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert isinstance(best_likeness(finder), Looks)


def test_with_one_it_is_by_its_vectors(recogniser, finder):
    likeness, net = best_likeness(finder), Recogniser(recogniser_card())
    assert isinstance(likeness, Recognised) and "arcface_w600k_r50" in likeness.words
    one, other = (sample_view(name, finder) for name in ("joel", "nia"))
    features = likeness.features(one.image, one.face)
    vector = net.vector(one.image, one.face.points)
    # bf16 may run the one and plain fp32 the other
    assert score(features, vector / np.linalg.norm(vector)) == pytest.approx(1, abs=0.01)
    assert score(features, features) == pytest.approx(1, abs=1e-4)
    assert score(features, likeness.features(other.image, other.face)) < 0.9
    likeness.close()
    net.close()
