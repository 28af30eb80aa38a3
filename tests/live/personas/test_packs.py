"""Packs: what goes in comes out, nothing else does, and no pack outlives what allows it."""

from __future__ import annotations

import json
import stat
import struct
from dataclasses import replace
from datetime import timedelta

import pytest

from engines.errors import BadInput
from engines.store import user_store
from live.personas import choose
from live.personas.consent import read_withdrawal, withdraw
from live.personas.pack import KIND, read_pack, write_pack
from live.personas.packs import Packs, fingerprint_of, now
from live.personas.signed import sign
from tests.trained_nets import make_trained, tint


def test_a_pack_comes_back_as_it_was(packs, make, png):
    packs.add(make(photos=(png, png[:-1] + b"x")))
    assert packs.names() == ["lena"]
    held = packs.open("lena")
    assert held.photos == (png, png[:-1] + b"x")
    assert (held.disclosure, held.how, held.scope) == ("synthetic", "declared", ("live", "stream", "record"))
    assert held.expires - held.made == timedelta(days=100)


def test_on_disk_it_is_noise_that_only_the_user_can_read(packs, make, png):
    packs.add(make())
    file = packs.path("lena")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(packs.folder.stat().st_mode) == 0o700
    data = file.read_bytes()
    assert not any(png[k : k + 16] in data for k in range(0, len(png) - 16, 7))
    assert b"lena" not in data and b"declared" not in data


def test_a_pack_of_another_user_or_under_another_name_does_not_open(packs, make, tmp_path):
    packs.add(make())
    packs.path("nia").write_bytes(packs.path("lena").read_bytes())
    with pytest.raises(BadInput, match="'nia' is damaged, or was not made by this user"):
        packs.open("nia")
    other = Packs(tmp_path / "elsewhere")
    other.vault.public_key()
    other.path("lena").write_bytes(packs.path("lena").read_bytes())
    with pytest.raises(BadInput, match="not made by this user"):
        other.open("lena")


def test_unknown_names_are_told_with_the_known_ones(packs, make):
    packs.add(make())
    for ask in (packs.open, packs.remove, packs.demand):
        with pytest.raises(BadInput, match=r"no face '\.\./lena'") as caught:
            ask("../lena")
        assert "lena" in caught.value.hint


@pytest.mark.parametrize("name", ["", "a/b", "..", "con", "x" * 65, ".a", "a b"])
def test_odd_names_are_refused(packs, make, name):
    with pytest.raises(BadInput, match="cannot be the name of a face"):
        packs.add(make(name))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lena", "a face called 'lena'"),
        ("LENA", "a face called 'lena'"),
        ("anna", "a trained model called 'anna'"),
        ("sample", "come with"),
    ],
)
def test_a_name_means_one_thing(packs, make, name, words, tmp_path):
    packs.add(make())
    user_store().add_folder(make_trained(tmp_path / "anna"))
    with pytest.raises(BadInput, match=words):
        packs.add(make(name))


def test_a_model_that_takes_a_faces_name_later_is_told(packs, make, tmp_path):
    packs.add(make("anna"))
    user_store().add_folder(make_trained(tmp_path / "anna"))
    with pytest.raises(BadInput, match="a face and a trained model called 'anna'"):
        choose("anna")


@pytest.mark.parametrize("days", [0, -1, 366])
def test_nothing_is_kept_for_longer_than_twelve_months(packs, make, days):
    with pytest.raises(BadInput, match="at most twelve months"):
        packs.add(make(days=days))
    assert packs.names() == []


def test_a_pack_says_why_it_cannot_be_worn(make):
    pack = make(days=2)
    assert pack.why_not(now()) == ""
    assert "ended on" in pack.why_not(now() + timedelta(days=2))
    assert "clock is wrong" in pack.why_not(now() - timedelta(days=2))
    assert pack.why_not(now() - timedelta(hours=3)) == ""


