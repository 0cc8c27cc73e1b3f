"""HOST:PORT in the configuration, and why some are refused."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from replicad.errors import ConfigError

_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:/\s]*)):(?P<port>[0-9]{1,5})")


class Address(NamedTuple):
    """A numeric loopback address and a port; port 0 lets the system choose when listening."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """HOST:PORT, [IPV6]:PORT or :PORT (loopback). Raises ConfigError, also if it is not loopback."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(f"{text!r} is not HOST:PORT")

    # Numeric addresses only: a name could resolve to another address each time.
    host = match["six"] or match["host"] or "127.0.0.1"
    if host == "localhost":
        host = "127.0.0.1"
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False

    if not loopback:
        raise ConfigError(
            f"{text} is refused: there is no authentication yet, so only loopback addresses "
            "(127.0.0.1, [::1], localhost) may be used"
        )
    return Address(host, int(match["port"]))


def address_of(text: str) -> Address | None:
    """The address that a peer sent, or None if it is not one that this node may connect to."""
    try:
        address = parse_address(text)
    except ConfigError:
        return None
    return address if address.port else None
