"""What etcd says of a database and its nodes at one moment: one linearizable read of all keys.

    leader     who leads, in which epoch; goes with that node's lease
    epoch      the greatest epoch that anybody claimed; nobody claims one twice
    rule       whose acknowledgements the leader waits for: says how many promises a candidate needs
    members    the nodes that run; each goes with its lease
    failsafe   the nodes that may ever be promoted, all of which a leader without etcd has to ask
    status     how far each replica was, when the leader said so last
    switchover an order: this node is to lead next
    pause      nobody is promoted automatically

Nodes are named by their ids, in hex.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Leader:
    """`begun`: it takes writes in that epoch. Before that it has only claimed it."""

    node: str
    epoch: int
    replication: str
    clients: str
    begun: bool
    revision: int = 0
    lease: int = 0


@dataclass(frozen=True, slots=True)
class StatedRule:
    """Every write that `leader` acknowledged in `epoch` is durable on `count` of `replicas`; and so is all
    that was acknowledged before.

    `leader_has_all`: it is durable at the leader, too. A primary whose durability is "async" acknowledges
    what a loss of its power takes.
    """

    leader: str
    epoch: int
    count: int
    replicas: frozenset[str]
    leader_has_all: bool
    text: str = ""
    """As the operator wrote it."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node that runs and reaches etcd. `epoch` and `sequence` are its durable position, None without
    data."""

    node: str
    name: str
    replication: str
    clients: str
    standing: str
    epoch: int | None
    sequence: int | None
    candidate: bool
    priority: int
    delayed: bool
    """It applies late, or stands still: it neither counts nor leads."""
    promised: int = 0
    """The epoch that it promised last: it follows no leader of a lower one."""

    @property
    def how_far(self) -> tuple[int, int]:
        return self.epoch or 0, self.sequence or 0


@dataclass(frozen=True, slots=True)
class Status:
    """What the leader said last: its position, and how many bytes of log each replica lacked."""

    epoch: int
    sequence: int
    lag_bytes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SwitchoverOrder:
    """`leader` gave the leadership up so that `to` takes it."""

    leader: str
    to: str


@dataclass(frozen=True, slots=True)
class Cluster:
    leader: Leader | None = None
    epoch: int = 0
    epoch_revision: int = 0
    """0: nobody has claimed an epoch."""
    rule: StatedRule | None = None
    rule_revision: int = 0
    members: Mapping[str, Member] = field(default_factory=dict)
    failsafe: frozenset[str] | None = None
    """None: no leader has said it yet."""
    status: Status | None = None
    switchover: SwitchoverOrder | None = None
    paused: bool = False

    @property
    def newest_epoch(self) -> int:
        """The greatest that was claimed. An etcd that lost its data knows it from what was promised only."""
        return max([self.epoch, *(member.promised for member in self.members.values())])
