"""Every parser of doppelcam's own, with good inputs to start from, and how good inputs are spoilt."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import h5py
import numpy as np
from hypothesis import strategies as st

from engines import strict_json
from engines.address import read_address
from engines.card import CARD_FILE, read_card
from engines.errors import DoppelcamError
from engines.quarantine.onnx_file import read_onnx
from engines.store import Store
from export.safe_files import load_pickle, open_h5, read_array, read_texts, read_zip
from live import session
from live.app import build
from live.personas import consent
from live.personas.pack import KIND, Pack, read_pack, write_pack
from live.personas.packs import Packs, now
from live.personas.signed import sign
from live.personas.vault import Vault
from live.pictures import size_of
from live.run import read_run
from tests.engines.quarantine.corpus import model

ROOT = Path(__file__).parents[2]
Spoil = st.SearchStrategy


@dataclass(frozen=True)
class Parser:
    """`run` takes one input and a folder of its own; it may raise DoppelcamError, and `also` where it says so."""

    name: str
    seeds: list[bytes]
    run: Callable[[bytes, Path], object]
    also: tuple[type[Exception], ...] = ()


# ---- spoiling

TOKENS = [
    b"", b"\0", b"\xff", b"\xff\xfe", b"-1", b"0", b"1e999", b"9" * 30, b"9" * 5000, b"NaN", b"null", b"true", b"[]",
    b"{}", b"[" * 2000, b'{"a":' * 500, b'"', b"'", b"\\", b"\\ud800", b"\n", b"\r", b"=", b".", b"/", b"../", b"%s",
    b"#1", b"\x1b[2J", b"\xe2\x80\xae", b"://", b"@", b":", b"?", b"\x80\x04", b"PK\x03\x04", b"\x89HDF", bytes(64),
    b"\x7f\xff\xff\xff",
]  # fmt: skip


@st.composite
def spoilt(draw, seeds):
    """A good input with up to six changes, or nonsense."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=300))
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(data), 1) - 1))
        end = min(at + draw(st.sampled_from([1, 2, 4, 8, 40, 10**6])), len(data))
        kind = draw(st.integers(0, 5))
        if kind == 0 and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == 1:
            data[at:at] = draw(st.sampled_from(TOKENS))
        elif kind == 2:
            data[at:end] = draw(st.sampled_from(TOKENS))
        elif kind == 3:
            del data[at:end]
        elif kind == 4:
            data[end:end] = data[at:end][:4000]
        else:
            data[at:end] = draw(st.binary(max_size=8))
    return bytes(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20)
    | st.sampled_from(["ab" * 32, "live", "2026-11-25T12:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


def spoilt_fields(seed):
    """The good fields, some of them with any other value, some left out."""
    changes = st.dictionaries(st.sampled_from(sorted(seed)), JSON, max_size=3)
    without = st.lists(st.sampled_from(sorted(seed)), max_size=1)
    return st.builds(lambda new, gone: {k: v for k, v in {**seed, **new}.items() if k not in gone}, changes, without)


# ---- good inputs


def h5():
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["layer_names"] = [b"a", b"b"]
        file["a/kernel"] = np.arange(12, dtype=np.float32).reshape(3, 4)
        file["b/bias"] = np.zeros(3, np.float16)
    return buffer.getvalue()


def _zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps({"a": [1, 2]}))
        archive.writestr("model.weights.h5", b"x" * 100)
    return buffer.getvalue()


CARD = {"name": "anna", "family": "trained", "files": {"onnx": "net.onnx"}, "facts": {"kind": "trained", "size": 128},
        "licence": "MIT", "commercial_use": True, "source": "", "sha256": {"net.onnx": "ab" * 32},
        "tolerance": {"y": 0.1}, "probes": "net.onnx"}  # fmt: skip
TOML = b"""
source = "camera"
face = "a.jpg"
sink = ["virtual", "out.mp4"]
fast = false
[guard]
hold_ms = 200
on_no_face = "cover"
[sources.camera]
width = 1280
fps = 30
[sinks.recording]
quality = 20
[loop]
in_flight = 2
"""
PAIRS = [b"guard.hold_ms=200", b"sources.camera.width=640", b"sink=window", b"source=sample", b"fast=true", b"face=a#2"]
SPECS = [b"sample:nia", b"camera:1", b"a.jpg#2", b"/dev/video0", b"out.mp4", b"window", b"null", b"lena"]
PNG = (ROOT / "live/samples/portraits/nia.jpg").read_bytes()[:4000]
PICKLE = [pickle.dumps({"a": np.arange(6.0).reshape(2, 3), "b": [1, "x", None]}, protocol) for protocol in (0, 2, 4)]
LOG = b'{"session": "00ab12", "started": "2026-11-25T12:00:00+00:00", "persona": "a", "disclosure": "self", "version":\
 "1", "sinks": ["null"], "marks": []}\n{"session": "00ab12", "ended": "2026-11-25T13:00:00+00:00"}\n'
ADDRESSES = [b"127.0.0.1:8001", b"grpcs://host.example:443/model@2?timeout_ms=250", b"grpc://[::1]:9/x", b"localhost:1"]


class Home:
    """A user with a vault, made once."""

    def __init__(self, folder):
        self.vault, self.other = Vault(folder / "faces"), Vault(folder / "other")
        self.key = self.vault.public_key()
        words = {"person": "Ann", "wearer": "Bob", "wearer_key": self.key, "scope": ["live"]}
        until = now() + timedelta(days=200)
        given = consent.give(self.other.signing_key(), until=until, photos=["ab" * 32], models=[], **words)
        self.consent = given.document
        self.consent_fields = json.loads(given.document)["fields"]
        self.withdrawal = consent.withdraw(given, self.other.signing_key())
        at = now()
        plain = Pack("lena", "consented", "x", at, at + timedelta(days=90), (b"png1", b"png22"), consent=given)
        self.pack = write_pack(plain, self.vault)
        size = int.from_bytes(self.pack[:4], "little")
        self.pack_fields = json.loads(self.pack[4 : 4 + size])["fields"]
        self.sealed = self.vault.seal("lena", self.pack)
        self.photos = b"png1png22"

    def signed_pack(self, fields):
        manifest = sign(KIND, fields, self.vault.signing_key())
        return read_pack(len(manifest).to_bytes(4, "little") + manifest + self.photos, "lena", self.key)

    def signed_consent(self, fields):
        return consent.read_consent(sign(consent.KIND, fields, self.other.signing_key()), "x")


def parsers(home):
    return [
        Parser("settings file", [TOML], _settings),
        Parser("--set", PAIRS, lambda data, _: read_run(None, _texts(data), {})),
        Parser("what to open", SPECS, _specs),
        Parser("engine address", ADDRESSES, lambda data, _: read_address(data.decode("utf-8", "replace"))),
        Parser("strict JSON", [json.dumps(CARD).encode()], _strict, (ValueError,)),
        Parser("card", [json.dumps(CARD).encode()], _card),
        Parser("consent", [home.consent], lambda data, _: consent.read_consent(data, "x")),
        Parser("withdrawal", [home.withdrawal], lambda data, _: consent.read_withdrawal(data, "x")),
        Parser("pack", [home.pack], lambda data, _: read_pack(data, "lena", home.key)),
        Parser("sealed pack", [home.sealed], lambda data, _: home.vault.unseal("lena", data)),
        Parser("withdrawn list", [b"%s %s\n" % (b"ab" * 16, b"cd" * 32)], _withdrawn),
        Parser("session record", [LOG], _sessions),
        Parser("pickle", PICKLE, lambda data, folder: load_pickle(_file(folder, data))),
        Parser("zip", [_zip()], lambda data, folder: read_zip(_file(folder, data), "config.json", "model.weights.h5")),
        Parser("ONNX", [model().SerializeToString()], lambda data, folder: read_onnx(_file(folder, data))),
        Parser("picture header", [PNG, _png(), _bmp()], lambda data, _: size_of(data, "x")),
    ]


def _file(folder, data, name="input"):
    path = folder / name
    path.write_bytes(data)
    return path


def _texts(data):
    return [text for text in data.decode("utf-8", "replace").split("\n") if text]


def _settings(data, folder):
    run = read_run(_file(folder, data, "a.toml"), [], {})
    assert run.tree is not None


def _specs(data, folder):
    text, errors = data.decode("utf-8", "replace").replace("\0", ""), []
    good = {"source": "sample", "face": "sample", "sink": ["null"]}
    for flag in good:
        try:
            build(read_run(None, [], {**good, flag: [text] if flag == "sink" else text}))
        except DoppelcamError as error:
            errors.append(error)
    if len(errors) == len(good):
        raise errors[0]


def _strict(data, _):
    strict_json.loads(data.decode("utf-8", "replace"))


def _card(data, folder):
    (folder / "anna").mkdir(exist_ok=True)
    _file(folder / "anna", data, CARD_FILE)
    read_card(folder / "anna")
    Store(folder).check("anna")


def _withdrawn(data, folder):
    held = Packs(folder / "faces")
    held.folder.mkdir(exist_ok=True)
    held.withdrawals.write_bytes(data)
    return held._withdrawn()


def _sessions(data, _):
    session.path().parent.mkdir(parents=True, exist_ok=True)
    session.path().write_bytes(data)
    for run in session.runs():
        assert isinstance(run["persona"], str) and isinstance(run["sinks"], list)


def read_h5(data, folder):
    with open_h5(_file(folder, data)) as file:
        for key in file:
            read_texts(file, "layer_names")
            for name in file[key] if isinstance(file[key], h5py.Group) else []:
                read_array(file[key][name])


def _png():
    import cv2

    return cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes()


def _bmp():
    import cv2

    return cv2.imencode(".bmp", np.zeros((9, 9, 3), np.uint8))[1].tobytes()
