"""From settings to parts: what wins over what, what is refused, which part a word means."""

from __future__ import annotations

import logging

import pytest

from engines.errors import BadInput, DoppelcamError
from live.app import build
from live.loop import Loop
from live.parts import SINKS
from live.personas import SAMPLE_PORTRAITS
from live.run import Run, read_run
from live.sinks.null import Null
from live.sinks.recording import Recording
from live.sinks.stream import Stream
from live.sources.camera import Camera
from live.sources.sample import Sample
from live.sources.video_file import VideoFile
from live.swappers.mesh import Mesh
from live.swappers.one_photo import OnePhoto
from live.swappers.personal import Personal
from live.swappers.trained import Trained
from tests import one_photo_nets
from tests.one_photo_nets import make_model
from tests.personal_nets import known_looks, make_personal
from tests.trained_nets import make_trained


@pytest.fixture
def profile(tmp_path):
    def write(text):
        path = tmp_path / "doppelcam.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def built(*pairs, profile=None, **flags):
    """The loop's parts for these `--set` pairs and flags."""
    return build(read_run(profile, list(pairs), {"face": "sample", "sink": ["null"], **flags})).parts


def refused(*pairs, profile=None, **flags):
    """The error for these settings, whether they are refused when read or when the parts are made."""
    with pytest.raises(BadInput) as caught:
        built(*pairs, profile=profile, **flags)
    return caught.value


def test_defaults():
    run = read_run(None, [], {})
    assert run == Run()
    assert (run.source, run.face, run.fast, run.sinks) == ("camera", "", False, [])


def test_each_place_wins_over_the_one_before(profile):
    path = profile('source = "toml"\nface = "toml"\nfinder = "toml"\n')
    run = read_run(path, ["face=set", "finder=set"], {"finder": "flag"})
    assert (run.source, run.face, run.finder, run.swapper) == ("toml", "set", "flag", "auto")


def test_flags_that_were_not_given_change_nothing(profile):
    run = read_run(
        profile('source = "a.mp4"\nfast = true\nsink = ["null"]\n'), [], dict.fromkeys(["source", "fast", "sink"])
    )
    assert (run.source, run.fast, run.sinks) == ("a.mp4", True, ["null"])


def test_settings_of_one_part_are_merged_from_all_places(profile):
    path = profile("[sources.camera]\nwidth = 640\nheight = 480\nfps = 15\n")
    source = built("sources.camera.height=360", "sources.camera.fps=20", profile=path).source
    assert (source.width, source.height, source.fps) == (640, 360, 20)


def test_sections_reach_the_loop(profile):
    loop = build(
        read_run(profile("[track]\nlinger_ms = 700\n"), ["loop.in_flight=3"], {
            "face": "sample", "sink": "null", "guard": {"on_no_face": "hold"},
        })
    )  # fmt: skip
    assert isinstance(loop, Loop)
    assert (loop.guard.on_no_face, loop.tracks.linger_ms, loop.settings.in_flight) == ("hold", 700, 3)


@pytest.mark.parametrize(
    ("pair", "hint"),
    [
        ("sorce=camera", "source"),
        ("guards.hold_ms=1", "guard"),
        ("guard.hold_mss=1", "hold_ms"),
        ("sources.camra.width=640", "camera"),
        ("sources.camera.widht=640", "width"),
        ("sinks.recordin.quality=3", "recording"),
        ("finders.mediapipe_mesh.presense=0.5", "presence"),
        ("swappers.mesh.ligth=1", "light"),
        ("blenders.feather.softn=0.1", "soften"),
        ("loop.in_fligth=2", "in_flight"),
    ],
)
def test_a_misspelt_key_is_refused_with_the_near_one(pair, hint):
    error = refused(pair)
    assert error.message.startswith("unknown setting")
    assert pair.startswith(error.message.split("'")[1])
    assert error.hint == f"did you mean {hint!r}?"


@pytest.mark.parametrize("pair", ["sinks.recording.qualty=3", "sources.video_file.repaet=true"])
def test_a_misspelt_key_of_a_part_that_is_not_used_is_refused_too(pair):
    with pytest.raises(BadInput, match="unknown setting") as caught:
        read_run(None, [pair], {})
    assert "did you mean" in caught.value.hint


