"""Controls are drawn from the parts' own fields; what they take is checked by the parts' own rules."""

from __future__ import annotations

import pytest

from engines.errors import BadInput
from live.panel.controls import adjusted, controls
from live.parts import SWAPPERS
from tests.live.panel.conftest import sample_run


def drawn(run, *swappers):
    return {one["key"]: one for group in controls(run, swappers) for one in group["controls"]}


def test_a_field_becomes_the_control_of_its_kind_with_its_own_words_and_limits():
    found = drawn(sample_run("guard.hold_ms=250"), "mesh")
    shape = {k: found["swappers.mesh.shape"][k] for k in ("type", "low", "high", "step", "value", "default", "live")}
    assert shape == {"type": "range", "low": 0, "high": 1.5, "step": 0.05, "value": 1.0, "default": 1.0, "live": True}
    assert found["swappers.mesh.front"]["type"] == "switch" and not found["swappers.mesh.front"]["live"]
    assert found["guard.on_no_face"]["choices"] == ["cover", "hold", "show"]
    assert (found["guard.hold_ms"]["name"], found["guard.hold_ms"]["value"]) == ("hold (ms)", 250)
    assert all(control["help"] for control in found.values())


@pytest.mark.parametrize("swapper", SWAPPERS.names())
def test_no_control_takes_a_text_a_port_or_opens_the_network(swapper):
    for source in ("sample", "browser", "camera:1", "rtsp://x/y"):
        for control in drawn(sample_run(source=source), swapper).values():
            assert control["type"] in ("range", "switch", "choice")
            assert control["key"].rpartition(".")[2] not in ("engine", "fallback", "lan", "port", "path", "model")


def test_what_is_set_goes_over_what_was_set_and_leaves_the_rest():
    run = sample_run("guard.hold_ms=250", "swappers.mesh.light=0.5")
    new = adjusted(run, ("mesh",), {"guard.hold_ms": 100, "swappers.mesh.shape": 0})
    assert new.tree["guard"] == {"hold_ms": 100.0}
    assert new.tree["swappers"]["mesh"] == {"light": "0.5", "shape": 0.0}
    assert run.tree["guard"] == {"hold_ms": "250"}


@pytest.mark.parametrize(
    ("key", "value"), [("guard.hold_ms", 1e6), ("guard.on_no_face", "x"), ("swappers.mesh.front", 3)]
)
def test_a_value_outside_is_refused_in_the_parts_own_words(key, value):
    with pytest.raises(BadInput, match=key.replace(".", r"\.")):
        adjusted(sample_run(), ("mesh",), {key: value})


def test_a_part_that_is_not_in_use_cannot_be_set():
    with pytest.raises(BadInput, match="unknown setting"):
        adjusted(sample_run(), ("mesh",), {"swappers.trained.morph": 0.5})
