"""What the server asks of the node that it answers for, and what only the daemon knows.

The daemon hands a `Node` to `RespServer`, with the store, so that nothing in this package imports a daemon.
Except where a method says otherwise, everything is called on the event loop's thread and must not block it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from replicad.errors import CorruptionError
from replicad.replication.primary.feed_slots import FeedSlots
from replicad.replication.primary.waits import Waits
from replicad.replication.traffic import Traffic

Pair = tuple[bytes, bytes]
Name = bytes | tuple[int, bytes]
"""A key among all families: the key itself in the default one, else (family, key)."""


class Walkable(Protocol):
    """One state of the data, whose pairs can be walked over in key order."""

    def get(self, key: bytes, /, *, family: int = 0) -> bytes | None: ...
    def contains(self, key: bytes, /, *, family: int = 0) -> bool: ...
    def multi_get(self, keys: list[bytes], /, *, family: int = 0) -> list[bytes | None]: ...
    def scan(
        self,
        start: bytes | None = None,
        end: bytes | None = None,
        *,
        prefix: bytes | None = None,
        family: int = 0,
    ) -> Iterator[Pair]: ...


class Reader(Walkable, Protocol):
    """One of the store: `Database.newest`, or a snapshot."""

    def part(self, key: bytes, first: int, last: int, /, *, family: int = 0) -> tuple[int, bytes]: ...
    def sequence_of(self, key: bytes, /, *, family: int = 0) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaView:
    """One replica as its primary sees it. `acknowledged_sequence` is what the replica said is durable
    there.
    """

    node_id: str
    host: str
    port: int
    """Where it serves clients; 0 when it did not say."""
    state: str
    acknowledged_sequence: int
    lag_seconds: int = 0
    """Since it acknowledged something last, or had nothing to acknowledge."""


class Failover(Protocol):
    """The automatic failover of a node. What changes it raises RoleRefused."""

    def document(self) -> dict[str, Any]:
        """Who leads, who would be next, and who may not lead and why, ready for JSON."""
        ...

    async def pause(self, *, paused: bool) -> bool:
        """Has nobody promoted automatically, or ends that; whether it was otherwise before."""
        ...

    async def remove(self, node: str) -> None:
        """Has the leader, which this node must be, count the node of that id no more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelPeer:
    """One node as SENTINEL describes it: the primary, a replica, or one that answers as a sentinel."""

    node_id: str
    """In hex."""
    host: str
    port: int
    """Where it serves clients."""
    is_down: bool
    link_is_up: bool = True
    """Of a replica: whether it follows the primary, as far as that is known."""
    offset: int = 0
    """Of a replica: the last sequence number that it is known to have; 0 when none is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelView:
    """Who is primary, and who else there is, where the node takes part in automatic failover."""

    service: str
    """The name that clients ask for."""
    node_id: str
    """This node's, in hex."""
    primary: SentinelPeer | None
    epoch: int
    replicas: tuple[SentinelPeer, ...]
    sentinels: tuple[SentinelPeer, ...]
    """The other nodes that answer as sentinels."""
    quorum: int
    down_after_seconds: float = 0.0
    """For this long nobody may hear of a node before it counts as down; 0.0 where that is not known."""


