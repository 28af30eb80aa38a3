"""Whose face is worn: which face of which picture, and what is refused with which reason."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engines.errors import BadInput, ModelError
from engines.store import user_store
from live.frame import Face
from live.personas import SAMPLE_PORTRAITS, model_of, open_persona, sample_names
from live.pictures import read_picture
from tests.trained_nets import make_trained


class GivenFaces:
    """A finder that finds faces of these (x, width)."""

    def __init__(self, *faces):
        self.faces = faces

    def find(self, image, previous):
        assert previous == []
        return [
            Face(np.array([[x, 10], [x + width, 10 + width]], np.float32).repeat(3, 0)[:5], None, 1.0)
            for x, width in self.faces
        ]


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "group.png"
    cv2.imwrite(str(path), np.full((200, 400, 3), 99, np.uint8))
    return path


def left_of(persona):
    return persona.face.box[0]


def test_there_are_sample_faces():
    assert sample_names() == sorted(sample_names()) and len(sample_names()) >= 2


def test_sample_alone_is_one_of_them():
    assert open_persona("sample", GivenFaces((0, 90))).name in sample_names()


def test_each_sample_face_can_be_named():
    for name in sample_names():
        assert open_persona(f"sample:{name}", GivenFaces((0, 90))).name == name


def test_an_unknown_sample_is_told_with_the_known_ones():
    with pytest.raises(BadInput, match="no sample face 'nobody'") as caught:
        open_persona("sample:nobody", GivenFaces((0, 90)))
    assert all(name in caught.value.hint for name in sample_names())


def test_the_only_face_is_worn(picture):
    persona = open_persona(str(picture), GivenFaces((30, 90)))
    assert (persona.name, left_of(persona), persona.image.shape) == ("group", 30, (200, 400, 3))


def test_of_two_faces_one_has_to_be_chosen(picture):
    with pytest.raises(BadInput, match=r"group\.png shows 2 faces") as caught:
        open_persona(str(picture), GivenFaces((30, 90), (200, 90)))
    assert "#1" in caught.value.hint and "#2" in caught.value.hint


@pytest.mark.parametrize(("number", "left"), [(1, 30), (2, 140), (3, 300)])
def test_faces_are_counted_from_the_left(picture, number, left):
    finder = GivenFaces((140, 80), (300, 90), (30, 60))
    assert left_of(open_persona(f"{picture}#{number}", finder)) == left


@pytest.mark.parametrize("number", [0, 3, 99])
def test_a_face_that_is_not_there_cannot_be_chosen(picture, number):
    with pytest.raises(BadInput, match=rf"has no face #{number}: it shows 2"):
        open_persona(f"{picture}#{number}", GivenFaces((30, 90), (200, 90)))


def test_a_file_whose_name_ends_like_a_choice_is_opened_as_it_is(picture):
    odd = picture.with_name("photo#2")
    picture.rename(odd)
    assert left_of(open_persona(str(odd), GivenFaces((30, 90)))) == 30


def test_no_face(picture):
    with pytest.raises(BadInput, match=r"no face was found in group\.png") as caught:
        open_persona(str(picture), GivenFaces())
    assert "front" in caught.value.hint


@pytest.mark.parametrize("width", [10, 47])
def test_a_small_face_is_told_with_its_size(picture, width):
    with pytest.raises(BadInput, match=rf"only {width} x {width} pixels"):
        open_persona(str(picture), GivenFaces((30, width)))


def test_a_face_just_large_enough(picture):
    assert left_of(open_persona(str(picture), GivenFaces((30, 48)))) == 30


class TurnedFaces:
    """A finder that finds one face, turned by the picture's grey level less 100 degrees; none in a black one."""

    def find(self, image, previous):
        level = int(image[0, 0, 0])
        points = np.array([[10, 10], [90, 90]], np.float32).repeat(3, 0)[:5]
        return [Face(points, None, 1.0, pose=(level - 100.0, 0.0, 0.0))] if level else []


@pytest.fixture
def folder(tmp_path):
    """Makes a folder of pictures of these grey levels, by name."""

    def make(**levels):
        path = tmp_path / "nora"
        path.mkdir()
        for name, level in levels.items():
            cv2.imwrite(str(path / f"{name}.png"), np.full((200, 200, 3), level, np.uint8))
        return path

    return make


def test_a_folder_is_one_persona_the_straightest_view_first(folder):
    persona = open_persona(str(folder(a=60, b=130, c=95, d=150)), TurnedFaces())
    assert persona.name == "nora"
    assert [view.face.pose[0] for view in persona.views] == [-5, 30, -40, 50]
    assert [int(view.image[0, 0, 0]) for view in persona.views] == [95, 130, 60, 150]
    assert persona.face is persona.views[0].face and persona.image is persona.views[0].image


def test_views_that_are_as_straight_keep_the_order_of_their_names(folder):
    persona = open_persona(str(folder(b=110, a=90, c=100)), TurnedFaces())
    assert [int(view.image[0, 0, 0]) for view in persona.views] == [100, 90, 110]


def test_a_folder_is_named_as_it_is_called_wherever_it_is_seen_from(folder, monkeypatch):
    monkeypatch.chdir(folder(a=100))
    assert open_persona(".", TurnedFaces()).name == "nora"


