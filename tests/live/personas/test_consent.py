"""Signed consents and their withdrawal: what they must hold, and that nobody can change one."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from engines.errors import BadInput
from live.personas.consent import KIND, WITHDRAWN, read_consent, read_withdrawal, withdraw
from live.personas.packs import now
from live.personas.signed import fingerprint, read_signed, sign


def test_a_consent_says_who_what_to_whom_and_until_when(agreed, packs, other):
    consent = agreed(scope=["live", "record"], challenge="turned left")
    again = read_consent(consent.document, "x")
    assert again == consent
    assert (again.person, again.wearer, again.scope) == ("Ann", "Bob", ("live", "record"))
    assert again.key == other.public_key() and again.wearer_key == packs.vault.public_key()
    assert fingerprint(again.key).replace(" ", "") == again.key[:16]


def changed(document, **fields):
    tree = json.loads(document)
    tree["fields"].update(fields)
    return json.dumps(tree).encode()


@pytest.mark.parametrize(
    "fields",
    [{"until": "2031-01-01T00:00:00Z"}, {"scope": ["live", "record"]}, {"wearer_key": "00" * 32}, {"person": "Eve"}],
)
def test_a_changed_consent_is_refused(agreed, fields):
    with pytest.raises(BadInput, match=r"a\.consent was changed after it was signed"):
        read_consent(changed(agreed().document, **fields), "a.consent")


def test_somebody_elses_signature_does_not_fit(agreed, packs):
    tree = json.loads(agreed().document)
    tree["key"] = packs.vault.public_key()
    with pytest.raises(BadInput, match="changed after it was signed"):
        read_consent(json.dumps(tree).encode(), "x")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"until": now() + timedelta(days=366)}, "at most twelve months"),
        ({"until": now() - timedelta(days=1)}, "must end after it begins"),
        ({"scope": []}, "says too little"),
        ({"scope": ["fraud"]}, "one can consent to live, stream, record, not to 'fraud'"),
        ({"photos": []}, "says too little"),
        ({"photos": ["ab"]}, "64 hexadecimal digits"),
        ({"photos": ["AB" * 32]}, "64 hexadecimal digits"),
        ({"photos": ["ab" * 32] * 17}, "at most 16"),
        ({"person": ""}, "says too little"),
        ({"person": "A\x1b[2J"}, "a line of text"),
        ({"person": "A" * 101}, "a line of text"),
        ({"wearer_key": "12"}, "64 hexadecimal digits"),
    ],
)
def test_what_no_consent_may_say(agreed, fields, words):
    with pytest.raises(BadInput, match=words):
        agreed(**fields)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is no consent"),
        (b"\xff", "is no consent"),
        (b"[]", "one JSON object"),
        (b'{"kind": 1, "kind": 2}', "given twice"),
        (b"[" * 60000, "nested too deep"),
        (b" " * 70000, "longer than 64 kB"),
        (b"{}", "its kind is None"),
        (b'{"kind": "doppelcam consent 1"}', "has no fields"),
        (b'{"kind": "doppelcam consent 1", "fields": {}}', "'key' must be 64"),
    ],
)
def test_what_is_no_consent_is_told(data, words):
    with pytest.raises(BadInput, match=words):
        read_consent(data, "a.consent")


def test_a_document_of_one_kind_does_not_pass_for_another(agreed, other):
    consent = agreed()
    tree = json.loads(withdraw(consent, other.signing_key()))
    tree["kind"] = KIND
    with pytest.raises(BadInput, match="changed after"):
        read_consent(json.dumps(tree).encode(), "x")
    with pytest.raises(BadInput, match="its kind is"):
        read_withdrawal(consent.document, "x")


def test_only_who_gave_it_can_take_it_back(agreed, other, packs):
    consent = agreed()
    with pytest.raises(BadInput, match="not given by you"):
        withdraw(consent, packs.vault.signing_key())
    held = read_withdrawal(withdraw(consent, other.signing_key()), "x")
    assert (held.id, held.key) == (consent.id, other.public_key())


def test_signed_documents_keep_their_fields(other):
    document = sign(WITHDRAWN, {"name": "Zoë", "n": [1, 2]}, other.signing_key())
    signed = read_signed(WITHDRAWN, document, "x")
    assert signed.fields == {"name": "Zoë", "n": [1, 2]} and signed.key == other.public_key()
