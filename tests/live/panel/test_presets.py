"""Presets: a profile under a name, put on again while it runs where that works; and what the panel starts with."""

from __future__ import annotations

import stat

import pytest
from typer.testing import CliRunner

from engines.errors import BadInput
from live import cli
from live.panel import presets
from live.run import Run, read_run, tree_of
from tests.live.panel.conftest import live, sample_run, say, served, until


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "doppelcam" / "presets"


def write(folder, name, text, mode=0o600):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.toml").write_text(text)
    (folder / f"{name}.toml").chmod(mode)


RUNS = {
    "the defaults": Run(),
    "flags": read_run(
        None, ["guard.hold_ms=250", "swappers.mesh.front=no", "who.strangers=swap"], {"source": "sample"}
    ),
    "several people": Run(face="left=sample:joel", more_faces=["right=sample:nia"], sinks=["virtual", "mjpeg:0"]),
    "told elsewhere": Run(disclosure="elsewhere", disclosure_reason='in the "title"\n', engine="openvino:cpu"),
    "nothing for a maybe": read_run(None, ["finders.mediapipe_mesh.engine=auto"], {"face": "x#2"}),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_preset_is_a_profile_that_makes_the_same_run(folder, run):
    presets.save("late", run)
    again = read_run(folder / "late.toml", [], {})
    assert tree_of(again) == tree_of(run) and presets.opened("late") == again
    assert stat.S_IMODE((folder / "late.toml").stat().st_mode) == 0o600


def test_values_are_kept_in_their_own_types(folder):
    presets.save("late", RUNS["flags"])
    text = (folder / "late.toml").read_text()
    assert "hold_ms = 250.0" in text and "front = false" in text and 'strangers = "swap"' in text


@pytest.mark.long
def test_the_command_run_takes_a_preset(folder):
    presets.save("late", sample_run("guard.hold_ms=250"))
    done = CliRunner().invoke(
        cli.app, ["run", "--profile", str(folder / "late.toml"), "--sink", "null", "--seconds", "0.5"]
    )
    assert done.exit_code == 0, done.output


def test_a_name_that_is_taken_is_replaced_only_if_asked():
    presets.save("late", Run(source="sample"))
    with pytest.raises(BadInput, match="there is a preset 'late' already"):
        presets.save("late", Run(source="browser"))
    assert presets.opened("late").source == "sample"
    presets.save("late", Run(source="browser"), replace=True)
    assert presets.opened("late").source == "browser"
    presets.remove("late")
    assert presets.listed() == []
    for gone in (presets.opened, presets.remove):
        with pytest.raises(BadInput, match="there is no preset 'late'"):
            gone("late")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("source = ", "is not TOML"),
        ("\xff", "unknown|not TOML"),
        ("sorce = 'x'", "unknown setting 'sorce'"),
        ("[guard]\nhold_ms = 'x'", "takes a number"),
        ("x = " + "[" * 5000, "nested too deep|is not TOML"),
        ("#" * 70_000, "has 70000 bytes"),
    ],
)
def test_a_broken_preset_is_one_clear_line_beside_the_others(folder, text, words):
    write(folder, "broken", text)
    presets.save("good", Run())
    broken, good = presets.listed()
    assert (broken["name"], good) == ("broken", {"name": "good", "why_not": ""})
    assert broken["why_not"] and "\n" not in broken["why_not"]
    with pytest.raises(BadInput, match=words):
        presets.opened("broken")


def test_what_others_can_write_or_what_is_a_link_is_not_read(folder, tmp_path):
    write(folder, "theirs", "source = 'sample'", 0o666)
    (tmp_path / "else.toml").write_text("source = 'sample'")
    (folder / "link.toml").symlink_to(tmp_path / "else.toml")
    (folder / "not a name.toml").write_text("source = 'sample'")
    assert {one["name"] for one in presets.listed() if one["why_not"]} == {"theirs", "link"}
    assert len(presets.listed()) == 2


