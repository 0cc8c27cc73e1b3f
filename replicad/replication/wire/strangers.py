"""Who answers where another node should: told by the first bytes, so that an operator hears what to mend."""

from __future__ import annotations

import re

FIRST_BYTES = 16
"""As many tell."""
_RESP = re.compile(rb"[-+$*:%_][A-Za-z0-9 ]")
_TLS = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]")


def stranger(first: bytes) -> str | None:
    """What speaks there, if it is something known, and not a node.

    >>> stranger(b"-ERR unknown command")
    'that is a port for Redis clients: the replication address of the node is needed'
    """
    if _RESP.match(first):
        return "that is a port for Redis clients: the replication address of the node is needed"
    if first.startswith(b"HTTP/"):
        return "that is an HTTP port: the replication address of the node is needed"
    if _TLS.match(first):
        return "the node speaks TLS: set [tls], with cert_file, key_file and ca_file"
    if first.startswith(b"SSH-"):
        return "that is an SSH server: the replication address of the node is needed"
    return None
