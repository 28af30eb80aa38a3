"""`doppelcam faces` and `doppelcam consent` as users run them: two people, two machines, one file between them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import timedelta

import pytest
from typer.testing import CliRunner

import live.app
from engines.errors import BadInput, DoppelcamError
from engines.store import user_store
from live import session
from live.cli import app, faces
from live.personas import SAMPLE_PORTRAITS, enrol
from live.personas.packs import fingerprint_of, user_packs
from live.teach.workshop import new_workshop
from tests.trained_nets import make_trained

NIA = SAMPLE_PORTRAITS / "nia.jpg"
LENA = SAMPLE_PORTRAITS / "lena.jpg"


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path, finder):
    """Goes to this person's machine."""

    @contextmanager
    def opened():
        yield finder

    def go(name):
        for kind in ("DATA", "STATE", "CACHE", "CONFIG"):
            monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / "machines" / name / kind.lower()))

    go("bob")
    monkeypatch.setattr(live.app, "opened_finder", opened)
    monkeypatch.setattr(faces.out, "width", 200)
    monkeypatch.chdir(tmp_path)
    return go


@pytest.fixture
def run():
    """Run `doppelcam ...`; errors come through as they were raised. Answers what was printed, notes included."""

    def run(*args, answer=None):
        done = CliRunner().invoke(app, [*map(str, args)], input=answer)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.output

    return run


def test_a_declared_face_is_added_listed_shown_and_removed(run):
    soon = enrol.now() + timedelta(days=30)
    run("faces", "add", NIA, "--synthetic", "--until", f"{soon:%Y-%m-%d}")
    listed = run("faces", "list")
    assert "nia" in listed and "1 portrait " in listed and "synthetic" in listed and "ok" in listed
    shown = run("faces", "show", "nia")
    assert "declared to be nobody's face" in shown and "can be worn" in shown and "key in the file" in shown
    with pytest.raises(BadInput, match="nothing is removed without being asked for"):
        run("faces", "remove", "nia")
    run("faces", "remove", "nia", "--yes")
    assert "no faces are kept" in run("faces", "list")


def test_removing_asks_somebody_who_is_there(run, monkeypatch):
    run("faces", "add", NIA, "--synthetic")
    monkeypatch.setattr(faces, "asks", lambda: True)
    run("faces", "remove", "nia", answer="n\n")
    assert user_packs().names() == ["nia"]
    run("faces", "remove", "nia", answer="y\n")
    assert user_packs().names() == []


def test_without_a_word_it_is_unverified(run):
    assert "unverified" in run("faces", "add", NIA, "--name", "somebody")
    assert user_packs().open("somebody").disclosure == "unverified"


def test_consent_travels_from_one_machine_to_another_and_back(run, machine, tmp_path):
    key = run("consent", "key").split()[0]
    machine("ann")
    told = run("consent", "give", NIA, "--me", "Ann", "--to", "Bob", "--key", key, "--out", "ann.consent",
               "--for", "live, record", "--no-camera")  # fmt: skip
    assert "Bob may wear this face" in told
    machine("bob")
    shown = run("consent", "show", "ann.consent")
    assert "Ann, key" in shown and "be shown live" in shown and "be recorded" in shown and "1 picture," in shown
    assert "did not show to be the one" in shown
    assert "ask them" in run("faces", "add", NIA, "--consent", "ann.consent", "--name", "ann")
    assert "signed by   Ann, key" in run("faces", "show", "ann")
    with pytest.raises(BadInput, match="is not for 1 of the 1 pictures"):
        run("faces", "add", LENA, "--consent", "ann.consent")

    machine("ann")
    run("consent", "withdraw", "ann.consent")
    machine("bob")
    with pytest.raises(BadInput, match="not given by you on this machine"):
        run("consent", "withdraw", "ann.consent", "--out", "mine")
    assert "cannot be worn any more: ann" in run("faces", "withdraw", "ann.withdrawal")
    assert "was withdrawn" in run("faces", "list") and "was withdrawn" in run("faces", "show", "ann")
    with pytest.raises(BadInput, match="was withdrawn"):
        run("run", "--source", "sample", "--face", "ann", "--sink", "null")
    with pytest.raises(BadInput, match="was withdrawn by Ann"):
        run("faces", "add", NIA, "--consent", "ann.consent", "--name", "again")


