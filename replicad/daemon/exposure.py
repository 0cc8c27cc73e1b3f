"""Which addresses a node may have without being open to others: pure checks of a configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from replicad.errors import ConfigError
from replicad.net.addresses import Address

_TLS_LINES = "[tls] cert_file = …, key_file = …, ca_file = …"
_OPEN_ROLES = frozenset({"monitor"})
"""What may be open to everybody who reaches a port: whether the node is well, and nothing of the data."""
_USERS_LINES = "[users.NAME] roles = […], token_sha256 = …"


@dataclass(frozen=True, slots=True)
class Exposed:
    """An address that a node listens at or connects to, under its key."""

    key: str
    address: Address
    has_tls: bool
    wants_users: bool
    """Who comes has to log in. A node does so with its certificate."""
    listens: bool = True


def check_exposure(
    exposed: Iterable[Exposed], *, has_users: bool, insecure: bool, open_roles: Collection[str] = ()
) -> None:
    """Raises ConfigError for a port that others reach without TLS, or without logging in, and for a primary
    that would be reached in clear text. `open_roles` are those of the user `default` without a secret."""
    for each in exposed:
        if each.address.is_loopback or insecure:
            continue
        if each.wants_users and (given := sorted(set(open_roles) - _OPEN_ROLES)):
            raise ConfigError(
                f"{each.key}: {each.address} is refused, because [users.default] gives {given[0]} to "
                f"everybody who connects, without a password: take {given[0]} out of its roles, give it "
                "token_sha256 or password_file, or, on a network that nobody else is on, set insecure = true"
            )
        missing = [] if each.has_tls else [_TLS_LINES]
        if each.wants_users and not has_users:
            missing.append(_USERS_LINES)
        if missing:
            raise ConfigError(
                f"{each.key}: {each.address} is refused, because it is not of this machine alone: add "
                f"{' and '.join(missing)}, or, on a network that nobody else is on, insecure = true"
            )


def check_announce(exposed: Iterable[Exposed], announce: str | None) -> None:
    """Raises ConfigError for a node that listens everywhere and does not say where it is."""
    for each in exposed:
        if each.listens and each.address.is_any and announce is None:
            raise ConfigError(
                f'{each.key} is {each.address}, all addresses of this machine: announce = "HOST" says under '
                "which of them the other nodes reach it"
            )
