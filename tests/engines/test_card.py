"""Model cards: errors name the file and the field, and only files that the card vouches for are read."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.card import CARD_FILE, read_card
from engines.errors import ModelError

DATA = b"weights"
GOOD = {
    "name": "toy",
    "family": "test",
    "files": {"onnx": "toy.onnx"},
    "sha256": {"toy.onnx": hashlib.sha256(DATA).hexdigest()},
}


@pytest.fixture
def folder(tmp_path):
    """A model folder; `folder(name=...)` changes fields of its card, None leaves a field out."""

    def make(**changes):
        tree = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
        (tmp_path / CARD_FILE).write_text(json.dumps(tree), encoding="utf-8")
        (tmp_path / "toy.onnx").write_bytes(DATA)
        return tmp_path

    return make


def test_fields_are_read(folder):
    card = read_card(folder(facts={"size": 4}, licence="MIT", commercial_use=True, source="here"))
    assert (card.name, card.family, card.files, card.facts) == ("toy", "test", {"onnx": "toy.onnx"}, {"size": 4})
    assert (card.licence, card.commercial_use, card.source) == ("MIT", True, "here")


def test_what_is_not_said_is_taken_as_forbidden(folder):
    card = read_card(folder())
    assert (card.facts, card.licence, card.commercial_use, card.source) == ({}, "unknown", False, "unknown")


@pytest.mark.parametrize("name", ["name", "family", "files", "sha256"])
def test_a_missing_field_is_named_with_its_file(folder, name):
    with pytest.raises(ModelError) as caught:
        read_card(folder(**{name: None}))
    assert repr(name) in caught.value.message
    assert CARD_FILE in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", 3),
        ("family", ["a"]),
        ("files", "toy.onnx"),
        ("facts", []),
        ("licence", {}),
        ("commercial_use", "yes"),
        ("source", 1),
        ("sha256", "abc"),
    ],
)
def test_a_field_of_the_wrong_type_is_named_with_its_value(folder, name, value):
    with pytest.raises(ModelError) as caught:
        read_card(folder(**{name: value}))
    assert repr(name) in caught.value.message
    assert repr(value) in caught.value.message
    assert CARD_FILE in caught.value.message


def test_a_folder_without_a_card_is_named(tmp_path):
    with pytest.raises(ModelError, match="is not a model folder") as caught:
        read_card(tmp_path / "nowhere")
    assert "nowhere" in caught.value.message


@pytest.mark.parametrize("text", ["", "{", "name = 1", '{"name": "x",}'])
def test_a_card_that_is_not_json_is_named(tmp_path, text):
    (tmp_path / CARD_FILE).write_text(text)
    with pytest.raises(ModelError, match=r"card\.json is not JSON"):
        read_card(tmp_path)


@pytest.mark.parametrize("text", ["[]", "1", "null", '"card"'])
def test_a_card_must_hold_an_object(tmp_path, text):
    (tmp_path / CARD_FILE).write_text(text)
    with pytest.raises(ModelError, match=r"one JSON object is expected"):
        read_card(tmp_path)


@given(st.binary(max_size=80))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_bytes_in_place_of_a_card_are_a_model_error(tmp_path, data):
    (tmp_path / CARD_FILE).write_bytes(data)
    with pytest.raises(ModelError):
        read_card(tmp_path)


def test_read_gives_the_bytes_of_the_format(folder):
    assert read_card(folder()).read("onnx") == DATA


def test_a_format_that_the_card_does_not_list(folder):
    with pytest.raises(ModelError, match=r"has no plan file.*'onnx'"):
        read_card(folder()).read("plan")


def test_a_changed_file_is_refused(folder):
    where = folder()
    (where / "toy.onnx").write_bytes(DATA + b"!")
    with pytest.raises(ModelError, match="sha256 differs") as caught:
        read_card(where).read("onnx")
    assert "toy.onnx" in caught.value.message
    assert caught.value.hint


def test_a_missing_file_is_named(folder):
    where = folder()
    (where / "toy.onnx").unlink()
    with pytest.raises(ModelError, match=r"cannot be read.*toy\.onnx"):
        read_card(where).read("onnx")


def test_a_file_without_a_checksum_is_not_read(folder):
    where = folder()
    (where / "extra.npz").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"does not vouch for a file 'extra\.npz'"):
        read_card(where).read_file("extra.npz")


@pytest.mark.parametrize("name", ["../secret", "sub/secret", "./secret", "/tmp/secret", "..", "", "sub/../secret"])
def test_a_name_with_a_path_in_it_is_not_followed(folder, name, tmp_path):
    (tmp_path / "secret").write_bytes(DATA)
    for field, value in {"files": {"onnx": name}, "sha256": {name: "0" * 64}}.items():
        with pytest.raises(ModelError, match=f"field '{field}' names") as caught:
            read_card(folder(**{field: value}))
        assert CARD_FILE in caught.value.message
    with pytest.raises(ModelError, match="does not vouch"):
        read_card(folder()).read_file(name)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a\\b", ".hidden", "a\x1b[2J", "ä" * 101, "a\n"])
def test_a_name_that_is_no_plain_one_is_refused(folder, name):
    with pytest.raises(ModelError, match="field 'name' must be a plain name") as caught:
        read_card(folder(name=name))
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"name": "a", "name": "b"}', "a key is given twice"),
        ('{"facts": {"x": 1, "x": 2}}', "a key is given twice"),
        ('{"facts": {"x": NaN}}', "'NaN' is no finite number"),
        ('{"facts": {"x": -Infinity}}', "'-Infinity' is no finite number"),
        ('{"facts": {"x": 1e999}}', "'1e999' is no finite number"),
        ('{"facts": {"x": ' + "9" * 5000 + "}}", "too large a number"),
        ("[" * 100_000, "nested too deep"),
        ('{"a": ' * 50_000, "nested too deep"),
        ('{"name": "' + "a" * (2 << 20) + '"}', "the limit is 1 MB"),
        ('{"name": "\xff"}', "is not JSON"),
    ],
)
def test_what_no_honest_card_holds_is_refused(tmp_path, text, words):
    (tmp_path / CARD_FILE).write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=words) as caught:
        read_card(tmp_path)
    assert CARD_FILE in caught.value.message and len(caught.value.message) < 500


@pytest.mark.parametrize("value", ["abc", "0" * 63, "G" * 64, "0" * 65])
def test_a_checksum_is_64_hexadecimal_digits(folder, value):
    with pytest.raises(ModelError, match="64 hexadecimal digits"):
        read_card(folder(sha256={"toy.onnx": value}))


def test_a_long_value_is_told_in_short(folder):
    with pytest.raises(ModelError) as caught:
        read_card(folder(facts=["x" * 100_000]))
    assert len(caught.value.message) < 500


def test_a_card_behind_a_link_is_refused_and_so_is_a_pipe(folder, tmp_path):
    where = folder()
    (where / CARD_FILE).rename(where / "real.json")
    (where / CARD_FILE).symlink_to("real.json")
    with pytest.raises(ModelError, match="is a link"):
        read_card(where)
    (where / CARD_FILE).unlink()
    os.mkfifo(where / CARD_FILE)
    with pytest.raises(ModelError, match="is a pipe"):
        read_card(where)


def test_only_a_card_that_came_with_doppelcam_may_use_links(folder):
    where = folder()
    (where / "toy.onnx").rename(where / "real.onnx")
    (where / "toy.onnx").symlink_to("real.onnx")
    with pytest.raises(ModelError, match="is a link"):
        read_card(where).read("onnx")
    assert read_card(where, trusted=True).read("onnx") == DATA
    (where / "real.onnx").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        read_card(where, trusted=True).read("onnx")


def test_trusted_is_not_the_cards_to_say(folder):
    assert not read_card(folder(trusted=True)).trusted


@pytest.mark.parametrize("value", [3, None, ["toy.onnx"], {"a": 1}])
def test_a_file_name_that_is_no_text_is_a_model_error(folder, value):
    with pytest.raises(ModelError):
        read_card(folder(files={"onnx": value})).read("onnx")


def test_a_checksum_that_is_no_text_is_a_model_error(folder):
    with pytest.raises(ModelError):
        read_card(folder(sha256={"toy.onnx": 12})).read("onnx")
