"""`doppelcam bench student` as a user runs it: teacher and student side by side, and what cannot be compared."""

from __future__ import annotations

import json

import pytest

from live.cli.bench.student import taught_by
from live.sources.sample import Sample
from tests.clips import write_clip
from tests.command import doppelcam
from tests.personal_nets import known_looks, make_personal


@pytest.fixture(scope="module")
def engine(portrait, tmp_path_factory):
    """It was taught looks that nobody has, so that it is always the mesh swap that draws."""
    return make_personal(tmp_path_factory.mktemp("engines") / "me", known_looks(portrait) + 100)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    source = Sample(paced=False)
    source.open()
    pictures = [source.read().image for _ in range(12)]
    source.close()
    return write_clip(tmp_path_factory.mktemp("clip") / "kept.mp4", pictures)


def test_both_are_judged_on_each_clip(engine, clip, tmp_path):
    done = doppelcam(
        "bench", "student", engine, clip, "--set", "engine=onnx_runtime:cpu:fp32", cwd=tmp_path, columns=160
    )
    assert done.returncode == 0, done.stderr
    teacher, student, ratio = (line.split() for line in done.stdout.splitlines()[1:4])
    assert teacher[:3] == ["kept.mp4", "mesh", "-"]
    assert student[:2] == ["kept.mp4", "me"]
    assert student[-1] == "100%"
    assert [float(value) for value in ratio[2:]] == pytest.approx([1, 1, 1], abs=0.35)
    assert "ms on" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("sample", "sample"), "'sample' is no personal engine"),
        (("nobody", "sample"), "is no personal engine"),
    ],
)
def test_what_is_none_is_refused(args, said, tmp_path):
    done = doppelcam("bench", "student", *args, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr.replace("\n", " ")


def test_a_clip_that_is_not_there_is_told(engine, tmp_path):
    done = doppelcam("bench", "student", engine, "gone.mp4", cwd=tmp_path)
    assert done.returncode == 2
    assert "there is no clip gone.mp4" in done.stderr


@pytest.mark.parametrize(
    ("face", "spec"), [({"sample": "nia"}, "sample:nia"), ({"pack": "aunt", "photos": []}, "aunt")]
)
def test_the_teacher_wears_what_it_taught(engine, tmp_path, face, spec):
    assert taught_by(_changed(engine, tmp_path, {"teacher": "mesh", "face": face})) == ("mesh", spec)


def test_beside_one_that_footage_taught_stands_the_mesh_swap(engine, clip, tmp_path):
    taught = json.loads((engine / "card.json").read_text())["facts"]["taught"]
    card = _changed(engine, tmp_path, {**taught, "teacher": "footage"})
    assert taught_by(card)[0] == "mesh"
    done = doppelcam(
        "bench", "student", card.folder, clip, "--set", "engine=onnx_runtime:cpu:fp32", cwd=tmp_path, columns=160
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[:2] == ["kept.mp4", "mesh"]
    assert "no teacher: the mesh swap beside it wears the same face" in " ".join(done.stdout.split())


def test_a_picture_of_its_own_lies_in_the_folder(engine, tmp_path):
    card = _changed(engine, tmp_path, {"teacher": "mesh", "face": {"portraits": ["portrait1.png"]}})
    assert taught_by(card) == ("mesh", str(card.folder / "portrait1.png"))


def _changed(engine, tmp_path, taught):
    import shutil

    from engines.card import read_card

    folder = tmp_path / "me"
    shutil.copytree(engine, folder)
    card = json.loads((folder / "card.json").read_text())
    card["facts"]["taught"] = taught
    (folder / "card.json").write_text(json.dumps(card))
    return read_card(folder)
