"""Signed recordings: whole, changed, converted, with one's own certificate, and where nothing can be signed."""

from __future__ import annotations

import json
import socket
import stat
import sys
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec

import av
import platformdirs
import pytest

from engines.errors import BadInput, NotAvailable
from live import credentials
from live.frame import Format
from live.sinks.recording import Recording
from tests.clips import numbered, read_clip, write_clip

needs_c2pa = pytest.mark.skipif(find_spec("c2pa") is None, reason='pip install "doppelcam[credentials]"')
SESSION = 0x00BEEF


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "clip.mp4", [numbered(n) for n in range(10)])


@pytest.fixture
def recorded(tmp_path, safe_frame):
    """Records ten pictures with these settings; the file."""

    def make(**settings):
        path = tmp_path / "out.mp4"
        sink = Recording(str(path), preset="ultrafast", **settings)
        sink.open(Format(64, 48, 25.0, session=SESSION))
        for number in range(10):
            sink.write(safe_frame(numbered(number), number / 25))
        sink.close()
        return path

    return make


def repack(path):
    """The same pictures in a new file, as `ffmpeg -c copy` makes it."""
    target = path.with_name("repacked.mp4")
    with av.open(str(path)) as source, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    return target


@needs_c2pa
def test_a_recording_is_signed_and_still_plays(recorded):
    path = recorded()
    signed = credentials.read(path)
    assert signed.state == "Valid"
    assert signed.problems == ("signingCredential.untrusted",)  # self-made: nobody vouches for it
    assert signed.made_with.startswith("doppelcam ") and signed.session == "00beef"
    assert signed.actions == ("c2pa.created", "c2pa.edited")
    assert signed.source_type.endswith("/compositeWithTrainedAlgorithmicMedia")
    assert len(read_clip(path)[0]) == 10
    assert sorted(p.name for p in path.parent.iterdir()) == ["out.mp4"]


def test_a_recording_carries_the_label_of_gb_45438(recorded):
    label = credentials.read_aigc(recorded())
    assert set(label) == {
        "Label", "ContentProducer", "ProduceID", "ReservedCode1", "ContentPropagator", "PropagateID", "ReservedCode2",
    }  # fmt: skip
    assert label["Label"] == "1" and label["ProduceID"] == label["PropagateID"] == "00beef"
    assert label["ContentProducer"] == label["ContentPropagator"] and label["ContentProducer"].isascii()
    assert all(type(value) is str for value in json.loads(credentials.aigc_label(1)).values())


@needs_c2pa
def test_a_changed_byte_is_noticed(recorded):
    path = recorded()
    data = bytearray(path.read_bytes())
    data[data.index(b"mdat") + 200] ^= 1
    path.write_bytes(data)
    signed = credentials.read(path)
    assert signed.state == "Invalid" and "assertion.bmffHash.mismatch" in signed.problems


@needs_c2pa
def test_a_converted_file_has_none(recorded, clip):
    assert credentials.read(repack(recorded())) is None
    assert credentials.read(clip) is None and credentials.read_aigc(clip) is None


@needs_c2pa
@pytest.mark.parametrize("data", [b"", b"no video", b"\x00\x00\x00\x18ftypmp42" + bytes(200)])
def test_what_is_no_video_has_none(tmp_path, data):
    path = tmp_path / "x.mp4"
    path.write_bytes(data)
    assert credentials.read(path) is None and credentials.read_aigc(path) is None


@needs_c2pa
def test_the_self_made_key_is_made_once_and_only_its_user_reads_it(recorded):
    recorded()
    folder = platformdirs.user_data_path("doppelcam", appauthor=False) / "signing"
    before = (folder / "certificate.pem").read_bytes()
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    recorded()
    assert (folder / "certificate.pem").read_bytes() == before


@pytest.fixture
def own(tmp_path_factory):
    """A certificate chain and its key that somebody else issued, as files."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    folder, now = tmp_path_factory.mktemp("own"), datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP384R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n), x509.NameAttribute(NameOID.ORGANIZATION_NAME, n)])
             for n in ("Example issuer", "Example person")]  # fmt: skip
    pem = []
    for k, ca in ((1, False), (0, True)):
        usage = x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)
        builder = x509.CertificateBuilder(
            names[0], names[k], keys[k].public_key(), x509.random_serial_number(), now - timedelta(days=1),
            now + timedelta(days=30),
        )  # fmt: skip
        builder = builder.add_extension(x509.BasicConstraints(ca, None), True).add_extension(usage, True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(keys[k].public_key()), False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), False)
        if not ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        pem.append(builder.sign(keys[0], hashes.SHA384()).public_bytes(serialization.Encoding.PEM))
    (folder / "chain.pem").write_bytes(b"".join(pem))
    (folder / "key.pem").write_bytes(
        keys[1].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return {"certificate": str(folder / "chain.pem"), "key": str(folder / "key.pem")}


@needs_c2pa
def test_ones_own_certificate_signs(recorded, own):
    signed = credentials.read(recorded(**own))
    assert signed.signer == "Example person" and signed.state == "Valid"


@needs_c2pa
def test_wrong_certificates_are_told_before_anything_is_recorded(recorded, own, tmp_path):
    (tmp_path / "text.pem").write_text("no key")
    for wrong in ({**own, "key": ""}, {**own, "key": "none.pem"}, {**own, "key": str(tmp_path / "text.pem")}):
        with pytest.raises(BadInput) as caught:
            recorded(**wrong)
        assert "\n" not in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["text.pem"]


def test_without_c2pa_it_is_recorded_unsigned_and_that_is_said(recorded, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with caplog.at_level("INFO", logger="doppelcam"):
        path = recorded()
    assert "doppelcam[credentials]" in caplog.text
    assert len(read_clip(path)[0]) == 10 and credentials.read_aigc(path) is not None
    with pytest.raises(NotAvailable):
        credentials.read(path)


def test_whoever_asks_for_no_signature_gets_none(recorded):
    path = recorded(sign=False)
    assert b"c2pa" not in path.read_bytes()


@needs_c2pa
def test_reading_fetches_nothing(recorded):
    """A file may name an address to fetch its credentials from; c2pa-python would ask there if it were let."""
    import c2pa

    path = recorded(sign=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        action = {"action": "c2pa.created", "digitalSourceType": credentials._SOURCE_TYPE}
        manifest = {"assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}]}
        remote = path.with_name("remote.mp4")
        builder = c2pa.Builder(json.dumps(manifest))
        builder.set_no_embed()
        builder.set_remote_url(f"http://127.0.0.1:{server.getsockname()[1]}/x.c2pa")
        with path.open("rb") as source, remote.open("w+b") as target:
            builder.sign(credentials.Signer()._signer, "video/mp4", source, target)
        assert b"x.c2pa" in remote.read_bytes()
        assert credentials.read(remote) is None
        with pytest.raises(TimeoutError):
            server.accept()
