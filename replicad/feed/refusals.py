"""What a node's error reply means for a feed: a typed error, or that it has to ask again later."""

from __future__ import annotations

from replicad.errors import (
    DivergedError,
    LogGoneError,
    LoginRefusedError,
    NotFoundError,
    ProtocolError,
    ReplicadError,
    SlotInUseError,
    SlotLostError,
)

_TYPES: dict[str, type[ReplicadError]] = {
    "NOSLOT": NotFoundError,
    "SLOTBUSY": SlotInUseError,
    "SLOTLOST": SlotLostError,
    "LOST": DivergedError,
}
_LOGIN = frozenset({"NOAUTH", "NOPERM", "WRONGPASS"})
_LATER = frozenset({"LOADING", "NOTYET", "TRYAGAIN"})
_LATER_TEXTS = (
    "ERR max number of clients",
    "ERR the server is shutting down",
    "ERR this connection ends",
    "ERR ClosedError",
)


class NotReady(ConnectionError):
    """The node cannot answer now: it starts, ends, exchanges its data, or is behind. Time mends that."""


def error_of(text: str, address: str, requested: int) -> Exception:
    """`requested` is the sequence number that was asked for, if any was."""
    code, _, rest = text.partition(" ")
    if code == "LOGGONE" and rest.isdigit():
        return LogGoneError(requested, int(rest))
    if code in _LOGIN:
        return LoginRefusedError(f"{address}: {text}")
    if code in _LATER or text.startswith(_LATER_TEXTS):
        return NotReady(f"{address}: {text}")
    if code in _TYPES:
        return _TYPES[code](f"{address}: {rest}")
    if text.startswith("ERR unknown"):
        return ProtocolError(f"{address} is not a node of replicad, or an older one: {text}")
    return ProtocolError(f"{address}: {text}")
