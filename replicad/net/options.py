"""The options of TLS: `[tls]`, with `[tls.clients]`, `[tls.replication]` and `[tls.http]` over it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from replicad.errors import ConfigError

Asked = Literal["none", "optional", "required"]


@dataclass(frozen=True, kw_only=True)
class PortTls:
    """What one port has of its own; what it has not comes from `[tls]`.

    `enabled = false` leaves a port in clear text. `certificates` asks clients for certificates that `ca_file`
    vouches for; the replication port always requires them.
    """

    enabled: bool = True
    cert_file: Path | None = None
    key_file: Path | None = None
    ca_file: Path | None = None
    certificates: Asked | None = None


@dataclass(frozen=True, kw_only=True)
class TlsOptions:
    """TLS for all ports, once `cert_file` and `key_file` are there.

    `allow` names the nodes that may connect to the replication port, and that this node connects to: each has
    its name in its certificate, as DNS:NAME or URI:replicad://NAME. Without it the certificate of the node
    that is connected to has to be for its host, and any node with a certificate may connect.
    `certificate_users` logs a client in as the user whom its certificate names. The files are looked at every
    `reload_seconds`.
    """

    cert_file: Path | None = None
    key_file: Path | None = None
    ca_file: Path | None = None
    certificates: Asked = "none"
    certificate_users: bool = False
    allow: tuple[str, ...] = ()
    reload_seconds: float = 60.0
    clients: PortTls = field(default_factory=PortTls)
    replication: PortTls = field(default_factory=PortTls)
    http: PortTls = field(default_factory=PortTls)

    def __post_init__(self) -> None:
        if self.reload_seconds <= 0:
            raise ConfigError("reload_seconds has to be more than 0")
        for name in ("clients", "replication", "http"):
            self.material(name)

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
