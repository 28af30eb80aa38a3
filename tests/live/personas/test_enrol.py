"""Adding faces, and leaving no trace of them."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import cv2
import numpy as np
import pytest

from engines.errors import BadInput, NotAvailable
from engines.store import user_store
from live import session
from live.frame import Captured
from live.parts import EndOfSource
from live.personas import SAMPLE_PORTRAITS, choose, enrol
from live.personas.packs import fingerprint_of, now
from live.personas.wipe import wipe
from live.pictures import read_picture
from live.sources.camera import Camera
from live.sources.sample import Sample
from tests.trained_nets import make_trained

NIA = SAMPLE_PORTRAITS / "nia.jpg"


def test_only_the_pixels_of_a_picture_are_kept(packs, finder):
    photos = enrol.take(NIA, finder)
    assert photos.digests == (hashlib.sha256(NIA.read_bytes()).hexdigest(),)
    enrol.store(packs, "nia", photos, "synthetic", "declared")
    (png,) = packs.open("nia").photos
    assert np.array_equal(cv2.imdecode(np.frombuffer(png, np.uint8), 1), read_picture(NIA))


def test_a_folder_becomes_one_face(packs, finder, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jpg").write_bytes(NIA.read_bytes())
    enrol.store(packs, "nia", enrol.take(tmp_path, finder), "synthetic", "declared")
    assert len(choose("nia").open(finder).views) == 2


def test_a_picture_of_two_people_is_not_kept(finder, tmp_path):
    one, other = (cv2.resize(read_picture(SAMPLE_PORTRAITS / f"{n}.jpg"), (400, 400)) for n in ("nia", "lena"))
    cv2.imwrite(str(tmp_path / "two.png"), np.hstack([one, other]))
    with pytest.raises(BadInput, match=r"two\.png shows 2 faces: only one person's may be kept"):
        enrol.take(tmp_path / "two.png", finder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"photos": ["cd" * 32]}, "is not for 1 of the 1 pictures"),
        ({"wearer_key": "11" * 32}, "was given to the key 1111 1111"),
        ({}, ""),
    ],
)
def test_a_consent_is_for_these_files_and_this_user(packs, finder, agreed, changes, words):
    photos = enrol.take(NIA, finder)
    document = agreed(**{"photos": list(photos.digests), **changes}).document
    if words:
        with pytest.raises(BadInput, match=words):
            enrol.demand_consent(document, "a.consent", packs, photos)
    else:
        assert enrol.demand_consent(document, "a.consent", packs, photos).person == "Ann"


def test_nobody_consents_for_somebody_else_on_the_same_machine(packs, finder, agreed, other, monkeypatch):
    photos = enrol.take(NIA, finder)
    document = agreed(photos=list(photos.digests), wearer_key=other.public_key()).document
    monkeypatch.setattr(type(packs), "vault", other)
    with pytest.raises(BadInput, match="signed by yourself"):
        enrol.demand_consent(document, "a.consent", packs, photos)


def test_a_consent_that_is_over_is_told(packs, finder, agreed, monkeypatch):
    photos = enrol.take(NIA, finder)
    document = agreed(photos=list(photos.digests)).document
    monkeypatch.setattr(enrol, "now", lambda: now() + timedelta(days=300))
    with pytest.raises(BadInput, match="ended on"):
        enrol.demand_consent(document, "a.consent", packs, photos)


def test_a_consent_for_a_model_names_it(packs, agreed, tmp_path):
    card = user_store().add_folder(make_trained(tmp_path / "anna"))
    with pytest.raises(BadInput, match="is not for this model") as caught:
        enrol.demand_consent(agreed().document, "a.consent", packs, card)
    assert fingerprint_of(card) in caught.value.hint
    consent = enrol.demand_consent(agreed(models=[fingerprint_of(card)]).document, "a.consent", packs, card)
    pack = enrol.store(packs, "anna", card, "consented", "signed", consent=consent)
    assert pack.expires == consent.until and choose("anna").model.name == "anna"


@pytest.mark.parametrize("days", [-1, 0, 366])
def test_the_last_day_lies_within_twelve_months(packs, finder, days):
    with pytest.raises(BadInput, match="it can end between"):
        enrol.store(packs, "nia", enrol.take(NIA, finder), "self", "x", now() + timedelta(days=days))


@pytest.mark.parametrize("source", [Sample(), Sample(path="x.mp4")])
def test_a_challenge_is_not_held_before_a_file(source):
    with pytest.raises(BadInput, match="is no camera"):
        enrol.demand_camera(source)


@pytest.mark.parametrize("device", ["7", "/dev/video7", "OBS"])
def test_a_challenge_is_not_held_before_a_virtual_camera(monkeypatch, tmp_path, device):
    real = tmp_path / "devices" / "virtual" / "video4linux" / "video7"
    real.mkdir(parents=True)
    (real / "name").write_text("OBS Virtual Camera\n")
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "video7").symlink_to(real)
    monkeypatch.setattr(enrol, "_V4L", tmp_path / "class")
    monkeypatch.setattr(enrol.sys, "platform", "linux")
    with pytest.raises(BadInput, match="is a virtual one"):
        enrol.demand_camera(Camera(device=device))
    enrol.demand_camera(Camera(device="0"))


class Clip(Sample):
    """The sample clip's first pictures again and again: somebody who never does what is asked."""

    def read(self):
        self._n = getattr(self, "_n", 0) + 1
        if self._n > 400:
            raise EndOfSource
        if self._n <= 5:
            self._kept = super().read()
        return Captured(self._kept.image.copy(), 0, self._n / 30)


