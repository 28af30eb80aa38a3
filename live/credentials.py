"""What a recording says of itself in its file: signed Content Credentials (C2PA) and the label that China asks for.

Both are gone when somebody converts the file; the watermark in the picture stays. Signing needs the extra
`credentials`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import av
import platformdirs

from engines.errors import BadInput, NotAvailable
from engines.own_file import write_own
from engines.plugins import import_failure

AIGC = "AIGC"
"""The key of GB 45438-2025's implicit label in a file's metadata; in mp4 it needs the muxer's `use_metadata_tags`."""

_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_SELF_MADE = "doppelcam, self-made"
_YEARS = 10


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a file's Content Credentials say. `state`: Trusted, Valid (whole, but nobody vouches for the signer) or
    Invalid (changed after it was signed); `problems` are the standard's own words for what is wrong.
    """

    state: str
    signer: str
    made_with: str
    actions: tuple[str, ...]
    source_type: str
    session: str
    problems: tuple[str, ...]


def aigc_label(session: int) -> str:
    """The implicit label as JSON: all seven fields are texts, and who made it is who first spread it."""
    maker, number = f"doppelcam {metadata.version('doppelcam')}", f"{session:06x}"
    return json.dumps({
        "Label": "1", "ContentProducer": maker, "ProduceID": number, "ReservedCode1": "",
        "ContentPropagator": maker, "PropagateID": number, "ReservedCode2": "",
    })  # fmt: skip


def read_aigc(path: Path) -> dict[str, str] | None:
    """The implicit label in a video file, None where there is none that can be read."""
    try:
        with av.open(str(path)) as container:
            text = {key.upper(): value for key, value in container.metadata.items()}.get(AIGC, "")
        label = json.loads(text)
    except (av.FFmpegError, OSError, ValueError, RecursionError):
        return None
    return {str(k): str(v) for k, v in label.items()} if isinstance(label, dict) else None


def available() -> None:
    """Raises NotAvailable when nothing can be signed here."""
    try:
        import c2pa  # noqa: F401
    except ImportError as error:
        raise import_failure("signing recordings", error) from None
    except OSError as error:  # its library does not fit this machine
        raise NotAvailable(f"signing recordings is not available: {error}") from None


class Signer:
    """Signs mp4 files: with the user's certificate chain and key (PEM), or with ones that this machine made itself."""

    def __init__(self, certificate: str = "", key: str = "") -> None:
        """Raises NotAvailable; BadInput where files are missing or do not fit together."""
        available()
        import c2pa

        if bool(certificate) != bool(key):
            raise BadInput("to sign recordings, certificate and key are given together", hint="both are PEM files")
        chain, secret = (_read(certificate), _read(key)) if certificate else _self_made()
        self._where = certificate or "the self-made certificate"
        try:
            info = c2pa.C2paSignerInfo(_algorithm(secret), chain.encode(), secret.encode(), None)
            self._signer = c2pa.Signer.from_info(info)
        except (c2pa.C2paError, ValueError, TypeError) as error:
            raise BadInput(
                f"recordings cannot be signed with {self._where}: {error}",
                hint="expected a PEM chain, the signer's first, and its key (ES256, ED25519) without a passphrase",
            ) from None

    def sign(self, path: Path, title: str, session: int) -> None:
        """Put the credentials into this mp4, which is replaced. Raises BadInput and leaves it as it was."""
        import c2pa

        signed = path.with_name(f"{path.name}.signed")
        maker = {"name": "doppelcam", "version": metadata.version("doppelcam")}
        actions = [
            {"action": "c2pa.created", "digitalSourceType": _SOURCE_TYPE, "softwareAgent": maker},
            {"action": "c2pa.edited", "softwareAgent": maker, "description": "A face was replaced by another."},
        ]
        manifest = {
            "claim_generator_info": [maker],
            "title": title,
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": actions}},
                {"label": "org.doppelcam.session", "data": {"session": f"{session:06x}"}},
            ],
        }
        try:
            with c2pa.Builder(json.dumps(manifest)) as builder, path.open("rb") as source, signed.open("w+b") as target:
                builder.sign(self._signer, "video/mp4", source, target)
            signed.replace(path)
        except (c2pa.C2paError, OSError) as error:
            signed.unlink(missing_ok=True)
            raise BadInput(f"the recording {title} is not signed: {error}") from None


