"""Whether a candidate may lead, by the promises that it has: does one of those who promised hold every write?

Under `any k` of n replicas every acknowledged write is durable on k of them. Of any n - k + 1 at least one
holds it:

    n = 3, k = 2    write on   [a] [b]  c        asked   a  [b] [c]      n - k + 1 = 2

A promise comes before the answer: a node that promised an epoch acknowledges nothing of a lower one any more
(`daemon.failover.promises`). So what it says to have is all that was ever acknowledged with its help.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from replicad.replication.policy.failover.cluster import StatedRule
from replicad.types import Position


class HowFar(NamedTuple):
    """A durable position without its hash. A later epoch has given up what a lower one has beyond it."""

    epoch: int
    sequence: int

    @classmethod
    def of(cls, position: Position) -> HowFar:
        return cls(int(position.epoch), int(position.sequence))


def promises_needed(rule: StatedRule) -> int:
    """Of how many of the rule's replicas. `first k of (...)` counts as any k of the list: the k that it waits
    for are among those."""
    return len(rule.replicas) - rule.count + 1


def why_not_enough(rule: StatedRule | None, promised: Collection[str]) -> str | None:
    """Why these nodes may lack what was acknowledged, in words. The cases, in the order they are tried:

    rule                                                    enough
    ------------------------------------------------------  --------------------------------------
    none was ever stated, or it waits for nobody            always: what is lost is said
    the former leader promised, and has all durably         always
    any k of n                                              with n - k + 1 of them
    """
    if rule is None or rule.count == 0:
        return None
    if rule.leader_has_all and rule.leader in promised:
        return None
    there, needed = len(rule.replicas & set(promised)), promises_needed(rule)
    if there >= needed:
        return None
    return (
        f"{there} of the {len(rule.replicas)} replicas that count promised, and {needed} are needed under "
        f"{rule.text or f'any {rule.count}'!r}"
    )


def furthest(me: str, promised: Mapping[str, HowFar]) -> str:
    """Who has most of those that promised: this node itself, if nobody has more."""
    return max(promised, key=lambda node: (promised[node], node == me, node))