@pytest.mark.parametrize(
    "pair",
    [
        "guard.hold_ms=-1",
        "guard.hold_ms=soon",
        "guard.on_no_face=bare",
        "loop.in_flight=0",
        "sources.camera.width=1",
        "fast=perhaps",
    ],
)
def test_a_wrong_value_is_refused_with_its_key(pair):
    assert pair.partition("=")[0].rpartition(".")[2] in refused(pair).message


@pytest.mark.parametrize("pair", ["guard=hold", "sources=camera", "sources.camera=1", "sinks.null=x"])
def test_a_value_in_place_of_a_table_is_refused(pair):
    assert "is a table of settings" in refused(pair).message


@pytest.mark.parametrize("text", ["sink = 3\n", "sink = [3]\n", "sink = [[]]\n", "sink = true\n", "[sink]\nnull = 1\n"])
def test_sinks_that_are_no_text_are_refused(profile, text):
    with pytest.raises(BadInput):
        build(read_run(profile(text), [], {"face": "sample"}))


@pytest.mark.parametrize("text", ["source = []\n", "face = [1]\n", "fast = 3\n", "finder = {a = 1}\n"])
def test_choices_of_the_wrong_type_are_refused(profile, text):
    with pytest.raises(BadInput):
        read_run(profile(text), [], {})


def test_one_sink_needs_no_list(profile):
    assert read_run(profile('sink = "null"\n'), [], {}).sinks == ["null"]
    assert read_run(None, ["sink=window"], {}).sinks == ["window"]


def test_without_a_face_nothing_starts():
    assert "--face" in refused(face=None).hint


def test_without_a_sink_nothing_starts():
    assert "--sink" in refused(sink=None).hint


def test_the_same_sink_twice_is_refused():
    assert "given twice" in refused(sink=["null", "null"]).message


def test_sinks_keep_their_order_and_words():
    sinks = built(sink=["a.mp4", "null", "b.mp4"]).sinks
    assert list(sinks) == ["a.mp4", "null", "b.mp4"]
    assert isinstance(sinks["a.mp4"], Recording) and isinstance(sinks["null"], Null)
    assert (sinks["a.mp4"].path, sinks["b.mp4"].path) == ("a.mp4", "b.mp4")


def test_a_camera_by_number_path_or_name():
    assert built(source="camera").source == Camera()
    for word in ("1", "/dev/video9", "HD Webcam: left"):
        assert built(source=f"camera:{word}").source.device == word


def test_what_follows_the_colon_wins_over_the_table(profile):
    path = profile('[sources.camera]\ndevice = "7"\n')
    assert built(source="camera:1", profile=path).source.device == "1"
    assert built(source="camera", profile=path).source.device == "7"


@pytest.mark.parametrize("spec", ["clip.mp4", "clips/a", "./camra"])
def test_a_path_is_a_video(spec):
    source = built(source=spec).source
    assert type(source) is VideoFile and source.path == spec and source.paced


@pytest.mark.parametrize("spec", ["http://127.0.0.1/a.mp4", "rtsp://127.0.0.1:554/live"])
def test_an_address_is_on_the_network(spec):
    source = built(source=spec).source
    assert type(source).__name__ == "Network" and source.address == spec


def test_the_sample_is_a_source():
    assert type(built(source="sample").source) is Sample


@pytest.mark.parametrize(("spec", "near"), [("camra", "camera"), ("smaple", "sample"), ("camrea:1", "camera")])
def test_a_misspelt_source_is_no_path(spec, near):
    error = refused(source=spec)
    assert "there is no source" in error.message and repr(near) in error.hint


def test_a_file_with_the_name_of_a_misspelt_source_is_a_video(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "camra").touch()
    assert built(source="camra").source.path == "camra"


@pytest.mark.parametrize(("spec", "near"), [("windw", "window"), ("nul", "null"), ("virtul", "virtual")])
def test_a_misspelt_sink_is_told_with_the_near_one(spec, near):
    assert near in refused(sink=[spec]).hint


@pytest.mark.parametrize("spec", ["out.avi", "folder/out", "qqq"])
def test_what_is_no_sink_is_told_with_the_choices(spec):
    error = refused(sink=[spec])
    assert spec in error.message and ".mp4" in error.hint


def test_a_recording_by_path_and_its_table():
    sink = built("sinks.recording.quality=30", sink=["out/clip.MP4"]).sinks["out/clip.MP4"]
    assert (sink.path, sink.quality) == ("out/clip.MP4", 30)


