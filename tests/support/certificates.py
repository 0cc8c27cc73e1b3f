"""Certificates for tests, by the code behind `replicad certs`."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import pytest

from replicad.cli.certificates import authority
from replicad.net.options import TlsOptions

HOST = "127.0.0.1"
DAYS = 30.0
EXPIRED = -0.02
"""Days: a certificate is valid from an hour ago, so that it ended half an hour ago."""


@dataclass(frozen=True)
class Authority:
    directory: Path

    @classmethod
    def make(cls, directory: Path) -> Authority:
        authority.make_authority(directory, f"CA of {directory.name}", 30)
        return cls(directory)

    @property
    def ca(self) -> Path:
        return self.directory / "ca.crt"

    def node(self, name: str, *, host: str = HOST, days: float = DAYS) -> tuple[Path, Path]:
        """Certificate and key."""
        authority.make_node(self.directory, name, [host], days)
        return self.directory / f"{name}.crt", self.directory / f"{name}.key"

    def options(self, name: str, **more: object) -> TlsOptions:
        """[tls] of a node of that name."""
        cert, key = self.node(name)
        return TlsOptions(cert_file=cert, key_file=key, ca_file=self.ca, **more)  # type: ignore[arg-type]


def begin_tomorrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates made from now on are not valid yet."""
    monkeypatch.setattr(authority, "EARLIER", datetime.timedelta(days=-1))
