"""The gallery: what it offers, with which words, and how a photo becomes a face that is kept."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engines.errors import BadInput
from engines.store import user_store
from live.panel.faces import Gallery
from live.panel.show import Show
from live.panel.watchers import Watchers
from live.personas import SAMPLE_PORTRAITS, consent, enrol
from live.personas.packs import user_packs
from live.personas.vault import Vault
from tests.live.panel.conftest import sample_run
from tests.personal_nets import known_looks, make_personal

LENA = (SAMPLE_PORTRAITS / "lena.jpg").read_bytes()


@pytest.fixture
def gallery(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return Gallery(lambda: ["sample:joel"])


@pytest.fixture
def show():
    return Show(sample_run(), Watchers(lambda *_: None))


@pytest.fixture
def drop(gallery):
    return lambda: gallery.drop(LENA, "../my friend.jpg")


def test_the_samples_are_always_there_with_pictures(gallery):
    faces = gallery.faces()
    assert [face["id"] for face in faces] == [f"sample:{name}" for name in ("amara", "joel", "lena", "nia")]
    for face in faces:
        assert (face["disclosure"], face["why_not"], face["removable"]) == ("synthetic", "", False)
        picture = cv2.imdecode(np.frombuffer(gallery.thumb(face["id"]), np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (192, 192, 3)


def test_a_photo_that_was_dropped_is_kept_with_what_allows_it_and_until_when(gallery, drop, show):
    held = drop()
    assert held["name"] == "my_friend"
    kept = gallery.keep({**held, "how": "synthetic"}, show)
    assert gallery.faces()[0] == kept
    assert (kept["id"], kept["disclosure"], kept["removable"]) == ("my_friend", "synthetic", True)
    assert kept["days"] >= 360 and kept["how"] == "declared to be nobody's face"
    assert gallery.demand("my_friend") == "my_friend" and gallery.thumb("my_friend")
    gallery.remove("my_friend")
    assert user_packs().names() == [] and gallery.thumb("my_friend") is None


def test_a_last_day_is_kept(gallery, drop, show):
    from datetime import timedelta

    from live.personas.packs import now

    day = f"{now() + timedelta(days=20):%Y-%m-%d}"
    assert gallery.keep({**drop(), "how": "unverified", "until": day}, show)["until"] == day


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"how": ""}, "how did this person agree"),
        ({"how": "friend"}, "how did this person agree"),
        ({"how": "synthetic", "until": "soon"}, "last day"),
        ({"how": "synthetic", "until": "2199-01-01"}, "it can end between"),
        ({"how": "synthetic", "name": "sample"}, "'sample' means"),
        ({"how": "synthetic", "name": "../x"}, "name"),
        ({"how": "synthetic", "name": ""}, "name"),
        ({"how": "consented", "consent": "no consent"}, "the consent"),
        ({"how": "synthetic", "photo": "another"}, "not here any more"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_kept(gallery, drop, show, wish, words):
    with pytest.raises(BadInput, match=words):
        gallery.keep({**drop(), **wish}, show)
    assert user_packs().names() == []


def test_it_is_me_takes_a_real_camera_and_not_the_sample(gallery, drop, show):
    with pytest.raises(BadInput, match="is no camera"):
        gallery.keep({**drop(), "how": "self"}, show)
    assert show.state()["task"] == ""


def test_another_persons_consent_counts_for_the_photo_that_it_names(gallery, show, tmp_path, finder):
    photo = tmp_path / "lena.jpg"
    photo.write_bytes(LENA)
    digests = list(enrol.take(photo, finder).digests)
    from live.personas.packs import latest, now

    given = consent.give(
        Vault(tmp_path / "hers").signing_key(), person="Lena", wearer="me",
        wearer_key=user_packs().vault.public_key(), until=latest(now()), photos=digests, models=[], scope=["live"],
    )  # fmt: skip
    held = gallery.drop(LENA, "lena.jpg")
    kept = gallery.keep({**held, "how": "consented", "consent": given.document.decode()}, show)
    assert kept["disclosure"] == "consented" and "signed by Lena" in kept["how"]
    other = gallery.drop((SAMPLE_PORTRAITS / "nia.jpg").read_bytes(), "nia.jpg")
    with pytest.raises(BadInput, match="is not for 1 of the 1 pictures"):
        gallery.keep({**other, "how": "consented", "consent": given.document.decode()}, show)


def test_a_face_that_may_not_be_worn_says_why(gallery, drop, show):
    gallery.keep({**drop(), "how": "synthetic"}, show)
    path = user_packs().path("my_friend")
    path.write_bytes(path.read_bytes()[:-1])
    assert "damaged" in gallery.faces()[0]["why_not"] and gallery.faces()[0]["removable"]


def test_a_personal_engine_has_the_consent_of_the_face_that_it_was_taught(gallery, portrait, tmp_path):
    for name, face in (("me", {"sample": "joel"}), ("gone", {"pack": "aunt", "photos": []})):
        user_store().add_folder(make_personal(tmp_path / "made" / name, known_looks(portrait), face=face), name)
    found = {face["id"]: face for face in gallery.faces()}
    assert (found["me"]["what"], found["me"]["disclosure"]) == ("a personal engine", "synthetic")
    assert "which is not there any more" in found["gone"]["why_not"]


def test_what_the_command_line_named_is_offered_too(tmp_path):
    photo = tmp_path / "aunt.jpg"
    photo.write_bytes(LENA)
    offered = Gallery(lambda: [f"{photo}#2", str(tmp_path / "gone.jpg"), "removed", "sample:joel"]).faces()
    assert [face["id"] for face in offered if not face["id"].startswith("sample:")] == [f"{photo}#2"]