@pytest.mark.parametrize("word", ["virtual", "virtual_camera"])
def test_virtual_is_short_for_the_virtual_camera(word):
    sinks = built(sink=[f"{word}:/dev/video19"]).sinks
    (sink,) = sinks.values()
    assert type(sink).__name__ == "VirtualCamera" and sink.device == "/dev/video19"


@pytest.mark.parametrize(("flags", "part"), [({"source": "sample:x"}, "sample"), ({"sink": ["null:x"]}, "null")])
def test_a_part_without_an_argument_takes_nothing_after_the_colon(flags, part):
    error = refused(**flags)
    assert f"{part!r} takes nothing after the colon" in error.message


def test_fast_is_for_files():
    assert "--fast" in refused(source="camera", fast=True).message


def test_fast_takes_every_frame_of_a_file():
    loop = build(read_run(None, [], {"face": "sample", "sink": ["null"], "source": "a.mp4", "fast": True}))
    assert loop.lossless is True and loop.parts.source.paced is False


@pytest.mark.parametrize(("flag", "word"), [("finder", "mediapipe"), ("swapper", "mash"), ("blender", "fether")])
def test_a_misspelt_part_is_told_with_the_near_one(flag, word):
    error = refused(**{flag: word})
    assert word in error.message and error.hint


def test_building_opens_nothing(tmp_path):
    target = tmp_path / "never.mp4"
    built(source=str(tmp_path / "missing.mp4"), sink=[str(target)], face=str(tmp_path / "missing.jpg"))
    assert list(tmp_path.iterdir()) == []


def test_the_persona_is_opened_with_the_finder_that_is_given(tmp_path):
    persona = built(face=str(tmp_path / "missing.jpg")).persona
    with pytest.raises(DoppelcamError, match=r"missing\.jpg"):
        persona(None)


def test_the_face_decides_what_makes_the_new_one(tmp_path):
    model = str(make_trained(tmp_path / "anna"))
    assert isinstance(built().swapper.swappers[0], Mesh)
    parts = built("swappers.trained.morph=0.5", face=model, engine="openvino")
    (swapper,) = parts.swapper.swappers
    assert isinstance(swapper, Trained)
    assert (swapper.morph, swapper.engine) == (0.5, "openvino")
    assert parts.persona(None).model.name == "anna"
    assert isinstance(built("swapper=trained", face=model).swapper.swappers[0], Trained)


def test_a_personal_engine_has_a_swapper_of_its_own(tmp_path, portrait):
    model = str(make_personal(tmp_path / "worn", known_looks(portrait)))
    parts = built("swappers.personal.reach=0.5", face=model)
    (swapper,) = parts.swapper.swappers
    assert isinstance(swapper, Personal) and swapper.reach == 0.5 and not parts.swapper.drawn
    assert parts.session.disclosure == "synthetic"
    assert isinstance(built("swapper=trained", face=model).swapper.swappers[0], Trained)


def test_a_swapper_that_cannot_wear_the_face_is_refused(tmp_path):
    error = refused("swapper=trained")
    assert "'trained' wears trained models, and 'sample' is none" in error.message and "MODEL_FOLDER" in error.hint
    error = refused("swapper=mesh", face=str(make_trained(tmp_path / "anna")))
    assert "'mesh' wears pictures" in error.message and "auto" in error.hint


def test_a_model_that_is_no_face_is_refused_before_anything_opens(tmp_path):
    assert "no trained face" in refused(face=str(make_trained(tmp_path / "m", kind="detector"))).message


def kinds(parts):
    return [type(mark).__name__ for mark in parts.marks]


@pytest.mark.parametrize("name", SINKS.names())
def test_whatever_leaves_the_program_is_labelled(name):
    try:
        outgoing = SINKS.load(name).outgoing
    except DoppelcamError as error:
        pytest.skip(f"sink {name}: {error}")
    assert kinds(built(sink=list({"null", name}))) == ["Watermark", *["Badge"] * outgoing]


def test_elsewhere_takes_a_reason_and_leaves_the_watermark_on():
    parts = built("disclosure=elsewhere", "disclosure_reason=said in the title", sink=["a.mp4"])
    assert kinds(parts) == ["Watermark"] and parts.reason == "said in the title"
    assert "takes a reason" in refused("disclosure=elsewhere", sink=["a.mp4"]).message
    assert "takes a reason" in refused("disclosure=elsewhere", "disclosure_reason=  ").message
    assert "only for" in refused("disclosure_reason=said in the title").message


