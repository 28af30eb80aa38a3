"""How good the default swap looks on the shipped clip, in figures: nothing may get worse unseen."""

from __future__ import annotations

import pytest

from tests.quality import judge_sample

# What today's swap must keep to: lowest and highest. `tests/quality.py` says what each figure means. Tighten them when
# the swap gets better.
BOUNDS = {
    "expression_error": (0, 0.0115),
    "flicker": (0.5, 1.05),
    "seam": (0.93, 1.08),
    "outside": (0, 0),
    "shape_gain": (0.33, 1.1),
    "colour_gain": (0.1, 1.5),
}


@pytest.mark.parametrize("face", ["sample:lena", "sample:nia"])
def test_the_swap_looks_as_good_as_it_did(face, finder):
    figures = judge_sample(face, finder, until_s=5.2)  # talks, blinks, smiles, turns to both sides
    assert figures.found == figures.frames == 156
    wrong = {
        name: getattr(figures, name)
        for name, (low, high) in BOUNDS.items()
        if not low <= getattr(figures, name) <= high
    }
    assert not wrong, figures
