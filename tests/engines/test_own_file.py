"""Files of the user alone: what is written whole, and what is not read."""

from __future__ import annotations

import os
import stat

import pytest

from engines.own_file import OTHERS_WRITE, Unfit, read_own, write_own


def test_it_is_for_the_user_alone_and_leaves_nothing_beside_it(tmp_path):
    write_own(tmp_path / "key", b"ab", b"c")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert read_own(tmp_path / "key", 3) == b"abc"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_the_first_wins_where_it_is_not_to_be_replaced(tmp_path):
    write_own(tmp_path / "key", b"first", replace=False)
    with pytest.raises(FileExistsError):
        write_own(tmp_path / "key", b"second", replace=False)
    assert read_own(tmp_path / "key", 9) == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    write_own(tmp_path / "key", b"old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_own(tmp_path / "key", b"new")
    assert read_own(tmp_path / "key", 9) == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_what_others_may_touch_is_unfit(tmp_path):
    write_own(tmp_path / "key", b"abc")
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(Unfit, match="mode 0644"):
        read_own(tmp_path / "key", 3)
    assert read_own(tmp_path / "key", 3, forbidden=OTHERS_WRITE) == b"abc"


def test_what_is_too_large_a_link_or_no_file_is_not_read(tmp_path):
    write_own(tmp_path / "key", b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "key")
    with pytest.raises(Unfit, match="3 bytes"):
        read_own(tmp_path / "key", 2)
    with pytest.raises(OSError, match="link"):
        read_own(tmp_path / "link", 9)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unfit, match="not a plain file"):
        read_own(tmp_path / "pipe", 9)
    with pytest.raises(FileNotFoundError):
        read_own(tmp_path / "none", 9)
