"""HOST:PORT as people write it and as nodes tell it each other."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from replicad.errors import ConfigError

_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:/\s]*)):(?P<port>[0-9]{1,5})")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?")


class Address(NamedTuple):
    """A host, numeric or a name, and a port; port 0 lets the system choose when listening."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Of this machine only. A name is not: what it stands for may change."""
        number = numeric(self.host)
        return number is not None and number.is_loopback

    @property
    def is_any(self) -> bool:
        """All addresses of the machine: to listen at, never to connect to."""
        number = numeric(self.host)
        return number is not None and number.is_unspecified


def shown_peer(peername: object) -> str:
    """Who is at the other end, as a transport's `peername` has it."""
    return f"{peername[0]}:{peername[1]}" if isinstance(peername, tuple) else "unix"


def numeric(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def parse_address(text: str) -> Address:
    """HOST:PORT, [IPV6]:PORT or :PORT (loopback). Raises ConfigError."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(f"{text!r} is not HOST:PORT")
    host = match["six"] or match["host"] or "127.0.0.1"
    if host == "localhost":
        host = "127.0.0.1"
    if numeric(host) is None and (_NAME.fullmatch(host) is None or host.replace(".", "").isdigit()):
        raise ConfigError(f"{text!r} is not HOST:PORT: {host!r} is neither an IP address nor a name")
    return Address(host, int(match["port"]))


def address_of(text: str) -> Address | None:
    """The address that a peer sent, or None if it is not one that can be connected to."""
    try:
        address = parse_address(text)
    except ConfigError:
        return None
    return address if address.port and not address.is_any else None
