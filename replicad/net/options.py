"""The options of TLS: `[tls]`, with `[tls.clients]`, `[tls.replication]` and `[tls.http]` over it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from replicad.errors import ConfigError

PORTS = ("clients", "replication", "http")
Asked = Literal["none", "optional", "required"]


@dataclass(frozen=True, kw_only=True)
class PortTls:
    """What one port has of its own; what it has not comes from `[tls]`."""

    enabled: bool = True
    """False leaves this port in clear text."""
    cert_file: Path | None = None
    """Instead of that of [tls]."""
    key_file: Path | None = None
    """Instead of that of [tls]."""
    ca_file: Path | None = None
    """Instead of that of [tls]."""
    certificates: Asked | None = None
    """Whether clients are asked for certificates; the replication port always requires them."""


@dataclass(frozen=True, kw_only=True)
class TlsOptions:
    """TLS for all ports, once `cert_file` and `key_file` are there."""

    cert_file: Path | None = None
    """The certificate of this node, with those between it and the CA, as PEM."""
    key_file: Path | None = None
    """Its private key, as PEM, which nobody else may read."""
    ca_file: Path | None = None
    """The CA that vouches for the other nodes, and for the certificates of clients."""
    certificates: Asked = "none"
    """Whether clients are asked for certificates; the replication port always requires them."""
    certificate_users: bool = False
    """Whether a client's certificate logs it in, as the user whom it names."""
    allow: tuple[str, ...] = ()
    """The names of the nodes that this one talks with, each in its certificate as DNS:NAME or
    URI:replicad://NAME. Without it any node with a certificate may connect, and the one that is connected to
    has one for its host."""
    reload_seconds: float = 60.0
    """How often the files are looked at for changes."""
    clients: PortTls = field(default_factory=PortTls)
    """For the port of Redis clients."""
    replication: PortTls = field(default_factory=PortTls)
    """For the port of replicas, and for connections to it."""
    http: PortTls = field(default_factory=PortTls)
    """For the HTTP port."""

    def __post_init__(self) -> None:
        if self.reload_seconds <= 0:
            raise ConfigError("reload_seconds has to be more than 0")
        for name in PORTS:
            self.material(name)
        nodes, clients = self.material("replication"), self.material("clients")
        if (
            self.certificate_users
            and nodes
            and clients
            and nodes.ca_file == clients.ca_file
            and not self.allow
        ):
            raise ConfigError(
                "allow is missing: with certificate_users and one ca_file the certificates of users would "
                "open the replication port, too; name the nodes"
            )

    def material(self, port: str) -> Material | None:
        """What the port has for TLS; None when it is in clear text. Raises ConfigError for half of it."""
        own: PortTls = getattr(self, port)
        cert, key, ca = (
            getattr(own, name) or getattr(self, name) for name in ("cert_file", "key_file", "ca_file")
        )
        if not own.enabled or (cert is None and key is None and ca is None):
            return None
        where = "tls" if own == PortTls() else f"tls.{port}"
        for name, file in (("cert_file", cert), ("key_file", key)):
            if file is None:
                raise ConfigError(f"{where}.{name} is missing: TLS needs a certificate and its key")
        certificates = "required" if port == "replication" else own.certificates or self.certificates
        if certificates != "none" and ca is None:
            raise ConfigError(f"{where}.ca_file is missing: without it no certificate can be checked")
        return Material(cert, key, ca, certificates, port == "replication")


@dataclass(frozen=True)
class Material:
    """The files of one port, and what it asks of who connects."""

    cert_file: Path
    key_file: Path
    ca_file: Path | None
    certificates: Asked
    newest_only: bool
    """TLS 1.3, as between nodes; others may speak TLS 1.2."""
