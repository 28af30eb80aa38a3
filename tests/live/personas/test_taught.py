"""A personal engine has the consent of the face that it was taught: it is worn as that may be, and no longer."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from engines.errors import BadInput, ModelError
from engines.store import user_store
from live.app import build
from live.cli import app
from live.frame import Format
from live.personas import SAMPLE_PORTRAITS, allowed, choose, enrol, open_persona
from live.personas.consent import read_withdrawal, withdraw
from live.personas.packs import now
from live.personas.taught import mark_own
from live.run import read_run
from live.swappers.personal import Personal
from live.trace import Ledger
from tests.personal_nets import change_card, known_looks, make_personal


@pytest.fixture(scope="module")
def template(portrait, tmp_path_factory):
    """The engine's folder, not yet taught any face."""
    return make_personal(tmp_path_factory.mktemp("engine"), known_looks(portrait))


@pytest.fixture
def engine(template, tmp_path):
    """An engine taught this face, by this user unless said otherwise, at the path that it gives."""

    def made(face, name="worn", own=True):
        folder = tmp_path / "made" / name
        shutil.copytree(template, folder)
        taught = {"taught": {"teacher": "mesh", "face": face, "known": {}}}
        change_card(folder, name=name, facts=taught)
        if own:
            mark_own(folder)
        return folder

    return made


@pytest.fixture
def lena(packs, finder):
    """A face of the user's; what an engine that was taught it says of it."""
    photos = enrol.take(SAMPLE_PORTRAITS / "lena.jpg", finder)
    pack = enrol.store(packs, "lena", photos, "self", "a test")
    return fact_of(pack)


def fact_of(pack):
    return {"pack": pack.name, "photos": [hashlib.sha256(photo).hexdigest() for photo in pack.photos]}


def built(face, *pairs, sink="null"):
    return build(read_run(None, list(pairs), {"source": "sample", "face": str(face), "sink": [sink]}))


def test_a_sample_is_synthetic_and_the_mesh_swap_gets_its_portrait(engine, finder):
    persona = open_persona(str(engine({"sample": "joel"})), finder)
    assert (persona.name, persona.disclosure, len(persona.views)) == ("worn", "synthetic", 1)
    assert persona.model.family == "personal" and persona.why_not() == ""


def test_a_face_of_the_users_lends_its_disclosure_portraits_and_scope(engine, lena, finder):
    choice = choose(str(engine(lena)))
    persona = choice.open(finder)
    assert choice.disclosure == persona.disclosure == "self" and len(persona.views) == 1
    assert choice.scope is not None and persona.why_not() == ""


def test_an_installed_engine_is_worn_by_its_name(engine, lena):
    user_store().add_folder(engine(lena), "worn")
    loop = built("worn")
    assert isinstance(loop.parts.swapper.swappers[0], Personal)
    assert (loop.parts.session.persona, loop.parts.session.disclosure) == ("worn", "self")


def test_portraits_in_the_folder_are_nobodys_consent(engine, finder):
    data = (SAMPLE_PORTRAITS / "nia.jpg").read_bytes()
    folder = engine({"portraits": ["portrait1.png"], "sha256": [hashlib.sha256(data).hexdigest()]})
    (folder / "portrait1.png").write_bytes(data)
    persona = open_persona(str(folder), finder)
    assert persona.disclosure == "unverified" and len(persona.views) == 1
    (folder / "portrait1.png").write_bytes((SAMPLE_PORTRAITS / "lena.jpg").read_bytes())
    with pytest.raises(ModelError, match="not the picture that it was taught from"):
        choose(str(folder))
    (folder / "portrait1.png").unlink()
    with pytest.raises(ModelError):
        choose(str(folder))


@pytest.mark.parametrize("spoil", ["no mark", "another face", "another net", "another's mark"])
def test_what_a_strangers_card_claims_is_not_believed(engine, spoil):
    folder = engine({"sample": "joel"}, own=spoil != "no mark")
    assert choose(str(folder)).disclosure == ("unverified" if spoil == "no mark" else "synthetic")
    taught = json.loads((folder / "card.json").read_text())["facts"]["taught"]
    if spoil == "another face":
        change_card(folder, facts={"taught": taught | {"face": {"sample": "nia"}}})
    elif spoil == "another net":
        sha256 = json.loads((folder / "card.json").read_text())["sha256"]
        change_card(folder, sha256={name: "0" * 64 for name in sha256})
    elif spoil == "another's mark":
        change_card(folder, facts={"taught": taught | {"mark": "0" * 64}})
    assert choose(str(folder)).disclosure == "unverified"


def test_a_strangers_engine_gets_no_consent_of_the_users_face(engine, lena):
    choice = choose(str(engine(lena, own=False)))
    assert choice.disclosure == "unverified"
    assert choice.scope is not None, "what limits that face limits it too"


