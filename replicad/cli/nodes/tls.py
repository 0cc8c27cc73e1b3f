"""TLS of the command line: what `Access` says, as the ssl module wants it. Loaded when a node needs it."""

from __future__ import annotations

import socket
import ssl

from replicad.cli.nodes.access import Access
from replicad.env.reasons import reason_of
from replicad.errors import ConfigError, DoorFault, UnreachableError, WrongDoorError
from replicad.net.doors import Door
from replicad.net.options import Material
from replicad.net.tls_errors import explain


def context_of(access: Access) -> ssl.SSLContext:
    """Raises ConfigError for files that are wrong."""
    try:
        context = ssl.create_default_context(cafile=access.ca_file)
        if access.cert_file is not None:
            context.load_cert_chain(access.cert_file, access.key_file)
    except OSError as error:
        files = ", ".join(str(file) for file in (access.ca_file, access.cert_file, access.key_file) if file)
        raise ConfigError(f"{files}: {error.strerror or explain(error)}") from None
    return context


def wrap(plain: socket.socket, access: Access, host: str, shown: str) -> ssl.SSLSocket:
    """Raises UnreachableError when TLS does not come about, ConfigError for files that are wrong."""
    context = context_of(access)
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except OSError as error:
        raise broken(error, shown) from None
    except UnicodeError:
        raise UnreachableError(f"{shown}: {host!r} is not the name of a host") from None


def broken(error: OSError, shown: str) -> UnreachableError:
    """Why a connection over TLS ended, or did not come about. Under TLS 1.3 the node refuses our certificate
    only after the handshake."""
    if not isinstance(error, ssl.SSLError):
        return UnreachableError(f"{shown}: {reason_of(error)}")
    reason = explain(error)
    if isinstance(error, ssl.SSLCertVerificationError) or "certificate" in reason:
        fault = DoorFault.CERTIFICATE
    elif "does not speak TLS" in reason:
        fault = DoorFault.NO_TLS
    else:
        fault = DoorFault.OTHER_PORT_OR_TLS
    return WrongDoorError(f"{shown}: {reason}", fault)


def replication_door(access: Access) -> Door:
    """To the replication port of a node, as another node would come."""
    if not access.wants_tls:
        return Door("replication", None, insecure=True)
    if access.cert_file is None or access.key_file is None or access.ca_file is None:
        raise ConfigError("the replication port wants a certificate: --ca, --cert and --key")
    return Door("replication", Material(access.cert_file, access.key_file, access.ca_file, "required", True))
