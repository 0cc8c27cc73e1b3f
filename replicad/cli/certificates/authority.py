"""Makes certificates as RFC 5280 wants them, so that a strict check (VERIFY_X509_STRICT) takes them.

Keys are of the curve P-256: every TLS library has it. A node's certificate is for both sides of a connection,
for a node is a server to some and a client to others. It has no common name: an etcd with users takes no such
certificate at its gateway.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path

from replicad.errors import ConfigError, UsageError
from replicad.net.addresses import parse_address
from replicad.net.certificates import NODE_SCHEME

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:
    raise UsageError("this needs the package cryptography: pip install 'replicad[certs]'") from None

CA_NAME = "ca"
COMMON_NAME_MAX = 64
EARLIER = datetime.timedelta(hours=1)
"""A certificate is valid from then on: clocks differ."""


def make_authority(directory: Path, common_name: str, days: float) -> None:
    """DIR/ca.crt and DIR/ca.key; raises UsageError where there is one."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The certificate comes last: a key without one is what an interrupted call left.
    if (directory / "ca.crt").exists():
        raise UsageError(f"{directory} has a CA already: its certificates would be worth nothing")
    if not 1 <= len(common_name.encode()) <= COMMON_NAME_MAX:
        raise UsageError(f"the name of a CA has 1 to {COMMON_NAME_MAX} bytes")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        _builder(name, name, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(directory, CA_NAME, key, certificate)


def make_node(directory: Path, name: str, hosts: Iterable[str], days: float) -> None:
    """DIR/NAME.crt and DIR/NAME.key, signed by the CA there, in place of those before."""
    ca_key, ca = _read_authority(directory)
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives: list[x509.GeneralName] = [
        x509.DNSName(name),
        x509.UniformResourceIdentifier(NODE_SCHEME + name),
        *(_alternative(host) for host in hosts if host != name),
    ]
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
    certificate = (
        _builder(subject, ca.subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    _write(directory, name, key, certificate)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: float
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        parse_address(f"{host.removeprefix('*.') or '/'}:1")
    except ConfigError:
        raise UsageError(f"{host!r} is neither an IP address nor the name of a host") from None
    return x509.DNSName(host)


def _read_authority(directory: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    try:
        key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{directory} has no CA: replicad certs init {directory} makes one") from None
    except ValueError as error:
        raise UsageError(f"{directory}/ca.key, ca.crt: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UsageError(f"{directory}/ca.key is not of an elliptic curve: replicad certs init makes such")
    return key, certificate


def _write(
    directory: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> None:
    """Each file is the former or the new one. The key first: a node that reads in between says that they do
    not fit each other, and goes on with what it has."""
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    for suffix, data, mode in ((".key", private, 0o600), (".crt", public, 0o644)):
        made = directory / f".{name}{suffix}.new"
        made.unlink(missing_ok=True)
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        made.rename(directory / f"{name}{suffix}")
