"""The show on the sample clip: begun, changed while live, begun anew, covered, ended; and what goes wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from engines.errors import BadInput
from live.panel import show as module
from live.personas import SAMPLE_PORTRAITS
from live.session import runs
from tests.doubles import StayingWitness
from tests.live.panel.conftest import live, sample_run, say, served, until


def loop_of(panel):
    return until(lambda: panel.show._loop)


def worn(panel):
    return (panel.show.state()["worn"] or {}).get("name")


def test_another_face_is_put_on_without_a_new_loop(panel):
    loop = loop_of(panel)
    for name in ("nia", "joel"):
        assert say(panel, "POST", "wear", {"face": f"sample:{name}"})[0] == 200
        until(lambda name=name: worn(panel) == name)
        assert panel.show.state()["face"] == f"sample:{name}"
    assert loop_of(panel) is loop


def test_a_face_that_fails_late_is_not_the_chosen_one(panel, tmp_path):
    loop, before = loop_of(panel), panel.show.state()
    panel.show.change(lambda run: replace(run, face=str(tmp_path / "gone.jpg")))
    trouble = until(lambda: panel.show.state()["trouble"])
    assert "gone.jpg" in trouble["message"]
    assert panel.show.state()["face"] == before["face"] and worn(panel) == before["worn"]["name"]
    assert loop_of(panel) is loop
    say(panel, "POST", "wear", {"face": "sample:nia"})
    until(lambda: worn(panel) == "nia")
    assert panel.show.state()["trouble"] is None
    say(panel, "POST", "wear", {"face": "sample:joel"})
    until(lambda: worn(panel) == "joel")


def test_what_is_looked_at_for_each_picture_is_set_while_it_runs(panel):
    loop = loop_of(panel)
    assert say(panel, "PATCH", "settings", {"swappers.mesh.shape": 0.25, "guard.hold_ms": 100})[0] == 200
    assert loop_of(panel) is loop
    assert loop.parts.swapper.swappers[0].shape == 0.25 and loop.guard.hold_ms == 100


def test_of_many_wishes_at_the_same_time_none_is_lost(panel):
    wishes = {"swappers.mesh.shape": 0.4, "swappers.mesh.light": 0.3, "guard.hold_ms": 150}
    loop = loop_of(panel)
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(say, panel, "PATCH", "settings", {key: value}) for key, value in wishes.items()]:
            assert done.result()[0] == 200
    swapper = loop.parts.swapper.swappers[0]
    assert (swapper.shape, swapper.light, loop.guard.hold_ms) == (0.4, 0.3, 150)
    assert panel.show.run.tree["swappers"]["mesh"].items() >= {"shape": 0.4, "light": 0.3}.items()


def test_a_change_while_a_new_start_is_on_its_way_does_not_undo_it(panel):
    loop = loop_of(panel)
    for shape in (0.5, 0.6, 0.7):
        panel.show.start()
        say(panel, "PATCH", "settings", {"swappers.mesh.shape": shape})
    until(lambda: panel.show._loop not in (None, loop))
    live(panel)
    assert loop_of(panel).parts.swapper.swappers[0].shape == 0.7


def test_the_rest_begins_anew_with_all_that_was_set(panel):
    say(panel, "PATCH", "settings", {"swappers.mesh.shape": 0.5})
    loop = loop_of(panel)
    assert say(panel, "PATCH", "settings", {"swappers.mesh.front": False})[0] == 200
    until(lambda: panel.show._loop not in (None, loop))
    live(panel)
    swapper = loop_of(panel).parts.swapper.swappers[0]
    assert (swapper.front, swapper.shape) == (False, 0.5)
    settings = {
        one["key"]: one["value"] for group in say(panel, "GET", "choices")[1]["settings"] for one in group["controls"]
    }
    assert settings["swappers.mesh.front"] is False and settings["swappers.mesh.shape"] == 0.5


def test_the_cover_stays_through_a_new_start_until_it_is_taken_off(panel):
    assert say(panel, "POST", "cover", {"on": True})[0] == 200
    assert loop_of(panel).covered and panel.show.state()["covered"]
    loop = loop_of(panel)
    say(panel, "POST", "start", {})
    until(lambda: panel.show._loop not in (None, loop))
    assert loop_of(panel).covered
    until(lambda: panel.show.state()["phase"] == "live")
    assert panel.show.state()["figures"]["fps"] == 0
    say(panel, "POST", "cover", {"on": False})
    live(panel)


def test_stopped_it_is_off_and_can_be_begun_again(panel):
    say(panel, "POST", "stop")
    until(lambda: panel.show.state()["phase"] == "off")
    assert panel.show.state()["figures"] is None
    say(panel, "POST", "choose", {"face": "sample:lena"})
    assert panel.show.state()["phase"] == "off"
    say(panel, "POST", "start", {"face": "sample:amara"})
    live(panel)
    until(lambda: worn(panel) == "amara")


def test_the_record_of_sessions_names_every_face_that_was_worn(panel):
    say(panel, "POST", "start", {"face": "sample:joel"})
    live(panel)
    until(lambda: worn(panel) == "joel")
    say(panel, "POST", "wear", {"face": "sample:nia"})
    until(lambda: worn(panel) == "nia")
    session = f"{loop_of(panel).parts.session.number:06x}"
    until(lambda: [run["persona"] for run in runs() if run["session"] == session] == ["joel, then nia"])


def test_a_source_that_is_not_there_is_told_and_nothing_runs():
    with served(sample_run(source="nowhere.mp4")) as panel:
        panel.show.start()
        trouble = until(lambda: panel.show.state()["trouble"])
        assert "nowhere.mp4" in trouble["message"]
        until(lambda: panel.show.state()["phase"] == "off")
        assert say(panel, "POST", "start", {"source": "sample"})[0] == 200
        live(panel)


def test_a_camera_that_others_look_at_is_never_closed_between_two_loops(monkeypatch):
    device, made = StayingWitness(), module.parts_of

    def parts_of(run, also=None):
        parts = made(run, also)
        parts.sinks = {"device": device, **parts.sinks}
        return parts

    monkeypatch.setattr(module, "parts_of", parts_of)
    with served(sample_run()) as panel:
        for _ in range(2):
            panel.show.start()
            until(lambda: device.states()[-1:] == ["live"])
            panel.show.stop()
            until(lambda: panel.show.state()["phase"] == "off" and device.states()[-1] == "cover")
        assert (device.opened, device.closed) == (1, 0)
    assert device.closed == 1


def test_a_face_without_consent_is_not_put_on_where_viewers_are_told_elsewhere(tmp_path):
    nobody = tmp_path / "nobody.jpg"
    nobody.write_bytes((SAMPLE_PORTRAITS / "nia.jpg").read_bytes())
    told = ["disclosure=elsewhere", "disclosure_reason=in the title"]
    with served(sample_run(*told, sink=["mjpeg:0"])) as panel:
        panel.show.start()
        live(panel)
        with pytest.raises(BadInput, match="nobody's consent"):
            panel.show.change(lambda run: replace(run, face=str(nobody)))
        assert worn(panel) == "joel" and panel.show.run.face == "sample:joel"
        assert panel.show.state()["addresses"]["mjpeg:0"].startswith("http://127.0.0.1:")


@pytest.mark.long
def test_what_a_file_ends_with_is_off():
    with served(sample_run("sources.sample.repeat=false")) as panel:
        panel.show.start()
        live(panel)
        until(lambda: panel.show.state()["phase"] == "off")
        assert panel.show.state()["trouble"] is None
