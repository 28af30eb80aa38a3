"""Plans: what this machine sealed comes back, whatever else lies there does not."""

from __future__ import annotations

import os
import stat
from dataclasses import fields, replace

import platformdirs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import ModelError, NotAvailable
from engines.plans import Plans, Purpose

PURPOSE = Purpose("ab" * 32, "fp16", "Imagined GPU, compute capability 8.9", "cuda 12040", "tensorrt 10.1, recipe 1")
PLAN = b"machine code"

posix = pytest.mark.skipif(os.name != "posix", reason="owners and permissions are POSIX's")


@pytest.fixture
def plans(tmp_path):
    return Plans(tmp_path / "cache" / "plans", tmp_path / "state" / "plans.key")


@pytest.fixture
def kept(plans):
    """The file of a plan that was kept."""
    plans.keep(PURPOSE, PLAN)
    return plans.folder / PURPOSE.file_name()


def test_what_was_kept_is_found_by_the_next_start_too(plans):
    assert plans.find(PURPOSE) is None
    plans.keep(PURPOSE, PLAN)
    assert Plans(plans.folder, plans.key_file).find(PURPOSE) == PLAN


def test_looking_for_a_plan_leaves_nothing_behind(plans, tmp_path):
    assert plans.find(PURPOSE) is None and not list(tmp_path.iterdir())


def test_they_live_in_the_users_cache_and_the_key_in_the_users_state():
    assert Plans().folder == platformdirs.user_cache_path("doppelcam") / "plans"
    assert Plans().key_file == platformdirs.user_state_path("doppelcam") / "plans.key"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_come_back_as_they_were(tmp_path_factory, plan):
    folder = tmp_path_factory.mktemp("any")
    plans = Plans(folder, folder / "key")
    plans.keep(PURPOSE, plan)
    assert plans.find(PURPOSE) == plan


@settings(deadline=None)
@given(st.data())
def test_any_flipped_bit_is_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("flipped")
    plans = Plans(folder, folder / "key")
    plans.keep(PURPOSE, PLAN)
    file = folder / PURPOSE.file_name()
    whole = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[place // 8] ^= 1 << place % 8
    file.write_bytes(whole)
    with pytest.raises(ModelError):
        plans.find(PURPOSE)


@settings(deadline=None)
@given(st.data())
def test_any_other_length_is_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("length")
    plans = Plans(folder, folder / "key")
    plans.keep(PURPOSE, PLAN)
    file = folder / PURPOSE.file_name()
    whole = file.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    file.write_bytes(data.draw(st.sampled_from([whole[:cut], whole[cut + 1 :], whole + whole[cut:]])))
    with pytest.raises(ModelError):
        plans.find(PURPOSE)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_strange_files_are_refused(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("strange")
    (folder / PURPOSE.file_name()).write_bytes(content)
    with pytest.raises(ModelError):
        Plans(folder, folder / "key").find(PURPOSE)


@pytest.mark.parametrize("name", [field.name for field in fields(Purpose)])
def test_a_plan_for_another_purpose_is_refused_under_its_own_name_and_a_borrowed_one(plans, kept, name):
    other = replace(PURPOSE, **{name: "other"})
    kept.rename(plans.folder / other.file_name())
    with pytest.raises(ModelError, match="not built by this machine") as refused:
        plans.find(other)
    assert "built again" in refused.value.hint


def test_a_newer_driver_takes_the_older_plans_place(plans, kept):
    newer = replace(PURPOSE, driver="cuda 13000")
    plans.keep(newer, b"newer")
    assert plans.find(newer) == b"newer" and list(plans.folder.iterdir()) == [kept]


def test_a_plan_from_another_machine_is_refused(plans, kept, tmp_path):
    with pytest.raises(ModelError):
        Plans(plans.folder, tmp_path / "another.key").find(PURPOSE)


def test_a_lost_key_makes_old_plans_worthless_and_new_ones_possible(plans, kept):
    plans.key_file.unlink()
    with pytest.raises(ModelError):
        plans.find(PURPOSE)
    plans.keep(PURPOSE, PLAN)
    assert plans.find(PURPOSE) == PLAN


def test_keys_are_random(tmp_path):
    keys = set()
    for name in "abc":
        Plans(tmp_path, tmp_path / name).keep(PURPOSE, PLAN)
        keys.add((tmp_path / name).read_bytes())
    assert len(keys) == 3 and {len(key) for key in keys} == {32}


@posix
def test_key_and_plan_are_the_users_alone_whatever_the_umask(plans):
    before = os.umask(0)
    try:
        plans.keep(PURPOSE, PLAN)
    finally:
        os.umask(before)
    for path in (plans.key_file, plans.folder / PURPOSE.file_name()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@posix
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_plan_that_others_may_write_is_refused(plans, kept, mode):
    kept.chmod(mode)
    with pytest.raises(ModelError, match=f"{mode:04o}"):
        plans.find(PURPOSE)


@posix
def test_a_plan_of_another_user_is_refused(plans, kept, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: kept.stat().st_uid + 1)
    with pytest.raises(ModelError, match="another user"):
        plans.find(PURPOSE)


@posix
def test_a_link_is_refused_even_to_a_good_plan(plans, kept):
    real = kept.with_suffix(".real")
    kept.rename(real)
    kept.symlink_to(real)
    with pytest.raises(ModelError):
        plans.find(PURPOSE)


@posix
def test_a_pipe_and_a_folder_are_refused_without_waiting(plans, kept):
    kept.unlink()
    os.mkfifo(kept)
    with pytest.raises(ModelError, match="plain file"):
        plans.find(PURPOSE)
    kept.unlink()
    kept.mkdir()
    with pytest.raises(ModelError):
        plans.find(PURPOSE)


@posix
@pytest.mark.parametrize("spoil", ["mode", "link", "short", "long"])
def test_a_key_that_others_may_know_is_made_anew(plans, kept, spoil, caplog):
    old = plans.key_file.read_bytes()
    if spoil == "mode":
        plans.key_file.chmod(0o640)
    elif spoil == "link":
        plans.key_file.rename(plans.key_file.with_suffix(".real"))
        plans.key_file.symlink_to(plans.key_file.with_suffix(".real"))
    else:
        plans.key_file.write_bytes(old[:-1] if spoil == "short" else old + b"x")
    with pytest.raises(ModelError):
        plans.find(PURPOSE)
    assert plans.key_file.read_bytes() != old and not plans.key_file.is_symlink()
    assert stat.S_IMODE(plans.key_file.stat().st_mode) == 0o600
    assert "made anew" in caplog.text


def test_a_plan_that_cannot_be_stored_is_said_and_leaves_nothing(plans, kept, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotAvailable, match="No space left"):
        plans.keep(PURPOSE, b"newer")
    monkeypatch.undo()
    assert plans.find(PURPOSE) == PLAN and list(plans.folder.iterdir()) == [kept]


def test_a_file_where_the_folder_should_be_is_said(tmp_path):
    (tmp_path / "plans").write_text("in the way")
    plans = Plans(tmp_path / "plans", tmp_path / "key")
    with pytest.raises(NotAvailable, match="cannot be kept"):
        plans.keep(PURPOSE, PLAN)
    with pytest.raises(ModelError):
        plans.find(PURPOSE)