def test_a_consent_for_a_model(run, machine, tmp_path):
    user_store().add_folder(make_trained(tmp_path / "anna"))
    key = run("consent", "key").split()[0]
    machine("ann")
    with pytest.raises(BadInput, match="64 hexadecimal digits"):
        run("consent", "give", "model:12", "--me", "Ann", "--to", "Bob", "--key", key, "--out", "c")
    assert not (tmp_path / "c").exists()
    machine("bob")
    mark = fingerprint_of(user_store().card("anna"))
    machine("ann")
    run("consent", "give", f"model:{mark}", "--me", "Ann", "--to", "Bob", "--key", key, "--out", "c")
    machine("bob")
    run("faces", "add", "anna", "--consent", "c")
    assert "model anna" in run("faces", "list")
    with pytest.raises(BadInput, match="no picture to match you with"):
        run("faces", "add", "anna", "--me", "--name", "x")


def test_a_challenge_is_told_and_recorded(run, monkeypatch):
    def passed(source, finder, photos, say):
        say("turn your head to your left")

        class Held:
            score, likeness, record = 0.8, type("L", (), {"words": "a double"}), "live challenge (left)"

        return Held

    monkeypatch.setattr(enrol, "challenge", passed)
    told = run("faces", "add", NIA, "--me", "--camera", "camera:0")
    assert "turn your head to your left" in told and "not who you are" in told
    assert user_packs().open("nia").how == "live challenge (left)"
    with pytest.raises(BadInput, match="is no camera"):
        run("faces", "add", LENA, "--me", "--camera", "sample")


BAD = {
    "two ways": (["add", NIA, "--me", "--synthetic"], "exclude each other"),
    "no day": (["add", NIA, "--synthetic", "--until", "soon"], "a last day (--until)"),
    "too long": (["add", NIA, "--synthetic", "--until", "2099-01-01"], "it can end between"),
    "no picture": (["add", "gone.jpg"], "no picture gone.jpg"),
    "no consent": (["add", NIA, "--consent", "gone"], "there is no consent gone"),
    "a picture as consent": (["add", NIA, "--consent", NIA], "is no consent"),
    "no face": (["show", "nobody"], "there is no face 'nobody'"),
    "odd name": (["add", NIA, "--name", "a/b"], "cannot be the name of a face"),
    "a picture as withdrawal": (["withdraw", NIA], "is no withdrawal"),
}


@pytest.mark.parametrize(("args", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_nothing_is_kept(run, args, words):
    with pytest.raises(DoppelcamError) as caught:
        run("faces", *args)
    assert words in caught.value.message and caught.value.message.isprintable()
    assert user_packs().names() == []


def test_a_model_does_not_take_a_faces_name(run, tmp_path):
    run("faces", "add", NIA, "--synthetic")
    with pytest.raises(BadInput, match="'nia' is one of your faces"):
        run("models", "add", make_trained(tmp_path / "nia"))


def test_what_was_worn_is_on_record_without_a_picture(run):
    plain = ["run", "--source", "sample", "--engine", "onnx_runtime:cpu:fp32", "--seconds", "0.5", "--sink", "null"]
    run(*plain, "--face", "sample:nia", "--sink", "out.mp4")
    run(*plain, "--face", NIA)
    with pytest.raises(BadInput):
        run(*plain, "--face", "gone.jpg")
    last, first = json.loads(run("faces", "sessions", "--json"))
    assert (first["persona"], first["disclosure"], first["sinks"]) == ("nia", "synthetic", ["null", "recording"])
    assert (last["persona"], last["disclosure"], last["sinks"]) == ("nia", "unverified", ["null"])
    assert first["ended"] >= first["started"]
    listed = run("faces", "sessions")
    assert first["session"] in listed and str(session.path()) in listed
    assert session.path().stat().st_size < 1000


def test_a_wipe_says_what_is_gone_and_what_is_kept(run, tmp_path):
    user_store().add_folder(make_trained(tmp_path / "anna"))
    run("faces", "add", NIA, "--synthetic")
    new_workshop("me_as_nia").save()
    told = run("faces", "wipe", "--yes")
    assert "removed the key" in told and "the faces nia" in told and "the workshop me_as_nia" in told
    assert "kept: the trained models anna" in told and "kept: the record of sessions" in told
    assert "there was nothing to remove" not in run("faces", "wipe", "--yes", "--models")
    assert "there was nothing to remove" in run("faces", "wipe", "--yes")
    assert user_store().names() == []
