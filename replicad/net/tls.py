"""The TLS contexts of a port: made from files, verified before use, and made anew when the files change.

A context is never changed: one that replaces it knows nothing of the certificates that went.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from replicad.errors import ConfigError
from replicad.net.certificates import Certificate, read_certificate
from replicad.net.context_files import context_of
from replicad.net.options import Material
from replicad.net.tls_errors import explain

HANDSHAKE_SECONDS = 5.0
SHUTDOWN_SECONDS = 1.0
_STEPS_MAX = 20
_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


@dataclass(frozen=True, slots=True)
class Contexts:
    """`server` for those who connect here, `client` to connect to nodes of the same kind."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    certificate: Certificate
    """Our own."""


def make_contexts(material: Material) -> Contexts:
    """Raises ConfigError when the files do not fit each other, or are not valid today."""
    server = _context(ssl.PROTOCOL_TLS_SERVER, material)
    server.verify_mode = _VERIFY[material.certificates]
    client = _context(ssl.PROTOCOL_TLS_CLIENT, material)

    # Names of nodes are not names of hosts alone: who dials looks at them itself.
    client.check_hostname = False
    client.verify_mode = ssl.CERT_REQUIRED
    return Contexts(server, client, _try_out(server, material))


def _context(protocol: int, material: Material) -> ssl.SSLContext:
    return context_of(
        protocol,
        cert_file=material.cert_file,
        key_file=material.key_file,
        ca_file=material.ca_file,
        newest_only=material.newest_only,
    )


def _try_out(server: ssl.SSLContext, material: Material) -> Certificate:
    """A handshake in memory, of the certificate with itself: its chain and its dates are right. Our own
    certificate, as it shows there."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    if material.ca_file is None:
        # Nothing here vouches for it but itself.
        client.load_verify_locations(material.cert_file)
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    else:
        client.load_verify_locations(material.ca_file)
    if material.certificates != "none":
        client.load_cert_chain(material.cert_file, material.key_file)

    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    try:
        for _ in range(_STEPS_MAX):
            done = [_advance(end) for end in ends]
            if all(done):
                break
        certificate = read_certificate(ends[0].getpeercert())
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"{material.cert_file}: {explain(error)}") from None
    if certificate is None:
        raise ConfigError(f"{material.cert_file}: a handshake with itself does not come to an end")
    return certificate


def _advance(end: ssl.SSLObject) -> bool:
    """Whether its handshake is done."""
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