def test_a_face_that_was_removed_cannot_be_worn(engine, lena, packs):
    folder = engine(lena)
    packs.remove("lena")
    with pytest.raises(BadInput, match="'worn' was taught the face 'lena', which is not there any more"):
        built(folder)


def test_a_face_that_is_another_now_cannot_be_worn(engine, lena, packs, make):
    folder = engine(lena)
    packs.remove("lena")
    packs.add(make())
    with pytest.raises(BadInput, match="taught another face 'lena'"):
        built(folder)


def test_a_face_whose_time_is_over_cannot_be_worn(engine, packs, make):
    pack = make(made=now() - timedelta(days=50), days=50)
    packs.add(pack)
    with pytest.raises(BadInput, match="'worn' cannot be worn: the consent for this face ended on") as caught:
        built(engine(fact_of(pack)))
    assert "faces show lena" in caught.value.hint


def test_a_consent_that_was_withdrawn_cannot_be_worn_and_one_that_is_limited_only_so(
    engine, packs, make, agreed, other
):
    consent = agreed(scope=["live"])
    pack = make(disclosure="consented", consent=consent)
    packs.add(pack)
    folder = engine(fact_of(pack))
    assert choose(str(folder)).disclosure == "consented"
    with pytest.raises(BadInput, match="'worn' may not"):
        built(folder, sink="out.mp4")
    packs.withdraw(read_withdrawal(withdraw(consent, other.signing_key()), "x"))
    with pytest.raises(BadInput, match="was withdrawn"):
        built(folder)


def test_a_face_that_stands_for_a_model_has_portraits_in_the_engine(engine, packs, make, finder):
    pack = make(photos=(), model="anna", model_print="ab" * 32)
    packs.add(pack)
    data = (SAMPLE_PORTRAITS / "nia.jpg").read_bytes()
    portraits = {"portraits": ["p.png"], "sha256": [hashlib.sha256(data).hexdigest()]}
    folder = engine({"pack": "lena", "photos": [], "print": "ab" * 32, **portraits})
    (folder / "p.png").write_bytes(data)
    persona = open_persona(str(folder), finder)
    assert persona.disclosure == "synthetic" and len(persona.views) == 1
    with pytest.raises(BadInput, match="taught another face"):
        choose(str(engine({"pack": "lena", "photos": [], "print": "cd" * 32, **portraits}, "other")))
    with pytest.raises(ModelError, match="whose face"):
        choose(str(engine({"pack": "lena", "photos": [], "print": "ab" * 32}, "bare")))


class TestWhileItIsWorn:
    """The guard asks for each frame."""

    @pytest.fixture
    def guard(self, engine, lena, finder, monkeypatch):
        monkeypatch.setattr(allowed, "_LOOK_AGAIN_S", 0.0)
        loop = built(engine(lena))
        loop.guard.open(Format(160, 90, 30.0), Ledger())
        loop.guard.wear(loop.parts.persona(finder))
        assert loop.guard.permit() == ""
        return loop.guard

    def test_time_runs_out(self, guard, monkeypatch):
        monkeypatch.setattr(allowed, "now", lambda: now() + timedelta(days=400))
        assert "ended on" in guard.permit()

    def test_the_face_is_removed(self, guard, packs):
        packs.remove("lena")
        assert guard.permit() == "this face was removed"

    def test_another_face_takes_its_place(self, guard, packs, make):
        packs.remove("lena")
        packs.add(make())
        assert guard.permit() == "this face was replaced by another"


WRONG = [
    None, "joel", {}, {"sample": "nobody"}, {"sample": 3}, {"pack": "lena"}, {"pack": 1, "photos": []},
    {"portraits": [], "sha256": []}, {"portraits": ["../p.png"], "sha256": ["ab" * 32]},
    {"portraits": ["p.png"], "sha256": []}, {"portraits": [1], "sha256": [2]},
    {"portraits": ["p.png"] * 99, "sha256": ["ab" * 32] * 99},
]  # fmt: skip


@pytest.mark.parametrize("face", WRONG, ids=lambda face: str(face)[:40])
def test_a_card_that_does_not_say_whose_face_it_is_is_refused(engine, face):
    with pytest.raises(ModelError, match="does not say whose face"):
        choose(str(engine(face)))


def test_a_card_without_lessons_is_refused(engine):
    folder = change_card(engine({"sample": "joel"}), facts={"taught": "yes"})
    with pytest.raises(ModelError, match="does not say whose face"):
        choose(str(folder))


def test_it_cannot_be_given_a_consent_of_its_own(engine, packs):
    folder = engine({"sample": "joel"})
    done = CliRunner().invoke(app, ["faces", "add", str(folder), "--synthetic"])
    assert isinstance(done.exception, BadInput)
    assert "'worn' is a personal engine" in done.exception.message and "run --face" in done.exception.hint
    assert packs.names() == []
