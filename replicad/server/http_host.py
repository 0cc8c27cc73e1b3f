"""Whether a request over HTTP meant this node, by its Host header.

A web page can have a name of its own resolve to this machine, and read through a browser what only those on
this network may see (DNS rebinding). The browser says that name, which is not one of this node's. Nobody can
do that with a number.
"""

from __future__ import annotations

from collections.abc import Iterable

from replicad.errors import ConfigError
from replicad.net.addresses import numeric, parse_address


def host_in(header: str) -> str | None:
    """The host of a Host header in lower case; None where that is none."""
    if header.startswith(":") or not header:
        return None
    bracketed = header.startswith("[") and header.endswith("]")
    address = header if ":" in header and not bracketed else f"{header}:1"
    try:
        return _plain(parse_address(address).host)
    except ConfigError:
        return None


def _plain(name: str) -> str:
    return name.lower().rstrip(".")


def is_meant(header: str | None, names: Iterable[str]) -> bool:
    """`names` are those of this node. A request without the header is not a browser's."""
    if header is None:
        return True
    host = host_in(header)
    return host is not None and (numeric(host) is not None or host in map(_plain, names))
