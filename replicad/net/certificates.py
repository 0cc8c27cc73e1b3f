"""What a certificate says, as the ssl module shows one that it has verified: names and dates."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from replicad.net.addresses import numeric

NODE_SCHEME = "replicad://"


@dataclass(frozen=True, slots=True)
class Certificate:
    """`names` are those of nodes and users: DNS names, and those of replicad:// URIs."""

    names: frozenset[str]
    addresses: frozenset[str]
    ends_at: float
    """Seconds since 1970."""

    def is_for_host(self, host: str) -> bool:
        """As RFC 6125 has it: an address exactly, a name with at most one wildcard, as its first label."""
        number = numeric(host)
        if number is not None:
            return any(numeric(each) == number for each in self.addresses)
        wanted = host.lower().rstrip(".")
        _, dot, domain = wanted.partition(".")
        known = {name.lower() for name in self.names}
        return wanted in known or (bool(dot) and f"*.{domain}" in known)

    @property
    def shown(self) -> str:
        return ", ".join(sorted(self.names | self.addresses)) or "no name"


def read_certificate(shown: Mapping[str, Any] | None) -> Certificate | None:
    """From what `getpeercert` returns; None when there was no certificate."""
    if not shown:
        return None
    names, addresses = set(), set()
    for kind, value in shown.get("subjectAltName", ()):
        match kind:
            case "DNS":
                names.add(value)
            case "URI" if value.startswith(NODE_SCHEME):
                names.add(value.removeprefix(NODE_SCHEME).rstrip("/"))
            case "IP Address":
                addresses.add(value.strip())
    return Certificate(frozenset(names), frozenset(addresses), ssl.cert_time_to_seconds(shown["notAfter"]))


def refusal_of_node(certificate: Certificate | None, host: str | None, allow: Collection[str]) -> str | None:
    """Why the node with this certificate is not one to talk with. `host`: the one that was connected to; None
    for a node that connects."""
    if certificate is None:
        return "it showed no certificate"
    if allow:
        if certificate.names & set(allow):
            return None
        return f"its certificate is for {certificate.shown}, and tls.allow has {', '.join(sorted(allow))}"
    if host is None or certificate.is_for_host(host):
        return None
    return f"its certificate is for {certificate.shown}, not for {host}"


def refusal_of_name(certificate: Certificate | None, name: str) -> str | None:
    """Why a node may not call itself so."""
    if certificate is None or name in certificate.names:
        return None
    if not name:
        return f"it has no name; its certificate is for {certificate.shown}: set `name`"
    return f"it calls itself {name}, and its certificate is for {certificate.shown}"
