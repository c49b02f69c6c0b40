"""Keys and a certificate of the tests' own, made once in a process."""

from __future__ import annotations

import base64
import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Key:
    """An RSA key that signs as Tiger and its clients do: PKCS#1 v1.5 with SHA-1."""

    private: RSAPrivateKey

    def pem(self, *, pkcs8: bool) -> str:
        form = PrivateFormat.PKCS8 if pkcs8 else PrivateFormat.TraditionalOpenSSL
        return self.private.private_bytes(Encoding.PEM, form, NoEncryption()).decode("ascii")

    def bare(self, *, pkcs8: bool) -> str:
        """Base64 of the DER, on one line."""
        form = PrivateFormat.PKCS8 if pkcs8 else PrivateFormat.TraditionalOpenSSL
        return base64.b64encode(self.private.private_bytes(Encoding.DER, form, NoEncryption())).decode("ascii")

    @property
    def public(self) -> str:
        der = self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(der).decode("ascii")

    def sign(self, text: str) -> str:
        return base64.b64encode(self.private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA1())).decode("ascii")

    def signed(self, text: str, signature: str) -> bool:
        try:
            self.private.public_key().verify(
                base64.b64decode(signature), text.encode(), padding.PKCS1v15(), hashes.SHA1()
            )
        except Exception:  # noqa: BLE001 - any failure is a bad signature
            return False
        return True


@cache
def key(name: str) -> Key:
    """A key for each name: ``client`` signs requests, ``gateway`` replies, ``stranger`` nothing that is right."""
    size = 2048 if name == "tls" else 1024  # short, for these sign thousands of times and guard nothing
    return Key(generate_private_key(public_exponent=65_537, key_size=size))


@cache
def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that signs itself, in ``folder``; and the context of a server that shows it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tigerd")])
    private = key("tls").private
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    public, secret = folder / "tigerd.crt", folder / "tigerd.key"
    public.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_text(key("tls").pem(pkcs8=True))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, secret)
    return public, context