def read(path: Path) -> Credentials | None:
    """The Content Credentials in this file, None where it has none. Raises NotAvailable. Nothing is fetched."""
    available()
    import c2pa

    try:
        # A file may name an address to fetch its credentials from: that would tell its maker who looks at it.
        context = c2pa.Context.from_dict({"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}})
        with path.open("rb") as file:
            reader = c2pa.Reader.try_create("video/mp4", file, context=context)
            if reader is None:
                return None
            store, state = json.loads(reader.json()), str(reader.get_validation_state())
    except (c2pa.C2paError, OSError, ValueError):
        return None
    active = store["manifests"][store["active_manifest"]]
    found = {str(a.get("label")): a.get("data", {}) for a in active.get("assertions", [])}
    acted = [data for label, data in found.items() if label.startswith("c2pa.actions")]
    actions: list[dict[str, Any]] = acted[0].get("actions", []) if acted else []
    signature = active.get("signature_info", {})
    makers = active.get("claim_generator_info") or [{}]
    return Credentials(
        state=state,
        signer=str(signature.get("common_name") or signature.get("issuer") or "unknown"),
        made_with=f"{makers[0].get('name', 'unknown')} {makers[0].get('version', '')}".strip(),
        actions=tuple(str(one.get("action")) for one in actions),
        source_type=str(next((one["digitalSourceType"] for one in actions if "digitalSourceType" in one), "")),
        session=str(found.get("org.doppelcam.session", {}).get("session", "")),
        problems=tuple(str(one.get("code")) for one in store.get("validation_status", [])),
    )


def _read(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not PEM'}") from None


def _algorithm(secret: str) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(secret.encode(), None)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    sizes = {256: "es256", 384: "es384", 521: "es512"}
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size in sizes:
        return sizes[key.key_size]
    raise ValueError("this kind of key cannot sign")


def _self_made() -> tuple[str, str]:
    """This machine's own certificate chain and key, made at first use. Nobody vouches for it: readers are told so."""
    folder = platformdirs.user_data_path("doppelcam", appauthor=False) / "signing"
    chain, secret = folder / "certificate.pem", folder / "key.pem"
    try:
        if not (chain.is_file() and secret.is_file()):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            made = _make_chain()
            for target, text in zip((secret, chain), reversed(made), strict=True):
                write_own(target, text.encode("ascii"))
        return chain.read_text(), secret.read_text()
    except OSError as error:
        raise BadInput(f"the self-made certificate in {folder} cannot be used: {error.strerror or error}") from None


def _make_chain() -> tuple[str, str]:
    """A certificate as C2PA asks for one (X.509v3, ES256, e-mail protection), its issuer's, and its key, as PEM.

    The issuer's key is thrown away. There is no name in it but the program's.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    def name(common: str) -> x509.Name:
        return x509.Name([
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, _SELF_MADE),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, common),
        ])  # fmt: skip

    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root, leaf = name(f"{_SELF_MADE}: issuer"), name(_SELF_MADE)
    now = datetime.now(UTC)

    def certificate(subject: x509.Name, key: ec.EllipticCurvePrivateKey, ca: bool) -> x509.Certificate:
        usage = x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=365 * _YEARS))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        )
        if not ca:
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
            )
        return builder.sign(root_key, hashes.SHA256())

    chain = [certificate(leaf, leaf_key, False), certificate(root, root_key, True)]
    secret = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in chain), secret.decode()