CHANGES = {
    "name": ("nia", "another name"),
    "disclosure": ("true", "no disclosure"),
    "how": ("x" * 401, "line of text"),
    "made": ("2026-01-01", "must be a time"),
    "expires": ("2031-01-01T00:00:00Z", "twelve months"),
    "photos": ([], "not all there"),
    "sizes": ([1], "not all there|not the one"),
    "model": ("anna", "either portraits or a model"),
    "consent": ("{", "is no consent"),
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_manifest_that_is_not_as_it_must_be_is_refused_even_if_it_is_signed(packs, make, field):
    data = write_pack(make(), packs.vault)
    size = struct.unpack("<I", data[:4])[0]
    tree = json.loads(data[4 : 4 + size])["fields"]
    value, words = CHANGES[field]
    tree[field] = value
    tree["model_print"] = "ab" * 32 if field == "model" else ""
    manifest = sign(KIND, tree, packs.vault.signing_key())
    with pytest.raises(BadInput, match=words):
        read_pack(struct.pack("<I", len(manifest)) + manifest + data[4 + size :], "lena", packs.vault.public_key())


def test_a_pack_signed_by_another_key_is_refused(packs, make, other):
    data = write_pack(make(), other)
    with pytest.raises(BadInput, match="not signed by this user"):
        read_pack(data, "lena", packs.vault.public_key())


def test_a_consent_limits_what_its_pack_may(packs, make, agreed):
    consent = agreed(scope=["record"])
    packs.add(make(disclosure="consented", consent=consent))
    assert packs.open("lena").scope == ("record",)
    with pytest.raises(BadInput, match="outlive the consent"):
        packs.add(make("b", days=201, disclosure="consented", consent=consent))
    with pytest.raises(BadInput, match="given to somebody else"):
        packs.add(make("b", disclosure="consented", consent=agreed(wearer_key="11" * 32)))
    with pytest.raises(BadInput, match="does not go with the disclosure"):
        packs.add(make("b", disclosure="self", consent=consent))
    with pytest.raises(BadInput, match="does not go with the disclosure"):
        packs.add(make("b", disclosure="consented"))


def test_a_withdrawn_consent_ends_what_hangs_on_it_and_cannot_be_used_again(packs, make, agreed, other):
    consent = agreed()
    packs.add(make(disclosure="consented", consent=consent))
    packs.add(make("free"))
    held = read_withdrawal(withdraw(consent, other.signing_key()), "x")
    forged = replace(held, key=packs.vault.public_key())
    assert packs.withdraw(forged) == [] and not packs.withdrawn(consent)
    assert packs.withdraw(held) == ["lena"]
    with pytest.raises(BadInput, match="'lena' cannot be worn: the consent for this face was withdrawn"):
        choose("lena")
    packs.remove("lena")
    with pytest.raises(BadInput, match="this consent was withdrawn"):
        packs.add(make(disclosure="consented", consent=consent))


def test_a_damaged_list_of_withdrawals_rules_out_every_consent(packs, make, agreed):
    packs.add(make(disclosure="consented", consent=agreed()))
    packs.withdrawals.write_bytes(b"\xff\xff")
    with pytest.raises(BadInput, match="list of withdrawn consents"):
        choose("lena")


def test_a_model_is_worn_only_as_it_was(packs, make, agreed, tmp_path):
    card = user_store().add_folder(make_trained(tmp_path / "anna"))
    consent = agreed(photos=[], models=[fingerprint_of(card)])
    packs.add(make("anna", photos=(), model="anna", model_print=fingerprint_of(card), disclosure="consented",
                   consent=consent))  # fmt: skip
    choice = choose("anna")
    assert choice.model.name == "anna" and choice.disclosure == "consented"
    assert choice.open(None).disclosure == "consented" and choice.open(None).model is choice.model
    user_store().remove("anna")
    user_store().add_folder(make_trained(tmp_path / "b" / "anna", tint))
    with pytest.raises(BadInput, match="is not the one that it was"):
        choose("anna")


def test_removing_deletes_the_file(packs, make):
    packs.add(make())
    assert packs.remove("lena") > 1000
    assert packs.names() == [] and not packs.path("lena").exists()