class Node(Protocol):
    """The node that this server answers for."""

    @property
    def role(self) -> Literal["primary", "replica"]: ...

    @property
    def is_writable(self) -> bool:
        """False on a replica, and on a primary that was fenced."""
        ...

    def holds_writes(self) -> bool:
        """Writes wait: the role is about to change, or the node does not know whether it is still primary."""
        ...

    def holds_answers(self) -> bool:
        """What is written may not be acknowledged now; looked at before every acknowledgement."""
        ...

    @property
    def primary_address(self) -> tuple[str, int] | None:
        """On a replica, where clients find its primary, or where it follows when that is not known."""
        ...

    async def promote(self, *, force: bool) -> str:
        """Makes a replica the primary; what was lost by that, in words, or "". Raises RoleRefused."""
        ...

    async def follow(self, host: str, port: int) -> None:
        """Makes the node a replica of the one at that replication or client address. Raises RoleRefused."""
        ...

    async def rejoin(self, host: str | None, port: int) -> str:
        """Saves what a replica has and the node there (None: the one that it follows) may lack, and has it
        fetch all data from there; what was saved, in words. Raises RoleRefused."""
        ...

    async def pause_replica(self, *, sequence: int | None, time_us: int | None) -> dict[str, Any]:
        """Has a replica stand still after the last batch through that sequence number or commit time, at once
        without either; where that is, ready for JSON. It is durable. Raises InvalidArgument."""
        ...

    async def resume_replica(self) -> bool:
        """Has a replica apply again what is due; whether it was paused. Raises InvalidArgument."""
        ...

    async def switch_over(self, target: str | None, *, timeout_seconds: float | None) -> str:
        """Hands the primary's role to `target` (node id or address; None: any replica), without loss.

        Returns the new primary's client address. Raises RoleRefused; then everything is as before.
        """
        ...

    @property
    def failover(self) -> Failover | None:
        """None where `[failover]` is not configured."""
        ...

    def cancel_switchover(self) -> bool:
        """Whether one was under way that could still be given up."""
        ...

    @property
    def link_state(self) -> str:
        """On a replica, as ROLE names it: "connect", "connecting", "sync" (bootstrap) or "connected"."""
        ...

    def replicas(self) -> list[ReplicaView]: ...

    def sentinel(self) -> SentinelView | None:
        """What SENTINEL answers from; None where no failover is configured."""
        ...

    @property
    def traffic(self) -> Traffic:
        """What went over the replication port since the node was started."""
        ...

    @property
    def primary_heard_seconds(self) -> float | None:
        """How long ago a replica heard of its primary; None before it did, and on a primary."""
        ...

    @property
    def copy_bytes_per_second(self) -> int:
        """What the copies that this node sends may take together; 0 means no limit."""
        ...

    def throttle_copies(self, bytes_per_second: int) -> None:
        """Counts at once, also for copies that are under way."""
        ...

    def drop_slot(self, node_id: bytes) -> bool:
        """Lets go of the log that is kept for a replica, and forgets it; whether there was anything of it."""
        ...

    @property
    def feed_slots(self) -> FeedSlots | None:
        """The slots of change feeds; None while there is no data."""
        ...

    @property
    def waits(self) -> Waits:
        """Acknowledgements of this node's replicas."""
        ...

    @property
    def stale_because(self) -> str | None:
        """Why a replica's data is known to be older than it should be, whether reads are refused or not."""
        ...

    @property
    def reads_refused(self) -> str | None:
        """The error, with its code, that reads get while this node's data is too old to be shown."""
        ...

    async def reload(self) -> dict[str, Any]:
        """Reads the configuration again; which keys were taken over and which need a restart, ready for JSON.
        Raises ConfigError; then all is as before."""
        ...

    def links(self) -> list[dict[str, Any]]:
        """The links that this node follows and serves, ready for JSON."""
        ...

    def settings(self) -> dict[str, str]:
        """Every key of the configuration in effect as `section.key`; "" for one that is not set."""
        ...

    def change_settings(self, texts: Mapping[str, str]) -> None:
        """Takes over these values of `section.key`, all or none. Raises ConfigError."""
        ...

    async def keep_settings(self) -> Path:
        """Writes what was changed so that it outlives a restart; the file. Raises ConfigError, OSError."""
        ...

    async def backup(self, target: str | None, *, flush: bool, metadata: bytes) -> dict[str, Any]:
        """Makes a backup, at the configured target by default; what it is, ready for JSON.

        One at a time; cancelling it stops it.
        """
        ...

    def stop_backup(self) -> bool:
        """Whether there was one to stop."""
        ...

    def found_corruption(self, error: CorruptionError) -> None:
        """A read met bytes that are not what was written."""
        ...

    def order_repair(self, reason: str) -> None:
        """Has the node fetch its data again; raises InvalidArgument where that makes no sense."""
        ...

    def status(self) -> dict[str, Any]:
        """The node's status document, ready for JSON."""
        ...