def test_where_nothing_can_be_written_it_is_said_and_nothing_is_there(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(BadInput, match=r"late\.toml cannot be written"):
        presets.save("late", Run())


# ---- in a panel


def loop_of(panel):
    return until(lambda: panel.show._loop)


def test_a_preset_is_put_on_without_a_new_loop_where_that_works(panel):
    loop = loop_of(panel)
    say(panel, "PATCH", "settings", {"swappers.mesh.shape": 0.75, "guard.hold_ms": 100})
    assert say(panel, "POST", "presets", {"name": "late"})[0] == 200
    assert panel.show.state()["preset"] == "late"
    assert say(panel, "GET", "choices")[1]["presets"] == [{"name": "late", "why_not": ""}]
    say(panel, "PATCH", "settings", {"swappers.mesh.shape": 0.25, "swappers.mesh.light": 0.5})
    say(panel, "POST", "wear", {"face": "sample:nia"})
    until(lambda: panel.show.state()["worn"]["name"] == "nia")
    assert panel.show.state()["preset"] == ""
    assert say(panel, "POST", "presets/use", {"name": "late"})[0] == 200
    until(lambda: panel.show.state()["worn"]["name"] == "joel")
    (swapper,) = loop.parts.swapper.swappers
    assert loop_of(panel) is loop and panel.show.state()["preset"] == "late"
    assert (swapper.shape, swapper.light, loop.guard.hold_ms) == (0.75, 1.0, 100)


def test_the_rest_of_a_preset_begins_anew(panel, folder):
    loop = loop_of(panel)
    text = "[swappers.mesh]\nfront = false\n[sources.sample]\nrepeat = true\n"
    write(folder, "other", f'source = "sample"\nface = "sample:lena"\nengine = "onnx_runtime:cpu:fp32"\n{text}')
    assert say(panel, "POST", "presets/use", {"name": "other"})[0] == 200
    until(lambda: panel.show._loop not in (None, loop))
    live(panel)
    until(lambda: panel.show.state()["worn"]["name"] == "lena")
    assert loop_of(panel).parts.swapper.swappers[0].front is False


def test_a_preset_that_cannot_be_is_refused_and_all_stays(panel, folder):
    write(folder, "gone", 'source = "sample"\nface = "sample:nobody"')
    write(folder, "broken", "source = ")
    before = panel.show.run
    for name, words in (("gone", "nobody"), ("broken", "is not TOML"), ("none", "there is no preset")):
        status, told = say(panel, "POST", "presets/use", {"name": name})
        assert status == 400 and words in told["message"]
    assert panel.show.run == before


def test_what_only_a_preset_names_can_be_chosen_again(folder):
    with served(sample_run()) as panel:
        write(folder, "far", 'source = "rtsp://me:hunter2@camera.example/x"\nface = "sample:joel"')
        say(panel, "POST", "presets/use", {"name": "far"})
        source = panel.show.state()["source"]
        assert "hunter2" not in source and say(panel, "POST", "choose", {"source": source, "sinks": []})[0] == 200
        assert panel.show.run.source == "rtsp://me:hunter2@camera.example/x"


def test_what_the_panel_starts_with_is_kept_and_forgotten():
    with served(sample_run("guard.hold_ms=250")) as panel:
        assert presets.kept() is None and say(panel, "GET", "choices")[1]["next"] is False
        assert say(panel, "POST", "presets/next", {"on": True})[0] == 200
        assert say(panel, "GET", "choices")[1]["next"] is True
        assert presets.kept().tree["guard"] == {"hold_ms": 250}
        assert stat.S_IMODE(presets.next_time().stat().st_mode) == 0o600
        say(panel, "POST", "presets/next", {"on": False})
        assert presets.kept() is None


def test_there_is_room_for_so_many(monkeypatch):
    monkeypatch.setattr(presets, "_MOST", 2)
    for name in ("a", "b"):
        presets.save(name, Run())
    with pytest.raises(BadInput, match="there are 2 presets already"):
        presets.save("c", Run())
    presets.save("a", Run(source="sample"), replace=True)
