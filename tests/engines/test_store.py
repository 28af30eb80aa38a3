"""The user's models: added whole or not at all, also by a process that is killed or by two at once."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import store as module
from engines.card import CARD_FILE
from engines.errors import BadInput, ModelError
from engines.store import Store, check_name, name_from, sha256_of, user_store

DATA = b"weights" * 1000
CARD = {"family": "toy", "files": {"onnx": "toy.onnx"}, "licence": "MIT", "commercial_use": True, "source": "here"}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "data" / "models")


@pytest.fixture
def toy(tmp_path):
    path = tmp_path / "toy.onnx"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def folder(tmp_path):
    """A model folder from elsewhere; `folder(field=...)` changes its card, None leaves a field out."""

    def make(**changes):
        path = tmp_path / "from_elsewhere"
        path.mkdir(exist_ok=True)
        (path / "toy.onnx").write_bytes(DATA)
        (path / "extra.npz").write_bytes(b"extra")
        (path / "diary.txt").write_bytes(b"private")
        sha256 = {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in ("toy.onnx", "extra.npz")}
        tree = {**CARD, "name": "toy", "source_sha256": "abc", "sha256": sha256, **changes}
        (path / CARD_FILE).write_text(json.dumps({key: value for key, value in tree.items() if value is not None}))
        return path

    return make


def hidden(store):
    return [path.name for path in store.root.iterdir() if path.name.startswith(".") and path.name != ".lock"]


def test_nothing_is_there_and_nothing_is_made_by_looking(store):
    assert store.names() == []
    assert not store.root.exists()


def test_a_file_is_added_with_its_card(store, toy):
    card = store.add_file("toy", toy, CARD, {"emap.npy": b"map"})
    assert store.names() == ["toy"] and hidden(store) == []
    assert (card.name, card.family, card.licence, card.commercial_use) == ("toy", "toy", "MIT", True)
    assert card.read("onnx") == DATA and card.read_file("emap.npy") == b"map"
    assert toy.read_bytes() == DATA
    assert set(store.check("toy").values()) == {""}


def test_a_folder_is_added_with_what_its_card_vouches_for(store, folder):
    card = store.add_folder(folder())
    assert sorted(path.name for path in card.folder.iterdir()) == ["card.json", "extra.npz", "toy.onnx"]
    assert json.loads((card.folder / CARD_FILE).read_text())["source_sha256"] == "abc"


def test_a_folder_can_be_given_another_name(store, folder):
    assert store.add_folder(folder(), "other").name == "other"
    assert store.names() == ["other"]


def test_what_is_private_in_a_folder_stays_private(store, folder):
    source = folder()
    (source / "extra.npz").chmod(0o600)
    added = store.add_folder(source).folder
    assert (added / "extra.npz").stat().st_mode & 0o777 == 0o600
    assert (added / "toy.onnx").stat().st_mode & 0o077


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sha256": {"toy.onnx": "0" * 64}}, "sha256 differs"),
        ({"sha256": {}}, "does not vouch"),
        ({"files": {"onnx": "gone.onnx"}, "sha256": {"gone.onnx": "0" * 64}}, "there is no file"),
        ({"sha256": {"toy.onnx": "0" * 64, "../../.bashrc": "0" * 64}}, "in its folder|in the folder itself"),
        ({"family": None}, "'family'"),
        ({"name": "../toy"}, "cannot be the name|plain name"),
        ({"name": "..."}, "cannot be the name|plain name"),
    ],
)
def test_a_folder_that_is_not_what_it_says_leaves_nothing(store, folder, changes, words):
    source = folder(**changes)
    with pytest.raises((ModelError, BadInput), match=words):
        store.add_folder(source)
    assert store.names() == []
    assert not store.root.exists() or hidden(store) == []


def test_a_link_in_a_folder_is_not_followed(store, folder, tmp_path):
    source = folder()
    (source / "toy.onnx").rename(tmp_path / "secret")
    (source / "toy.onnx").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelError, match="no file in its folder"):
        store.add_folder(source)


def test_a_root_that_is_no_folder(store, toy):
    store.root.parent.mkdir()
    store.root.write_bytes(b"")
    with pytest.raises(BadInput, match="cannot be read"):
        store.names()
    with pytest.raises(BadInput, match="cannot be used"):
        store.add_file("toy", toy, CARD)


BAD_NAMES = ["", ".", "..", "...", "a/b", "a\\b", "/etc", "-rf", "_x", ".hidden", "a b", "ä", "x" * 65, "a\n", "a\0b"]


@pytest.mark.parametrize("name", [*BAD_NAMES, "con", "NUL.onnx", "end."])
def test_a_name_that_is_no_plain_file_name(store, toy, name):
    with pytest.raises(BadInput, match="cannot be the name"):
        store.add_file(name, toy, CARD)
    assert store.names() == []


@given(st.text(max_size=90))
def test_any_text_gives_a_name(text):
    check_name(name_from(text))


def test_names_of_files_stay_readable():
    assert name_from("Some One (v2)") == "Some_One_v2"
    assert name_from("aux") == "model_aux"


@pytest.mark.parametrize("other", ["toy", "Toy", "TOY"])
def test_a_name_is_taken_also_in_other_letters(store, toy, other):
    store.add_file("toy", toy, CARD)
    with pytest.raises(BadInput, match="there is a model 'toy' already"):
        store.add_file(other, toy, CARD)
    assert store.names() == ["toy"]


def test_a_card_that_does_not_fit_the_file_is_refused(store, toy):
    with pytest.raises(ModelError, match="'family'"):
        store.add_file("toy", toy, {"files": {"onnx": "toy.onnx"}})
    assert store.names() == [] and hidden(store) == []


def test_what_is_no_file_is_not_read(store, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, words in ((tmp_path / "pipe", "not a file"), (tmp_path, "not a file"), (tmp_path / "no", "there is no")):
        with pytest.raises(BadInput, match=words):
            store.add_file("toy", path, CARD)
        with pytest.raises(BadInput, match=words):
            sha256_of(path)


def test_a_full_disk_is_told_before_anything_is_copied(store, toy, monkeypatch):
    usage = module.shutil.disk_usage(toy.parent)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    with pytest.raises(BadInput, match="only 1 MB are free"):
        store.add_file("toy", toy, CARD)
    assert store.names() == [] and hidden(store) == []


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(store, toy, monkeypatch):
    def full(*_):
        raise OSError(module.errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_copy", full)
    with pytest.raises(BadInput, match="the disk is full"):
        store.add_file("toy", toy, CARD)
    assert store.names() == [] and hidden(store) == []


def test_check_names_what_is_changed_and_what_is_missing(store, folder):
    card = store.add_folder(folder())
    (card.folder / "toy.onnx").write_bytes(DATA + b"!")
    (card.folder / "extra.npz").unlink()
    assert store.check("toy") == {"toy.onnx": "changed", "extra.npz": "missing"}


def test_a_broken_card_is_listed_and_can_be_removed(store, toy):
    folder = store.add_file("toy", toy, CARD).folder
    (folder / CARD_FILE).write_text("{")
    assert store.names() == ["toy"]
    with pytest.raises(ModelError, match="not JSON"):
        store.card("toy")
    store.remove("toy")
    assert store.names() == []


@pytest.mark.parametrize("name", ["gone", "", ".", "..", "../data", ".lock"])
def test_only_what_is_installed_is_removed_or_checked(store, toy, name):
    store.add_file("toy", toy, CARD)
    for act in (store.remove, store.check, store.card):
        with pytest.raises(BadInput, match="no model"):
            act(name)
    assert store.names() == ["toy"]


def test_removed_is_gone(store, toy):
    store.add_file("toy", toy, CARD)
    store.remove("toy")
    assert store.names() == [] and hidden(store) == []
    store.add_file("toy", toy, CARD)


def run(code, *args):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


ADD = """
import sys
from pathlib import Path
from engines import store
from engines.errors import BadInput
card = {"family": "toy", "files": {"onnx": "toy.onnx"}}
try:
    store.Store(Path(sys.argv[1])).add_file(sys.argv[2], Path(sys.argv[3]), card)
    print("added")
