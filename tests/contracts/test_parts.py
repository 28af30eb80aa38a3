"""What every part of every kind must keep to; runs over each file found in the folders of the kinds."""

from __future__ import annotations

import dataclasses
import inspect
from contextlib import suppress

import numpy as np
import pytest

from engines.errors import DoppelcamError
from live.finders.mediapipe_mesh import MediapipeMesh
from live.frame import Format, Persona
from live.parts import BLENDERS, FINDERS, MARKS, SINKS, SOURCES, SWAPPERS, NothingYet
from live.personas import SAMPLE_PORTRAITS, open_persona
from live.pictures import read_picture
from live.run import KINDS
from live.settings import argument_of, make, settings_of
from tests import one_photo_nets
from tests.one_photo_nets import make_model
from tests.personal_nets import known_looks, make_personal
from tests.trained_nets import make_trained
from tests.webrtc_clients import sending

EVERY = [(section, name) for section, kind in KINDS.items() for name in kind.names()]
VERBS = {
    "sources": ("open", "read", "close"),
    "finders": ("open", "find", "close"),
    "swappers": ("open", "wear", "swap", "close"),
    "blenders": ("open", "blend", "close"),
    "marks": ("open", "wear", "apply", "close"),
    "sinks": ("open", "write", "close"),
}


def load(section, name):
    error = KINDS[section].why_not(name)
    try:
        return KINDS[section].load(name)
    except DoppelcamError:
        pytest.skip(f"{section}.{name}: {error}")


@pytest.mark.parametrize(("section", "name"), EVERY, ids=lambda v: v)
def test_a_part_is_a_dataclass_of_described_settings_with_the_verbs_of_its_kind(section, name):
    part = load(section, name)
    assert dataclasses.is_dataclass(part)
    assert inspect.getdoc(part)
    assert all(callable(getattr(part, verb)) for verb in VERBS[section])
    public = [f.name for f in dataclasses.fields(part) if not f.name.startswith("_")]
    assert public == [f.name for f in settings_of(part)]
    for f in settings_of(part):
        low, high = f.metadata["low"], f.metadata["high"]
        assert f.metadata["help"]
        assert (low is None or low <= f.default) and (high is None or f.default <= high)
        assert getattr(make(part, {f.name: f.default}, "x"), f.name) == f.default


@pytest.mark.parametrize(("section", "name"), EVERY, ids=lambda v: v)
def test_a_part_that_was_never_opened_can_be_closed_twice(section, name):
    part = load(section, name)()
    part.close()
    part.close()


@pytest.mark.parametrize(("section", "name"), EVERY, ids=lambda v: v)
def test_at_most_one_setting_follows_the_colon(section, name):
    part = load(section, name)
    assert sum(f.metadata["argument"] for f in settings_of(part)) <= 1
    assert argument_of(part) in (None, *[f.name for f in settings_of(part)])


def opened(kind, name, **settings):
    if (error := kind.why_not(name)) is not None:
        pytest.skip(f"{kind.kind} {name}: {error}")
    part = kind.load(name)(**settings)
    part.open()
    return part


@pytest.fixture(scope="module")
def portrait():
    return read_picture(SAMPLE_PORTRAITS / "nia.jpg")


@pytest.mark.parametrize("name", FINDERS.names())
def test_a_finder_finds_the_same_faces_again_and_leaves_the_picture_alone(name, portrait):
    finder = opened(FINDERS, name)
    before = portrait.copy()
    first = finder.find(portrait, [])
    first[0].track = 7
    second = finder.find(portrait, first)
    assert np.array_equal(portrait, before)
    assert [face.track for face in second] == [7]
    assert np.abs(first[0].points - second[0].points).max() < 3
    assert finder.find(np.zeros((90, 160, 3), np.uint8), second) == []
    finder.close()
    finder.open()
    assert len(finder.find(portrait, [])) == 1
    finder.close()


