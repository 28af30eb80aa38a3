"""Pieces come back as they were, are nobody else's to read, and a full disk or a changed file is told in words."""

from __future__ import annotations

import stat

import numpy as np
import pytest

from engines.errors import BadInput
from live.sealed import SealedWriter
from live.teach.pieces import Pieces


@pytest.fixture
def pieces(tmp_path, home):
    return Pieces(tmp_path, "faces")


def test_arrays_come_back_in_order_and_kind(pieces):
    pieces.add(numbers=np.arange(3), why=np.array(["", "a hand", ""], np.str_))
    pieces.add(numbers=np.arange(3, 5), why=np.array(["", ""], np.str_))
    back = list(pieces)
    assert len(pieces) == 2
    assert [list(piece["numbers"]) for piece in back] == [[0, 1, 2], [3, 4]]
    assert [str(why) for why in back[0]["why"]] == ["", "a hand", ""]


def test_only_this_user_can_read_them(pieces, tmp_path):
    pieces.add(picture=np.full((64, 64, 3), 65, np.uint8))
    (file,) = tmp_path.glob("faces-*")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"AAAA" not in file.read_bytes()


def test_a_full_disk_loses_nothing(pieces, tmp_path, monkeypatch):
    pieces.add(numbers=np.arange(3))

    def full(self, piece):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SealedWriter, "write", full)
    with pytest.raises(BadInput, match="No space left") as told:
        pieces.add(numbers=np.arange(3))
    assert "goes on where it stopped" in told.value.hint
    assert len(pieces) == 1 and list(pieces.read(0)["numbers"]) == [0, 1, 2]
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("spoil", [lambda data: data[:-9], lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_a_changed_piece_is_told(pieces, tmp_path, spoil):
    pieces.add(numbers=np.arange(3))
    (file,) = tmp_path.glob("faces-*")
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(BadInput, match=r"broke off|damaged"):
        pieces.read(0)


def test_they_are_cleared_and_others_stay(pieces, tmp_path):
    pieces.add(numbers=np.arange(3))
    Pieces(tmp_path, "targets").add(numbers=np.arange(3))
    pieces.clear()
    assert len(pieces) == 0 and len(Pieces(tmp_path, "targets")) == 1
