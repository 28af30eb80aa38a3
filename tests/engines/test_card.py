"""Model cards: errors name the file and the field, and only files that the card vouches for are read."""

from __future__ import annotations

import hashlib
import json

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
    with pytest.raises(ModelError, match=r"card\.json must hold one JSON object"):
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
    card = read_card(folder(files={"onnx": name}, sha256={name: hashlib.sha256(DATA).hexdigest()}))
    with pytest.raises(ModelError):
        card.read("onnx")
    with pytest.raises(ModelError):
        card.read_file(name)


@pytest.mark.parametrize("value", [3, None, ["toy.onnx"], {"a": 1}])
def test_a_file_name_that_is_no_text_is_a_model_error(folder, value):
    with pytest.raises(ModelError):
        read_card(folder(files={"onnx": value})).read("onnx")


def test_a_checksum_that_is_no_text_is_a_model_error(folder):
    with pytest.raises(ModelError):
        read_card(folder(sha256={"toy.onnx": 12})).read("onnx")
