"""Roles stay with who has them: crossings, somebody in front, comings and goings, twins of the recogniser."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import BadInput, EngineError, NotAvailable
from live.cast import Cast, Roles, split_who
from live.finders.mediapipe_mesh import MediapipeMesh
from live.frame import STRANGER, Face, Persona
from live.guard import covers_face
from live.track import Tracks
from tests.doubles import GreenSwapper
from tests.one_photo_nets import RECOGNISER, make_model, recogniser

SHAPE = np.array([[-1, -1], [1, -1], [0, 0], [-1, 1], [1, 1]], np.float32)
FPS, WIDTH = 30, 1000
PICTURE = np.zeros((600, WIDTH, 3), np.uint8)


def face(x, size=40.0, track=0, y=300.0, **more):
    return Face(SHAPE * np.float32(size / 2) + np.array([x, y], np.float32), None, 1.0, track=track, **more)


class Run:
    """Shows faces {track: x or (x, size)} frame by frame; answers {track: role}."""

    def __init__(self, *whos, **settings):
        self.roles, self.frame = Roles(**settings), 0
        self.roles.whos = whos or ("largest",)

    def see(self, frames=1, **tracks):
        for _ in range(frames):
            faces = [face(*np.atleast_1d(place), track=int(name[1:])) for name, place in tracks.items()]
            self.shown = self.roles.cast(faces, PICTURE, self.frame / FPS)
            self.frame += 1
        return {one.track: one.role for one in faces}


def test_alone_one_is_the_wearer_and_others_are_strangers():
    run = Run()
    assert run.see(t1=400) == {1: 0}
    assert run.see(t1=400, t2=(700, 80)) == {1: 0, 2: STRANGER}
    assert Run().see(t1=400, t2=(700, 80)) == {1: STRANGER, 2: 0}


def test_everyone_is_swapped_only_where_that_is_wished():
    assert Run("everyone").see(t1=100, t2=500) == {1: 0, 2: 0}
    assert Run(strangers="swap").see(t1=100, t2=(500, 60), t3=800) == {1: 0, 2: 0, 3: 0}
    assert Run("left", "everyone").see(t1=100, t2=500, t3=800) == {1: 0, 2: 1, 3: 1}


def test_strangers_are_left_out_only_where_that_is_wished():
    run = Run(strangers="leave")
    run.see(t1=100, t2=(500, 60))
    assert [one.track for one in run.shown] == [2]
    run = Run()
    run.see(t1=100, t2=(500, 60))
    assert len(run.shown) == 2


def test_who_walks_past_in_front_takes_nothing():
    run = Run()
    run.see(t1=500)
    for x in range(0, 400, 20):
        assert run.see(t1=500, t2=(x, 90)) == {1: 0, 2: STRANGER}
    for x in range(400, 600, 20):  # the wearer is hidden
        assert run.see(t2=(x, 90)) == {2: STRANGER}
    for x in range(600, 1000, 20):
        assert run.see(t3=505, t2=(x, 90)) == {3: 0, 2: STRANGER}


def test_a_track_that_jumps_onto_who_is_in_front_takes_no_role_along():
    run = Run()
    run.see(10, t1=500)
    assert run.see(5, t1=(510, 90)) == {1: STRANGER}
    assert run.see(t1=(600, 90), t2=502) == {1: STRANGER, 2: 0}


def test_leaning_in_and_hurrying_are_no_jumps():
    run = Run()
    for k in range(40):
        assert run.see(t1=(200 + 15 * k, 40 * 1.05**k)) == {1: 0}


def test_after_a_while_the_next_one_is_the_wearer():
    run = Run(patience_s=1.0)
    run.see(t1=500)
    assert run.see(29, t2=(100, 60)) == {2: STRANGER}
    assert run.see(3, t2=(100, 60)) == {2: 0}
    assert run.see(t1=500, t2=(100, 60)) == {1: STRANGER, 2: 0}


def test_who_comes_back_to_the_seat_in_time_is_the_wearer_again():
    run = Run(patience_s=3.0)
    run.see(t1=500)
    run.see(60)
    assert run.see(t7=530, t8=(100, 80)) == {7: 0, 8: STRANGER}


def test_left_and_right():
    run = Run("left", "right")
    assert run.see(t1=300, t2=700, t3=500) == {1: 0, 2: 1, 3: STRANGER}
    assert Run("left", "right").see(t1=300) == {1: 0}
    assert Run("left", "right").see(t1=700) == {1: 1}
    assert Run("right").see(t1=300) == {1: STRANGER}


def test_two_who_cross_keep_their_faces():
    run = Run("left", "right")
    for k in range(41):
        assert run.see(t1=300 + 10 * k, t2=700 - 10 * k) == {1: 0, 2: 1}


def test_a_missed_face_keeps_its_role_and_gives_nothing_away():
    roles = Roles()
    roles.whos = ("largest",)
    roles.cast([face(500, track=1)], PICTURE, 0.0)
    (one,) = roles.cast([face(520, track=1, missed=True)], PICTURE, 0.03)
    assert one.role == 0
    one, two = roles.cast([face(540, track=1, missed=True), face(560, track=2)], PICTURE, 0.06)
    assert (one.role, two.role) == (0, STRANGER)


STEPS = st.lists(
    st.dictionaries(st.integers(1, 5), st.tuples(st.integers(0, WIDTH), st.integers(10, 200))), max_size=30
)


@given(STEPS, st.sampled_from([("largest",), ("left", "right"), ("right", "largest")]))
def test_nobody_shares_a_role_and_nobody_is_without(steps, whos):
    run = Run(*whos)
    for step in steps:
        roles = list(run.see(**{f"t{track}": place for track, place in step.items()}).values() if step else [])
        given_out = [role for role in roles if role != STRANGER]
        assert len(given_out) == len(set(given_out)) and set(given_out) <= set(range(len(whos)))


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("aunt.jpg", ("", "aunt.jpg")),
        ("left=aunt.jpg", ("left", "aunt.jpg")),
        ("everyone=sample:nia", ("everyone", "sample:nia")),
        ("right=a=b.jpg", ("right", "a=b.jpg")),
    ],
)
def test_who_stands_before_the_face(spec, wanted):
    assert split_who(spec) == wanted


def test_a_picture_stands_for_its_wearer_and_a_path_may_hold_what_it_likes(tmp_path):
    me, odd = tmp_path / "me.jpg", tmp_path / "left=right.jpg"
    for path in (me, odd):
        path.write_bytes(b"")
    assert split_who(f"{me}=aunt.jpg") == (str(me), "aunt.jpg")
    assert split_who(str(odd)) == ("", str(odd))
    with pytest.raises(BadInput, match="who is"):
        split_who("him=aunt.jpg")


class TestRecognised:
    """With a recogniser: who is who is known wherever they sit."""

    @pytest.fixture
    def scene(self, tmp_path, monkeypatch, finder):
        """scene(*names) is a picture of these sample people side by side, and their faces."""
        from engines.store import user_store
        from live.personas import SAMPLE_PORTRAITS
        from live.pictures import read_picture

        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        monkeypatch.setattr("engines.door.admit", lambda card: None)
        make_model(user_store().root / RECOGNISER[:-5], RECOGNISER, recogniser())

        def draw(*names):
            pictures = [cv2.resize(read_picture(SAMPLE_PORTRAITS / f"{name}.jpg"), (384, 384)) for name in names]
            image, faces = np.hstack(pictures), []
            while len(faces) < len(names):
                faces = finder.find(image, faces)
            faces = sorted(faces, key=lambda face: face.points[0, 0])
            return image, [replace(face, track=100 + k) for k, face in enumerate(faces)]

        return draw

    def roles(self, finder, *whos):
        roles = Roles(
            engine="onnx_runtime:cpu:fp32", likeness=0.95
        )  # the contract recogniser tells people apart less well
        roles.whos = tuple(whos)
        roles.open(finder)
        return roles

    def who(self, name):
        from live.personas import SAMPLE_PORTRAITS

        return str(SAMPLE_PORTRAITS / f"{name}.jpg")

    def test_each_gets_their_own_wherever_they_sit(self, scene, finder):
        roles = self.roles(finder, self.who("nia"), self.who("joel"))
        for order in (("nia", "joel", "lena"), ("lena", "joel", "nia")):
            image, faces = scene(*order)
            faces = [replace(face, track=face.track + 10 * ord(order[0][0])) for face in faces]
            for k in range(4):  # one is looked at in each frame
                roles.cast(faces, image, k / 30)
            given_out = {name: face.role for name, face in zip(order, faces, strict=True)}
            assert given_out == {"nia": 0, "joel": 1, "lena": STRANGER}
        roles.close()

    def test_until_one_is_known_one_is_a_stranger(self, scene, finder):
        roles = self.roles(finder, self.who("nia"))
        image, faces = scene("joel", "nia")
        seen = [[face.role for face in roles.cast(faces, image, k / 30)] for k in range(2)]
        assert seen[0].count(0) <= 1 and seen[1] == [STRANGER, 0]

    def test_a_track_that_goes_over_to_another_head_loses_the_role(self, scene, finder):
        roles = self.roles(finder, self.who("nia"))
        image, (nia,) = scene("nia")
        assert roles.cast([nia], image, 0.0)[0].role == 0
        other, (amara,) = scene("amara")
        amara = replace(amara, track=nia.track)
        times = [roles.cast([amara], other, 0.1 * k)[0].role for k in range(1, 80)]
        assert times[0] == 0 and times[-1] == STRANGER and times.index(STRANGER) < 65

    def test_an_answer_that_is_none_changes_nothing(self, scene, finder, monkeypatch):
        roles = self.roles(finder, self.who("nia"))
        image, (nia,) = scene("nia")
        roles.cast([nia], image, 0.0)

        def fail(image, points):
            raise EngineError("out of memory")

        monkeypatch.setattr(roles._net, "vector", fail)
        assert roles.cast([nia], image, 5.0)[0].role == 0

    def test_the_net_that_knows_people_is_told_and_closed(self, scene, finder):
        roles = self.roles(finder, self.who("nia"))
        assert [engine.model for engine in roles.engines] == ["arcface_w600k_r50"]
        roles.close()
        assert roles.engines == []


def test_without_a_recogniser_a_picture_is_refused(tmp_path, monkeypatch, finder):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    roles = Roles()
    roles.whos = ("me.jpg",)
    with pytest.raises(NotAvailable, match="no face recogniser is installed"):
        roles.open(finder)


def test_the_mesh_finder_and_somebody_who_walks_past_in_front(finder):
    """Real pictures: the wearer sits still, a larger head crosses right in front. Never is the wearer shown bare, nor
    the one in front as the wearer.
    """
    from live.personas import SAMPLE_PORTRAITS
    from live.pictures import read_picture

    seat = cv2.resize(read_picture(SAMPLE_PORTRAITS / "lena.jpg"), (360, 360))
    passer = cv2.resize(read_picture(SAMPLE_PORTRAITS / "joel.jpg"), (620, 620))[:, 90:530]
    room = np.full((720, 1280, 3), 70, np.uint8)
    room[300:660, 460:820] = seat
    part, tracks, roles = MediapipeMesh(engine="onnx_runtime:cpu:fp32", eyes=False), Tracks(), Roles()
    roles.whos = ("largest",)
    part.open()
    wrong, wearer = [], 0
    for k, x in enumerate(range(-440, 1290, 24)):
        image = room.copy()
        left, right = max(0, x), min(1280, x + 440)
        if right > left:
            image[100:720, left:right] = passer[:, left - x : right - x]
        faces, _ = tracks.update(part.find(image, tracks.faces), k / 30, image)
        for one in roles.cast(faces, image, k / 30):
            size = one.box[2] - one.box[0]
            if one.role == 0 and size > 200 and not one.missed:
                wrong.append((k, size))
            wearer += one.role == 0
    part.close()
    assert wrong == []
    assert wearer > 40
    assert [one.role for one in tracks.faces if one.box[2] - one.box[0] < 200] == [0]


class TestCast:
    @pytest.fixture
    def cast(self):
        return Cast([GreenSwapper(), GreenSwapper()])

    @pytest.fixture(autouse=True)
    def _doubles(self, monkeypatch):
        monkeypatch.setattr(GreenSwapper, "needs_mesh", False, raising=False)

    def persona(self, name, *others):
        return Persona(name, (), others=others)

    def test_each_role_has_its_swapper_and_a_stranger_is_veiled(self, cast, portrait, monkeypatch):
        asked = []
        for k, one in enumerate(cast.swappers):
            monkeypatch.setattr(one, "swap", lambda image, face, k=k: asked.append(k), raising=False)
        cast.swap(portrait.image, replace(portrait.face, role=1))
        cast.swap(portrait.image, replace(portrait.face, role=0))
        assert asked == [1, 0]
        stranger = replace(portrait.face, role=STRANGER)
        assert covers_face(stranger, cast.swap(portrait.image, stranger), portrait.image)
        assert asked == [1, 0]

    def test_each_swapper_wears_its_own(self, cast):
        cast.open()
        cast.wear(self.persona("a", self.persona("b")))
        assert [one.worn for one in cast.swappers] == [["a"], ["b"]]
        cast.close()
        with pytest.raises(ValueError, match="argument 2 is"):
            cast.wear(self.persona("a"))

    def test_a_face_without_a_mesh_is_veiled_where_the_swap_needs_one(self, cast, portrait, monkeypatch):
        monkeypatch.setattr(GreenSwapper, "needs_mesh", True)
        bare = Face(portrait.face.points, None, 1.0)
        assert covers_face(bare, cast.swap(portrait.image, bare), portrait.image)

    def test_it_is_drawn_only_if_all_are(self, cast):
        assert not cast.drawn
        cast.swappers[0].drawn = True
        assert not cast.drawn
        cast.swappers[1].drawn = True
        assert cast.drawn

    def test_irises_are_wanted_if_one_looks_at_them(self, cast):
        assert cast.wants_irises  # who does not say looks at them
        cast.swappers[0].wants_irises = False
        assert cast.wants_irises
        cast.swappers[1].wants_irises = False
        assert not cast.wants_irises

    def test_it_says_that_another_stood_in(self, cast):
        assert not cast.stood_in
        cast.swappers[1].stood_in = True
        assert cast.stood_in
