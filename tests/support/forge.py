"""Tokens as an attacker makes them: any header, any claims, any signature. No JOSE library stands in the way."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signing_input(header: Any, claims: Any) -> str:
    """Both parts; bytes are taken as they are, anything else as JSON."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    return ".".join(map(b64, parts))


def unsigned(header: Any, claims: Any) -> str:
    return f"{signing_input(header, claims)}."


def mac(header: Any, claims: Any, secret: bytes) -> str:
    """Signed with a secret, as HS256 has it."""
    text = signing_input(header, claims)
    return f"{text}.{b64(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def der(header: Any, claims: Any, key: ec.EllipticCurvePrivateKey) -> str:
    """ES256, but with the signature in ASN.1 as OpenSSL writes it."""
    text = signing_input(header, claims)
    return f"{text}.{b64(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))}"


def signed(header: Any, claims: Any, key: ec.EllipticCurvePrivateKey) -> str:
    """A valid ES256 signature over whatever is in there."""
    text = signing_input(header, claims)
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_of(folder: Path, kid: str) -> ec.EllipticCurvePrivateKey:
    """The service's own key: what only an insider, or a bug elsewhere, could sign with."""
    key = serialization.load_pem_private_key((folder / f"{kid}.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
