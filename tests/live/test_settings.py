"""Settings: values are checked and converted, unknown keys are refused with a hint, later trees win."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import BadInput
from live.run import read_run
from live.settings import argument_of, assignments, make, merge, read_toml, setting, settings_of


@dataclass
class Part:
    width: int = setting(640, "a width", low=16, high=4096)
    gain: float = setting(1.0, "a gain", low=0, high=2)
    least: int = setting(1, "at least one", low=1)
    title: str = setting("hello", "a title", argument=True)
    mode: str = setting("cover", "a mode", choices=("cover", "hold"))
    loud: bool = setting(False, "noise")
    device: str | None = setting(None, "a device")
    limit: int | None = setting(None, "a limit", low=1, high=9)
    state: list[int] = field(default_factory=list, init=False)


def test_defaults_without_values():
    assert make(Part, {}, "part") == Part()


def test_only_fields_made_with_setting_are_settings():
    names = [f.name for f in settings_of(Part)]
    assert names == ["width", "gain", "least", "title", "mode", "loud", "device", "limit"]


def test_the_argument_is_the_marked_setting():
    assert argument_of(Part) == "title"


def test_a_part_without_an_argument():
    @dataclass
    class Plain:
        size: int = setting(1, "size")

    assert argument_of(Plain) is None


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("width", 800, 800),
        ("width", "800", 800),
        ("width", 800.0, 800),
        ("width", 16, 16),
        ("width", 4096, 4096),
        ("gain", "0.5", 0.5),
        ("gain", 1, 1.0),
        ("title", "x = y", "x = y"),
        ("title", 5, "5"),
        ("title", "", ""),
        ("mode", "hold", "hold"),
        ("loud", True, True),
        ("loud", "yes", True),
        ("loud", "TRUE", True),
        ("loud", "1", True),
        ("loud", "no", False),
        ("loud", "False", False),
        ("loud", "0", False),
        ("device", "/dev/video9", "/dev/video9"),
        ("device", None, None),
        ("device", "", None),
        ("limit", "3", 3),
        ("limit", "", None),
        ("limit", None, None),
    ],
)
def test_values_are_taken_as_their_type(key, value, expected):
    got = getattr(make(Part, {key: value}, "part"), key)
    assert got == expected and type(got) is type(expected)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("width", "wide", "a whole number from 16 to 4096"),
        ("width", 800.5, "a whole number"),
        ("width", "800.5", "a whole number"),
        ("width", True, "a whole number"),
        ("width", None, "a whole number"),
        ("width", [800], "a whole number"),
        ("width", 15, "from 16 to 4096"),
        ("width", 4097, "from 16 to 4096"),
        ("width", -1, "from 16 to 4096"),
        ("gain", "nan", "a number from 0 to 2"),
        ("gain", float("nan"), "a number from 0 to 2"),
        ("gain", "inf", "a number from 0 to 2"),
        ("gain", False, "a number"),
        ("least", 0, "a whole number, 1 or more"),
        ("mode", "show", "cover or hold"),
        ("mode", "", "cover or hold"),
        ("mode", 1, "cover or hold"),
        ("loud", "maybe", "true or false"),
        ("loud", 2, "true or false"),
        ("loud", [], "true or false"),
        ("title", ["a"], "text"),
        ("title", {"a": 1}, "text"),
        ("title", True, "text"),
        ("limit", 10, "from 1 to 9"),
        ("limit", "x", "a whole number"),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected(key, value, words):
    with pytest.raises(BadInput) as caught:
        make(Part, {key: value}, "sinks.part")
    message = caught.value.message
    assert f"sinks.part.{key}" in message
    assert words in message
    assert str(value) in message


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), "inf", 1e400])
def test_an_infinite_whole_number_is_refused(value):
    with pytest.raises(BadInput):
        make(Part, {"width": value}, "part")
    with pytest.raises(BadInput):
        make(Part, {"least": value}, "part")


def test_a_number_too_large_for_a_float_is_refused():
    with pytest.raises(BadInput):
        make(Part, {"gain": 10**400}, "part")


def test_a_misspelt_key_is_told_with_the_near_one():
    with pytest.raises(BadInput, match=r"unknown setting 'sinks\.part\.widht'") as caught:
        make(Part, {"widht": 1}, "sinks.part")
    assert caught.value.hint == "did you mean 'width'?"


def test_an_unknown_key_is_told_with_the_known_ones():
    with pytest.raises(BadInput) as caught:
        make(Part, {"zzz": 1}, "part")
    assert "width, gain" in caught.value.hint


def test_state_is_no_setting():
    with pytest.raises(BadInput, match="unknown setting"):
        make(Part, {"state": [1]}, "part")


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.lists(st.integers(), max_size=2)
)


@given(st.sampled_from([f.name for f in settings_of(Part)]), JUNK)
def test_any_value_is_either_in_its_limits_or_bad_input(key, value):
    try:
        got = getattr(make(Part, {key: value}, "part"), key)
    except BadInput:
        return
    facts = next(f.metadata for f in settings_of(Part) if f.name == key)
    if got is None:
        assert key in ("device", "limit")
        return
    assert type(got) is {"limit": int, "device": str}.get(key, type(getattr(Part(), key)))
    if facts["low"] is not None:
        assert got >= facts["low"]
    if facts["high"] is not None:
        assert got <= facts["high"]
    if facts["choices"]:
        assert got in facts["choices"]


def test_assignments_make_a_tree():
    tree = assignments(["guard.hold_ms=200", "guard.on_no_face=hold", "face = a b.png ", "sinks.recording.path=x=y"])
    assert tree == {
        "guard": {"hold_ms": "200", "on_no_face": "hold"},
        "face": "a b.png",
        "sinks": {"recording": {"path": "x=y"}},
    }


def test_the_last_of_two_assignments_wins():
    assert assignments(["a.b=1", "a.b=2"]) == {"a": {"b": "2"}}


def test_an_empty_value_is_a_value():
    assert assignments(["a.b="]) == {"a": {"b": ""}}


@pytest.mark.parametrize("pair", ["", "a", "=1", ".a=1", "a.=1", "a..b=1", " =1"])
def test_an_assignment_without_key_or_value_is_refused(pair):
    with pytest.raises(BadInput, match="KEY=VALUE") as caught:
        assignments([pair])
    assert "--set" in caught.value.hint


def test_a_value_cannot_be_a_table_too():
    with pytest.raises(BadInput, match="already given a value"):
        assignments(["a=1", "a.b=2"])


KEYS = st.sampled_from("abc")
TREES = st.recursive(
    st.dictionaries(KEYS, st.integers(), max_size=3),
    lambda inner: st.dictionaries(KEYS, st.one_of(st.integers(), inner), max_size=3),
    max_leaves=6,
)


def leaves(tree, path=()):
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


@given(TREES, TREES)
def test_what_the_upper_tree_says_wins_and_both_are_left_alone(below, above):
    kept = copy.deepcopy((below, above))
    merged = merge(below, above)
    assert (below, above) == kept
    for path, value in leaves(above):
        if value != {}:
            assert at(merged, path) == value


@given(TREES, TREES)
def test_what_only_the_lower_tree_says_stays(below, above):
    merged = merge(below, above)
    assert set(merged) == set(below) | set(above)
    assert all(merged[key] == below[key] for key in below if key not in above)
    assert merge(below, {}) == below and merge({}, above) == above


def test_tables_are_merged_key_by_key():
    assert merge({"a": {"x": 1, "y": 1}, "b": 1}, {"a": {"y": 2}, "c": 3}) == {"a": {"x": 1, "y": 2}, "b": 1, "c": 3}


def test_toml_is_read(tmp_path):
    path = tmp_path / "doppelcam.toml"
    path.write_text('face = "Zoë.jpg"\n[guard]\nhold_ms = 200\n', encoding="utf-8")
    assert read_toml(path) == {"face": "Zoë.jpg", "guard": {"hold_ms": 200}}


def test_broken_toml_names_file_and_line(tmp_path):
    path = tmp_path / "doppelcam.toml"
    path.write_text("face = 'x'\n[guard\n")
    with pytest.raises(BadInput, match=r"doppelcam\.toml is not TOML.*line 2"):
        read_toml(path)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"a = " + b"9" * 5000, b"x", b"\x00"])
def test_bytes_that_are_no_toml_are_bad_input(tmp_path, data):
    path = tmp_path / "doppelcam.toml"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"doppelcam\.toml is not TOML"):
        read_toml(path)


def test_a_missing_settings_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"no settings file .*none\.toml"):
        read_toml(tmp_path / "none.toml")


def test_a_folder_is_no_settings_file(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        read_toml(tmp_path)


@pytest.mark.parametrize(
    "text", ["x = " + "[" * 5000, "x = " + "{a=" * 5000, "x = " + "9" * 10_000, "a." * 5000 + "b = 1"]
)
def test_a_file_that_is_nested_or_long_without_end_is_one_line(tmp_path, text):
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        read_run(path, [], {})
    assert caught.value.message.isprintable() and len(caught.value.message) <= 2000