except BadInput as error:
    print(error.message)
"""
KILLED = ADD.replace(
    "try:", "store._write_card = lambda *_: (print('writing', flush=True), __import__('time').sleep(60))\ntry:"
)


def test_a_killed_add_leaves_nothing_that_is_listed_and_the_next_one_clears_up(store, toy):
    first = run(KILLED, store.root, "toy", toy)
    assert first.stdout.readline() == "writing\n"
    first.kill()
    first.communicate()
    assert store.names() == [] and len(hidden(store)) == 1
    store.add_file("toy", toy, CARD)
    assert store.names() == ["toy"] and hidden(store) == []


def test_several_processes_at_once_do_no_harm(store, toy):
    same = [run(ADD, store.root, "toy", toy) for _ in range(3)]
    others = [run(ADD, store.root, f"toy{i}", toy) for i in range(3)]
    answers = [process.communicate(timeout=60)[0].strip() for process in same]
    assert sorted(answers) == ["added", *["there is a model 'toy' already"] * 2]
    assert [process.communicate(timeout=60)[0].strip() for process in others] == ["added"] * 3
    assert store.names() == ["toy", "toy0", "toy1", "toy2"]
    assert all(set(store.check(name).values()) == {""} for name in store.names())
    assert hidden(store) == []


def test_the_users_store_lies_where_the_system_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert user_store().root == tmp_path / "doppelcam" / "models"
