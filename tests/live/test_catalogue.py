"""The catalogue holds together: safe addresses, whole checksums, needs that it knows, and nothing unknown allowed."""

from __future__ import annotations

import re
import tomllib

import pytest

from engines.errors import BadInput
from engines.store import check_name
from live.catalogue import CATALOGUE, SHIPPED_KINDS, by_name, by_sha256, catalogue, known
from live.models import shipped, shipped_names

ENTRIES = list(catalogue().values())
COVERED = """
inswapper_128 inswapper_128_fp16 simswap_256 simswap_unofficial_512 ghost_1_256 ghost_2_256 ghost_3_256
hyperswap_1a_256 hyperswap_1b_256 hyperswap_1c_256 blendswap_256 hififace_unofficial_256 uniface_256 scrfd_2.5g
scrfd_10g retinaface_10g retinaface_r50 yunet_2023mar yoloface_8n arcface_w600k_r50 buffalo_l bisenet_resnet_18
xseg_1 dfm gfpgan_1.4 codeformer gpen_bfr_512 restoreformer_plus_plus
"""


def test_the_known_models_are_in_it():
    assert set(COVERED.split()) <= set(catalogue())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_is_whole(entry):
    check_name(entry.name)
    assert entry.what and entry.licence and entry.page.startswith("https://")
    assert isinstance(entry.commercial_use, bool)
    assert not entry.url or re.fullmatch(r"https://[a-z.]+/[\w./-]+\.(onnx|zip)", entry.url)
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in [*filter(None, [entry.sha256]), *entry.also])
    assert not entry.sha256 or entry.url
    assert set(entry.needs) <= set(catalogue())
    assert set(entry.models.values()) <= set(catalogue())
    assert (entry.kind == "pack") == bool(entry.models)
    assert entry.url or entry.notes


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_what_is_said_to_be_non_commercial_or_unknown_is_not_allowed(entry):
    if re.search("non-commercial|research|unknown", entry.licence, re.IGNORECASE):
        assert not entry.commercial_use


def test_a_checksum_belongs_to_one_model():
    every = [sha256 for entry in ENTRIES for sha256 in (entry.sha256, *entry.also) if sha256]
    assert len(every) == len(set(every)) > 20
    assert by_sha256(catalogue()["inswapper_128"].also[0]).name == "inswapper_128"
    assert by_sha256("0" * 64) is None
    assert by_sha256("") is None


def test_a_file_is_named_after_the_longest_name_that_begins_it():
    assert by_name("inswapper_128_fp16 (1).onnx", "inswapper").name == "inswapper_128_fp16"
    assert by_name("InSwapper_128.onnx", "inswapper").name == "inswapper_128"
    assert by_name("inswapper_128.onnx", "scrfd") is None


def test_a_misspelt_name_is_told_with_the_nearest():
    with pytest.raises(BadInput) as caught:
        known("hyperswap_1d_256")
    assert "hyperswap_1" in caught.value.hint
    assert known("xseg_1").kind == "mask"


def test_the_kinds_of_the_shipped_nets_are_known():
    assert {shipped(name).family for name in shipped_names()} == set(SHIPPED_KINDS)


def test_every_field_in_the_file_is_explained_at_its_head():
    text = CATALOGUE.read_text(encoding="utf-8")
    head = text[: text.index("[")]
    used = {field for values in tomllib.loads(text).values() for field in values}
    assert all(re.search(rf"\b{field}\b", head) for field in used - {"what", "licence", "notes"})
