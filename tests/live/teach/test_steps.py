"""live/teach/steps.py: how large the net is made."""

import pytest

from live.teach import steps


@pytest.mark.parametrize(
    ("crop_px", "took_ms", "size"),
    [
        (90, {}, 128),
        (182, {}, 128),
        (200, {192: 2.0}, 192),
        (330, {256: 4.0}, 256),
        (900, {256: 4.0}, 256),
        (900, {256: 9.0, 192: 5.0}, 192),
        (900, {256: 90.0, 192: 50.0}, 128),
    ],
)
def test_as_fine_as_the_face_if_that_is_quick_enough_here(monkeypatch, crop_px, took_ms, size):
    monkeypatch.setattr(steps, "_torch", lambda: True)
    monkeypatch.setattr(steps, "_net_ms", took_ms.__getitem__)
    assert steps.size_for(crop_px) == size


def test_without_torch_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(steps, "_torch", lambda: False)
    monkeypatch.setattr(steps, "_net_ms", lambda size: pytest.fail("measured"))
    assert steps.size_for(330) == 256
