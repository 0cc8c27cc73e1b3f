"""Which replicas a write waits for: `any 2`, `any 1 of (a, b)`, `first 1 of (a, b)`. Pure.

    rule  := ("any" | "first") count ["of" "(" name {"," name} ")"]

`any` is satisfied by whichever `count` of the replicas, all or those named, are furthest. `first` waits for
the `count` connected ones that stand first in the list, so that it is known where the data is; without a list
there is no order, so it needs one. Names are those that replicas give themselves, or node ids.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from replicad.errors import InvalidArgument

_RULE = re.compile(
    r"\s*(?P<kind>any|first)\s+(?P<count>[0-9]{1,4})(?:\s+of\s*\((?P<names>[^()]*)\))?\s*", re.IGNORECASE
)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Level(Enum):
    """Three different facts about a replica and a sequence number."""

    RECEIVED = "received"
    """Taken from the connection."""
    APPLIED = "applied"
    """Visible to its readers."""
    DURABLE = "durable"
    """Would survive a crash of its machine."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`names` is empty for all replicas."""

    kind: Literal["any", "first"]
    count: int
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        of = f" of ({', '.join(self.names)})" if self.names else ""
        return f"{self.kind} {self.count}{of}"


@dataclass(frozen=True, slots=True)
class WaitedReplica:
    """A connected replica, and how far it is at the level that is asked about."""

    name: str
    node_id: str
    sequence: int

    @property
    def called(self) -> str:
        return self.name or self.node_id[:12]


def parse_rule(text: str) -> Rule | None:
    """None for "" and "off". Raises InvalidArgument for a text that is not a rule, or can never hold."""
    if text.strip().lower() in ("", "off"):
        return None

    match = _RULE.fullmatch(text)
    if match is None:
        raise InvalidArgument(f'{text!r} is not "any N", "any N of (a, b)" or "first N of (a, b)"')

    names = tuple(name.strip() for name in match["names"].split(",")) if match["names"] is not None else ()
    count = int(match["count"])

    for name in names:
        if _NAME.fullmatch(name) is None:
            raise InvalidArgument(f"{text!r}: {name!r} is not a name of a replica")
    if len(set(names)) != len(names):
        raise InvalidArgument(f"{text!r} names a replica twice")

    # A rule that can never hold would let every write wait for its timeout.
    if count == 0 or (names and count > len(names)):
        raise InvalidArgument(f"{text!r} asks for {count} replicas of {len(names) or 'any number'}")

    if match["kind"].lower() == "first":
        if not names:
            raise InvalidArgument(f"{text!r}: first needs the names, in order")
        return Rule("first", count, names)
    return Rule("any", count, names)


def satisfied_through(rule: Rule, peers: Sequence[WaitedReplica]) -> int:
    """The newest sequence number that the rule holds for; 0 while it holds for none."""
    if rule.kind == "any":
        furthest = sorted((peer.sequence for peer in chosen(rule, peers)), reverse=True)
        return furthest[rule.count - 1] if len(furthest) >= rule.count else 0
    first = chosen(rule, peers)[: rule.count]
    return min(peer.sequence for peer in first) if len(first) == rule.count else 0


def chosen(rule: Rule, peers: Sequence[WaitedReplica]) -> list[WaitedReplica]:
    """The connected replicas that the rule is about, in its order."""
    if not rule.names:
        return list(peers)
    found = []
    for name in rule.names:
        found += [peer for peer in peers if name in (peer.name, peer.node_id) and peer not in found]
    return found
