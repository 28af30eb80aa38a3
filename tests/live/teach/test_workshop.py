"""A workshop is remembered, is this user's alone, and a broken or busy one is told."""

from __future__ import annotations

import stat

import pytest

from engines.errors import BadInput
from live.teach.footage import Footage
from live.teach.workshop import alone, names, new_workshop, open_workshop, remove_workshop


@pytest.fixture
def made(home):
    workshop = new_workshop("me_as_nia")
    workshop.face, workshop.size = "sample:nia", 192
    workshop.footage = [Footage("sample", "left", [], {"fit": 3}), Footage("")]
    workshop.save()
    return workshop


def test_it_is_remembered(made):
    assert open_workshop("me_as_nia") == made
    assert names() == ["me_as_nia"]


def test_only_this_user_may_look_into_it(made):
    for path in (made.folder, made.of(0), made.of(1)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((made.folder / "workshop.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": "x"}', '{"name": 3}'])
def test_a_broken_one_is_told(made, content):
    (made.folder / "workshop.json").write_text(content)
    with pytest.raises(BadInput, match="is damaged") as told:
        open_workshop("me_as_nia")
    assert "doppelcam teach remove me_as_nia" in told.value.hint
    remove_workshop("me_as_nia")
    assert names() == []


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "con"])
def test_a_name_that_cannot_be_one_is_told(home, name):
    for use in (open_workshop, new_workshop):
        with pytest.raises(BadInput, match="cannot be the name"):
            use(name)


def test_one_that_is_not_there_is_told(made):
    with pytest.raises(BadInput, match="no workshop 'other'") as told:
        open_workshop("other")
    assert "me_as_nia" in told.value.hint


def test_two_at_once_are_told(made):
    with alone("me_as_nia"), pytest.raises(BadInput, match="another doppelcam"), alone("me_as_nia"):
        pass


def test_a_folder_that_is_none_is_told(home):
    home.parent.mkdir()
    home.write_text("a file")
    with pytest.raises(BadInput, match="cannot be used"), alone("me_as_nia"):
        pass
    with pytest.raises(BadInput, match="cannot be written"):
        new_workshop("me_as_nia").save()


def test_what_shows_the_wearer_goes_and_the_rest_stays(made):
    (made.of(0) / "faces.png").write_text("a picture")
    made.training.write_text("weights")
    made.forget_lessons()
    assert not made.of(0).exists() and made.training.exists()
    assert open_workshop("me_as_nia") == made
