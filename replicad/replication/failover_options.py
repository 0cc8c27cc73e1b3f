"""The section `[failover]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from replicad.errors import InvalidArgument
from replicad.etcd.options import EtcdOptions
from replicad.options import MIB, check_numbers

TTL_SECONDS_MIN = 2
TTL_SECONDS_MAX = 300


@dataclass(frozen=True, kw_only=True)
class FailoverOptions:
    """Without `etcd` nothing is promoted automatically."""

    etcd: tuple[str, ...] = ()
    """Where etcd is: "https://HOST:PORT", one or several. Without it there is no automatic failover."""
    user: str = ""
    """The user that logs in at etcd."""
    password_file: Path | None = None
    """A file with that user's password, which nobody else may read."""
    ca_file: Path | None = None
    """The CA that vouches for etcd, as PEM; without it, those of the system."""
    cert_file: Path | None = None
    """A certificate for etcd, where it asks for one, as PEM."""
    key_file: Path | None = None
    """Its private key, as PEM."""
    service_name: str = "replicad"
    """What clients call this database when they ask for its primary as they ask a Sentinel."""
    ttl_seconds: int = 5
    """A leader that etcd has not heard of for this long is replaced."""
    keepalive_seconds: float = 1.0
    """How often a node looks at etcd, and says that it is there."""
    margin_seconds: float = 1.0
    """A leader stops acknowledging this long before its lease can end: for clocks that run unequally."""
    candidate: bool = True
    """Whether this node may be promoted automatically."""
    priority: int = 100
    """Of the nodes that may lead next, those with the greatest come first."""
    lag_bytes_max: int = 16 * MIB
    """Where writes wait for no replica, a node that lacked more log than this is not promoted."""

    LEAST: ClassVar[Mapping[str, float]] = {"priority": 0, "lag_bytes_max": 0}

    @property
    def is_on(self) -> bool:
        return bool(self.etcd)

    def etcd_options(self) -> EtcdOptions:
        """Raises InvalidArgument."""
        return EtcdOptions(
            endpoints=self.etcd,
            user=self.user,
            password_file=self.password_file,
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
            request_seconds=min(1.0, self.keepalive_seconds),
        )

    def __post_init__(self) -> None:
        check_numbers(self)
        if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", self.service_name) is None:
            raise InvalidArgument(f"service_name: {self.service_name!r} is not a name")
        if not TTL_SECONDS_MIN <= self.ttl_seconds <= TTL_SECONDS_MAX:
            raise InvalidArgument(f"ttl_seconds has to be from {TTL_SECONDS_MIN} to {TTL_SECONDS_MAX}")
        # Two keepalives in a row may be lost before the leader has to stop.
        if self.margin_seconds + 2 * self.keepalive_seconds > self.ttl_seconds:
            raise InvalidArgument(
                "ttl_seconds has to be at least margin_seconds and twice keepalive_seconds together"
            )
        if self.is_on:
            self.etcd_options()
