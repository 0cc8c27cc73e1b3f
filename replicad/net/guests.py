"""Who is at a port by address, in the order in which they came: so that no address keeps the others out.

An address is one of IPv4, or a network of 64 bits of IPv6, which one machine may have whole. All who come by
a Unix socket count as one. Belongs to the event loop.
"""

from __future__ import annotations

import ipaddress
from typing import Generic, TypeVar

from replicad.net.addresses import numeric

Guest = TypeVar("Guest")

IPV6_NETWORK_BITS = 64


def network_of(host: str) -> str:
    """What counts as one address.

    >>> network_of("192.0.2.7"), network_of("2001:db8::7"), network_of("::ffff:192.0.2.7"), network_of("")
    ('192.0.2.7', '2001:db8::/64', '192.0.2.7', 'unix')
    """
    number = numeric(host)
    if isinstance(number, ipaddress.IPv6Address):
        if number.ipv4_mapped is not None:
            return str(number.ipv4_mapped)
        return str(ipaddress.ip_network((number, IPV6_NETWORK_BITS), strict=False))
    return host or "unix"


class Guests(Generic[Guest]):
    def __init__(self) -> None:
        self._network_of: dict[Guest, str] = {}
        self._of: dict[str, dict[Guest, None]] = {}

    def __len__(self) -> int:
        return len(self._network_of)

    def add(self, guest: Guest, network: str) -> None:
        """As the one who came last."""
        self.remove(guest)
        self._network_of[guest] = network
        self._of.setdefault(network, {})[guest] = None

    def remove(self, guest: Guest) -> None:
        """Nothing where it is not there."""
        network = self._network_of.pop(guest, None)
        if network is not None:
            del self._of[network][guest]
            if not self._of[network]:
                del self._of[network]

    def count(self, network: str) -> int:
        return len(self._of.get(network, ()))

    def oldest(self, network: str | None = None) -> Guest | None:
        """Of an address, or of all."""
        if network is None:
            return next(iter(self._network_of), None)
        return next(iter(self._of.get(network, ())), None)

    def to_leave(self, network: str) -> Guest | None:
        """Who leaves so that one more of that address comes in: the oldest of the address that has most. None
        where the newcomer's own has as many: then nobody is kept out by another."""
        if not self._of:
            return None
        busiest = max(self._of, key=lambda each: len(self._of[each]))
        return self.oldest(busiest) if self.count(busiest) > self.count(network) + 1 else None