def test_a_face_that_nobody_consented_to_is_never_shown_to_others_without_the_label():
    face, told = str(SAMPLE_PORTRAITS / "nia.jpg"), ("disclosure=elsewhere", "disclosure_reason=said in the title")
    assert "nobody's consent" in refused(*told, face=face, sink=["a.mp4"]).message
    assert kinds(built(*told, face=face, sink=["null"])) == ["Watermark"]


def test_marks_have_settings_like_every_part():
    badge = built("marks.badge.language=zh", sink=["a.mp4"]).marks[1]
    assert badge.language == "zh"


@pytest.mark.parametrize("spec", ["rtmp://host/live/key", "RTMPS://host/app/key", "udp://127.0.0.1:5000"])
def test_an_address_is_a_stream(spec):
    sink = next(iter(built(sink=[spec]).sinks.values()))
    assert isinstance(sink, Stream) and sink.url == spec


@pytest.mark.parametrize("spec", ["out.mp4", "OUT.MKV", "a.folder/talk.mkv"])
def test_a_path_is_a_recording(spec):
    sink = next(iter(built(sink=[spec]).sinks.values()))
    assert isinstance(sink, Recording) and sink.path == spec


@pytest.mark.parametrize("spec", ["http://host/secret.mp4", "ftp://me:secret@host/x", "out.avi"])
def test_other_addresses_and_paths_are_no_sinks(spec):
    error = refused(sink=[spec])
    assert "is no sink" in error.message and "rtmp://" in error.hint
    assert "me:secret" not in error.message


def test_sound_takes_its_device_from_the_flag_and_the_rest_from_its_section():
    sound = built("microphone.extra_ms=40", sound="Yeti").sound
    assert (sound.device, sound.extra_ms) == ("Yeti", 40)
    assert built().sound is None


def test_sound_has_real_time_and_a_fast_run_has_not():
    assert "--fast" in refused(sound="auto", fast=True).message


def test_a_named_model_draws_the_face_of_a_picture(tmp_path, caplog):
    file_name = "hyperswap_1a_256.onnx"
    model = str(make_model(tmp_path / "one", file_name, one_photo_nets.swapper(file_name)))
    caplog.set_level(logging.INFO, "doppelcam")
    (swapper,) = built(model=model).swapper.swappers
    assert isinstance(swapper, OnePhoto) and swapper.model == model
    (swapper,) = built(f"swappers.one_photo.model={model}", "swapper=one_photo").swapper.swappers
    assert swapper.model == model
    assert "one: licence ResearchRAIL (FaceFusion), if it is hyperswap_1a_256, no commercial use" in caplog.text


def test_a_model_that_cannot_draw_the_face_is_refused(tmp_path):
    trained = str(make_trained(tmp_path / "anna"))
    assert "there is no model 'hyperswop'" in refused(model="hyperswop").message
    assert "draws no face from one photo" in refused(model=trained).message
    assert "does not take the model" in refused("swapper=mesh", model=trained).message
    assert "does not take the model" in refused(face=trained, model="x").message
    assert "which one-photo model" in refused("swapper=one_photo").message


def test_several_people_get_a_face_each(tmp_path):
    trained = str(make_trained(tmp_path / "anna"))
    run = read_run(None, [], {"face": ["left=sample:nia", f"right={trained}"], "sink": ["null"]})
    loop = build(run)
    assert loop.roles.whos == ("left", "right")
    assert [type(one) for one in loop.parts.swapper.swappers] == [Mesh, Trained]
    assert build(read_run(None, [], {"face": ["sample"], "sink": ["null"]})).roles.whos == ("largest",)


@pytest.mark.parametrize(
    ("faces", "words"),
    [
        (["sample", "sample:nia"], "two faces are given to 'largest'"),
        (["left=sample", "left=sample:nia"], "two faces are given to 'left'"),
        (["lift=sample"], "who is 'lift'"),
        (["aunt.jpg=sample"], "who is 'aunt.jpg'"),
        ([], "face is a text or a list of texts"),
        ([3], "face is a text or a list of texts"),
    ],
)
def test_who_gets_which_face_must_be_clear(faces, words):
    with pytest.raises(BadInput, match=words):
        build(read_run(None, [], {"face": faces, "sink": ["null"]}))