@pytest.mark.parametrize("name", SWAPPERS.names())
def test_a_swapper_gives_a_patch_of_its_own_inside_the_picture(name, portrait, tmp_path):
    settings = {}
    if name == "one_photo":
        file_name = "uniface_256.onnx"  # the one that needs no recogniser
        settings["model"] = str(make_model(tmp_path / "one", file_name, one_photo_nets.swapper(file_name)))
    finder, swapper = MediapipeMesh(), opened(SWAPPERS, name, **settings)
    finder.open()
    worn = "sample:joel"
    if name == "personal":
        worn = str(make_personal(tmp_path / "model", known_looks(open_persona("sample:nia", finder))))
    elif swapper.wears_model:
        worn = str(make_trained(tmp_path / "model"))
    persona = open_persona(worn, finder)
    swapper.wear(persona)
    before, face = portrait.copy(), finder.find(portrait, [])[0]
    one, two = swapper.swap(portrait, face), swapper.swap(portrait, face)
    assert np.array_equal(portrait, before)
    assert not np.shares_memory(one.pixels, two.pixels)
    assert not np.shares_memory(one.pixels, portrait)
    swapper.wear(persona)  # whatever it learned from the frames before is forgotten
    again = swapper.swap(portrait, face)
    assert np.array_equal(one.pixels, again.pixels) and np.array_equal(one.alpha, again.alpha)
    rows, columns = one.alpha.shape
    assert one.pixels.shape == (rows, columns, 3)
    assert one.pixels.dtype == one.alpha.dtype == np.uint8
    assert 0 <= one.x <= portrait.shape[1] - columns
    assert 0 <= one.y <= portrait.shape[0] - rows
    swapper.close()


@pytest.mark.parametrize("name", BLENDERS.names())
def test_a_blender_changes_nothing_outside_the_patch(name, portrait):
    from live.frame import Face, Patch

    blender = opened(BLENDERS, name)
    image = portrait.copy()
    patch = Patch(np.full((200, 160, 3), 9, np.uint8), np.full((200, 160), 255, np.uint8), 300, 250)
    blender.blend(image, Face(np.full((5, 2), 350, np.float32), None, 1.0), patch)
    changed = (image != portrait).any(2)
    assert changed[300:400, 350:400].all()
    changed[250:450, 300:460] = False
    assert not changed.any()
    blender.close()


@pytest.mark.parametrize("disclosure", ["synthetic", "unverified"])
@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (641, 361), (160, 120), (64, 48)], ids=str)
@pytest.mark.parametrize("name", MARKS.names())
def test_a_mark_can_be_found_in_pictures_of_every_size_and_goes_with_it(name, size, disclosure):
    mark = MARKS.load(name)()
    for _ in range(2):
        mark.open(Format(*size, 30.0))
        mark.wear(Persona("nobody", (), None, disclosure))
        for number in range(3):
            image = np.full((size[1], size[0], 3), 90, np.uint8)
            mark.apply(image, number / 30, number == 0)
            assert (image != 90).any()
        mark.close()


@pytest.mark.parametrize("name", SINKS.names())
def test_a_sink_says_whether_others_can_see_what_it_shows(name):
    assert type(load("sinks", name).outgoing) is bool


@pytest.mark.parametrize("name", SINKS.names())
def test_a_sink_takes_frames_read_only_and_can_be_opened_again(name, tmp_path, monkeypatch, safe_frame):
    monkeypatch.chdir(tmp_path)
    if (error := SINKS.why_not(name)) is not None:
        pytest.skip(f"sink {name}: {error}")
    sink = SINKS.load(name)()
    if hasattr(sink, "port"):
        sink.port = 0
    if name == "stream":
        sink.url = "udp://127.0.0.1:9"  # to nobody: UDP does not mind
    for _ in range(2):
        sink.open(Format(160, 120, 30.0))
        for i in range(5):
            sink.write(safe_frame(np.full((120, 160, 3), 40 * i, np.uint8), i / 30))
        sink.close()


def first_two(source):
    """The first two pictures; one that is sent its pictures by a browser gets them from a client here."""
    if not hasattr(source, "url"):
        return source.read(), source.read()
    with sending(source.url + "whip", lambda number: np.full((360, 640, 3), number % 200, np.uint8)):
        found = []
        while len(found) < 2:
            with suppress(NothingYet):
                found.append(source.read())
    return found


@pytest.mark.parametrize("name", SOURCES.names())
def test_a_source_gives_fresh_writable_pictures_with_times_that_grow(name, tmp_path):
    source = SOURCES.load(name)()
    if name == "video_file":
        source.path = str(SAMPLE_PORTRAITS.parent / "camera.mp4")
    if hasattr(source, "port"):
        source.port = 0
    try:
        format = source.open()
    except DoppelcamError as error:
        pytest.skip(f"source {name}: {error}")
    one, two = first_two(source)
    assert one.image.shape == (format.height, format.width, 3)
    assert one.image.dtype == np.uint8
    assert one.image.flags.writeable
    assert not np.shares_memory(one.image, two.image)
    assert one.captured_ns < two.captured_ns
    assert 0 <= one.position_s < two.position_s
    source.close()