def test_what_is_no_picture_by_its_name_is_passed_over(folder):
    path = folder(a=100)
    (path / "notes.txt").write_text("the left one is best")
    (path / ".DS_Store").write_bytes(b"x")
    cv2.imwrite(str(path / "B.JPG"), np.full((200, 200, 3), 120, np.uint8))
    assert len(open_persona(str(path), TurnedFaces()).views) == 2


@pytest.mark.parametrize("count", [0, 13])
def test_an_empty_or_overfull_folder_is_refused_with_what_is_expected(folder, count):
    path = folder(**{f"p{i:02}": 100 for i in range(count)})
    with pytest.raises(BadInput, match=f"nora holds {count} pictures") as caught:
        open_persona(str(path), TurnedFaces())
    assert "1 to 12" in caught.value.hint and ".jpg" in caught.value.hint


def test_as_many_pictures_as_allowed(folder):
    path = folder(**{f"p{i:02}": 100 for i in range(12)})
    assert len(open_persona(str(path), TurnedFaces()).views) == 12


def test_the_picture_of_a_folder_in_which_there_is_no_face_is_named(folder):
    with pytest.raises(BadInput, match=r"no face was found in wall\.png"):
        open_persona(str(folder(a=100, wall=0)), TurnedFaces())


def test_a_damaged_picture_of_a_folder_is_named(folder):
    path = folder(a=100)
    (path / "torn.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(BadInput, match=r"torn\.jpg"):
        open_persona(str(path), TurnedFaces())


def test_in_a_folder_every_picture_shows_one_face(folder):
    with pytest.raises(BadInput, match=r"a\.png shows 2 faces"):
        open_persona(str(folder(a=100)), GivenFaces((0, 60), (100, 60)))


def test_the_default_finder_opens_a_folder_of_shipped_portraits(finder, tmp_path):
    for name in sample_names()[:2]:
        (tmp_path / f"{name}.jpg").write_bytes((SAMPLE_PORTRAITS / f"{name}.jpg").read_bytes())
    persona = open_persona(str(tmp_path), finder)
    turns = [abs(view.face.pose[0]) for view in persona.views]
    assert len(turns) == 2 and turns == sorted(turns)
    assert all(view.face.irises is not None for view in persona.views)


def test_the_default_finder_finds_the_face_of_every_shipped_portrait(finder):
    for path in SAMPLE_PORTRAITS.glob("*.jpg"):
        persona = open_persona(str(path), finder)
        x0, y0, x1, y1 = persona.face.box
        height, width = persona.image.shape[:2]
        assert 0 < x0 < x1 < width and 0 < y0 < y1 < height
        assert abs(persona.face.pose[0]) < 25 and abs(persona.face.pose[2]) < 15


def test_the_default_finder_tells_two_portraits_side_by_side_apart(finder, tmp_path):
    one, other = (read_picture(path) for path in sorted(SAMPLE_PORTRAITS.glob("*.jpg"))[:2])
    size = (400, 400)
    path = tmp_path / "both.png"
    cv2.imwrite(str(path), np.hstack([cv2.resize(one, size), cv2.resize(other, size)]))
    with pytest.raises(BadInput, match="shows 2 faces"):
        open_persona(str(path), finder)
    assert open_persona(f"{path}#1", finder).face.points[2, 0] < 400
    assert open_persona(f"{path}#2", finder).face.points[2, 0] > 400


def test_a_model_folder_is_a_persona_without_pictures(tmp_path):
    persona = open_persona(str(make_trained(tmp_path / "anna")), None)
    assert (persona.name, persona.views) == ("anna", ())
    assert persona.model is not None and persona.model.folder == tmp_path / "anna"


def test_an_installed_model_is_worn_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    user_store().add_folder(make_trained(tmp_path / "anna"))
    persona = open_persona("anna", None)
    assert persona.model is not None and persona.model.folder == user_store().root / "anna"


def test_what_lies_at_a_path_is_meant_before_a_model_of_that_name(tmp_path, monkeypatch, picture):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    user_store().add_folder(make_trained(tmp_path / "anna"))
    monkeypatch.chdir(picture.parent)
    (picture.parent / "elsewhere").mkdir()
    monkeypatch.chdir(picture.parent / "elsewhere")
    (picture.parent / "elsewhere" / "anna").write_bytes(picture.read_bytes())
    assert model_of("anna") is None
    assert open_persona("anna", GivenFaces((30, 90))).views


@pytest.mark.parametrize("spec", ["sample", "sample:nia", "gone.jpg", "face_mesh", "a/b", "", "x#2"])
def test_other_words_are_no_model(spec):
    assert model_of(spec) is None


def test_a_model_that_is_no_face_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no trained face to wear") as caught:
        open_persona(str(make_trained(tmp_path / "m", kind="swapper")), None)
    assert "export" in caught.value.hint


def test_a_broken_card_is_named(tmp_path):
    folder = make_trained(tmp_path / "m")
    (folder / "card.json").write_text("{")
    with pytest.raises(ModelError, match=r"card\.json is not JSON"):
        open_persona(str(folder), None)
    (folder / "card.json").unlink()
    (folder / "card.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"card\.json"):
        open_persona(str(folder), None)


@pytest.mark.parametrize("spec", ["~nobody-of-this-name", "~nobody-of-this-name#2", "x" * 5000, "a\n\x1b[2J.jpg"])
def test_what_can_be_no_path_is_a_picture_that_is_not_there(spec):
    with pytest.raises(BadInput, match=r"^(there is no picture|the picture) ") as caught:
        open_persona(spec, None)
    assert caught.value.message.isprintable() and len(caught.value.message) <= 2000
