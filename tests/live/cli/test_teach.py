"""`doppelcam teach` as a user runs it: step by step on a clip, and every wrong way told in one line."""

from __future__ import annotations

import re
import shutil
import stat
import sys
from contextlib import closing

import cv2
import numpy as np
import pytest

from engines.door import open_variant
from engines.engine import Variant
from engines.store import user_store
from live.cli import main
from live.personas import SAMPLE_PORTRAITS, enrol
from live.personas.likeness import best_likeness, score
from live.personas.packs import fingerprint_of, user_packs
from live.personas.portraits import sample_view
from live.pictures import decoded
from live.session_file import read_session
from live.teach.targets import read_pairs
from live.teach.workshop import names, new_workshop, open_workshop
from tests.command import doppelcam
from tests.trained_nets import make_trained


@pytest.fixture(autouse=True)
def _mine(home, one_finder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(monkeypatch, capfd):
    """Run `doppelcam teach ...`: the exit code, and what was said in one piece."""

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["doppelcam", "teach", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capfd.readouterr()
        return ended.value.code, said.out + said.err

    return run


def test_faces_and_targets_of_a_clip_leave_lessons_and_sheets(run, clip):
    code, said = run("faces", "me", "--source", clip)
    assert code == 0 and "of 168 frames are learnt from" in said and "next: doppelcam teach targets me --face" in said
    code, said = run("targets", "me", "--face", "sample:nia")
    assert code == 0 and "lessons by the mesh swap" in said and "next: doppelcam teach train me" in said
    workshop = open_workshop("me")
    for sheet in ("faces.png", "targets.png"):
        path = workshop.of(0) / sheet
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert min(decoded(path.read_bytes()).shape[:2]) > 300
    assert workshop.size == 128 and workshop.taught == {"sample": "nia"}
    assert workshop.footage[0].targets["pairs"] > 150
    code, said = run("targets", "me")
    assert code == 0 and "(done before)" in said
    code, said = run("show")
    assert code == 0 and "sample:nia" in said

    code, said = run("targets", "me", "--face", "sample:lena")
    assert code == 2 and "made with another face" in said and "--again" in said
    code, said = run("faces", "me", "--source", "sample")
    assert code == 2 and "has other footage already" in said
    code, said = run("targets", "me", "--again", "--face", "sample:lena", "--size", "256", "--teacher", "fresco")
    assert code == 2 and "no teacher 'fresco'" in said
    assert not open_workshop("me").footage[0].targets
    code, said = run("remove", "me", "--yes")
    assert code == 0 and names() == []


def test_footage_of_which_nothing_came_is_replaced_by_other(run, dark, clip):
    code, said = run("faces", "me", "--source", dark)
    assert code == 2 and "only 0 of 60 frames" in said and "60 too dark" in said
    code, said = run("faces", "me", "--source", clip)
    assert code == 0


@pytest.fixture
def could_train(monkeypatch):
    """As if PyTorch were installed: what is wrong is told before it is needed."""
    monkeypatch.setattr("live.teach.steps._torch", lambda: True)


def test_two_people_are_told(run, two, could_train):
    code, said = run("--source", two, "--face", "sample:nia", "--name", "me")
    assert code == 2 and "two people in the footage" in said and "--who left" in said


def test_interrupted_it_says_what_goes_on(run, clip, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("live.teach.faces.look", interrupt)
    code, said = run("faces", "me", "--source", clip)
    assert code == 130 and "goes on where it stopped" in said
    assert names() == ["me"]


def test_a_damaged_workshop_and_a_full_disk_are_told(run, clip, monkeypatch):
    def full(self, piece):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("live.sealed.SealedWriter.write", full)
        code, said = run("faces", "me", "--source", clip)
    assert code == 2 and "No space left on device" in said and "Traceback" not in said
    assert run("faces", "me", "--source", clip)[0] == 0
    (open_workshop("me").folder / "workshop.json").write_text("{")
    code, said = run("targets", "me", "--face", "sample")
    assert code == 2 and "is damaged" in said and "teach remove me" in said


@pytest.mark.long
def test_a_face_whose_time_is_over_is_refused_at_each_step(run, clip, finder, monkeypatch):
    enrol.store(user_packs(), "aunt", enrol.take(SAMPLE_PORTRAITS / "lena.jpg", finder), "synthetic", enrol.DECLARED)
    assert run("faces", "me", "--source", clip)[0] == 0
    assert run("targets", "me", "--face", "aunt")[0] == 0
    assert open_workshop("me").taught["pack"] == "aunt"
    assert not list(open_workshop("me").folder.glob("portraits*"))
    monkeypatch.setattr("live.personas.pack.Pack.why_not", lambda self, now: "the consent for this face ended")
    for step in ("targets", "train", "export"):
        code, said = run(step, "me")
        assert code == 2 and "the consent for this face ended" in said, step


def test_without_torch_training_says_what_is_missing_before_any_work(run, monkeypatch):
    monkeypatch.setattr("live.teach.steps.find_spec", lambda name: None)
    new_workshop("me").save()
    for args in (["--name", "me"], ["train", "me"], ["export", "me"], ["more", "me", "--source", "sample"]):
        code, said = run(*args)
        assert code == 2 and "training needs PyTorch" in said and "doppelcam[teach]" in said


def test_a_camera_is_recorded_first_and_then_learnt_from(run, clip, monkeypatch):
    monkeypatch.setattr("live.teach.footage._CLIPS", ("sample",))  # a file is as good as a camera then
    monkeypatch.setattr("live.sources.video_file.Pace.wait", lambda self, position_s: 0)
    monkeypatch.setattr("live.session_file._BEHIND", 10_000)
    monkeypatch.setattr("live.teach.record._LEAST_S", 2.0)
    monkeypatch.setattr("live.teach.faces.LEAST", 10)
    code, said = run("faces", "me", "--source", clip)
    assert code == 2 and "must be recorded first" in said
    code, said = run("record", "me", "--source", clip)
    assert code == 0 and "recorded: 6 s" in said and "it ended early" in said, said
    assert "look into the camera" in said and "next: doppelcam teach faces me" in said
    workshop = open_workshop("me")
    session = read_session(workshop.of(0) / "footage.session")
    code, said = run("faces", "me")
    assert code == 0 and f"of {session.pictures} frames are learnt from" in said
    code, said = run("record", "me", "--source", clip)
    assert code == 0 and "recorded" not in said
    code, said = run("record", "me", "--source", clip, "--again")
    assert code == 0 and "recorded: 6 s" in said and not open_workshop("me").footage[0].faces


@pytest.fixture(scope="module")
def look_alike(finder):
    """How like this persona the faces of crops are, on average; they are found in `places`, crops too."""
    likeness = best_likeness(finder)

    def look_alike(crops, places, name):
        view = sample_view(name, finder)
        wanted, scores = likeness.features(view.image, view.face), []
        for crop, place in zip(crops, places, strict=True):
            large, there = (cv2.resize(one, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC) for one in (crop, place))
            for face in finder.find(there, [])[:1]:
                scores.append(score(likeness.features(large, face), wanted))
        assert len(scores) > len(crops) / 2
        return float(np.mean(scores))

    yield look_alike
    likeness.close()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_from_a_clip_and_a_face_to_an_engine_that_becomes_better(run, look_alike):
    """Two minutes in all: what it makes of frames that it never learnt from comes nearer to the teacher's, and looks
    more like the persona than the wearer does.
    """
    pytest.importorskip("torch")
    from export.teach.course import best_of
    from export.teach.nets import Worn

    code, said = run(
        "--source", "sample", "--face", "sample:nia", "--name", "me", "--size", "128", "--minutes", "0.05", "--keep"
    )
    assert code == 0 and "wear it: doppelcam run --face me" in said, said
    first = user_store().card("me")
    workshop = open_workshop("me")
    lessons, _ = read_pairs([workshop.targets(0)])
    _, asked = lessons.split()
    margin = slice(16, 144)
    faces, targets, masks = (part[:, margin, margin] for part in (asked.faces, asked.targets, asked.masks))

    def worn():
        with closing(open_variant(user_store().card("me"), Variant("onnx_runtime"))) as engine:
            answers = [{k: v.copy() for k, v in engine.run({"face": np.ascontiguousarray(f)}).items()} for f in faces]
        return [answer["image"] for answer in answers], answers

    def psnr(images):
        off = ((np.array(images, float) - targets) ** 2).mean(3)
        return 10 * np.log10(255**2 / off[masks > 127].mean())

    before, _ = worn()
    for step in (["train", "me", "--minutes", "2"], ["export", "me"]):
        assert run(*step)[0] == 0
    card = user_store().card("me")
    assert fingerprint_of(card) != fingerprint_of(first)
    after, answers = worn()
    assert psnr(after) > psnr(before)
    new, old, best = (look_alike(list(images), list(faces), "nia") for images in (after, faces, targets))
    assert new > old + 0.5 * (best - old)

    net = Worn(best_of(workshop.training)[0]).eval()
    for face, answer in zip(faces, answers, strict=True):
        for name, wanted in zip(("image", "face_mask", "front"), net(torch_of(face)), strict=True):
            assert np.abs(answer[name].astype(int) - wanted.detach().numpy()).max() <= 1

    taught = card.facts["taught"]
    assert taught["teacher"] == "mesh" and taught["face"] == {"sample": "nia"} and taught["frames"] == len(lessons)
    assert 8 < taught["seconds"] < 12 and len(taught["known"]["rows"]) > 3
    assert not workshop.of(0).exists() and workshop.training.exists()
    code, said = run("--name", "me", "--source", "sample", "--face", "sample:nia")
    assert code == 2 and "is made already" in said


def test_two_peoples_faces_are_taken_as_they_are(run, clip, tmp_path, monkeypatch):
    """The persona's are photos here, one of them without a face."""
    monkeypatch.setattr("live.teach.faces.LEAST_PHOTOS", 3)
    photos = tmp_path / "aunt"
    photos.mkdir()
    for name in ("lena", "nia", "joel"):
        shutil.copy(SAMPLE_PORTRAITS / f"{name}.jpg", photos)
    cv2.imwrite(str(photos / "wall.png"), np.full((300, 200, 3), 90, np.uint8))
    code, said = run("faces", "me", "--source", clip, "--persona", photos)
    assert code == 0 and "faces: 168 of 168" in said and "persona's faces: 3 of 4" in said and "1 no face" in said
    code, said = run("targets", "me", "--teacher", "mesh", "--face", "sample:nia")
    assert code == 2 and "--persona needs no --teacher" in said
    code, said = run("targets", "me", "--face", "sample:nia")
    assert code == 2 and "does not look like 'nia'" in said, "whose consent is not the others'"
    code, said = run("targets", "me", "--again", "--face", SAMPLE_PORTRAITS / "nia.jpg")
    assert code == 0 and "3 lessons as they are" in said and "next: doppelcam teach train me" in said
    workshop = open_workshop("me")
    assert (
        workshop.numbers("persona") == [1] and workshop.teacher == workshop.footage[1].targets["teacher"] == "footage"
    )
    assert min(decoded((workshop.of(1) / "targets.png").read_bytes()).shape[:2]) > 300
    assert "6+0 s" in run("show")[1]
    code, said = run("faces", "me", "--persona", clip)
    assert code == 2 and "has other footage already" in said and "--again --persona" in said
    (photos / "lena.jpg").unlink()
    code, said = run("targets", "me", "--again")
    assert code == 2 and "has changed" in said
    code, said = run("faces", "me", "--again", "--persona", f"largest={clip}")
    assert code == 0 and open_workshop("me").footage[1].who == "largest" and open_workshop("me").footage[0].faces
    assert run("remove", "me", "--yes")[0] == 0 and not workshop.folder.exists()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_peoples_footage_becomes_an_engine_that_becomes_better(run, look_alike, tmp_path):
    """Two minutes in all: what it makes of the wearer in pictures that it never learnt from looks like the persona, who
    is the sample as the mesh swap draws it.
    """
    pytest.importorskip("torch")
    from export.teach.course import best_of
    from export.teach.nets import Worn

    aunt, portrait = tmp_path / "aunt.mp4", SAMPLE_PORTRAITS / "joel.jpg"
    done = doppelcam("run", "--source", "sample", "--face", "sample:joel", "--fast", "--sink", aunt, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    begin = ("--source", "sample", "--persona", aunt, "--face", portrait, "--name", "me", "--size", "128")
    code, said = run(*begin, "--minutes", "0.05", "--keep")
    assert code == 0 and "wear it: doppelcam run --face me" in said, said
    (first,) = re.findall(r"([\d.]+) dB to the persona", said)
    workshop = open_workshop("me")
    wearer, persona = (read_pairs([workshop.targets(number)])[0].split()[1] for number in (0, 1))

    code, said = run("train", "me", "--minutes", "1.6")
    assert code == 0
    (last,) = re.findall(r"([\d.]+) dB to the persona", said)
    assert float(last) > float(first) + 0.5
    assert run("export", "me")[0] == 0
    card = user_store().card("me")
    faces, masks, others = (part[:, 16:144, 16:144] for part in (wearer.faces, wearer.masks, persona.faces))
    net = Worn(best_of(workshop.training)[0]).eval()
    images, shown = [], []
    with closing(open_variant(card, Variant("onnx_runtime"))) as engine:
        for face in faces:
            answer = engine.run({"face": np.ascontiguousarray(face)})
            for name, wanted in zip(("image", "face_mask", "front"), net(torch_of(face)), strict=True):
                assert np.abs(answer[name].astype(int) - wanted.detach().numpy()).max() <= 1
            images.append(answer["image"].copy())
            shown.append(answer["face_mask"].copy())
    covered = [(mask > 127)[wanted > 127].mean() for mask, wanted in zip(shown, masks, strict=True)]
    assert np.mean(covered) > 0.85
    nearer = masks.min(0) > 127
    mean, old, new = (np.mean(part, 0)[nearer] for part in (images, faces, others))
    assert np.abs(mean - new).mean() < 0.7 * np.abs(mean - old).mean()
    swapped, bare, best = (look_alike(list(part), list(part), "joel") for part in (images, faces, others))
    assert swapped > bare + 0.5 * (best - bare)

    taught = card.facts["taught"]
    assert taught["teacher"] == "footage" and taught["face"]["portraits"] == ["portrait1.png"]
    assert 8 < taught["seconds"] < 12 and len(taught["known"]["rows"]) > 3
    assert not workshop.of(0).exists() and not workshop.of(1).exists() and workshop.training.exists()
    code, said = run("more", "me", "--source", "sample")
    assert code == 2 and "no footage of the persona" in said
    worn = doppelcam("run", "--source", "sample", "--face", "me", "--fast", "--sink", "null", cwd=tmp_path)
    assert worn.returncode == 0, worn.stderr


def torch_of(face):
    import torch

    return torch.from_numpy(face.copy())


BEGIN = ("--source", "sample", "--face", "sample:nia")
WRONG = {
    "no name": (BEGIN, "what shall the engine be called"),
    "no such name": ([*BEGIN, "--name", "a/b"], "cannot be the name"),
    "not begun": (["--name", "me"], "is not begun yet"),
    "no face": (["--source", "sample", "--name", "me"], "is not begun yet"),
    "unknown face": (["--source", "sample", "--face", "gone.jpg", "--name", "me"], "gone"),
    "no clip": (["--source", "gone.mp4", "--face", "sample", "--name", "me"], "no footage"),
    "not a camera": (["--source", "camrea", "--face", "sample", "--name", "me"], "no source called"),
    "unknown teacher": ([*BEGIN, "--name", "me", "--teacher", "fresco"], "no teacher 'fresco'"),
    "unknown model": ([*BEGIN, "--name", "me", "--model", "gone"], "gone"),
    "two teachers": ([*BEGIN, "--name", "me", "--persona", "sample", "--teacher", "mesh"], "needs no --teacher"),
    "a model of one": ([*BEGIN, "--name", "me", "--persona", "sample", "--model", "x"], "needs no --teacher"),
    "no footage of the persona": ([*BEGIN, "--name", "me", "--persona", "gone.mp4"], "no footage"),
    "the persona's camera": ([*BEGIN, "--name", "me", "--persona", "camera"], "that is no footage yet"),
    "which of the personas": ([*BEGIN, "--name", "me", "--persona", "everyone=sample"], "whose face"),
    "a model as the persona": (
        ["--source", "sample", "--face", "aunt", "--persona", "sample", "--name", "me"],
        "is a trained model, which has no portrait",
    ),
    "wrong size": ([*BEGIN, "--name", "me", "--size", "100"], "--size 100"),
    "wrong who": ([*BEGIN, "--name", "me", "--who", "everyone"], "whose face"),
    "unknown setting": ([*BEGIN, "--name", "me", "--set", "swappers.mesh.lihgt=1"], "unknown setting"),
    "record a clip": (["record", "me", "--source", "sample"], "is recorded already"),
    "faces of a camera": (["faces", "me", "--source", "camera"], "must be recorded first"),
    "faces of nothing": (["faces", "me"], "no footage yet"),
    "targets of nothing": (["targets", "me"], "no workshop 'me'"),
    "train nothing": (["train", "me"], "no workshop 'me'"),
    "more of nothing": (["more", "me", "--source", "sample"], "no workshop 'me'"),
    "remove nothing": (["remove", "me", "--yes"], "no workshop 'me'"),
    "a name that is taken": ([*BEGIN, "--name", "aunt"], "there is a trained model called 'aunt' already"),
}


@pytest.mark.parametrize(("args", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_in_one_line_and_nothing_is_left(run, args, words, tmp_path, could_train):
    user_store().add_folder(make_trained(tmp_path / "aunt"))
    code, said = run(*args)
    assert code == 2 and words in said and "Traceback" not in said
    assert names() == []