def test_a_failed_challenge_is_told_and_the_camera_closed(finder):
    photos, said, source = enrol.take(NIA, finder), [], Clip(paced=False)
    with pytest.raises(BadInput, match="the challenge was not passed: it took more than 8 seconds"):
        enrol.challenge(source, finder, photos, said.append, actions=("left", "right"))
    assert said[:2] == ["look straight into the camera", "turn your head to your left"]
    assert source._container is None


def test_after_a_wipe_nothing_is_left(packs, finder, agreed, tmp_path):
    enrol.store(packs, "nia", enrol.take(NIA, finder), "synthetic", "declared")
    card = user_store().add_folder(make_trained(tmp_path / "anna"))
    for name in ("plans/abc.plan", "choices/anna-12.json", "choices/face_mesh-12.json"):
        file = tmp_path / "cache" / "doppelcam" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    session.note_start(session.begin("nia", "synthetic"), ["null"], [])
    sealed = packs.path("nia").read_bytes()

    gone = "\n".join(wipe(packs))
    assert "the key to the faces" in gone and "the faces nia (0.8 MB)" in gone
    assert "compiled models (1)" in gone and "what was measured of trained models (1)" in gone
    assert not packs.folder.exists() and session.runs() and user_store().names() == ["anna"]
    left = [path.name for path in (tmp_path / "cache").rglob("*.*")]
    assert left == ["face_mesh-12.json"]
    packs.vault.public_key()  # a new one
    packs.path("nia").write_bytes(sealed)
    with pytest.raises(BadInput, match="not made by this user"):
        packs.open("nia")

    gone = "\n".join(wipe(packs, models=True, sessions=True))
    assert f"the trained model {card.name}" in gone and "the record of sessions (1)" in gone
    assert user_store().names() == [] and session.runs() == []
    assert wipe(packs, models=True, sessions=True) == []


def test_no_picture_lies_anywhere_unsealed(packs, finder, tmp_path):
    photos = enrol.take(NIA, finder)
    enrol.store(packs, "nia", photos, "synthetic", "declared")
    choose("nia").open(finder)
    (png,), jpeg, pixels = packs.open("nia").photos, NIA.read_bytes(), photos.views[0].image.tobytes()
    places = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert packs.path("nia") in places
    for path in places:
        data = path.read_bytes()
        for secret in (png, jpeg, pixels, photos.views[0].face.mesh.tobytes()):
            assert not any(secret[k : k + 32] in data for k in range(1000, len(secret) - 32, len(secret) // 50))


def test_a_face_that_cannot_be_removed_stops_the_wipe(packs, make, monkeypatch):
    packs.add(make())
    monkeypatch.setattr(type(packs.vault), "destroy", lambda self: (_ for _ in ()).throw(NotAvailable("locked")))
    with pytest.raises(NotAvailable, match="locked"):
        wipe(packs)
    assert packs.open("lena")
